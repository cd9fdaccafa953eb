//! Every node's state in one place. Each change ends in a new snapshot for the data path and an event for
//! those who watch, if either has something new in it.

mod sleepers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use aivonx_config::Health;
use aivonx_domain::model_name;
use aivonx_protocol::{
    Event, Untrusted,
    model::Model,
    node::{self, NodeKind},
};
use aivonx_store::{NodeTraitsRecord, NodeWakeRecord, OrganizationRecord, node::NodeRecord};
use tokio::sync::broadcast;

use super::{
    Dispatch, Hot, catalogue,
    contact::Contact,
    dispatch::Bells,
    doubt::Traffic,
    entry::{Entry, Moved, Prepared},
    error::FleetError,
    holders,
    inventory::Inventory,
    nearest::nearest,
    node_scope::NodeScope,
    probe::Found,
    record, spare,
    strategies::Strategies,
    tenants::Tenants,
    watch::Told,
};

/// Events kept for one who watches slowly.
const EVENTS: usize = 1024;

#[derive(Debug)]
pub(super) struct Registry {
    hot: Arc<Hot>,
    pub(super) dispatch: Arc<Dispatch>,
    events: broadcast::Sender<Told>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<String, Entry>,
    strategies: Strategies,
    health: Health,
    tenants: Tenants,
    /// By the node's id.
    traits: HashMap<String, NodeTraitsRecord>,
    wakes: HashMap<String, NodeWakeRecord>,
}

impl Registry {
    pub(super) fn new(strategies: Strategies, health: Health) -> Self {
        let state = State {
            nodes: BTreeMap::new(),
            strategies,
            health,
            tenants: Tenants::default(),
            traits: HashMap::new(),
            wakes: HashMap::new(),
        };
        let registry = Self {
            hot: Arc::default(),
            dispatch: Arc::default(),
            events: broadcast::channel(EVENTS).0,
            state: Mutex::new(state),
        };
        registry.publish(&registry.lock());
        registry
    }

