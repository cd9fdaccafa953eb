//! Durations in buckets fit for language models: a cached answer takes milliseconds, a cold 70B model minutes.

use std::time::Duration;

/// Upper bounds in seconds.
pub const BOUNDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0];

/// Buckets: one per bound, and one for what is beyond.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// The same bounds in milliseconds.
const BOUNDS_MS: [u64; BOUNDS.len()] = [
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000,
];

/// The bucket of a duration.
pub fn bucket(d: Duration) -> usize {
    // Beyond all bounds if it is more nanoseconds than a number holds.
    let nanos = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    BOUNDS_MS.partition_point(|bound| bound * 1_000_000 < nanos)
}

/// How many durations are in each bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts(pub [u64; BUCKETS]);

impl Counts {
    pub fn observe(&mut self, d: Duration) {
        self.0[bucket(d)] += 1;
    }
}

/// Counts and sum of durations.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: f64,
}

impl Histogram {
    /// Adds durations that were counted elsewhere; each must be [`Self::sum_up`] as well.
    pub fn join(&mut self, counts: &Counts) {
        self.counts.iter_mut().zip(counts.0).for_each(|(count, more)| *count += more);
    }

    /// Adds a duration to the sum alone.
    pub fn sum_up(&mut self, d: Duration) {
        self.sum += d.as_secs_f64();
    }

    /// All durations together, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Bound and count of each bucket, not yet summed up.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut counts = Counts::default();
        for ms in [0, 5, 6, 600_000, 600_001] {
            counts.observe(Duration::from_millis(ms));
        }
        let mut h = Histogram::default();
        h.join(&counts);
        let buckets = h.buckets();
        assert_eq!(buckets[0], (0.005, 2));
        assert_eq!(buckets[1], (0.01, 1));
        assert_eq!(buckets[16], (600.0, 1));
        assert_eq!(buckets[17], (f64::INFINITY, 1));
        assert_eq!(h.count(), 5);
    }

    #[test]
    fn bounds_in_milliseconds_are_those_in_seconds() {
        for (seconds, ms) in BOUNDS.into_iter().zip(BOUNDS_MS) {
            let bound = Duration::from_millis(ms);
            assert!((bound.as_secs_f64() - seconds).abs() < f64::EPSILON);
            let nano = Duration::from_nanos(1);
            for d in [bound - nano, bound, bound + nano] {
                assert_eq!(bucket(d), BOUNDS.partition_point(|bound| *bound < d.as_secs_f64()), "{d:?}");
            }
        }
        assert_eq!(bucket(Duration::MAX), BOUNDS.len());
    }
}
