//! How nodes that sleep are woken.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// How a node is woken. One without it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWakeRecord {
    /// Id of the node.
    pub id: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Where the packet is sent, address and port.
    pub address: String,
    /// Seconds without requests after which it may sleep.
    pub idle_seconds: u64,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for NodeWakeRecord {
    const COLLECTION: Collection = Collection::NodeWake;
    const TREES: Trees = Trees { record: Tree::NodeWake, name: None, owner: None };

    record_head!();
}
