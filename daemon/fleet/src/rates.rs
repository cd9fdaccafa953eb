//! What a node was sent and failed lately: its counters, looked at every second.

use super::Live;

/// Seconds over which attempts are counted.
const SENT: usize = 60;
/// Seconds over which failures are counted.
const FAILED: usize = 300;

/// The last minutes of one node.
#[derive(Debug)]
pub(super) struct Rates {
    /// The counters when they were last looked at.
    seen: (u64, u64),
    /// Seconds since the first look.
    age: u64,
    /// Attempts in each second, one after the other and round again.
    sent: [u32; SENT],
    failed: [u32; FAILED],
}

impl Default for Rates {
    fn default() -> Self {
        Self { seen: (0, 0), age: 0, sent: [0; SENT], failed: [0; FAILED] }
    }
}

impl Rates {
    /// Looks at the counters, `seconds` after the last time.
    pub(super) fn look(&mut self, live: &Live, seconds: u64) {
        let now = (live.requests(), live.failures());
        let since = |now: u64, then: u64| u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
        for _ in 0..seconds.min(FAILED as u64) {
            self.age += 1;
            (self.sent[place(self.age, SENT)], self.failed[place(self.age, FAILED)]) = (0, 0);
        }
        self.sent[place(self.age, SENT)] += since(now.0, self.seen.0);
        self.failed[place(self.age, FAILED)] += since(now.1, self.seen.1);
        self.seen = now;
    }

    /// Attempts a second, over the last minute or for as long as it is known.
    #[must_use]
    pub(super) fn sent(&self) -> f64 {
        let sum: u64 = self.sent.iter().map(|count| u64::from(*count)).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
        let rate = sum as f64 / self.age.clamp(1, SENT as u64) as f64;
        // More digits would change with every second and say nothing.
        (rate * 100.0).round() / 100.0
    }

    /// Attempts failed in the last five minutes.
    #[must_use]
    pub(super) fn failed(&self) -> u32 {
        self.failed.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

fn place(second: u64, of: usize) -> usize {
    usize::try_from(second % of as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Lease, Node, testing};

    fn send(node: &Arc<Node>, count: usize) {
        (0..count).for_each(|_| drop(Lease::take(node)));
    }

    #[test]
    fn a_minute_of_requests_and_five_of_errors_count() {
        let node = Arc::new(testing::node("a"));
        let mut rates = Rates::default();
        assert!((rates.sent(), rates.failed()) == (0.0, 0));
        send(&node, 3);
        node.live.count_failure();
        rates.look(&node.live, 1);
        assert!((rates.sent(), rates.failed()) == (3.0, 1));
        // Nothing more: what was counts less, the longer it is ago.
        rates.look(&node.live, 1);
        assert!((rates.sent() - 1.5).abs() < 1e-9);
        rates.look(&node.live, 58);
        assert!((rates.sent() - 0.05).abs() < 1e-9);
        send(&node, 60);
        rates.look(&node.live, 1);
        assert!((rates.sent() - 1.0).abs() < 1e-9, "the first second is gone");
        rates.look(&node.live, 60);
        assert!((rates.sent(), rates.failed()) == (0.0, 1));
        rates.look(&node.live, 180);
        assert_eq!(rates.failed(), 0);
        // A machine that slept counts as one that was idle.
        send(&node, 6);
        rates.look(&node.live, 10_000);
        assert!((rates.sent() - 0.1).abs() < 1e-9);
    }
}
