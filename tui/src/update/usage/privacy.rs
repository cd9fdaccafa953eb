//! What happens to personal data in prompts and answers, and the patterns of an organization's own.

use aivonx_protocol::{
    Request, WireSecret,
    organization::PrivacyMode,
    privacy::{
        self, AnswerMode, Category, NewPattern, Pattern, PatternAction, PrivacyReport, PrivacyRequest,
        PrivacySettings,
    },
};

use super::Asked;
use crate::{
    msg::Effect,
    nouns::{
        self, Noun as _,
        privacy::{categories, outcome},
        privacy_name,
    },
    state::{
        Dialog, Model, Topic,
        calls::Act,
        dialog::Text,
        form::{self, Field, Form, FormFor},
        usage::UsageForm,
    },
    update::{dialogs, forms, load},
};

const RELOAD: &[Topic] = &[Topic::Privacy, Topic::Organizations];
const MODES: &[(&str, &str)] = &[
    ("off", "personal data is not looked for"),
    ("detect", "personal data is found and counted"),
    ("redact", "personal data is found and replaced"),
    ("block", "prompts with personal data are refused"),
];
const ANSWERS: &[(&str, &str)] = &[
    ("off", "personal data in answers is not looked for"),
    ("detect", "personal data in answers is found and counted"),
    ("redact", "personal data in answers is found and replaced"),
];
const ALL: [PrivacyMode; 4] =
    [PrivacyMode::Off, PrivacyMode::Detect, PrivacyMode::Redact, PrivacyMode::Block];

/// The organization of the open list; None after a warning if it has none.
fn organization(model: &mut Model) -> Option<Option<String>> {
    let found = model.usage.open.as_ref().and_then(crate::state::usage::OpenLimits::organization);
    if found.is_none() {
        model.warn("that is set on organizations, and for those without one on the fleet (o)");
    }
    found
}

fn named(settings: &PrivacySettings) -> String {
    match &settings.organization {
        Some(slug) => format!("organization {slug}"),
        None => "those without an organization".to_owned(),
    }
}

fn words(categories: &[Category]) -> String {
    categories.iter().map(|category| category.name()).collect::<Vec<_>>().join(", ")
}

/// Opens a form with what holds.
pub(super) fn edit(model: &mut Model) {
    let Some(organization) = organization(model) else { return };
    let Some(settings) = &model.usage.privacy else {
        return model.warn("what holds is not known yet");
    };
    let mut fields = vec![
        Field::choice("mode", "Prompts", "what happens to what is found", MODES, privacy_name(settings.mode)),
        Field::text(
            "categories",
            "Categories",
            "email phone ssn card key iban passport alphanumeric; all: the first five",
            &words(&settings.categories),
        )
        .required()
        .checked(|text| categories(&spelled(text)).map(|_| ())),
    ];
    fields.extend(model.usage.answers.map(|mode| {
        Field::choice("answers", "Answers", "what happens to what is found", ANSWERS, mode.name())
    }));
    let title = format!("Personal data of {}", named(settings));
    forms::open(model, Form::new(FormFor::Usage(UsageForm::Privacy(organization)), title, "", fields));
}

