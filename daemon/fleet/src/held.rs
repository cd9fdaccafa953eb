//! Nodes that requests failed on, while others wait that they could serve: each gets one of those when it is to be tried
//! again, and more one by one after that.

use std::sync::Arc;

use aivonx_scheduler::{ModelId, NodeId, Scheduler, Time};

use super::{Node, ejection::Standing};

/// Seconds between two requests that a node is sent so: the first is to be on its way before the next look.
const PAUSE: Time = 0.2;

/// The nodes that are held, each for one model.
#[derive(Debug, Default)]
pub(super) struct HeldNodes {
    nodes: Vec<Held>,
    /// When they were looked at.
    looked: Time,
}

#[derive(Debug)]
struct Held {
    number: NodeId,
    model: Option<ModelId>,
    node: Arc<Node>,
    /// Normal name of the model.
    normal: Arc<str>,
}

impl HeldNodes {
    /// A request for `model` waits that a node could serve.
    pub(super) fn add(
        &mut self,
        number: NodeId,
        model: Option<ModelId>,
        names: &[Arc<str>],
        nodes: impl Fn(NodeId) -> Option<Arc<Node>>,
    ) {
        if self.nodes.iter().any(|held| held.number == number && held.model == model) {
            return;
        }
        let normal = model.and_then(|model| names.get(model.0 as usize)).cloned().unwrap_or_default();
        self.nodes.extend(nodes(number).map(|node| Held { number, model, node, normal }));
    }

    /// Has those that are due take a request each.
    pub(super) fn let_in(&mut self, scheduler: &mut Scheduler, now: Time) {
        if self.nodes.is_empty() || now < self.looked + PAUSE {
            return;
        }
        self.looked = now;
        self.nodes.retain(|held| {
            let is_due = held.node.live.standing(&held.normal) <= Standing::Well;
            !is_due || scheduler.let_in(held.number, held.model, now).is_some()
        });
    }
}
