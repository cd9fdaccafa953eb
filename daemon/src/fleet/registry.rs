//! Every node's state in one place. Each change ends in a new snapshot for the data path and an event for
//! those who watch, if either has something new in it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use aivonx_protocol::{
    Event, UnixMillis, Untrusted,
    model::Model,
    node::{self, AdminState, NodeKind},
    strategy::Strategy,
};
use tokio::sync::broadcast;

use super::{
    Hot, Live, catalogue,
    entry::{Entry, Moved, Prepared},
    error::FleetError,
    model_name,
    nearest::nearest,
    probe::Found,
};
use crate::{config::Health, store::node::NodeRecord};

/// Events kept for one who watches slowly.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct Registry {
    hot: Arc<Hot>,
    events: broadcast::Sender<Event>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<String, Entry>,
    strategy: Strategy,
    health: Health,
}

/// What a check or a job needs to talk to a node.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: NodeKind,
    pub(super) kind_assumed: bool,
    pub(super) admin_state: AdminState,
    pub(super) active: bool,
    pub(super) at: Prepared,
    pub(super) live: Arc<Live>,
    pub(super) checking: Arc<tokio::sync::Mutex<()>>,
}

/// Milliseconds since the epoch.
pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Registry {
    pub(super) fn new(strategy: Strategy, health: Health) -> Self {
        let state = State { nodes: BTreeMap::new(), strategy, health };
        let registry =
            Self { hot: Arc::default(), events: broadcast::channel(EVENTS).0, state: Mutex::new(state) };
        registry.publish(&registry.lock());
        registry
    }

    pub(super) fn hot(&self) -> Arc<Hot> {
        self.hot.clone()
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Nothing in here leaves the state half changed, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        self.hot.store(catalogue::build(state.known(), state.strategy));
    }

    /// Runs `change` on one node and tells the world what came of it.
    fn on_node<T>(&self, id: &str, change: impl FnOnce(&mut Entry, &Health) -> T) -> Option<T> {
        let mut state = self.lock();
        let health = state.health.clone();
        let entry = state.nodes.get_mut(id)?;
        let before = (lasting(entry), entry.sight.clone());
        let result = change(entry, &health);
        let after = lasting(entry);
        // What a node has loaded may change in ways that only `ps` shows.
        let same_sight = match (&before.1, &entry.sight) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let changed = before.0 != after;
        let view = changed.then(|| entry.view());
        if changed || !same_sight {
            self.publish(&state);
        }
        if let Some(view) = view {
            self.tell(Event::Node(Box::new(view)));
        }
        Some(result)
    }

    fn tell(&self, event: Event) {
        // Nobody watching is fine.
        let _ = self.events.send(event);
    }

    /// Takes in a record as the store has it now, unless it is here already, and what asking the node under
    /// this record gave, all in one step. Says whether the node is new here.
    pub(super) fn apply(
        &self,
        record: NodeRecord,
        at: Prepared,
        outcome: Option<Result<Found, String>>,
    ) -> bool {
        let id = record.id.clone();
        let name = record.name.clone();
        let mut fresh = Some((record, at, outcome));
        let moved = self.on_node(&id, |entry, health| {
            let (record, at, outcome) = fresh.take()?;
            if record.revision > entry.record.revision {
                entry.change(record, at);
            }
            outcome.and_then(|outcome| entry.checked(outcome, health))
        });
        if let Some((moved, why)) = moved.flatten() {
            log_move(&name, moved, &why);
        }
        let Some((record, at, outcome)) = fresh else { return false };
        let mut state = self.lock();
        let mut entry = Entry::new(record, at);
        let moved = outcome.and_then(|outcome| entry.checked(outcome, &state.health));
        let view = entry.view();
        state.nodes.insert(id, entry);
        self.publish(&state);
        self.tell(Event::Node(Box::new(view)));
        drop(state);
        if let Some((moved, why)) = moved {
            log_move(&name, moved, &why);
        }
        true
    }

    /// Forgets a node; what runs on it ends.
    pub(super) fn remove(&self, id: &str) {
        let mut state = self.lock();
        let Some(entry) = state.nodes.remove(id) else { return };
        self.publish(&state);
        entry.live.retire();
        self.tell(Event::NodeRemoved(id.to_owned()));
        drop(state);
        tracing::info!(event = "node_removed", node = %entry.record.name, "node removed");
    }

    /// Takes in what a check found, unless the node has moved since it was asked.
    pub(super) fn checked(&self, asked: &Contact, result: Result<Found, String>) {
        let moved = self.on_node(&asked.id, |entry, health| {
            if entry.record.kind != asked.kind || !entry.at.endpoint.same_as(&asked.at.endpoint) {
                return None;
            }
            entry.checked(result, health)
        });
        if let Some((moved, why)) = moved.flatten() {
            log_move(&asked.name, moved, &why);
        }
    }

    /// Takes in how an attempt of real traffic went.
    pub(super) fn traffic(&self, id: &str, ok: bool, why: Option<String>) {
        let why = why.unwrap_or_else(|| "it failed without a reason".into());
        let moved = self.on_node(id, |entry, health| {
            if ok {
                entry.traffic_passed();
                return None;
            }
            let moved = entry.traffic_failed(why.clone(), Instant::now(), health)?;
            Some((entry.record.name.clone(), moved))
        });
        if let Some((name, moved)) = moved.flatten() {
            log_move(&name, moved, &why);
        }
    }

    pub(super) fn set_strategy(&self, strategy: Strategy) {
        let mut state = self.lock();
        if state.strategy != strategy {
            state.strategy = strategy;
            self.publish(&state);
        }
    }

    pub(super) fn set_health(&self, health: Health) {
        self.lock().health = health;
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    pub(super) fn views(&self) -> Vec<node::Node> {
        self.lock().by_name().into_iter().map(Entry::view).collect()
    }

    pub(super) fn view(&self, id: &str) -> Option<node::Node> {
        self.lock().nodes.get(id).map(Entry::view)
    }

    /// The Ollama nodes that have a model of this normal name, and what they call it.
    pub(super) fn having(&self, normal: &str) -> Vec<(Contact, String)> {
        let state = self.lock();
        let nodes = state.by_name().into_iter().filter(|e| e.record.kind == NodeKind::Ollama);
        nodes
            .filter_map(|entry| {
                let models = &entry.sight.as_ref()?.models;
                let model = models.iter().find(|m| model_name::normalize(&m.name) == normal)?;
                Some((entry.contact(), model.name.to_string()))
            })
            .collect()
    }

    pub(super) fn record(&self, id: &str) -> Option<NodeRecord> {
        self.lock().nodes.get(id).map(|entry| entry.record.clone())
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().nodes.keys().cloned().collect()
    }

    /// The models on every node, whatever its state.
    pub(super) fn models(&self) -> Vec<(NodeKind, Model)> {
        let known = self.lock().known();
        catalogue::models(&known)
    }

    pub(super) fn contact(&self, id: &str) -> Option<Contact> {
        self.lock().nodes.get(id).map(Entry::contact)
    }

    /// All nodes, by name.
    pub(super) fn contacts(&self) -> Vec<Contact> {
        self.lock().by_name().into_iter().map(Entry::contact).collect()
    }

    /// The id of the node with this name, or else this id.
    pub(super) fn resolve(&self, wanted: &str) -> Result<String, FleetError> {
        let state = self.lock();
        let by_name = state.nodes.values().find(|e| e.record.name == wanted).map(|e| &e.record.id);
        if let Some(id) = by_name.or_else(|| state.nodes.get_key_value(wanted).map(|(id, _)| id)) {
            return Ok(id.clone());
        }
        let nearest = nearest(wanted, state.by_name().into_iter().map(|e| e.record.name.as_str()));
        Err(FleetError::UnknownNode { wanted: wanted.to_owned(), nearest })
    }
}

impl State {
    fn by_name(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.nodes.values().collect();
        entries.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        entries
    }

    fn known(&self) -> Vec<catalogue::Known> {
        self.by_name().into_iter().map(|e| (Arc::new(e.node()), e.sight.clone())).collect()
    }
}

impl Entry {
    fn contact(&self) -> Contact {
        Contact {
            id: self.record.id.clone(),
            name: self.record.name.clone(),
            kind: self.record.kind,
            kind_assumed: self.record.kind_assumed,
            admin_state: self.record.admin_state,
            active: self.pool == node::Pool::Active && self.record.admin_state == AdminState::Enabled,
            at: self.at.clone(),
            live: self.live.clone(),
            checking: self.checking.clone(),
        }
    }
}

/// The view without what changes all the time.
fn lasting(entry: &Entry) -> node::Node {
    node::Node { latency_ms: None, last_check: None, active_requests: 0, ..entry.view() }
}

fn log_move(name: &str, moved: Moved, why: &str) {
    match moved {
        Moved::Active => {
            tracing::info!(event = "node_active", node = %name, "node is healthy and takes requests")
        }
        Moved::Standby => {
            let why = Untrusted::new(why);
            tracing::warn!(event = "node_standby", node = %name, reason = %why, "node takes no more requests");
        }
        Moved::Absent => {
            let why = Untrusted::new(why);
            tracing::warn!(event = "node_absent", node = %name, reason = %why, "node is not healthy and waits");
        }
    }
}
