//! What happens to personal data in answers.

use aivonx_protocol::{UnixMillis, privacy::AnswerMode};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// What happens to personal data in the answers to an organization, or to those without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersRecord {
    /// Id of the organization, or [`AnswersRecord::FLEET`].
    pub id: String,
    /// What happens.
    pub mode: AnswerMode,
    /// When this was first said.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl AnswersRecord {
    /// The id of what holds for those without an organization.
    pub const FLEET: &'static str = "fleet";
}

impl Record for AnswersRecord {
    const COLLECTION: Collection = Collection::Answers;
    const TREES: Trees = Trees { record: Tree::Answers, name: None, owner: None };

    record_head!();

    fn organization(&self) -> Option<&str> {
        (self.id != Self::FLEET).then_some(&*self.id)
    }
}
