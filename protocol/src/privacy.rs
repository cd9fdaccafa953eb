//! Personal data and credentials in prompts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis, WireSecret,
    audit::Noted,
    operation::operations,
    organization::{LimitProfile, PrivacyMode},
};

/// What is looked for in prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Social security numbers of the United States.
    Ssn,
    /// Numbers of payment cards with a right check digit (Luhn).
    Card,
    /// API keys, tokens, private keys.
    Key,
    /// What matches a pattern of the organization's own.
    Pattern,
    /// Numbers of bank accounts (IBAN) with right check digits.
    Iban,
    /// Numbers of passports.
    Passport,
    /// Long strings of letters and digits.
    Alphanumeric,
}

impl Category {
    /// Every category, in the order of the enum: `ALL[c as usize] == c`.
    pub const ALL: [Self; 9] = [
        Self::Email,
        Self::Phone,
        Self::Ssn,
        Self::Card,
        Self::Key,
        Self::Pattern,
        Self::Iban,
        Self::Passport,
        Self::Alphanumeric,
    ];

    /// Those that can be named to be looked for.
    pub const NAMED: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::Ssn,
        Self::Card,
        Self::Key,
        Self::Iban,
        Self::Passport,
        Self::Alphanumeric,
    ];

    /// Those that are looked for unless others are named.
    pub const USUAL: [Self; 5] = [Self::Email, Self::Phone, Self::Ssn, Self::Card, Self::Key];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ssn => "ssn",
            Self::Card => "card",
            Self::Key => "key",
            Self::Pattern => "pattern",
            Self::Iban => "iban",
            Self::Passport => "passport",
            Self::Alphanumeric => "alphanumeric",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens to personal data in the prompts of an organization, or of those without one. `--output json` prints
/// exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacySettings {
    /// Slug of the organization; None: those without one.
    pub organization: Option<String>,
    /// What happens to what is found.
    pub mode: PrivacyMode,
    /// What is looked for.
    pub categories: Vec<Category>,
    /// The limit profile it follows; None if it was set.
    pub profile: Option<LimitProfile>,
}

/// What happens to personal data in answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMode {
    /// Nothing is looked for.
    #[default]
    Off,
    /// Found and counted.
    Detect,
    /// Found and replaced.
    Redact,
}

impl AnswerMode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Detect => "detect",
            Self::Redact => "redact",
        }
    }
}

/// What happens to personal data in the answers to an organization, or to those without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerPrivacy {
    /// Slug of the organization; None: those without one.
    pub organization: Option<String>,
    /// What happens to what is found.
    pub answers: AnswerMode,
}

/// What happens to what a pattern matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatternAction {
    /// Counted.
    Detect,
    /// Replaced.
    #[default]
    Redact,
    /// The prompt is refused, the answer stopped.
    Refuse,
}

impl PatternAction {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Redact => "redact",
            Self::Refuse => "refuse",
        }
    }
}

/// A pattern of an organization's own. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Unique in its organization.
    pub name: String,
    /// Slug of the organization; None: those without one.
    pub organization: Option<String>,
    /// Regular expression; None if it is of words.
    pub regex: Option<String>,
    /// Whole words, in any case.
    pub words: Vec<String>,
    /// What stands in place of a match.
    pub marker: String,
    /// What happens to a match.
    pub action: PatternAction,
    /// When it was added.
    pub created: UnixMillis,
}

/// A pattern to add: of a regular expression, or of words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPattern {
    /// Unique in its organization.
    pub name: String,
    /// Regular expression, whose matches have a bounded length.
    pub regex: Option<String>,
    /// Whole words, in any case.
    pub words: Vec<String>,
    /// What stands in place of a match; None is made of the name.
    pub marker: Option<String>,
    /// What happens to a match.
    pub action: PatternAction,
}

/// How often a category was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyCount {
    /// The category.
    pub category: Category,
    /// How often.
    pub count: u32,
}

/// What would become of a text. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyReport {
    /// Slug of the organization whose settings were taken; None: those without one.
    pub organization: Option<String>,
    /// Its mode.
    pub mode: PrivacyMode,
    /// What was found of what it looks for.
    pub findings: Vec<PrivacyCount>,
    /// The text as it is passed on where the mode is `redact`. Untrusted text.
    pub redacted: String,
    /// Why a prompt with this text is refused; None if it is not.
    pub refusal: Option<String>,
}

/// Longest text that can be tested, in bytes.
pub const TEST_MAX: usize = 512 << 10;

operations! {
    /// Requests about personal data. Without an organization the caller's own is meant, or, where it has none, those
    /// without one.
    Request::Privacy(PrivacyRequest);

    /// What holds.
    "privacy.show" Show {
        /// Slug or id.
        organization: Option<String>,
    } -> PrivacySettings as Privacy, needs PrivacyRead;

    /// Change it.
    "privacy.set" Set {
        /// Slug or id.
        organization: Option<String>,
        /// What happens to what is found.
        mode: Option<PrivacyMode>,
        /// What is looked for; empty is all.
        categories: Option<Vec<Category>>,
    } -> PrivacySettings as Privacy, needs PrivacyWrite,
        noted |op| {
            let names = op.categories.as_ref().map(|some| match &**some {
                [] => vec!["all"],
                some => some.iter().map(|category| category.name()).collect(),
            });
            Noted::on_organization("privacy", op.organization.as_deref())
                .maybe("privacy", &op.mode)
                .maybe("privacy_categories", &names)
        };

    /// What would become of a text. It is not kept.
    "privacy.test" Test {
        /// Slug or id.
        organization: Option<String>,
        /// At most [`TEST_MAX`] bytes.
        text: WireSecret,
    } -> PrivacyReport as PrivacyReport, needs PrivacyRead;

    /// What holds for answers.
    "privacy.answers" Answers {
        /// Slug or id.
        organization: Option<String>,
    } -> AnswerPrivacy as AnswerPrivacy, needs PrivacyRead;

    /// Change it.
    "privacy.set_answers" SetAnswers {
        /// Slug or id.
        organization: Option<String>,
        /// What happens to what is found.
        answers: AnswerMode,
    } -> AnswerPrivacy as AnswerPrivacy, needs PrivacyWrite,
        noted |op| Noted::on_organization("privacy", op.organization.as_deref())
            .with("privacy_answers", op.answers);

    /// The patterns of its own.
    "privacy.patterns" Patterns {
        /// Slug or id.
        organization: Option<String>,
    } -> Vec<Pattern> as Patterns, needs PrivacyRead;

    /// Add one.
    "privacy.add_pattern" AddPattern {
        /// Slug or id.
        organization: Option<String>,
        /// The pattern.
        pattern: NewPattern,
    } -> Pattern as Pattern, needs PrivacyWrite,
        noted |op| Noted::on_organization("privacy", op.organization.as_deref())
            .with("pattern", &op.pattern.name)
            .maybe("regex", &op.pattern.regex)
            .with("words", &op.pattern.words)
            .with("action", op.pattern.action);

    /// Remove one.
    "privacy.remove_pattern" RemovePattern {
        /// Slug or id.
        organization: Option<String>,
        /// Name of the pattern.
        name: String,
    } -> () as Done, needs PrivacyWrite,
        noted |op| Noted::on_organization("privacy", op.organization.as_deref())
            .with("removed_pattern", &op.name);
}
