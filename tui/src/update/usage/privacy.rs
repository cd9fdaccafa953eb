//! What happens to personal data in prompts.

use aivonx_protocol::{
    Request, WireSecret,
    organization::PrivacyMode,
    privacy::{self, Category, PrivacyReport, PrivacyRequest, PrivacySettings},
};

use super::Asked;
use crate::{
    nouns::{
        privacy::{categories, outcome},
        privacy_name,
    },
    state::{
        Dialog, Model, Topic,
        dialog::Text,
        form::{Field, Form, FormFor},
        usage::UsageForm,
    },
    update::forms,
};

const RELOAD: &[Topic] = &[Topic::Privacy, Topic::Organizations];
const MODES: &[(&str, &str)] = &[
    ("off", "personal data is not looked for"),
    ("detect", "personal data is found and counted"),
    ("redact", "personal data is found and replaced"),
    ("block", "prompts with personal data are refused"),
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
    let fields = vec![
        Field::choice("mode", "Mode", "what happens to what is found", MODES, privacy_name(settings.mode)),
        Field::text(
            "categories",
            "Categories",
            "email, phone, ssn, card, key; or all",
            &words(&settings.categories),
        )
        .required()
        .checked(|text| categories(&spelled(text)).map(|_| ())),
    ];
    let title = format!("Personal data in prompts of {}", named(settings));
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
    let request = PrivacyRequest::Set(privacy::Set {
        organization: organization.map(str::to_owned),
        mode: Some(mode).filter(|mode| *mode != now.mode || now.profile.is_some()),
        categories: Some(wanted).filter(|wanted| !same(wanted)),
    });
    if matches!(request, PrivacyRequest::Set(privacy::Set { mode: None, categories: None, .. })) {
        return Err("nothing was changed".to_owned());
    }
    let because = match mode {
        PrivacyMode::Block if now.mode != mode => {
            vec!["Requests with such data in their prompts are refused from now on.".to_owned()]
        }
        PrivacyMode::Off if now.mode != mode => {
            vec!["Personal data reaches the nodes as it is, and is not counted any more.".to_owned()]
        }
        _ => Vec::new(),
    };
    let asked = Asked::new(
        Request::Privacy(request),
        format!("Setting privacy of {} to {word}", named(now)),
        format!("the privacy mode of {} is {word}", named(now)),
        RELOAD,
    );
    Ok(Asked { because, ..asked })
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
