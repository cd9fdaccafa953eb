//! Whether a body goes on coming in at a least rate. A deadline for the next piece alone would let one byte a minute
//! hold a connection, and all that came before it, for ever.

use super::deadline::TICKS_PER_SECOND;

/// Looks at spans of time of equal length, each by itself: what was sent quickly buys no time later.
#[derive(Debug)]
pub(super) struct Steady {
    /// Length of a span in ticks.
    span: u32,
    /// Bytes that each must bring; 0 asks for none.
    least: u64,
    ends: u32,
    bytes: u64,
}

impl Steady {
    /// From `now` on, `rate` bytes a second, over spans of `span` ticks.
    pub(super) fn new(now: u32, span: u32, rate: u64) -> Self {
        let least = rate.saturating_mul(span.into()) / u64::from(TICKS_PER_SECOND);
        Self { span, least, ends: now.saturating_add(span), bytes: 0 }
    }

    /// Counts `bytes` that came at `now`. False if the spans that are over brought too little.
    pub(super) fn goes_on(&mut self, now: u32, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        if now < self.ends {
            return true;
        }
        let enough = self.bytes >= self.least;
        (self.bytes, self.ends) = (0, now.saturating_add(self.span));
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute at 512 bytes a second.
    fn steady() -> Steady {
        Steady::new(100, 240, 512)
    }

    #[test]
    fn a_slow_body_goes_on_and_a_dripping_one_does_not() {
        let mut slow = steady();
        assert!((0..600).all(|second| slow.goes_on(100 + 4 * second, 600)));
        let mut drip = steady();
        let lasts = (0..600).take_while(|second| drip.goes_on(100 + 4 * second, 1)).count();
        assert_eq!(lasts, 60);
    }

    #[test]
    fn a_burst_buys_no_time() {
        let mut burst = steady();
        assert!(burst.goes_on(101, 64 << 20));
        let lasts = (0..600).take_while(|second| burst.goes_on(102 + 4 * second, 1)).count();
        assert!(lasts <= 120, "{lasts} s");
    }

    #[test]
    fn a_pause_is_made_up_for() {
        let mut pause = steady();
        assert!(pause.goes_on(101, 10));
        assert!(pause.goes_on(338, 10));
        assert!(pause.goes_on(340, 64 << 10));
    }

    #[test]
    fn no_rate_asks_for_nothing() {
        let mut any = Steady::new(0, 8, 0);
        assert!((0..100).all(|at| any.goes_on(at * 7, 1)));
    }
}
