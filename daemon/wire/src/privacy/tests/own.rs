//! Patterns of an organization's own in prompts.

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{Category, PatternAction},
};

use crate::api::Edits;
use crate::privacy::{
    Blocked, Privacy, Screening,
    pattern::{Pattern, of_words},
    redact_text, screen,
};

fn screening(mode: PrivacyMode, expression: &str, action: PatternAction) -> Screening {
    let pattern = Pattern::new("own", expression, "[OWN]", action).unwrap();
    Screening { privacy: Privacy::new(mode, &[]), own: Some(vec![pattern].into()) }
}

#[test]
fn they_have_actions_of_their_own_in_every_mode() {
    let text = "badge E-123456 of bob@example.com, {\"id\":\"E-123\"}";
    for (mode, safe) in [
        (PrivacyMode::Off, "badge [OWN] of bob@example.com, {\"id\":\"[OWN]\"}"),
        (PrivacyMode::Detect, "badge [OWN] of bob@example.com, {\"id\":\"[OWN]\"}"),
        (PrivacyMode::Redact, "badge [OWN] of [REDACTED_EMAIL], {\"id\":\"[OWN]\"}"),
    ] {
        let (got, found) =
            redact_text(&screening(mode, "E-[0-9]{3,6}", PatternAction::Redact), text).unwrap();
        assert_eq!((&*got, found.of(Category::Pattern)), (safe, 2), "{mode:?}");
        let detect = screening(mode, "E-[0-9]{3,6}", PatternAction::Detect);
        assert!(redact_text(&detect, text).unwrap().0.contains("E-123456"));
        let refuse = screening(mode, &of_words(&["BADGE".into()]), PatternAction::Refuse);
        let Err(Blocked::Refused(name, _)) = redact_text(&refuse, text) else { panic!("{mode:?}") };
        assert_eq!(&*name, "own");
        assert_eq!(redact_text(&refuse, "badges").unwrap().0, "badges");
    }
}

#[test]
fn they_leave_the_words_of_the_apis_alone() {
    let words = ["user", "role", "content", "messages", "stream", "a"].map(String::from);
    let screening = screening(PrivacyMode::Off, &of_words(&words), PatternAction::Redact);
    let body =
        "{\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":\"a user, {\\\"role\\\":1}\"}]}";
    let mut edits = Edits::default();
    screen(&screening, body.as_bytes(), &mut edits).unwrap();
    let got = edits.apply(&[bytes::Bytes::copy_from_slice(body.as_bytes())]).concat();
    let safe = "{\"stream\":false,\"messages\":[{\"role\":\"user\",\"content\":\"[OWN] [OWN], {\\\"[OWN]\\\":1}\"}]}";
    assert_eq!(String::from_utf8(got).unwrap(), safe);
    let arguments =
        "{\"messages\":[{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"role\":\"x\"}}}]}]}";
    let mut edits = Edits::default();
    screen(&screening, arguments.as_bytes(), &mut edits).unwrap();
    assert!(!edits.is_empty(), "names in arguments are the model's own");
}

#[test]
fn a_text_that_is_a_word_of_the_apis_is_searched() {
    let refuse = screening(PrivacyMode::Off, "user", PatternAction::Refuse);
    for (content, is_refused) in [("user", true), ("other", false)] {
        let body = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":\"{content}\"}}]}}");
        assert_eq!(screen(&refuse, body.as_bytes(), &mut Edits::default()).is_err(), is_refused, "{content}");
    }
}

#[test]
fn blanks_between_the_words_of_a_phrase_may_be_any() {
    let refuse = screening(PrivacyMode::Off, &of_words(&["blue moon".into()]), PatternAction::Refuse);
    for text in ["a blue\n moon", "BLUE  MOON", "blue\u{a0}moon"] {
        assert!(matches!(redact_text(&refuse, text), Err(Blocked::Refused(..))), "{text}");
    }
    assert!(redact_text(&refuse, "bluemoon").is_ok());
}

#[test]
fn tokens_do_not_pass_them_and_numbers_are_searched() {
    for mode in [PrivacyMode::Off, PrivacyMode::Detect, PrivacyMode::Redact] {
        let searched = |action, body: &str| {
            let mut edits = Edits::default();
            screen(&screening(mode, "[0-9]{4}7", action), body.as_bytes(), &mut edits).map(|_| ())
        };
        let tokens = "{\"model\":\"m\",\"prompt\":[1,2]}";
        for action in [PatternAction::Redact, PatternAction::Refuse] {
            assert!(matches!(searched(action, tokens), Err(Blocked::Unsearchable(_))), "{mode:?}");
        }
        assert_eq!(searched(PatternAction::Detect, tokens).is_ok(), mode != PrivacyMode::Redact);
        let number = "{\"messages\":[{\"content\":\"{\\\"badge\\\": 12347}\"}]}";
        assert!(matches!(searched(PatternAction::Refuse, number), Err(Blocked::Refused(..))), "{mode:?}");
        let redact = screening(mode, "[0-9]{4}7", PatternAction::Redact);
        let got = redact_text(&redact, "{\"badge\": 912347, \"n\": [12347, 0]}").unwrap().0;
        assert_eq!(got, "{\"badge\": \"9[OWN]\", \"n\": [\"[OWN]\", 0]}");
    }
}

#[test]
fn what_overlaps_is_replaced_as_a_whole() {
    let own = screening(PrivacyMode::Redact, "mail bob", PatternAction::Redact);
    assert_eq!(redact_text(&own, "mail bob@example.com now").unwrap().0, "[OWN][REDACTED_EMAIL] now");
    let own = screening(PrivacyMode::Redact, "bob", PatternAction::Redact);
    assert_eq!(redact_text(&own, "mail bob@example.com now").unwrap().0, "mail [REDACTED_EMAIL] now");
    let own = screening(PrivacyMode::Off, "x.y", PatternAction::Redact);
    assert_eq!(redact_text(&own, "{\"a\": \"x\\\"y\"}").unwrap().0, "{\"a\": \"[OWN]\"}");
}

#[test]
fn more_categories_are_looked_for_where_they_are_named() {
    let text = "IBAN DE89 3704 0044 0532 0130 00, passport no. C01X00T47, order ab12cd34ef56ab78.";
    let redact = |categories: &[Category]| {
        let screening = Privacy::new(PrivacyMode::Redact, categories).into();
        redact_text(&screening, text).unwrap().0
    };
    assert_eq!(redact(&[Category::Email]), text);
    assert_eq!(
        redact(&[Category::Iban, Category::Passport, Category::Alphanumeric]),
        "IBAN [REDACTED_IBAN], passport no. [REDACTED_PASSPORT], order [REDACTED_ALPHANUMERIC]."
    );
    assert!(redact(&[]).contains("DE89 3704 0044 0532 0130 00, passport no. C01X00T47"));
}
