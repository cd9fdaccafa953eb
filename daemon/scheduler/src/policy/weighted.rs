//! The node with the fewest requests for its weight.

use super::{Measure, Standing};

pub(super) struct Weighted;

impl Measure for Weighted {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    fn of(&self, standing: &Standing<'_>) -> f64 {
        (standing.active as f64 + 1.0) / standing.candidate.weight.max(f64::MIN_POSITIVE)
    }
}
