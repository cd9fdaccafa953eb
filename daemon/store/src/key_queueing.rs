//! How the requests of keys wait, where they do not wait as all others.

use aivonx_protocol::{UnixMillis, key::Priority};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// How the requests of a key wait for a node. A key without a record is as the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyQueueingRecord {
    /// Id of the key.
    pub id: String,
    /// Which go first.
    pub priority: Priority,
    /// Whether streams begin while they wait.
    pub keep_waiting: bool,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for KeyQueueingRecord {
    const COLLECTION: Collection = Collection::KeyQueueing;
    const TREES: Trees = Trees { record: Tree::KeyQueueing, name: None, owner: None };

    record_head!();
}
