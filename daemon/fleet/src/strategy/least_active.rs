//! The node that works on the fewest requests.

use super::{Measure, Node};

pub(super) struct LeastActive;

impl Measure for LeastActive {
    fn of(&self, node: &Node) -> u64 {
        u64::from(node.live.active())
    }
}