    pub(super) fn hot(&self) -> Arc<Hot> {
        self.hot.clone()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Told> {
        self.events.subscribe()
    }

    /// Nothing in here leaves the state half changed, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        let looks = |id: &str| {
            state.nodes.get(id).map(|entry| Bells { look: entry.doubted.clone(), wake: entry.called.clone() })
        };
        self.hot.store(catalogue::build(state.known(), &state.strategies, self.dispatch.clone(), looks));
    }

    /// Runs `change` on one node and publishes the result.
    fn on_node<T>(&self, id: &str, change: impl FnOnce(&mut Entry, &Health) -> T) -> Option<T> {
        let mut state = self.lock();
        let State { nodes, health, tenants, .. } = &mut *state;
        let entry = nodes.get_mut(id)?;
        let before = (lasting(entry, tenants), entry.sight.clone());
        let result = change(entry, health);
        let after = lasting(entry, tenants);
        // What a node has loaded may change in ways that only `ps` shows.
        let same_sight = match (&before.1, &entry.sight) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let changed = before.0 != after;
        let told = changed.then(|| told(entry, tenants));
        if changed || !same_sight {
            self.publish(&state);
        }
        if let Some(told) = told {
            self.tell(told);
        }
        Some(result)
    }

    /// Samples what changes all the time, `seconds` after the last time, and publishes what did.
    pub(super) fn look(&self, seconds: u64) {
        let mut state = self.lock();
        let State { nodes, tenants, .. } = &mut *state;
        for entry in nodes.values_mut() {
            if entry.look(seconds) && self.events.receiver_count() > 0 {
                self.tell(told(entry, tenants));
            }
        }
    }

    /// Whether the node holds a model of this normal name in memory, as far as is known.
    pub(super) fn holds(&self, id: &str, normal: &str) -> bool {
        self.lock().nodes.get(id).is_some_and(|entry| entry.holds(normal))
    }

    fn tell(&self, told: Told) {
        // Nobody watching is fine.
        let _ = self.events.send(told);
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
        let named = Named::from(&record);
        let mut fresh = Some((record, at, outcome));
        let moved = self.on_node(&id, |entry, health| {
            let (record, at, outcome) = fresh.take()?;
            if record.revision > entry.record.revision {
                entry.change(record, at);
            }
            outcome.and_then(|outcome| entry.checked(outcome, health))
        });
        if let Some((moved, why)) = moved.flatten() {
            log_move(&named, moved, &why);
        }
        let Some((record, at, outcome)) = fresh else { return false };
        let mut state = self.lock();
        let mut entry = Entry::new(record, at);
        entry.traits = state.traits.get(&id).cloned().unwrap_or_default();
        entry.wake = state.wakes.get(&id).cloned();
        let moved = outcome.and_then(|outcome| entry.checked(outcome, &state.health));
        let (told, sight) = (told(&mut entry, &state.tenants), entry.sight.clone());
        state.nodes.insert(id.clone(), entry);
        self.publish(&state);
        self.tell(told);
        drop(state);
        if let Some(sight) = sight {
            self.dispatch.look(&id, &sight, Instant::now());
        }
        if let Some((moved, why)) = moved {
            log_move(&named, moved, &why);
        }
        true
    }

    /// Forgets a node; what runs on it ends.
    pub(super) fn remove(&self, id: &str) {
        let mut state = self.lock();
        let Some(entry) = state.nodes.remove(id) else { return };
        self.publish(&state);
        entry.live.retire();
        self.tell(Told { owner: owner(&entry), event: Event::NodeRemoved(id.to_owned()) });
        drop(state);
        tracing::info!(event = "node_removed", node = %entry.record.name,
            organization = entry.record.organization.as_deref(), "node removed");
    }

    /// Takes in what a check found that began at `began`, unless the node has moved since it was asked.
    pub(super) fn checked(&self, asked: &Contact, result: Result<Found, String>, began: Instant) {
        let checked = self.on_node(&asked.id, |entry, health| {
            if entry.record.kind != asked.kind || !entry.at.endpoint.same_as(&asked.at.endpoint) {
                return (None, None);
            }
            let well = result.is_ok();
            let moved = entry.checked(result, health);
            (moved, entry.sight.clone().filter(|_| well))
        });
        let (moved, sight) = checked.unwrap_or_default();
        // Once the scheduler knows what models these are.
        if let Some(sight) = sight {
            self.dispatch.look(&asked.id, &sight, began);
        }
        if let Some((moved, why)) = moved {
            let named = Named { name: asked.name.clone(), organization: asked.organization.clone() };
            log_move(&named, moved, &why);
        }
    }

    /// Takes in how an attempt of real traffic went.
    pub(super) fn traffic(&self, id: &str, traffic: Traffic) {
        self.on_node(id, |entry, _| match traffic {
            Traffic::Served => entry.traffic_passed(),
            Traffic::Missing => entry.model_missing(Instant::now()),
            Traffic::Loaded(model) => entry.loaded(model, Instant::now()),
            // That takes a while, see `take_reports`.
            Traffic::Unloads(model) => entry.unloads(&model),
            Traffic::Failed { why, by } => entry.traffic_failed(why, by, Instant::now()),
        });
    }

    /// The node is asked now what it has.
    pub(super) fn looks(&self, id: &str) {
        if let Some(entry) = self.lock().nodes.get_mut(id) {
            entry.looks(Instant::now());
        }
    }

    /// The nodes that may be asked again what they have.
    pub(super) fn may_look(&self) -> Vec<String> {
        let now = Instant::now();
        self.lock().nodes.iter().filter(|(_, e)| e.may_look(now)).map(|(id, _)| id.clone()).collect()
    }

    /// Whether a node that traffic cast doubt on goes on being checked at short intervals: until it is well, unless
    /// it takes requests that nobody else could take.
    pub(super) fn is_in_doubt(&self, id: &str) -> bool {
        let state = self.lock();
        let Some(entry) = state.nodes.get(id).filter(|entry| entry.is_failing()) else { return false };
        if entry.pool == node::Pool::Standby {
            return true;
        }
        let (node, known, callers) = (entry.node(), state.known(), state.tenants.served_by(&entry.node()));
        drop(state);
        spare::is_spare(&node, &known, &callers)
    }

    pub(super) fn set_strategies(&self, strategies: Strategies) {
        let mut state = self.lock();
        if state.strategies != strategies {
            state.strategies = strategies;
            self.publish(&state);
        }
    }

    pub(super) fn strategies(&self) -> Strategies {
        self.lock().strategies.clone()
    }

    /// Takes in what is said of nodes beside their records.
    pub(super) fn set_traits(&self, traits: Vec<NodeTraitsRecord>) {
        let mut state = self.lock();
        state.traits = traits.into_iter().map(|record| (record.id.clone(), record)).collect();
        let State { nodes, traits, .. } = &mut *state;
        for (id, entry) in nodes.iter_mut() {
            entry.traits = traits.get(id).cloned().unwrap_or_default();
        }
        self.publish(&state);
    }

    pub(super) fn set_health(&self, health: Health) {
        self.lock().health = health;
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// Takes in what organizations there are. Who watches hears of the nodes whose owner changed its name.
    pub(super) fn set_tenants(&self, tenants: Tenants) {
        let mut state = self.lock();
        let old = std::mem::replace(&mut state.tenants, tenants);
        let State { nodes, tenants, .. } = &mut *state;
        for entry in nodes.values_mut() {
            let slug =
                |tenants: &Tenants| Some(tenants.slug(entry.record.organization.as_deref()?).to_owned());
            if slug(&old) != slug(tenants) {
                self.tell(told(entry, tenants));
            }
        }
    }

    /// Takes in one organization at once, whose change is still on its way here.
    pub(super) fn know_tenant(&self, record: &OrganizationRecord) {
        let mut tenants = self.lock().tenants.clone();
        tenants.put(record);
        self.set_tenants(tenants);
    }

    /// The nodes in `realm`, by name.
    pub(super) fn views(&self, realm: &NodeScope) -> Vec<node::Node> {
        let state = self.lock();
        let own = state.by_name().into_iter().filter(|entry| entry.in_realm(realm));
        own.map(|entry| entry.view(&state.tenants)).collect()
    }

    pub(super) fn view(&self, realm: &NodeScope, id: &str) -> Option<node::Node> {
        let state = self.lock();
        state.nodes.get(id).filter(|entry| entry.in_realm(realm)).map(|entry| entry.view(&state.tenants))
    }

    /// The Ollama nodes in `realm` that have a model of this normal name, and what they call it.
    pub(super) fn having(&self, realm: &NodeScope, normal: &str) -> Vec<(Contact, String)> {
        let state = self.lock();
        let own = |e: &&Entry| e.record.kind == NodeKind::Ollama && e.in_realm(realm);
        let nodes = state.by_name().into_iter().filter(own);
        nodes
            .filter_map(|entry| {
                let models = &entry.sight.as_ref()?.models;
                let model = models.iter().find(|m| model_name::normalize(&m.name) == normal)?;
                Some((entry.contact(), model.name.to_string()))
            })
            .collect()
    }

    /// The nodes in `realm` that load and unload models when asked to, and what was seen there.
    pub(super) fn inventories(&self, realm: &NodeScope) -> Vec<(Contact, Arc<Inventory>)> {
        let state = self.lock();
        let nodes = state.by_name().into_iter().filter(|entry| entry.in_realm(realm));
        let seen = nodes.filter_map(|entry| Some((entry.contact(), entry.sight.clone()?)));
        seen.filter(|(_, sight)| sight.tells).collect()
    }

    /// Whether a node is one of those.
    pub(super) fn tells(&self, id: &str) -> bool {
        self.lock().nodes.get(id).and_then(|entry| entry.sight.as_ref()).is_some_and(|sight| sight.tells)
    }

    /// Those of them that have a model of this normal name.
    pub(super) fn loading(&self, realm: &NodeScope, normal: &str) -> Vec<Contact> {
        let all = self.inventories(realm).into_iter();
        all.filter(|(_, sight)| holders::has(sight, normal)).map(|(node, _)| node).collect()
    }

    /// The slug of an organization, by its id.
    pub(super) fn slug(&self, organization: &str) -> String {
        self.lock().tenants.slug(organization).to_owned()
    }

    pub(super) fn record(&self, id: &str) -> Option<NodeRecord> {
        self.lock().nodes.get(id).map(|entry| entry.record.clone())
    }

    pub(super) fn records(&self) -> Vec<NodeRecord> {
        self.lock().nodes.values().map(|entry| entry.record.clone()).collect()
    }

    /// Takes in that a node is held to other bounds, and has it checked then.
    pub(super) fn rebind(&self, id: &str, at: Prepared) {
        self.on_node(id, |entry, _| {
            if !entry.at.endpoint.same_as(&at.endpoint) {
                entry.change(entry.record.clone(), at);
                entry.doubted.notify_one();
            }
        });
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().nodes.keys().cloned().collect()
    }

    /// The models that callers of `realm` may see, on nodes of every state.
    pub(super) fn models(&self, realm: &NodeScope) -> Vec<(NodeKind, Model)> {
        let state = self.lock();
        let (known, view) = (state.known(), state.tenants.view(realm));
        drop(state);
        catalogue::models(&known, &view)
    }

    pub(super) fn contact(&self, id: &str) -> Option<Contact> {
        self.lock().nodes.get(id).map(Entry::contact)
    }

    /// The nodes in `realm`, by name.
    pub(super) fn contacts(&self, realm: &NodeScope) -> Vec<Contact> {
        self.lock().by_name().into_iter().filter(|e| e.in_realm(realm)).map(Entry::contact).collect()
    }

    /// The id of the node with this name, or else this id, if it is in `realm`. Those of an organization may leave its
    /// slug out of the name.
    pub(super) fn resolve(&self, realm: &NodeScope, wanted: &str) -> Result<String, FleetError> {
        let state = self.lock();
        let by_name = |name: &str| state.nodes.values().find(|e| e.record.name == name);
        let found = by_name(wanted).or_else(|| state.nodes.get(wanted));
        let full = realm.organization().map(|id| record::full_name(state.tenants.slug(id), wanted));
        let own = |entry: &&Entry| entry.in_realm(realm);
        if let Some(entry) = found.filter(own).or_else(|| by_name(&full?).filter(own)) {
            return Ok(entry.record.id.clone());
        }
        // The answer is the same whether there is no such node or it is another's.
        let own = state.by_name().into_iter().filter(|e| e.in_realm(realm));
        let nearest = nearest(wanted, own.map(|e| e.record.name.as_str()));
        Err(FleetError::UnknownNode { wanted: wanted.to_owned(), nearest, foreign: found.is_some() })
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
    fn in_realm(&self, realm: &NodeScope) -> bool {
        realm.has_node(&self.record.id, self.record.organization.as_deref())
    }
}

/// The view without what changes all the time.
fn lasting(entry: &Entry, tenants: &Tenants) -> (node::Node, Option<Arc<str>>) {
    let view = entry.view(tenants);
    (node::Node { latency_ms: None, last_check: None, active_requests: 0, ..view }, owner(entry))
}

fn owner(entry: &Entry) -> Option<Arc<str>> {
    entry.record.organization.as_deref().map(Into::into)
}

fn told(entry: &mut Entry, tenants: &Tenants) -> Told {
    entry.is_told();
    Told { owner: owner(entry), event: Event::Node(Box::new(entry.view(tenants))) }
}

fn log_move(entry: &Named, moved: Moved, why: &str) {
    let (node, organization) = (&entry.name, entry.organization.as_deref());
    match moved {
        Moved::Active => {
            tracing::info!(event = "node_active", %node, organization, "node is healthy and takes requests");
        }
        Moved::Standby => {
            let reason = Untrusted::new(why);
            tracing::warn!(event = "node_standby", %node, organization, %reason, "node takes no more requests");
        }
        Moved::Asleep => {
            let reason = Untrusted::new(why);
            tracing::info!(event = "node_asleep", %node, organization, %reason, "node is left alone, and woken when needed");
        }
        Moved::Absent => {
            let reason = Untrusted::new(why);
            tracing::warn!(event = "node_absent", %node, organization, %reason, "node is not healthy and waits");
        }
    }
}

/// A node's name, and whose it is, for the log.
struct Named {
    name: String,
    organization: Option<String>,
}

impl From<&Contact> for Named {
    fn from(contact: &Contact) -> Self {
        Self { name: contact.name.clone(), organization: contact.organization.clone() }
    }
}

impl From<&NodeRecord> for Named {
    fn from(record: &NodeRecord) -> Self {
        Self { name: record.name.clone(), organization: record.organization.clone() }
    }
}
