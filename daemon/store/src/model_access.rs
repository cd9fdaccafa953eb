//! Which organizations see and use models.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// For whom the models are that match a pattern. Without a record they are for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAccessRecord {
    /// The pattern as it is matched.
    pub id: String,
    /// The pattern as it was written.
    pub model: String,
    /// Ids of the organizations that alone have them; empty is everyone. One that was removed stays, or its models would
    /// become everyone's.
    pub only: Vec<String>,
    /// Ids of organizations that do not have them.
    pub deny: Vec<String>,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl ModelAccessRecord {
    /// Whether those of `organization` (its id; None is those who belong to none) have the models.
    #[must_use]
    pub fn admits(&self, organization: Option<&str>) -> bool {
        let is_in = |list: &[String]| organization.is_some_and(|id| list.iter().any(|other| other == id));
        (self.only.is_empty() || is_in(&self.only)) && !is_in(&self.deny)
    }

    /// The patterns of the models that those of `organization` do not have.
    #[must_use]
    pub fn hidden_from(all: &[Self], organization: Option<&str>) -> Vec<String> {
        all.iter().filter(|record| !record.admits(organization)).map(|record| record.model.clone()).collect()
    }
}

impl Record for ModelAccessRecord {
    const COLLECTION: Collection = Collection::ModelAccess;
    const TREES: Trees = Trees { record: Tree::ModelAccess, name: None, owner: None };

    record_head!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_and_deny_decide_together() {
        let of = |only: &[&str], deny: &[&str]| ModelAccessRecord {
            only: only.iter().map(|id| (*id).to_owned()).collect(),
            deny: deny.iter().map(|id| (*id).to_owned()).collect(),
            ..ModelAccessRecord::default()
        };
        let who = |record: ModelAccessRecord| [Some("a"), Some("b"), None].map(|id| record.admits(id));
        assert_eq!(who(of(&[], &[])), [true, true, true]);
        assert_eq!(who(of(&["a"], &[])), [true, false, false]);
        assert_eq!(who(of(&[], &["a"])), [false, true, true]);
        assert_eq!(who(of(&["a", "b"], &["a"])), [false, true, false]);
    }
}
