//! Scheduling strategies, a file each: by what measure nodes that can all serve a request are compared.

mod least_active;
mod lowest_latency;

use aivonx_protocol::strategy::Strategy;

use super::Node;

/// A strategy.
pub(super) trait Measure: Sync {
    /// How little `node` is to be preferred: the lowest is chosen. Asked of every candidate of every request, so it
    /// reads the node's own atomics and nothing else.
    fn of(&self, node: &Node) -> u64;
}

/// The measure of a strategy by its name.
pub(super) fn measure(strategy: Strategy) -> &'static dyn Measure {
    match strategy {
        Strategy::LeastActive => &least_active::LeastActive,
        Strategy::LowestLatency => &lowest_latency::LowestLatency,
    }
}
