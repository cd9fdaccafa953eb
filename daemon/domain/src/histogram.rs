//! Durations in buckets fit for language models: a cached answer takes milliseconds, a cold 70B model minutes.

use std::time::Duration;

/// Upper bounds in seconds.
pub const BOUNDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0];

/// Buckets: one per bound, and one for what is beyond.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// The bucket of a duration; a bound belongs to its bucket.
pub fn bucket(d: Duration) -> usize {
    BOUNDS.partition_point(|bound| *bound < d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let buckets = [0, 5, 6, 600_000, 600_001].map(|ms| bucket(Duration::from_millis(ms)));
        assert_eq!(buckets, [0, 0, 1, 16, 17]);
        assert_eq!(bucket(Duration::MAX), BOUNDS.len());
    }
}
