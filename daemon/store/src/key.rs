//! API key records.

use std::fmt;

use aivonx_protocol::{UnixMillis, key::KeyScope};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// An API key as kept in the store. `Debug` shows no hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Unique among the keys of its organization (or of the fleet) that are not revoked.
    pub name: String,
    /// Id of its organization; None is a key of the fleet.
    pub organization: Option<String>,
    /// Id of the user it acts for, who is of the same organization; None is a subject of its own.
    pub user: Option<String>,
    /// First characters of the secret, shown in lists.
    pub prefix: String,
    /// Number of the pepper that the hash is keyed with.
    pub pepper: u32,
    /// Keyed hash of the secret.
    pub hash: [u8; 32],
    /// The secret before the last rotation, while it still works.
    pub retiring: Option<RetiringHash>,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
    /// Globs of the models it may use; empty allows what its organization may.
    pub models: Vec<String>,
    /// Networks it may be used from (CIDR); empty is anywhere.
    pub networks: Vec<String>,
    /// When it expires.
    pub expires: Option<UnixMillis>,
    /// When it was revoked: for ever.
    pub revoked: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
    /// Id of the user who made it.
    pub created_by: Option<String>,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

/// The secret before a rotation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiringHash {
    /// Number of the pepper that the hash is keyed with.
    pub pepper: u32,
    /// Keyed hash of the secret.
    pub hash: [u8; 32],
    /// Until when it works.
    pub until: UnixMillis,
}

impl KeyRecord {
    /// A key of the fleet for inference that has not been added yet and never expires: `hash` of its secret under the
    /// pepper of this number.
    #[must_use]
    pub fn new(name: &str, (pepper, hash): (u32, [u8; 32])) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            organization: None,
            user: None,
            prefix: String::new(),
            pepper,
            hash,
            retiring: None,
            scopes: vec![KeyScope::Infer],
            models: Vec::new(),
            networks: Vec::new(),
            expires: None,
            revoked: None,
            created: 0,
            created_by: None,
            revision: 0,
        }
    }
}

impl Record for KeyRecord {
    const COLLECTION: Collection = Collection::Key;
    const TREES: Trees = Trees { record: Tree::Key, name: Some(Tree::KeyName), owner: Some(Tree::KeyOwner) };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        // The name of a revoked key is free for its successor.
        self.revoked.is_none().then_some((self.organization.as_deref(), &self.name))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("organization", &self.organization)
            .field("user", &self.user)
            .field("prefix", &self.prefix)
            .field("scopes", &self.scopes)
            .field("revoked", &self.revoked)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RetiringHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetiringHash").field("until", &self.until).finish_non_exhaustive()
    }
}
