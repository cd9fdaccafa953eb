//! The node whose health checks were answered fastest of late; one that has not answered yet comes last.

use super::{Measure, Standing};

pub(super) struct LowestLatency;

impl Measure for LowestLatency {
    fn of(&self, standing: &Standing<'_>) -> f64 {
        standing.candidate.latency.unwrap_or(f64::INFINITY)
    }
}
