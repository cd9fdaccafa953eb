//! What can go wrong with keys and sealed secrets.

use std::{io, path::PathBuf};

use aivonx_protocol::{Fault, FaultKind};

use crate::StoreError;

/// A failed operation on keys or sealed secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// The operating system refused.
    #[error("cannot {action} the master key file {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a master key.
    #[error(
        "the master key file {} is refused: {what}. It must hold exactly 256 random bits in base64 (44 \
         characters), as `openssl rand -base64 32` makes; if the store already holds secrets, only the key \
         they were sealed under will do", .path.display()
    )]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. Never any of its content.
        what: &'static str,
    },
    /// Others may read or write the file.
    #[error(
        "the master key file {} is refused: its mode is {mode:04o}, others may read or change it; \
         run `chmod 0600 {}`", .path.display(), .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else owns the file.
    #[error(
        "the master key file {} is refused: it belongs to user {owner}, not to this daemon's user {uid} or root; \
         run `chown {uid} {}`", .path.display(), .path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        uid: u32,
    },
    /// The store's data keys were wrapped by another master key.
    #[error(
        "the master key in {} is not the one this store's secrets were sealed under; \
         put the right key file there (from your backup), or set secrets.master_key to where it is",
        .path.display()
    )]
    WrongMasterKey {
        /// The key file.
        path: PathBuf,
    },
    /// The store has secrets, and there is no key to open them with.
    #[error(
        "the master key file {} is missing, and the store's secrets are sealed under it; put it back there (from your \
         backup), or set secrets.master_key to where it is. None was made in its place", .path.display()
    )]
    MissingMasterKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// Old and new master key are one and the same.
    #[error(
        "the new master key in {} is the old one; make another with `aivonx secrets generate-key --out FILE`",
        .path.display()
    )]
    SameMasterKey {
        /// The new key's file.
        path: PathBuf,
    },
    /// A data key could not be wrapped anew.
    #[error("the store's data keys cannot be wrapped anew: {0}; nothing of the store was changed")]
    Rekey(String),
    /// A wrapped data key does not open under the right master key.
    #[error(
        "data key {id} in the store does not open: it was changed. Restore a snapshot with `aivonxd recover`"
    )]
    DamagedDataKey {
        /// Its number.
        id: u32,
    },
    /// A secret was sealed under a data key that is not there.
    #[error("the secret of {tree}/{record} is sealed under data key {key}, which the store does not have")]
    UnknownDataKey {
        /// The secret's tree.
        tree: String,
        /// The secret's record.
        record: String,
        /// The key asked for.
        key: u32,
    },
    /// A secret does not open: it was changed, or moved from another record.
    #[error(
        "the secret of {tree}/{record} does not open: it was changed or belongs to another record; set it again"
    )]
    Tampered {
        /// The secret's tree.
        tree: String,
        /// The secret's record.
        record: String,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandom(String),
    /// The cipher refused the input (longer than 64 GiB).
    #[error("the secret cannot be sealed")]
    Seal,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SecretsError> for Fault {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Store(error) => error.into(),
            other => Self::new(FaultKind::Internal, other.to_string()).hint("see the daemon's log"),
        }
    }
}
