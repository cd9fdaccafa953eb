//! Personal data: modes and patterns.

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{self, PrivacyRequest},
};

use super::*;

#[test]
fn privacy_is_set_and_tried() {
    let mut model = acme();
    press(&mut model, "v");
    // The mode follows from the profile: to set the same is a change.
    press_all(&mut model, "b tab ctrl-u");
    type_text(&mut model, "email, nothing");
    press(&mut model, "ctrl-s");
    assert!(shot(&model).contains("accepted are email"), "{}", shot(&model));
    press(&mut model, "ctrl-u");
    type_text(&mut model, "card ssn");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("refused from now on"), "{}", shot(&model));
    let effects = press(&mut model, "y");
    let (ticket, request) = call(&effects);
    let Request::Privacy(PrivacyRequest::Set(privacy::Set { organization: Some(_), mode, categories })) =
        request
    else {
        panic!("{request:?}")
    };
    assert_eq!((*mode, categories.as_ref().map(Vec::len)), (Some(PrivacyMode::Block), Some(2)));
    let mut settings = model.usage.privacy.clone().unwrap();
    (settings.mode, settings.profile) = (PrivacyMode::Block, None);
    reply(&mut model, ticket, Reply::Privacy(Box::new(settings)));
    press_all(&mut model, "v ctrl-s");
    assert!(shot(&model).contains("nothing was changed"), "{}", shot(&model));
    press_all(&mut model, "esc t");
    update(&mut model, Msg::Paste("call 030 123\nor mail a@example.com\n".into()));
    let effects = press(&mut model, "enter");
    let Request::Privacy(PrivacyRequest::Test(privacy::Test { text, .. })) = call(&effects).1 else {
        panic!()
    };
    assert_eq!(text.expose(), "call 030 123 or mail a@example.com");
    answer_all(&mut model, effects);
    assert!(matches!(model.dialogs[..], [Dialog::Text(_)]), "{:?}", model.dialogs);
    // A key has none of its own.
    press(&mut model, "esc");
    answered(&mut model, "tab tab g enter v");
    assert!(notice(&model).contains("set on organizations"), "{}", notice(&model));
}

#[test]
fn answers_have_a_mode_of_their_own() {
    let set = |model: &str| {
        Request::from(privacy::SetAnswers {
            organization: Some(model.to_owned()),
            answers: privacy::AnswerMode::Off,
        })
    };
    let mut model = acme();
    let id = model.usage.open.as_ref().unwrap().organization().unwrap().unwrap();
    model.usage.answers = Some(privacy::AnswerMode::Detect);
    press_all(&mut model, "v tab tab left");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    let shown = shot(&model);
    assert!(shown.contains("Personal data in answers reaches clients as it is"), "{shown}");
    assert!(shown.contains("Own patterns are still looked for"), "{shown}");
    assert_eq!(call(&press(&mut model, "y")).1, &set(&id), "{}", shot(&model));

    // With the prompts' mode it is the second of two.
    let mut model = acme();
    model.usage.answers = Some(privacy::AnswerMode::Detect);
    press_all(&mut model, "v d tab tab left");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    let effects = press(&mut model, "y");
    let (ticket, request) = call(&effects);
    assert!(matches!(request, Request::Privacy(PrivacyRequest::Set(_))), "{request:?}");
    let settings = model.usage.privacy.clone().unwrap();
    let effects = reply(&mut model, ticket, Reply::Privacy(Box::new(settings)));
    let asked =
        effects.iter().any(|effect| matches!(effect, Effect::Call { request, .. } if *request == set(&id)));
    assert!(asked && model.dialogs.is_empty(), "{effects:?}");
}

#[test]
fn patterns_are_listed_added_and_removed() {
    let mut model = acme();
    answered(&mut model, "w");
    assert!(shot(&model).contains("Patterns of organization acme"), "{}", shot(&model));
    press(&mut model, "a");
    type_text(&mut model, "project");
    press_all(&mut model, "tab w tab");
    type_text(&mut model, "falcon, blue moon");
    press_all(&mut model, "tab right right");
    let effects = press(&mut model, "ctrl-s");
    let Request::Privacy(PrivacyRequest::AddPattern(privacy::AddPattern { pattern, .. })) = call(&effects).1
    else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (pattern.regex.as_ref(), &*pattern.words),
        (None, &["falcon".to_owned(), "blue moon".into()][..])
    );
    assert_eq!((pattern.action, &pattern.marker), (privacy::PatternAction::Refuse, &None));
    model.dialogs.clear();
    press(&mut model, "enter");
    assert!(matches!(model.dialogs[..], [Dialog::Text(_)]), "{:?}", model.dialogs);
    press_all(&mut model, "esc ctrl-d");
    let effects = press(&mut model, "y");
    assert!(matches!(call(&effects).1, Request::Privacy(PrivacyRequest::RemovePattern(_))), "{effects:?}");
    model.calls.clear();
    press(&mut model, "esc");
    assert!(shot(&model).contains("Limits of organization acme"), "{}", shot(&model));
    press(&mut model, "esc");
    assert!(!model.detail);
}
