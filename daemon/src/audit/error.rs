//! What can go wrong with the log.

use aivonx_protocol::{Fault, FaultKind};

use crate::store::StoreError;

/// A failed operation of the audit log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store refused.
    #[error("the audit log: {0}")]
    Store(#[from] StoreError),
    /// The daemon stops.
    #[error("the audit log is closed: aivonxd is shutting down")]
    Closed,
    /// What lies in the store does not fit together; nothing can be added to it.
    #[error(
        "the audit log cannot be continued: {0}. Run `aivonx audit verify` for what is wrong; \
         `aivonxd recover` begins a new chain and keeps the old one aside"
    )]
    Broken(String),
    /// The signing key is missing or wrong.
    #[error("the audit log's signing key: {0}")]
    Key(String),
}

impl From<AuditError> for Fault {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Closed => Self::new(FaultKind::Unavailable, error.to_string()),
            AuditError::Broken(_) | AuditError::Key(_) => Self::new(FaultKind::Internal, error.to_string()),
        }
    }
}
