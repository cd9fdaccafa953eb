//! A mistake while a file is read: with its place in bytes, before lines are counted.

use std::{collections::BTreeMap, ops::Range};

use super::mistake::{Mistake, Spot};

/// Places of values by dotted key, in bytes.
pub(super) type Places = BTreeMap<String, Range<usize>>;

/// A mistake with its place in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Find {
    pub(super) span: Range<usize>,
    pub(super) what: String,
    pub(super) accepted: Option<String>,
    pub(super) fix: Option<String>,
}

impl Find {
    /// The mistake with its line, in `text`.
    pub(super) fn mistake(self, text: &str) -> Mistake {
        let Self { span, what, accepted, fix } = self;
        Mistake { spot: Some(Spot::new(text, span)), what, accepted, fix }
    }
}
