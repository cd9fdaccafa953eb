//! What is kept of a node that may sleep: for how long nobody asks it, and that it is to be woken.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long after the first packet to a node that is down the next one is sent; each further one waits twice as long.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(600);

/// What a node is woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Request,
    Placement,
    ByHand,
}

impl Cause {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Placement => "placement",
            Self::ByHand => "by hand",
        }
    }
}

/// What a node that sleeps is to be woken for, until it is awake.
#[derive(Debug, Default)]
pub(super) struct Called(watch::Sender<Option<Cause>>);

impl Called {
    /// Has it woken.
    pub(super) fn call(&self, cause: Cause) {
        self.0.send_replace(Some(cause));
    }

    /// Waits until it is to be woken.
    pub(super) async fn heard(&self) -> Option<Cause> {
        let mut calls = self.0.subscribe();
        // Its sender is right here.
        calls.wait_for(Option::is_some).await.ok().and_then(|cause| *cause)
    }

    /// It is awake: it is not to be woken again for what it was woken for.
    pub(super) fn ends(&self) {
        self.0.send_replace(None);
    }
}

/// Whether nobody asks a node any more.
#[derive(Debug)]
pub(super) struct Idle {
    since: Instant,
    requests: u64,
}

impl Default for Idle {
    fn default() -> Self {
        Self { since: Instant::now(), requests: 0 }
    }
}

impl Idle {
    /// Takes in that it was sent so many requests and works on so many; how long it is idle.
    pub(super) fn for_how_long(&mut self, requests: u64, active: u32, now: Instant) -> Duration {
        if active > 0 || requests != self.requests {
            *self = Self { since: now, requests };
        }
        now.saturating_duration_since(self.since)
    }

    /// It begins anew.
    pub(super) fn ends(&mut self, now: Instant) {
        self.since = now;
    }
}

/// The packets to a node that its checks find down: no request waits for it, and it may only sleep.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// When the next one is due, and how long after the last.
    next: Option<(Instant, Duration)>,
}

impl Calls {
    /// Whether one is to be sent now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let pause = match self.next {
            None => AGAIN,
            Some((at, _)) if now < at => return false,
            Some((_, pause)) => (pause * 2).min(AGAIN_MAX),
        };
        self.next = Some((now + pause, pause));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_down_is_called_at_once_and_ever_less_often() {
        let (begun, mut calls) = (Instant::now(), Calls::default());
        let mut sent = (0..4000).filter(|second| calls.is_due(begun + Duration::from_secs(*second)));
        let first: Vec<u64> = sent.by_ref().take(4).collect();
        assert_eq!(first, [0, 5, 15, 35]);
        let rest: Vec<u64> = sent.collect();
        assert_eq!(rest.windows(2).map(|pair| pair[1] - pair[0]).max(), Some(600));
    }

    #[test]
    fn who_is_asked_or_works_is_not_idle() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut idle = Idle { since: begun, requests: 0 };
        assert_eq!(idle.for_how_long(0, 0, begun + second), second);
        assert_eq!(idle.for_how_long(1, 0, begun + 2 * second), Duration::ZERO);
        assert_eq!(idle.for_how_long(1, 1, begun + 3 * second), Duration::ZERO);
        assert_eq!(idle.for_how_long(1, 0, begun + 5 * second), 2 * second);
    }
}