/// Blanks separate as well as commas.
fn spelled(text: &str) -> String {
    text.split([' ', ',']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(",")
}

/// Sets what the form changes.
pub(super) fn set(model: &Model, form: &Form, organization: Option<&str>) -> Result<Asked, String> {
    let now = model.usage.privacy.as_ref().ok_or("what holds is not known yet")?;
    let word = form.value("mode");
    let mode = ALL.into_iter().find(|mode| privacy_name(*mode) == word).ok_or("no such mode")?;
    let wanted = categories(&spelled(&form.value("categories")))?.0;
    let before: &[Category] = &now.categories;
    let same = |wanted: &Vec<Category>| {
        let all = |list: &[Category]| if list.is_empty() { Category::USUAL.to_vec() } else { list.to_vec() };
        let (mut a, mut b) = (all(wanted), all(before));
        a.sort_unstable();
        b.sort_unstable();
        a == b
    };
    let answers = answers(model, form, organization, &named(now));
    let is_off = answers.is_some() && form.value("answers") == AnswerMode::Off.name();
    let unseen = is_off.then(|| {
        "Personal data in answers reaches clients as it is, and is not counted any more. Own patterns are still \
         looked for.".to_owned()
    });
    let request = PrivacyRequest::Set(privacy::Set {
        organization: organization.map(str::to_owned),
        // To set what follows from the profile is a change, if it is all that is asked for.
        mode: Some(mode).filter(|mode| *mode != now.mode || (now.profile.is_some() && answers.is_none())),
        categories: Some(wanted).filter(|wanted| !same(wanted)),
    });
    if matches!(request, PrivacyRequest::Set(privacy::Set { mode: None, categories: None, .. })) {
        let (request, what) = answers.ok_or("nothing was changed")?;
        return Ok(Asked { request, what, because: unseen.into_iter().collect(), then: None });
    }
    let of_prompts = match mode {
        PrivacyMode::Block if now.mode != mode => {
            Some("Requests with such data in their prompts are refused from now on.".to_owned())
        }
        PrivacyMode::Off if now.mode != mode => Some(
            "Personal data reaches the nodes as it is, and is not counted any more. Own patterns are still \
                 looked for."
                .to_owned(),
        ),
        _ => None,
    };
    let because = of_prompts.into_iter().chain(unseen).collect();
    let asked = Asked::new(
        Request::Privacy(request),
        format!("Setting privacy of {} to {word}", named(now)),
        format!("the privacy mode of {} is {word}", named(now)),
        RELOAD,
    );
    Ok(Asked { because, then: answers, ..asked })
}

/// What the form changes for answers, if anything.
fn answers(model: &Model, form: &Form, organization: Option<&str>, named: &str) -> Option<(Request, Act)> {
    let word = form.value("answers");
    let all = [AnswerMode::Off, AnswerMode::Detect, AnswerMode::Redact];
    let answers = all.into_iter().find(|mode| mode.name() == word)?;
    if model.usage.answers == Some(answers) {
        return None;
    }
    let what = Act {
        doing: format!("Setting privacy of answers to {named} to {word}"),
        done: format!("the privacy mode of answers to {named} is {word}"),
        reload: vec![Topic::Answers],
    };
    Some((
        Request::from(privacy::SetAnswers { organization: organization.map(str::to_owned), answers }),
        what,
    ))
}

/// Shows the patterns of the organization.
pub(super) fn patterns(model: &mut Model, out: &mut Vec<Effect>) {
    if organization(model).is_some() {
        model.usage.shows_patterns = true;
        load(model, out, Topic::Patterns);
    }
}

/// Shows everything about the chosen one.
pub(super) fn show_pattern(model: &mut Model) {
    let Some(one) = model.usage.patterns.chosen() else { return };
    let table = one.details(&model.view());
    let rows = table.rows().iter().filter_map(|row| match &**row {
        [name, value] => Some((name.text.clone(), value.text.clone())),
        _ => None,
    });
    let text = Text { title: format!("Pattern {}", one.name), rows: rows.collect(), scroll: 0 };
    model.dialogs.push(Dialog::Text(Box::new(text)));
}

/// Opens the form for one more.
pub(super) fn new_pattern(model: &mut Model) {
    let Some(organization) = organization(model) else { return };
    let actions = [PatternAction::Redact, PatternAction::Detect, PatternAction::Refuse]
        .map(|action| (action.name(), nouns::pattern::done(action)));
    let kinds = [("regex", "a regular expression"), ("words", "words, found whole and in any case")];
    let fields = vec![
        Field::text("name", "Name", "lower case letters, digits and -", "").required().checked(form::slug),
        Field::choice("kind", "Looks for", "", &kinds, "regex"),
        Field::text("regex", "Regex", "each repetition bounded, such as E-[0-9]{4,8}", "")
            .required()
            .with("kind", &["regex"]),
        Field::text("words", "Words", "words or phrases, separated by commas", "")
            .required()
            .with("kind", &["words"]),
        Field::choice("action", "Then", "", &actions, PatternAction::Redact.name()),
        Field::text("marker", "Marker", "in place of a match; empty: [REDACTED_NAME]", "")
            .with("action", &["redact"]),
    ];
    let intro = "It is looked for in prompts and in answers, whatever their modes are.";
    let purpose = FormFor::Usage(UsageForm::Pattern(organization));
    forms::open(model, Form::new(purpose, "Add a pattern", intro, fields));
}

/// Adds the pattern of this form.
pub(super) fn add_pattern(form: &Form, organization: Option<&str>) -> Result<Asked, String> {
    let action = form.value("action");
    let all = [PatternAction::Redact, PatternAction::Detect, PatternAction::Refuse];
    let words = form.value("words");
    let pattern = NewPattern {
        name: form.value("name"),
        regex: form.given("regex"),
        words: words.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect(),
        marker: form.given("marker"),
        action: all.into_iter().find(|one| one.name() == action).unwrap_or_default(),
    };
    let (doing, done) = (
        format!("Adding {}", pattern.name),
        format!("added {}: {}", pattern.name, nouns::pattern::done(pattern.action)),
    );
    let request = privacy::AddPattern { organization: organization.map(str::to_owned), pattern };
    Ok(Asked::new(Request::from(request), doing, done, &[Topic::Patterns]))
}

/// Asks before it removes the chosen ones.
pub(super) fn remove_patterns(model: &mut Model) {
    let Some(organization) = organization(model) else { return };
    let chosen: Vec<Pattern> = model.usage.patterns.targets().into_iter().cloned().collect();
    let title = match &*chosen {
        [] => return,
        [one] => format!("Remove pattern {}?", one.name),
        more => format!("Remove {} patterns?", more.len()),
    };
    let requests = chosen.into_iter().map(|Pattern { name, .. }| {
        let what = Act {
            doing: format!("Removing {name}"),
            done: format!("{name} is not looked for any more"),
            reload: vec![Topic::Patterns],
        };
        (Request::from(privacy::RemovePattern { organization: organization.clone(), name }), what)
    });
    let lines = vec!["What it matches reaches nodes and clients as it is from now on.".to_owned()];
    let requests = requests.collect();
    dialogs::confirm(model, title, lines, "Remove", None, requests);
}

/// Opens a form for a text to try.
pub(super) fn test(model: &mut Model) {
    let Some(organization) = organization(model) else { return };
    let about = "type or paste; line ends become blanks";
    let fields = vec![Field::text("text", "Text", about, "").required()];
    let intro = "What would become of it in a prompt. It is not kept. Files: aivonx privacy test < FILE";
    let purpose = FormFor::Usage(UsageForm::PrivacyTest(organization));
    forms::open(model, Form::new(purpose, "Try a text", intro, fields));
}

/// Asks what would become of the text.
pub(super) fn tried(form: &Form, organization: Option<&str>) -> Result<Asked, String> {
    let text = WireSecret::new(form.value("text"));
    let request = PrivacyRequest::Test(privacy::Test { organization: organization.map(str::to_owned), text });
    Ok(Asked::new(Request::Privacy(request), "Trying the text".into(), "tried".into(), &[]))
}

/// Shows what would become of it.
pub(super) fn report(model: &mut Model, report: &PrivacyReport) {
    let found: Vec<String> =
        report.findings.iter().map(|found| format!("{} {}", found.count, found.category)).collect();
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let rows = vec![
        ("found".to_owned(), found),
        ("mode".to_owned(), privacy_name(report.mode).to_owned()),
        ("then".to_owned(), outcome(report)),
        ("redacted".to_owned(), report.redacted.clone()),
    ];
    model.dialogs.push(Dialog::Text(Box::new(Text {
        title: "What would become of it".into(),
        rows,
        scroll: 0,
    })));
}
