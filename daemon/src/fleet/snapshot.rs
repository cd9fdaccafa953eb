//! The hot snapshot: everything the data path needs to know of the fleet, immutable.

use std::sync::Arc;

use aivonx_protocol::strategy::Strategy;
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;

use super::{Node, model_name};
use crate::table::Map;

/// The fleet at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every node that is not removed, by name.
    pub nodes: Vec<Arc<Node>>,
    /// How to choose among candidates.
    pub strategy: Strategy,
    /// Models of `ollama` nodes, by normalised name.
    pub ollama: Map<Box<str>, ModelEntry>,
    /// Models of `openai` nodes, by exact name.
    pub openai: Map<Box<str>, ModelEntry>,
    /// Answer to `GET /api/tags`, made once per snapshot.
    pub tags: Bytes,
    /// Answer to `GET /api/ps`.
    pub ps: Bytes,
    /// Answer to `GET /v1/models` in OpenAI's shape.
    pub models: Bytes,
    /// Lowest version among active ollama nodes, for `GET /api/version`.
    pub version: Option<Box<str>>,
}

/// One model and where it is.
#[derive(Debug, Clone)]
pub struct ModelEntry {
    /// Name as the nodes report it: bounded, so fit for metric labels.
    pub name: Arc<str>,
    /// Indexes into [`Snapshot::nodes`], whatever the nodes' state.
    pub nodes: Vec<u16>,
    /// Whether any of them hands prompts on to a third party.
    pub cloud: bool,
    /// The entry of `GET /v1/models/:model` in OpenAI's shape.
    pub openai_object: Bytes,
}

impl Snapshot {
    /// The catalogue's name for what a client calls `name`.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<&ModelEntry> {
        model_name::with_normal(name, |normal| self.ollama.get(normal)).or_else(|| self.openai.get(name))
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
