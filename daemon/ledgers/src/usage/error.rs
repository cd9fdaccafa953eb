//! Why there is no report.

use aivonx_protocol::{Fault, FaultKind};
use aivonx_store::StoreError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The time ends before it begins.
    #[error("this time is over before it begins")]
    Empty,
    /// A question that only single requests answer, about a time of which none are kept any more.
    #[error("single requests, which hours and addresses are told by, are kept for {0} days only")]
    TooOld(u32),
}

impl From<UsageError> for Fault {
    fn from(error: UsageError) -> Self {
        let message = error.to_string();
        match error {
            UsageError::Store(error) => error.into(),
            UsageError::Empty => Self::new(FaultKind::Invalid, message).field("until"),
            UsageError::TooOld(_) => Self::new(FaultKind::Invalid, message)
                .field("since")
                .hint("Ask for days instead, of all addresses: --per day"),
        }
    }
}
