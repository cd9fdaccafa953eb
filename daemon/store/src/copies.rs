//! Models that are kept loaded.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// How many nodes a model is kept loaded on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Id of the organization on whose nodes it is; None is on shared ones.
    pub organization: Option<String>,
    /// The model, as it was written.
    pub model: String,
    /// The same as it is compared; unique in its organization, or in the fleet.
    pub normal: String,
    /// How many nodes.
    pub copies: u32,
    /// Only on the node of this name, or on those with this label (`zone=b`).
    pub on: Option<String>,
    /// Whether nodes keep it without an end, and requests for other models leave it there.
    pub pin: bool,
    /// Whether it is pulled to nodes that do not have it.
    pub pull: bool,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for CopiesRecord {
    const COLLECTION: Collection = Collection::Copies;
    const TREES: Trees = Trees { record: Tree::Copies, name: Some(Tree::CopiesName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((self.organization.as_deref(), &self.normal))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}
