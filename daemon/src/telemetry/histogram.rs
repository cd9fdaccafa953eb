//! Durations in buckets fit for language models: a cached answer takes milliseconds, a cold 70B model minutes.

use std::time::Duration;

/// Upper bounds in seconds.
pub const BOUNDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0];

/// Counts of durations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    /// One per bound, and one for what is beyond.
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    pub(crate) fn observe(&mut self, d: Duration) {
        let seconds = d.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Bound and count of each bucket, not yet summed up.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut h = Histogram::default();
        for ms in [0, 5, 6, 600_000, 600_001] {
            h.observe(Duration::from_millis(ms));
        }
        let buckets = h.buckets();
        assert_eq!(buckets[0], (0.005, 2));
        assert_eq!(buckets[1], (0.01, 1));
        assert_eq!(buckets[16], (600.0, 1));
        assert_eq!(buckets[17], (f64::INFINITY, 1));
        assert_eq!(h.count(), 5);
    }
}
