//! The keys that secrets are kept under: how they are, whether all is in order, and replacing them.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    job::Job,
    operation::operations,
};

operations! {
    /// Requests about keys and sealed secrets.
    Request::Secrets(SecretsRequest);

    /// Which keys there are and what they are needed for.
    "secrets.status" Status -> SecretsStatus as Secrets, needs SecretsRead;

    /// Looks whether all is in order.
    "secrets.validate" Validate -> Vec<Check> as Checks, needs SecretsRead,
        noted |_op| Noted::new(Action::SecretsValidate, "secrets", "");

    /// Replaces the data keys, as a job; older rotations that were not finished are finished with it. Answered as
    /// soon as it has begun.
    "secrets.rotate" Rotate {
        /// A new pepper as well. API keys move to it when they are used next; those that have not been used
        /// by the deadline are revoked.
        peppers: bool,
        /// A new key for access tokens as well. The old one verifies until the tokens it signed have expired.
        signing: bool,
        /// How long API keys may take to move to the new pepper, milliseconds; 30 days if not given.
        deadline_ms: Option<u64>,
    } -> Job as Job, needs SecretsWrite,
        noted |op| Noted::new(Action::SecretsRotate, "secrets", "")
            .with("hash_pepper_too", op.peppers)
            .with("signing_too", op.signing)
            .maybe("deadline_ms", &op.deadline_ms);
}

/// The keys and what they are needed for. No key is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsStatus {
    /// File of the master key.
    pub master_key: String,
    /// The data keys, oldest first. The last seals; the others are there until nothing needs them.
    pub data_keys: Vec<DataKey>,
    /// How many secrets of each kind are sealed.
    pub sealed: Vec<SealedCount>,
    /// Whether a rotation was begun and is not finished.
    pub unfinished: bool,
    /// Peppers and signing keys, by kind, oldest first.
    pub keys: Vec<OwnKey>,
    /// API keys that have to be used before a deadline or are revoked; at most [`WAITING_MAX`] of them.
    pub waiting: Vec<WaitingKey>,
    /// How many there are in all.
    pub waiting_total: u64,
    /// The kept snapshots of the store, newest first. Each has its own copies of the data keys it needs.
    pub snapshots: Vec<SnapshotKeys>,
}

/// Most API keys that [`SecretsStatus::waiting`] names.
pub const WAITING_MAX: usize = 200;

/// A data key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKey {
    /// Its number.
    pub number: u32,
    /// When it was made.
    pub created: UnixMillis,
    /// How many secrets are sealed under it.
    pub sealed: u64,
}

/// How many secrets of one kind are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCount {
    /// What they are: `node credentials`.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// What a key of the daemon's own is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnKeyKind {
    /// Keys the hashes of API keys.
    Pepper,
    /// Signs access tokens.
    TokenSigning,
    /// Signs checkpoints and exports of the audit log.
    AuditSigning,
}

impl OwnKeyKind {
    /// As people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pepper => "pepper",
            Self::TokenSigning => "token signing key",
            Self::AuditSigning => "audit signing key",
        }
    }
}

/// A key of the daemon's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnKey {
    /// What it is for.
    pub kind: OwnKeyKind,
    /// Its number among those of its kind.
    pub number: u32,
    /// When it was made.
    pub created: UnixMillis,
    /// Whether it is the one in use; the others only verify what is old.
    pub in_use: bool,
    /// When it is forgotten.
    pub retire_at: Option<UnixMillis>,
    /// API keys that need it; only of a pepper.
    pub api_keys: u64,
}

/// An API key that still needs an old pepper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingKey {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Slug of its organization.
    pub organization: Option<String>,
    /// Number of the pepper it needs.
    pub pepper: u32,
    /// When it is revoked unless it has been used.
    pub revoked_at: UnixMillis,
}

/// A kept snapshot of the store and the data keys in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotKeys {
    /// The file.
    pub file: String,
    /// When it was taken, if that can be read.
    pub taken: Option<UnixMillis>,
    /// Numbers of its data keys.
    pub data_keys: Vec<u32>,
    /// Those of them that the store itself no longer has: anyone with one of them can open this snapshot's secrets.
    pub retired: Vec<u32>,
    /// Why it could not be restored, or not with the master key in use.
    pub problem: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// In order.
    Ok,
    /// Worth a look.
    Warn,
    /// Something does not work, or is open to others.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, in a word or two that stay the same.
    pub name: String,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    /// Something that is in order.
    #[must_use]
    pub fn ok(name: &str, finding: impl ToString) -> Self {
        Self { name: name.to_owned(), outcome: CheckOutcome::Ok, finding: finding.to_string(), fix: None }
    }

    /// Something worth a look, and what to do about it.
    #[must_use]
    pub fn warn(name: &str, finding: impl ToString, fix: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Warn, fix: Some(fix.into()), ..Self::ok(name, finding) }
    }

    /// Something that does not work or is open to others, and what to do about it.
    #[must_use]
    pub fn fail(name: &str, finding: impl ToString, fix: impl Into<String>) -> Self {
        Self { outcome: CheckOutcome::Fail, fix: Some(fix.into()), ..Self::ok(name, finding) }
    }
}
