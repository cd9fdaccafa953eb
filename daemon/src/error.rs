//! Why the daemon did not start, or a command failed.

use std::{io, path::PathBuf, process::ExitCode};

use aivonx_backup::BackupError;
use aivonx_config::Mistakes;
use aivonx_fleet::FleetError;
use aivonx_gateway as proxy;
use aivonx_identity::IdentityError;
use aivonx_ledgers::audit::AuditError;
use aivonx_store::{StoreError, secrets::SecretsError};
use aivonx_telemetry as telemetry;

use crate::control;

/// Why the daemon did not start, or a command failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant is named for the part that failed, and says it in full")]
pub enum AppError {
    #[error("{0}")]
    Config(#[from] Mistakes),
    #[error("{0}")]
    Usage(String),
    #[error("cannot prepare {}: {source}", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Database(String),
    #[error("this gateway ends, because {0}")]
    Superseded(String),
    #[error(transparent)]
    Telemetry(#[from] telemetry::InitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Listen(#[from] proxy::ListenError),
    #[error(transparent)]
    Certificate(#[from] proxy::PairError),
    #[error(transparent)]
    Inherit(#[from] proxy::InheritError),
    #[error(transparent)]
    Control(#[from] control::BindError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
}

impl AppError {
    /// 2 for wrong usage, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }

    /// The word it is logged under.
    pub(crate) fn event(&self) -> &'static str {
        use StoreError::{Damaged, DamagedDatabase, OpenTimedOut, Record};
        match self {
            Self::Store(Damaged { .. } | DamagedDatabase { .. } | OpenTimedOut { .. } | Record { .. }) => {
                "store_damaged"
            }
            _ => "stop",
        }
    }

    /// For `map_err` on a system call.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
