//! Where the first token is predicted to come soonest, with what its load takes from others.

use super::{Measure, Standing};

pub(super) struct Cost;

impl Measure for Cost {
    fn of(&self, standing: &Standing<'_>) -> f64 {
        standing.terms.total()
    }

    /// Nobody notices 10 ms, and no prediction is that good.
    fn tolerance(&self) -> f64 {
        0.01
    }
}
