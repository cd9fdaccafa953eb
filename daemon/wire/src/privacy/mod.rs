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

pub mod answer;
mod apart;
mod assigned;
mod body;
mod chain;
mod classes;
mod context;
mod data;
mod email;
mod encoded;
mod figures;
pub mod find;
mod fold;
mod frame;
mod join;
mod key;
mod link;
mod marker;
mod names;
mod number;
mod numerals;
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

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{AnswerMode, Category},
};

/// A set of categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted(u8);

impl Wanted {
    /// Every category.
    pub const ALL: Self = Self((1 << Category::ALL.len()) - 1);

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
