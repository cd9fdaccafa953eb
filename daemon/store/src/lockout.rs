//! Records of failed logins.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// The failed logins of one user name: from one address, or (`address` None) from all of them, which delays
/// but never locks. Counted up with [`super::Records::alter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockoutRecord {
    /// [`Self::id_of`] user and address.
    pub id: String,
    /// The name that was tried; there may be no such user.
    pub user: String,
    /// Where from: an IPv4 address, an IPv6 /64, or `uid N` for the control socket.
    pub address: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// When the first of them was.
    pub created: UnixMillis,
    /// When the last one was.
    pub last: UnixMillis,
    /// Until when logins are refused.
    pub locked_until: Option<UnixMillis>,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl LockoutRecord {
    /// The id of the record for `user` and `address`.
    #[must_use]
    pub fn id_of(user: &str, address: Option<&str>) -> String {
        format!("{user}\0{}", address.unwrap_or_default())
    }
}

impl Record for LockoutRecord {
    const COLLECTION: Collection = Collection::Lockout;
    const TREES: Trees = Trees { record: Tree::Lockout, name: None, owner: None };

    record_head!();
}
