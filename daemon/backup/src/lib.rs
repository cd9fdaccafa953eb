//! Backups: all that the gateway keeps, ledgers included, in one file that is compressed, encrypted and signed.
//!
//! [`Backups`] makes and keeps them while the gateway serves; [`restore()`] puts one back while it does not. What the
//! file looks like from outside is in [`aivonx_protocol::backup`]. Inside is a tar archive of the parts of
//! [`aivonx_store::Store::copy`], and the master key unless that key opens the backup.

mod archive;
mod kept;
mod restore;
mod seal;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use aivonx_ledgers::audit::AuditError;
use aivonx_protocol::{Fault, FaultKind, backup::BadBackup};
use aivonx_store::{StoreError, secrets::SecretsError};

pub use kept::Backups;
pub use restore::{KeyPlaced, Opened, open, restore};
pub use seal::{Opener, public_key, read_secret};

/// A backup cannot be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is no backup that can be used.
    #[error("{} cannot be restored: {source}", .path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadBackup,
    },
    /// What was given does not open it.
    #[error("{} does not open: {what}", .path.display())]
    Closed {
        /// The file.
        path: PathBuf,
        /// What is wanted, or what is wrong.
        what: String,
    },
    /// What it is to be sealed with is of no use.
    #[error("{0}")]
    Sealing(String),
    /// Something of the file system failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no such backup.
    #[error("there is no backup \"{0}\"")]
    Unknown(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key cannot be used.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The audit log's key cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl BackupError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    fn bad(path: &Path) -> impl FnOnce(BadBackup) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Bad { path, source }
    }
}

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Secrets(error) => error.into(),
            BackupError::Audit(error) => error.into(),
            BackupError::Sealing(_) => Self::new(FaultKind::Invalid, message).field("sealing"),
            BackupError::Unknown(_) => {
                Self::new(FaultKind::NotFound, message).hint("see `aivonx backup list`")
            }
            BackupError::Bad { .. } | BackupError::Closed { .. } => Self::new(FaultKind::Invalid, message),
            BackupError::Io { .. } => Self::new(FaultKind::Internal, message).hint("see the daemon's log"),
        }
    }
}
