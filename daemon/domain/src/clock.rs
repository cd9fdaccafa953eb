//! The wall clock.

use aivonx_protocol::UnixMillis;

/// Milliseconds since the epoch; 0 before it.
#[must_use]
pub fn now() -> UnixMillis {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
