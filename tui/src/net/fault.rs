//! Errors of the connection as faults, which is how the console shows them.

use aivonx_protocol::{Fault, FaultKind, client::ClientError};

/// The fault of a call that a lost connection leaves unanswered.
pub(super) fn lost(why: &str) -> Fault {
    Fault::new(FaultKind::Unavailable, why)
}

/// An error as a fault, and why the connection ended if that is what it is.
pub(super) fn fault(error: ClientError) -> (Fault, Option<String>) {
    match error {
        ClientError::Fault(fault) => (fault, None),
        ClientError::Closed(_) | ClientError::Unreachable(_) => {
            let why = error.to_string();
            let first = why.lines().next().unwrap_or_default().to_owned();
            (lost(&first), Some(first))
        }
        ClientError::Denied(_) | ClientError::Version(_) | ClientError::Protocol(_) => {
            (Fault::new(FaultKind::Internal, error.to_string()), None)
        }
    }
}
