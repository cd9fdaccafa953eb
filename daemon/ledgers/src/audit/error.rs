//! What can go wrong with the log.

use aivonx_protocol::{Fault, FaultKind};
use aivonx_store::StoreError;

/// A failed operation of the audit log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The store refused.
    #[error("the audit log: {0}")]
    Store(#[from] StoreError),
    /// The store refused, with the reason.
    #[error("the audit entry could not be stored: {0}")]
    NotStored(String),
    /// The daemon stops.
    #[error("the audit log is closed: aivonxd is shutting down")]
    Closed,
    /// What lies in the store does not fit together.
    #[error("the audit log does not verify: {0}. See `aivonx audit verify`")]
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
            AuditError::Broken(_) | AuditError::Key(_) | AuditError::NotStored(_) => {
                Self::new(FaultKind::Internal, error.to_string())
            }
        }
    }
}
