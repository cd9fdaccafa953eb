//! The hot snapshot: everything the data path needs to know of the fleet, immutable.

use std::sync::Arc;

use aivonx_domain::model_name;
use aivonx_domain::table::Map;
use aivonx_protocol::strategy::Strategy;
use aivonx_scheduler::{ModelId, NodeId};
use arc_swap::{ArcSwap, Guard};

use super::{
    Dispatch, Node, RoutingRules,
    catalogue::Known,
    lists::{Lists, ListsFor},
};

/// The fleet at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every node that is not removed, by name.
    pub nodes: Vec<Arc<Node>>,
    /// The scheduler's numbers of the nodes, in the same order.
    pub(super) numbers: Vec<NodeId>,
    /// What waits and runs on them.
    pub dispatch: Arc<Dispatch>,
    /// How to choose among candidates, for models that have no strategy of their own.
    pub strategy: Strategy,
    /// Whether any node is a third party's.
    pub third_parties: bool,
    /// Models of `ollama` nodes, by normalised name.
    pub ollama: Map<Box<str>, ModelEntry>,
    /// Models of `openai` nodes, by exact name.
    pub openai: Map<Box<str>, ModelEntry>,
    /// Lowest version among active ollama nodes, for `GET /api/version`.
    pub version: Option<Box<str>>,
    pub(super) known: Vec<Known>,
    pub(super) lists: ListsFor,
}

/// What a request wants of the scheduler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The scheduler's number of the model; None if any node will do.
    pub(super) model: Option<ModelId>,
    /// How a node is chosen for it.
    pub(super) strategy: Strategy,
}

/// One model and where it is.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    /// Name as the nodes report it: bounded, so fit for metric labels.
    pub name: Arc<str>,
    /// The scheduler's number of it.
    pub(super) number: ModelId,
    /// How a node is chosen for it, if otherwise than for others.
    pub(super) strategy: Option<Strategy>,
    /// Indexes into [`Snapshot::nodes`], whatever the nodes' state.
    pub nodes: Vec<u16>,
    /// Those of them that hand its prompts on to a third party.
    pub cloud: Vec<u16>,
}

impl Snapshot {
    /// The catalogue's name for what a client calls `name`, if a node that may serve the client has it.
    #[must_use]
    pub fn known(&self, name: &str, eligible: &RoutingRules) -> Option<&ModelEntry> {
        let here = |entry: &&ModelEntry| self.has(entry, eligible);
        let ollama = model_name::with_normal(name, |normal| self.ollama.get(normal)).filter(here);
        ollama.or_else(|| self.openai.get(name).filter(here))
    }

    /// The model of the nodes with OpenAI's API alone that may serve the client, if it is the only one.
    #[must_use]
    pub fn only_model(&self, eligible: &RoutingRules) -> Option<&ModelEntry> {
        let is_for = |entry: &&ModelEntry| eligible.allows(&entry.name) && self.has(entry, eligible);
        let mut models = self.openai.values().filter(is_for);
        models.next().filter(|_| models.next().is_none())
    }

    /// Whether the nodes have more than one model.
    #[must_use]
    pub fn has_several_models(&self) -> bool {
        self.ollama.len() + self.openai.len() > 1
    }

    /// The answers to `GET /api/tags` and its like for a caller who may use what `eligible` says.
    #[must_use]
    pub fn lists(&self, eligible: &RoutingRules) -> Arc<Lists> {
        self.lists.get(&self.known, eligible)
    }

    /// Whether a node of any state that may serve the caller has the model.
    pub(super) fn has(&self, entry: &ModelEntry, eligible: &RoutingRules) -> bool {
        entry.nodes.iter().filter_map(|at| self.nodes.get(usize::from(*at))).any(|n| eligible.admits(n))
    }
}

#[cfg(test)]
impl Snapshot {
    /// Nodes of which nothing is known, with a scheduler of their own.
    pub(super) fn of_nodes(nodes: impl IntoIterator<Item = Node>) -> Self {
        let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
        let known: Vec<Known> = nodes.iter().map(|node| (node.clone(), None)).collect();
        let dispatch = Arc::<Dispatch>::default();
        let numbers = dispatch.take_in(&known, |_| None);
        Self { nodes, numbers, dispatch, ..Self::default() }
    }
}

/// The pointer through which the data path reaches the current snapshot.
#[derive(Debug, Default)]
pub struct Hot(ArcSwap<Snapshot>);

impl Hot {
    /// The snapshot now. Cheap; not to be held across an await: take an `Arc` of what is needed.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// Puts a new snapshot in place.
    pub fn store(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
