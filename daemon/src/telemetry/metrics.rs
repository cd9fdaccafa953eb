//! Counters of what went through, gauges of what is, in OpenMetrics text.
//!
//! Requests are counted a batch at a time on the control plane, never on a data-plane thread. Labels come
//! from the route table, the catalogue, the fleet and the status alone, so that no client can make one; the
//! number of label sets is bounded all the same, and those of a node that was removed go with it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_protocol::node::{AdminState, Pool};
use prometheus_client::{encoding::text, registry::Registry};

use super::{
    access::{AccessRecord, Outcome},
    histogram::Histogram,
    page::Page,
    pipe::Losses,
    sink::AccessSink,
};

/// Content type of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label sets per family; beyond, the model's name is left out.
const SETS_MAX: usize = 5000;

/// What is, at the moment of a scrape. Made by whoever answers `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Every node of the fleet. One that was here before and is missing has been removed.
    pub nodes: Vec<NodeGauge>,
    /// Answers being streamed to clients now.
    pub active_streams: u64,
    /// Client connections open now.
    pub connections: u64,
    /// Failed reads or writes of the store since start.
    pub store_errors: u64,
    /// How long the store's last flush to disk took; None before the first.
    pub store_flush: Option<Duration>,
}

/// One node at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct NodeGauge {
    /// Its name.
    pub name: Arc<str>,
    /// What the health checks found.
    pub pool: Pool,
    /// What the administrator wants.
    pub admin_state: AdminState,
    /// Requests it works on now.
    pub active: u32,
    /// Moving average of the health check's round trip; None before the first answer.
    pub latency: Option<Duration>,
}

impl NodeGauge {
    /// The one word for its state: what the administrator wants before what the checks found.
    pub(crate) fn state(&self) -> &'static str {
        match (self.admin_state, self.pool) {
            (AdminState::Disabled, _) => "disabled",
            (AdminState::Draining, _) => "draining",
            (AdminState::Enabled, Pool::Active) => "active",
            (AdminState::Enabled, Pool::Standby) => "standby",
        }
    }
}

type Name = Option<Arc<str>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestSet {
    pub(crate) route: &'static str,
    pub(crate) model: Name,
    pub(crate) node: Name,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TokenSet {
    pub(crate) model: Name,
    pub(crate) node: Name,
    pub(crate) direction: &'static str,
}

/// Everything counted so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) total: u64,
    pub(crate) requests: HashMap<RequestSet, u64>,
    pub(crate) outcomes: HashMap<&'static str, u64>,
    pub(crate) retries: u64,
    pub(crate) tokens: HashMap<TokenSet, u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) first_byte: HashMap<&'static str, Histogram>,
    pub(crate) duration: HashMap<&'static str, Histogram>,
    pub(crate) gauges: Gauges,
    /// Names of the nodes seen at the last scrape.
    known: HashSet<Arc<str>>,
}

impl State {
    fn add(&mut self, r: &AccessRecord) {
        self.total += 1;
        *self.outcomes.entry(r.outcome.name()).or_default() += 1;
        self.retries += u64::from(r.retries);
        self.bytes_in += r.bytes_in;
        self.bytes_out += r.bytes_out;
        self.duration.entry(r.route).or_default().observe(r.duration);
        if let Some(first_byte) = r.first_byte {
            self.first_byte.entry(r.route).or_default().observe(first_byte);
        }
        let set =
            RequestSet { route: r.route, model: r.model.clone(), node: r.node.clone(), status: r.status };
        bump(&mut self.requests, set, 1, |set| set.model = None);
        for (direction, count) in [("input", r.prompt_tokens), ("output", r.output_tokens)] {
            if let Some(count) = count {
                let set = TokenSet { model: r.model.clone(), node: r.node.clone(), direction };
                bump(&mut self.tokens, set, count, |set| set.model = None);
            }
        }
    }

    /// Takes over the gauges and forgets nodes that are gone.
    fn update(&mut self, gauges: &Gauges) {
        let now: HashSet<Arc<str>> = gauges.nodes.iter().map(|n| n.name.clone()).collect();
        if self.known.iter().any(|name| !now.contains(name)) {
            let gone = |node: &Name| {
                node.as_ref().is_some_and(|name| self.known.contains(name) && !now.contains(name))
            };
            self.requests.retain(|set, _| !gone(&set.node));
            self.tokens.retain(|set, _| !gone(&set.node));
        }
        self.known = now;
        self.gauges = gauges.clone();
    }
}

fn bump<K: Eq + std::hash::Hash>(
    sets: &mut HashMap<K, u64>,
    mut key: K,
    by: u64,
    coarsen: impl FnOnce(&mut K),
) {
    if let Some(count) = sets.get_mut(&key) {
        *count += by;
        return;
    }
    if sets.len() >= SETS_MAX {
        coarsen(&mut key);
    }
    *sets.entry(key).or_default() += by;
}

/// The daemon's metrics.
pub struct Metrics {
    state: Arc<Mutex<State>>,
    registry: Registry,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of a daemon that has just started.
    pub(crate) fn new(losses: Arc<Losses>, access: AccessSink) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        for outcome in [Outcome::Complete, Outcome::NodeFailed, Outcome::Broken] {
            // Rates of what has not happened yet are zero, not absent.
            lock(&state).outcomes.insert(outcome.name(), 0);
        }
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Page { state: state.clone(), losses, access }));
        Self { state, registry }
    }

    /// Counts finished requests. Called on the control plane.
    pub(crate) fn count(&self, records: &[AccessRecord]) {
        let mut state = lock(&self.state);
        for record in records {
            state.add(record);
        }
    }

    /// Requests finished since start.
    #[must_use]
    pub fn requests_total(&self) -> u64 {
        lock(&self.state).total
    }

    /// The text a scrape is answered with; its type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn render(&self, gauges: &Gauges) -> String {
        lock(&self.state).update(gauges);
        let mut out = String::with_capacity(16 << 10);
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Counters stay right even if a thread panicked while adding.
pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
