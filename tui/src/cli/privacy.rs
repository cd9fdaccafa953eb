//! `aivonx privacy ...`

use std::fmt::Write as _;

use aivonx_protocol::{
    WireSecret,
    organization::PrivacyMode,
    privacy::{self, AnswerMode, AnswerPrivacy, Category, PrivacyReport, PrivacySettings, TEST_MAX},
};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{
    Context,
    organization::options::Privacy,
    pattern::{self, PatternVerb},
    privacy_owner::PrivacyOwner,
};
use crate::{
    exit::Failure,
    input,
    nouns::{
        privacy::{Categories, categories, outcome, whose},
        privacy_name, profile_name,
    },
    render::text::Lines,
};

/// What can be done about personal data in prompts.
#[derive(Debug, Subcommand)]
pub enum PrivacyVerb {
    /// What happens to it
    Show(PrivacyOwner),
    /// Say what shall happen to it
    Set(SetArgs),
    /// Show what would become of a text, read from standard input; it is not kept
    Test(PrivacyOwner),
    /// Patterns of your own: regular expressions and words
    #[command(subcommand, visible_alias = "patterns")]
    Pattern(PatternVerb),
}

/// [`AnswerMode`], as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answers {
    /// Nothing is looked for
    Off,
    /// Found and counted
    Detect,
    /// Found and replaced
    Redact,
}

impl From<Answers> for AnswerMode {
    fn from(answers: Answers) -> Self {
        match answers {
            Answers::Off => Self::Off,
            Answers::Detect => Self::Detect,
            Answers::Redact => Self::Redact,
        }
    }
}

/// `privacy set`
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    whose: PrivacyOwner,
    /// What happens to what is found in prompts: nothing is looked for, it is counted, replaced, or the prompt refused
    #[arg(value_enum, required_unless_present_any = ["categories", "answers"])]
    pub mode: Option<Privacy>,
    /// What happens to what is found in answers: nothing is looked for, it is counted, or replaced
    #[arg(long, value_enum, value_name = "MODE")]
    pub answers: Option<Answers>,
    /// What is looked for: email, phone, ssn, card, key, iban, passport, alphanumeric, separated by commas; all is the
    /// first five
    #[arg(long, value_name = "LIST", value_parser = categories)]
    pub categories: Option<Categories>,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: PrivacyVerb) -> Result<(), Failure> {
    match verb {
        PrivacyVerb::Show(owner) => show(context, owner).await,
        PrivacyVerb::Pattern(verb) => pattern::run(context, verb).await,
        PrivacyVerb::Set(SetArgs { whose, mode, answers, categories }) => {
            let client = context.client().await?;
            let categories = categories.map(|categories| categories.0);
            if mode.is_some() || categories.is_some() {
                let (organization, mode) = (whose.organization.clone(), mode.map(Into::into));
                client.ask(privacy::Set { organization, mode, categories }).await?;
            }
            if let Some(answers) = answers {
                let organization = whose.organization.clone();
                client.ask(privacy::SetAnswers { organization, answers: answers.into() }).await?;
            }
            show(context, whose).await
        }
        PrivacyVerb::Test(PrivacyOwner { organization }) => {
            let text = WireSecret::new(input::text(TEST_MAX as u64)?.to_string());
            let report = context.client().await?.ask(privacy::Test { organization, text }).await?;
            context.out.show(&report, |out| out.line(result(&report)))
        }
    }
}

/// What `privacy show` prints as JSON.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    pub settings: PrivacySettings,
    /// What happens to what is found in answers.
    pub answers: AnswerMode,
}

async fn show(context: &mut Context, PrivacyOwner { organization }: PrivacyOwner) -> Result<(), Failure> {
    let client = context.client().await?;
    let settings = client.ask(privacy::Show { organization: organization.clone() }).await?;
    let AnswerPrivacy { answers, .. } = client.ask(privacy::Answers { organization }).await?;
    let shown = Shown { settings, answers };
    context.out.show(&shown, |out| {
        out.line(format_args!("{}\n{}", sentences(&shown.settings), of_answers(shown.answers)))
    })
}

