//! The models as the console knows them.

use aivonx_protocol::model::{Drift, Model as Known, ModelOnNode};

use super::list::List;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// All models.
    pub(crate) list: List<Known>,
    /// The column of the node that actions are for; None is every node.
    pub(crate) node: Option<String>,
    /// Names under which nodes have different weights.
    pub(crate) drifts: Vec<Drift>,
}

impl Models {
    /// Goes to the node's column at the right, or at the left; past the last one is every node again.
    pub(crate) fn step(&mut self, nodes: &[&str], forward: bool) {
        let at = self.node.as_ref().and_then(|node| nodes.iter().position(|name| name == node));
        let next = match (at, forward) {
            (None, true) => Some(0),
            (None, false) => nodes.len().checked_sub(1),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
        };
        self.node = next.and_then(|at| nodes.get(at)).map(|name| (*name).to_owned());
    }
}

/// Where a model is on a node.
pub(crate) fn on<'a>(model: &'a Known, node: &str) -> Option<&'a ModelOnNode> {
    model.nodes.iter().find(|place| place.node == node)
}
