//! Records of the daemon's own secrets.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::secrets::Sealed;

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretKind {
    /// Keys the hashes of API keys.
    Pepper,
    /// Signs access tokens.
    TokenSigning,
    /// Signs checkpoints and exports of the audit log.
    AuditSigning,
}

/// A secret as kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// Unique; the secret is sealed to tree `secret` and this id.
    pub id: String,
    /// What it is for.
    pub kind: SecretKind,
    /// Its number among those of its kind, from 1; the highest is in use.
    pub number: u32,
    /// The secret.
    pub sealed: Sealed,
    /// When it was made.
    pub created: UnixMillis,
    /// When one that is not in use any more is forgotten.
    pub retire_at: Option<UnixMillis>,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for SecretRecord {
    const COLLECTION: Collection = Collection::Secret;
    const TREES: Trees = Trees { record: Tree::Secret, name: None, owner: None };

    record_head!();
}
