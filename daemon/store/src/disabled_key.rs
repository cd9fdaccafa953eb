//! Keys that may not be used for now.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Noun, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// That a key may not be used until it is enabled again, which forgets the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledKeyRecord {
    /// Id of the key.
    pub id: String,
    /// When it was disabled.
    pub created: UnixMillis,
    /// Starts at 1.
    pub revision: u64,
}

impl Record for DisabledKeyRecord {
    const NOUN: Noun = Noun::DisabledKey;
    const TREES: Trees = Trees { record: Tree::DisabledKey, name: None, owner: None };

    record_head!();
}
