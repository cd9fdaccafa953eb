//! Personal data and credentials in prompts: found, counted, replaced or refused, before a node sees them; and in answers
//! ([`answer`]).
//!
//! [`find`](find::find) looks at plain text; [`body`] takes a JSON body apart into the texts in it and puts the
//! findings back as edits, so that all else stays byte for byte what the client sent. Pure: no I/O, no clock,
//! linear time, and nothing of the text is kept.
//!
//! What is not looked at: `model`, and what images and sound in base64 show; what can be read in them is (`data.rs`).
//! Numbers that are parameters are looked at for cards alone (`row.rs`). Ids that tie calls to their results, and other
//! data in base64, are searched for all but long mixed strings, which they are. Keys of objects are texts like values,
//! numbers are texts by their worth. What stands apart is read together: digits in lists and columns (`spread.rs`), and
//! in several values (`chain.rs`). What cannot be searched is refused: tokens and vectors in place of text, malformed
//! escapes or UTF-8, documents in base64 that are not plain text, JSON in strings in strings beyond [`body::MAX_LEVEL`].
//!
//! A string is JSON only if RFC 8259 says so; what only resembles it is text, and is searched as written and as a
//! reader of its escapes may read it (`view.rs`).

mod alphanumeric;
pub mod answer;
mod apart;
mod assigned;
mod body;
mod chain;
mod classes;
mod context;
mod dashed;
mod data;
mod email;
mod encoded;
mod figures;
pub mod find;
mod fold;
mod frame;
mod iban;
mod join;
mod key;
mod link;
mod marker;
mod names;
mod number;
mod numerals;
mod passport;
pub mod pattern;
mod pem;
mod phone;
mod prefixes;
mod public;
mod row;
mod rules;
mod screen;
mod secret;
mod spread;
mod text;
mod view;

pub use screen::{Blocked, redact_text, screen};

use std::sync::Arc;

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{AnswerMode, Category},
};

use self::pattern::Patterns;

/// A set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted(u16);

impl Wanted {
    /// Every category that is looked for unless others are named.
    pub const ALL: Self = Self((1 << Category::USUAL.len()) - 1);

    /// No category.
    const NONE: Self = Self(0);

    /// Whether `category` is in it.
    #[must_use]
    pub fn has(self, category: Category) -> bool {
        self.0 & (1 << category as u8) != 0
    }

    /// The categories in it.
    #[must_use]
    pub fn categories(self) -> Vec<Category> {
        Category::ALL.into_iter().filter(|category| self.has(*category)).collect()
    }

    /// The others.
    fn without(self, category: Category) -> Self {
        Self(self.0 & !(1 << category as u8))
    }

    fn any(self, of: &[Category]) -> bool {
        of.iter().any(|category| self.has(*category))
    }
}

/// The set of those named; none named is all.
impl From<&[Category]> for Wanted {
    fn from(named: &[Category]) -> Self {
        if named.is_empty() {
            return Self::ALL;
        }
        Self(named.iter().fold(0, |set, category| set | (1 << *category as u8)))
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self::OFF
    }
}

/// All that is looked for in the prompts of a caller and the answers to them.
#[derive(Debug, Clone, Default)]
pub struct Screening {
    /// What is done about personal data and credentials.
    pub privacy: Privacy,
    /// The organization's own patterns; None if there are none.
    pub own: Option<Arc<Patterns>>,
}

impl Screening {
    /// Whether nothing is looked for in prompts.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.privacy.is_off() && self.own.is_none()
    }

    /// Whether what cannot be searched is refused.
    fn enforces(&self) -> bool {
        self.privacy.enforces() || self.own.as_deref().is_some_and(pattern::act)
    }

    /// Whether nothing is looked for in answers.
    #[must_use]
    pub fn is_off_for_answers(&self) -> bool {
        self.privacy.answers == AnswerMode::Off && self.own.is_none()
    }
}

impl From<Privacy> for Screening {
    fn from(privacy: Privacy) -> Self {
        Self { privacy, own: None }
    }
}

/// What is done about the prompts of a caller, and the answers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// What happens to what is found.
    pub mode: PrivacyMode,
    /// What is looked for.
    pub wanted: Wanted,
    /// What happens to what is found in answers.
    pub answers: AnswerMode,
}

impl Privacy {
    /// Nothing is looked for.
    pub const OFF: Self = Self { mode: PrivacyMode::Off, wanted: Wanted::ALL, answers: AnswerMode::Off };

    /// `mode` for the categories named; none named is all. Answers are not looked at.
    #[must_use]
    pub fn new(mode: PrivacyMode, categories: &[Category]) -> Self {
        Self { mode, wanted: categories.into(), answers: AnswerMode::Off }
    }

    /// Whether nothing is looked for in prompts.
    #[must_use]
    pub fn is_off(self) -> bool {
        self.mode == PrivacyMode::Off
    }

    /// Whether what cannot be searched is refused.
    fn enforces(self) -> bool {
        matches!(self.mode, PrivacyMode::Redact | PrivacyMode::Block)
    }
}

#[cfg(test)]
mod tests;
