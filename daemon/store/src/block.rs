//! Blocks.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// Who may not use the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// `address:` and the network, or `user:` or `key:` and the id.
    pub id: String,
    /// The name of the user or key when it was blocked, with the slug of the key's organization before it, or the network.
    pub target: String,
    /// Why; may be empty.
    pub reason: String,
    /// Until when; None is until it is removed.
    pub until: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for BlockRecord {
    const COLLECTION: Collection = Collection::Block;
    const TREES: Trees = Trees { record: Tree::Block, name: None, owner: None };

    record_head!();
}
