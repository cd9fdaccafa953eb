//! The node whose health checks were answered fastest of late; one that has not answered yet comes last.

use super::{Measure, Node};

pub(super) struct LowestLatency;

impl Measure for LowestLatency {
    fn of(&self, node: &Node) -> u64 {
        node.live.latency_us().unwrap_or(u64::MAX)
    }
}
