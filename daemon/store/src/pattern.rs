//! Patterns of organizations' own that are looked for in prompts and answers.

use aivonx_protocol::{UnixMillis, privacy::PatternAction};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Id of the organization; None is those without one.
    pub organization: Option<String>,
    /// Unique in its organization.
    pub name: String,
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
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for PatternRecord {
    const COLLECTION: Collection = Collection::Pattern;
    const TREES: Trees = Trees { record: Tree::Pattern, name: Some(Tree::PatternName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((self.organization.as_deref(), &self.name))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}
