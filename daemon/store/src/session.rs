//! Session records: proofs that someone has logged in, and control tokens.

use std::fmt;

use aivonx_protocol::{UnixMillis, session::SessionKind, user::Role};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record, UserRecord,
    records::{Trees, record_head},
    tree::Tree,
};

/// A session as kept in the store. `Debug` shows no hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// What kind.
    pub kind: SessionKind,
    /// Id of the user.
    pub user: String,
    /// The user's epoch when it was begun: a higher one ends it.
    pub epoch: u64,
    /// Name of a token.
    pub name: Option<String>,
    /// What it may do: never more than its user.
    pub role: Role,
    /// Id of the organization it is bound to.
    pub organization: Option<String>,
    /// SHA-256 of the 256-bit secret; of a family of refresh tokens the current one's.
    pub hash: [u8; 32],
    /// Hashes of the refresh tokens that are spent, newest last, at most 64.
    pub previous: Vec<[u8; 32]>,
    /// The uid it is bound to.
    pub peer_uid: Option<u32>,
    /// The address it was begun from, over HTTP.
    pub address: Option<String>,
    /// The client it was begun with, over HTTP.
    pub user_agent: Option<String>,
    /// When it was begun.
    pub created: UnixMillis,
    /// When it was last used.
    pub last_used: UnixMillis,
    /// When it ends at the latest.
    pub expires: UnixMillis,
    /// How long it may be idle, milliseconds; 0 is no bound.
    pub idle_ms: u64,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl SessionRecord {
    /// A session of `user` that begins `now`, without the bounds that its kind has: it has ended already.
    #[must_use]
    pub fn new(kind: SessionKind, user: &UserRecord, hash: [u8; 32], now: UnixMillis) -> Self {
        Self {
            id: String::new(),
            kind,
            user: user.id.clone(),
            epoch: user.epoch,
            name: None,
            role: user.role,
            organization: user.organization.clone(),
            hash,
            previous: Vec::new(),
            peer_uid: None,
            address: None,
            user_agent: None,
            created: now,
            last_used: now,
            expires: now,
            idle_ms: 0,
            revision: 0,
        }
    }
}

impl Record for SessionRecord {
    const COLLECTION: Collection = Collection::Session;
    const TREES: Trees = Trees { record: Tree::Session, name: None, owner: Some(Tree::SessionOwner) };

    record_head!();

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("user", &self.user)
            .field("role", &self.role)
            .field("organization", &self.organization)
            .field("expires", &self.expires)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
