//! What the end-to-end tests stand on: real processes ([`harness`]) in front of fake nodes ([`fake`]).
//!
//! Nothing here sleeps to let something happen: every wait is for an event, with a deadline that only a
//! failing test reaches.
#![allow(clippy::unwrap_used, reason = "a test harness fails by panicking")]

pub mod fake;
pub mod harness;
pub mod wire;

use std::time::Duration;

/// How long any wait may take before the test is failed. Generous: machines under test are loaded.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `future`, failing the test with `what` after [`DEADLINE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen within {} s", DEADLINE.as_secs()),
    }
}
