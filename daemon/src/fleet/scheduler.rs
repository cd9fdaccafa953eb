//! Which node gets a request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    strategy::Strategy,
};

use super::{Lease, Node, Snapshot, model_name, nearest::nearest_models};

/// What a request needs of a node.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// Model as the client wrote it; None if any node will do.
    pub model: Option<&'a str>,
    /// Lowest Ollama version that serves the route; None if `ollama` nodes do not serve it at all.
    pub ollama: Option<(u32, u32, u32)>,
    /// Whether `openai` nodes serve the route.
    pub openai: bool,
}

/// Why no node was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNode {
    /// No node has the model. Carries the nearest names.
    #[error("model '{model}' not found{}", nearest_text(.nearest))]
    UnknownModel {
        /// As the client wrote it.
        model: String,
        /// The nearest names in the catalogue, best first, at most three.
        nearest: Vec<String>,
    },
    /// Nodes have the model, but none is up.
    #[error("no node that has the model is available now")]
    Down,
    /// Every candidate is at its bound.
    #[error("every node that has the model is at its limit of parallel requests")]
    Busy,
    /// Nodes that have the model do not serve this route (kind or version).
    #[error("no node that has the model serves this route: {0}")]
    Unserved(String),
    /// There is no node at all.
    #[error("the gateway has no nodes")]
    Empty,
}

fn nearest_text(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; did you mean {}?", nearest.join(", ")) }
}

/// How often a place lost to another request is looked for again.
const ROUNDS: usize = 8;

/// Turns among equals. Process-wide: exactness does not matter, only that it moves.
static TURN: AtomicUsize = AtomicUsize::new(0);

impl Snapshot {
    /// Chooses a node for `want` that is not among `tried` and takes a place on it.
    ///
    /// Order: the strategy's measure, then nodes that hold the model in memory, then rotation. Runs once per
    /// request and allocates nothing unless it fails.
    ///
    /// # Errors
    /// [`NoNode`] says why there is none; with `tried` not empty it means that no other node is left.
    pub fn choose(&self, want: Want<'_>, tried: &[Arc<Node>]) -> Result<Lease, NoNode> {
        match want.model {
            Some(model) => {
                model_name::with_normal(model, |normal| self.choose_model(want, model, normal, tried))
            }
            None => self.choose_among(want, "", 0..self.nodes.len(), tried),
        }
    }

    fn choose_model(
        &self,
        want: Want<'_>,
        model: &str,
        normal: &str,
        tried: &[Arc<Node>],
    ) -> Result<Lease, NoNode> {
        let ollama = self.ollama.get(normal).map_or(&[][..], |entry| &entry.nodes);
        let openai = self.openai.get(model).map_or(&[][..], |entry| &entry.nodes);
        if ollama.is_empty() && openai.is_empty() {
            return Err(self.unknown(model));
        }
        let having = ollama.iter().chain(openai).map(|at| usize::from(*at));
        self.choose_among(want, normal, having, tried)
    }

    fn choose_among(
        &self,
        want: Want<'_>,
        normal: &str,
        having: impl Iterator<Item = usize> + Clone,
        tried: &[Arc<Node>],
    ) -> Result<Lease, NoNode> {
        if self.nodes.is_empty() {
            return Err(NoNode::Empty);
        }
        let serving = || having.clone().filter_map(|at| self.nodes.get(at)).filter(|n| serves(n, want));
        let candidates = || {
            serving()
                .filter(|n| n.pool == Pool::Active && n.admin_state == AdminState::Enabled)
                .filter(|n| !tried.iter().any(|t| t.id == n.id))
        };
        let rank = |node: &Node| (self.measure(node), !node.seen.loaded.contains(normal));
        // Counts move while they are compared, so a place found free may be gone when it is asked for. Each
        // round that loses saw another request win one; a handful of rounds is as good as waiting.
        for _ in 0..ROUNDS {
            let mut best: Option<(_, &Arc<Node>)> = None;
            let mut equals = 0_usize;
            for node in candidates().filter(|n| n.has_room()) {
                let rank = rank(node);
                match &best {
                    Some((lowest, _)) if rank > *lowest => {}
                    Some((lowest, _)) if rank == *lowest => equals += 1,
                    _ => (best, equals) = (Some((rank, node)), 1),
                }
            }
            let Some((lowest, first)) = best else { break };
            let node = if equals == 1 {
                first
            } else {
                let turn = TURN.fetch_add(1, Ordering::Relaxed) % equals;
                candidates().filter(|n| n.has_room() && rank(n) == lowest).nth(turn).unwrap_or(first)
            };
            if let Some(lease) = Lease::take(node) {
                return Ok(lease);
            }
        }
        if candidates().next().is_some() {
            return Err(NoNode::Busy);
        }
        if serving().next().is_some() {
            return Err(NoNode::Down);
        }
        Err(NoNode::Unserved(self.why_unserved(having, want)))
    }

    fn measure(&self, node: &Node) -> u64 {
        match self.strategy {
            Strategy::LeastActive => u64::from(node.live.active()),
            Strategy::LowestLatency => node.live.latency_us().unwrap_or(u64::MAX),
        }
    }

    fn unknown(&self, model: &str) -> NoNode {
        if self.nodes.is_empty() {
            return NoNode::Empty;
        }
        // With nothing in the catalogue and nodes still to be heard of, nobody can say that the model is not
        // there: the client should come back, not give up.
        if self.ollama.is_empty()
            && self.openai.is_empty()
            && self.nodes.iter().all(|n| n.pool == Pool::Standby)
        {
            return NoNode::Down;
        }
        let names = self.ollama.values().chain(self.openai.values()).map(|entry| &*entry.name);
        NoNode::UnknownModel { model: model.to_owned(), nearest: nearest_models(model, names) }
    }

    fn why_unserved(&self, having: impl Iterator<Item = usize>, want: Want<'_>) -> String {
        let names: Vec<&str> = having.filter_map(|at| self.nodes.get(at)).map(|n| &*n.name).collect();
        match want.ollama {
            Some((major, minor, patch)) if (major, minor, patch) > (0, 0, 0) => {
                format!("{} would need Ollama {major}.{minor}.{patch} or newer", names.join(", "))
            }
            Some(_) => format!("{} has no Ollama API", names.join(", ")),
            None => format!("{} does not have it", names.join(", ")),
        }
    }
}

fn serves(node: &Node, want: Want<'_>) -> bool {
    match node.kind {
        NodeKind::Openai => want.openai,
        NodeKind::Ollama => want.ollama.is_some_and(|lowest| {
            lowest == (0, 0, 0) || node.seen.version.as_ref().is_none_or(|(_, v)| *v >= lowest)
        }),
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