/// What holds for answers, in words.
fn of_answers(mode: AnswerMode) -> String {
    let done = match mode {
        AnswerMode::Off => "nothing is looked for",
        AnswerMode::Detect => "the same is found and counted",
        AnswerMode::Redact => "the same is found and replaced",
    };
    format!("Answers {}: {done}.", mode.name())
}

/// What holds, in words.
fn sentences(settings: &PrivacySettings) -> String {
    let whose = whose(settings.organization.as_deref());
    let from = settings.profile.map_or_else(String::new, |profile| {
        format!(" This follows from the limit profile {}; aivonx privacy set sets it.", profile_name(profile))
    });
    let what = names(settings.categories.iter().copied());
    match settings.mode {
        PrivacyMode::Off => format!("off: nothing is looked for in prompts {whose}.{from}"),
        mode => format!("{}: {} in prompts {whose}: {what}.{from}", privacy_name(mode), done(mode)),
    }
}

/// What would become of a text, in words.
fn result(report: &PrivacyReport) -> String {
    let mut out = String::new();
    if !report.redacted.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}\n", Lines(&report.redacted));
    }
    if report.findings.is_empty() {
        out.push_str("Nothing was found. ");
    } else {
        let counts = report.findings.iter().map(|found| format!("{} {}", found.count, found.category));
        let _ = write!(out, "Found: {}. ", counts.collect::<Vec<_>>().join(", "));
    }
    out.push_str(&outcome(report));
    out
}

fn done(mode: PrivacyMode) -> &'static str {
    match mode {
        PrivacyMode::Off => "nothing is looked for",
        PrivacyMode::Detect => "found and counted",
        PrivacyMode::Redact => "found and replaced",
        PrivacyMode::Block => "found and refused",
    }
}

fn names(categories: impl Iterator<Item = Category>) -> String {
    categories.map(Category::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{organization::LimitProfile, privacy::PrivacyCount};

    use super::*;
    use crate::samples::HOSTILE;

    #[test]
    fn settings_are_told_in_a_sentence() {
        let mut settings = PrivacySettings {
            organization: Some("acme".into()),
            mode: PrivacyMode::Redact,
            categories: vec![Category::Email, Category::Card],
            profile: None,
        };
        assert_eq!(sentences(&settings), "redact: found and replaced in prompts of acme: email, card.");
        settings.mode = PrivacyMode::Off;
        (settings.organization, settings.profile) = (None, Some(LimitProfile::Unlimited));
        assert_eq!(
            sentences(&settings),
            "off: nothing is looked for in prompts of those without an organization. This follows from the limit \
             profile unlimited; aivonx privacy set sets it."
        );
    }

    #[test]
    fn results_are_told_in_sentences() {
        let mut report = PrivacyReport {
            organization: None,
            mode: PrivacyMode::Redact,
            findings: vec![
                PrivacyCount { category: Category::Email, count: 2 },
                PrivacyCount { category: Category::Card, count: 1 },
            ],
            redacted: format!("mail [REDACTED_EMAIL]\n{HOSTILE}"),
            refusal: None,
        };
        let text = result(&report);
        assert!(text.starts_with("mail [REDACTED_EMAIL]\n"), "{text}");
        assert!(text.contains("\n\nFound: 2 email, 1 card. The mode of those without"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        (report.mode, report.refusal) = (PrivacyMode::Block, Some("the prompt contains email".into()));
        assert!(
            result(&report).ends_with("is block: a prompt like this is refused (the prompt contains email).")
        );
        (report.mode, report.refusal, report.findings) = (PrivacyMode::Detect, None, Vec::new());
        assert!(result(&report).contains("\n\nNothing was found. The mode"));
    }
}
