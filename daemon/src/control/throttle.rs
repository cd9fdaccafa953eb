//! How much of the log peers without rights may fill.
//!
//! A peer that reaches the socket can cause refusals as often as it likes. Each line says who; a flood of them would
//! push everything else out of memory, so beyond a burst they are counted instead, and the next line says how many
//! there were. Peers with rights are always logged.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines at once.
const BURST: u32 = 30;
/// One line more after this time.
const REFILL: Duration = Duration::from_secs(2);

/// Bounds the lines about peers without rights.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Lines written and not yet made up for by time.
    used: u32,
    since: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Whether to write a line about a peer; then, how many were left out before it. One about a `trusted`
    /// peer is always written.
    pub(super) fn line(&self, trusted: bool) -> Option<u64> {
        if trusted {
            return Some(0);
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = *state.since.get_or_insert(now);
        let refilled = u32::try_from((now - since).as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        state.used = state.used.saturating_sub(refilled);
        state.since = Some(if state.used == 0 { now } else { since + REFILL.saturating_mul(refilled) });
        if state.used >= BURST {
            state.suppressed += 1;
            return None;
        }
        state.used += 1;
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_told_later() {
        let throttle = Throttle::default();
        for _ in 0..BURST {
            assert_eq!(throttle.line(false), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(throttle.line(false), None);
        }
        assert_eq!(throttle.line(true), Some(0), "root is heard");
        tokio::time::advance(REFILL).await;
        assert_eq!(throttle.line(false), Some(1000));
        assert_eq!(throttle.line(false), None);
        tokio::time::advance(REFILL * BURST * 10).await;
        for n in 0..BURST {
            assert_eq!(throttle.line(false), Some(u64::from(n == 0)));
        }
        assert_eq!(throttle.line(false), None);
    }
}
