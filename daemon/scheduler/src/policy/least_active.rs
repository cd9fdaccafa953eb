//! The node with the fewest requests.

use super::{Measure, Standing};

pub(super) struct LeastActive;

impl Measure for LeastActive {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    fn of(&self, standing: &Standing<'_>) -> f64 {
        standing.active as f64
    }
}
