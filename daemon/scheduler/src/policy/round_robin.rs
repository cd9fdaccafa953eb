//! One node after the other: the one whose last request is longest ago.

use super::{Measure, Standing};

pub(super) struct RoundRobin;

impl Measure for RoundRobin {
    #[expect(clippy::cast_precision_loss, reason = "exact for centuries of requests")]
    fn of(&self, standing: &Standing<'_>) -> f64 {
        standing.last as f64
    }
}
