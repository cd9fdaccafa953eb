//! Keys that may not be used for now.

use aivonx_domain::TenantScope;
use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// Who disabled a key, by how far they reach: they and those above them enable it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DisabledBy {
    /// The user whose key it is.
    #[default]
    User,
    /// Somebody of its organization.
    Organization,
    /// Somebody who runs the fleet.
    Fleet,
}

impl From<&TenantScope> for DisabledBy {
    fn from(reach: &TenantScope) -> Self {
        match reach {
            TenantScope::All => Self::Fleet,
            TenantScope::Organization(_) => Self::Organization,
            TenantScope::User { .. } => Self::User,
        }
    }
}

/// That a key may not be used until it is enabled again, which forgets the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledKeyRecord {
    /// Id of the key.
    pub id: String,
    /// The farthest-reaching of those who disabled it.
    pub by: DisabledBy,
    /// When it was disabled.
    pub created: UnixMillis,
    /// Starts at 1.
    pub revision: u64,
}

impl Record for DisabledKeyRecord {
    const COLLECTION: Collection = Collection::DisabledKey;
    const TREES: Trees = Trees { record: Tree::DisabledKey, name: None, owner: None };

    record_head!();
}
