//! What is said of nodes beside their records.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// What is said of a node beside its record. A node without one is as the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTraitsRecord {
    /// Id of the node.
    pub id: String,
    /// Whether it is somebody else's, to whom prompts go.
    pub third_party: bool,
    /// Most models it holds in memory at once; None is learned.
    pub models_at_once: Option<u32>,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for NodeTraitsRecord {
    const COLLECTION: Collection = Collection::NodeTraits;
    const TREES: Trees = Trees { record: Tree::NodeTraits, name: None, owner: None };

    record_head!();
}
