//! Which node gets a request.

use std::{
    cmp::Reverse,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aivonx_protocol::{
    node::{AdminState, NodeKind, Pool},
    strategy::Strategy,
};

use super::{Lease, Node, Snapshot, model_name, snapshot::ModelEntry};

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

/// Turns among equals. Process-wide: exactness does not matter, only that it moves.
static TURN: AtomicUsize = AtomicUsize::new(0);

impl Snapshot {
    /// Chooses a node for `want` that is not among `tried` and takes a place on it.
    ///
    /// Order: the strategy's measure, then nodes that hold the model in memory, then rotation.
    ///
    /// # Errors
    /// [`NoNode`] says why there is none; with `tried` not empty it means that no other node is left.
    pub fn choose(&self, want: Want<'_>, tried: &[Arc<Node>]) -> Result<Lease, NoNode> {
        if self.nodes.is_empty() {
            return Err(NoNode::Empty);
        }
        let normal = want.model.map(model_name::normalize);
        let ollama = normal.as_deref().and_then(|n| self.ollama.get(n));
        let openai = want.model.and_then(|n| self.openai.get(n));
        if let Some(model) = want.model
            && ollama.is_none()
            && openai.is_none()
        {
            return Err(self.unknown(model));
        }
        let indexes = |entry: Option<&ModelEntry>| entry.map_or_else(Vec::new, |e| e.nodes.clone());
        let having: Vec<u16> = if want.model.is_some() {
            let mut all = indexes(ollama);
            all.extend(indexes(openai));
            all
        } else {
            (0..u16::try_from(self.nodes.len()).unwrap_or(u16::MAX)).collect()
        };

        let serving: Vec<&Arc<Node>> =
            having.iter().map(|i| &self.nodes[usize::from(*i)]).filter(|n| serves(n, want)).collect();
        if serving.is_empty() {
            return Err(NoNode::Unserved(self.why_unserved(&having, want)));
        }
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let count = serving.len();
        let mut candidates: Vec<(u64, Reverse<bool>, usize, &Arc<Node>)> = serving
            .into_iter()
            .enumerate()
            .filter(|(_, n)| n.pool == Pool::Active && n.admin_state == AdminState::Enabled)
            .filter(|(_, n)| !tried.iter().any(|t| t.id == n.id))
            .map(|(at, n)| {
                let loaded = match (n.kind, normal.as_deref()) {
                    (NodeKind::Ollama, Some(model)) => n.seen.loaded.contains(model),
                    _ => want.model.is_some_and(|m| n.seen.loaded.contains(m)),
                };
                (self.measure(n), Reverse(loaded), (at + turn) % count, n)
            })
            .collect();
        if candidates.is_empty() {
            return Err(NoNode::Down);
        }
        candidates.sort_unstable_by_key(|(measure, loaded, turn, _)| (*measure, *loaded, *turn));
        candidates.iter().find_map(|(.., node)| Lease::take(node)).ok_or(NoNode::Busy)
    }

    fn measure(&self, node: &Node) -> u64 {
        match self.strategy {
            Strategy::LeastActive => u64::from(node.live.active()),
            Strategy::LowestLatency => node.live.latency_us().unwrap_or(u64::MAX),
        }
    }

    fn unknown(&self, model: &str) -> NoNode {
        let wanted = model_name::normalize(model);
        let mut scored: Vec<(f64, &str)> = self
            .ollama
            .iter()
            .chain(&self.openai)
            .map(|(key, entry)| (strsim::jaro_winkler(key, &wanted), &*entry.name))
            .filter(|(score, _)| *score > 0.75)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        scored.dedup_by_key(|(_, name)| *name);
        NoNode::UnknownModel {
            model: model.to_owned(),
            nearest: scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect(),
        }
    }

    fn why_unserved(&self, having: &[u16], want: Want<'_>) -> String {
        let names: Vec<&str> = having.iter().map(|i| &*self.nodes[usize::from(*i)].name).collect();
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
