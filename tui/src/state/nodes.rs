//! The nodes as the console knows them.

use std::collections::{BTreeMap, VecDeque};

use aivonx_protocol::{
    UnixMillis,
    node::{Node, NodeWake},
};

use super::list::List;

/// Latencies kept per node.
const TREND: usize = 32;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// All nodes.
    pub(crate) list: List<Node>,
    /// How those that may sleep are woken.
    pub(crate) wakes: Vec<NodeWake>,
    /// Id of the node whose form waits for that.
    pub(crate) waking: Option<String>,
    /// The latencies of each, in milliseconds, the oldest first, and when the last was measured.
    trends: BTreeMap<String, (Option<UnixMillis>, VecDeque<f64>)>,
}

impl Nodes {
    /// Notes a node's latency.
    pub(crate) fn note(&mut self, node: &Node) {
        let Some(latency) = node.latency_ms else { return };
        let (measured, trend) = self.trends.entry(node.id.clone()).or_default();
        // An update for another reason brings no new measurement.
        if !trend.is_empty() && *measured == node.last_check {
            return;
        }
        *measured = node.last_check;
        if trend.len() == TREND {
            trend.pop_front();
        }
        trend.push_back(latency);
    }

    /// How a node is woken, if it may sleep.
    pub(crate) fn wake(&self, id: &str) -> Option<&NodeWake> {
        self.wakes.iter().find(|wake| wake.node == id)
    }

    /// Forgets a node's latencies.
    pub(crate) fn forget(&mut self, id: &str) {
        self.trends.remove(id);
    }

    /// A node's latencies, the oldest first.
    pub(crate) fn trend(&self, id: &str) -> impl DoubleEndedIterator<Item = f64> + ExactSizeIterator {
        static NONE: VecDeque<f64> = VecDeque::new();
        self.trends.get(id).map_or(&NONE, |(_, trend)| trend).iter().copied()
    }
}
