//! Counters of what went through, gauges of what is, in OpenMetrics text.
//!
//! Requests are counted a batch at a time on the control plane, never on a data-plane thread. Labels come
//! from the route table, the catalogue, the fleet and the status alone, so that no client can make one; the
//! number of label sets is bounded all the same, and those of a node that was removed go with it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_domain::{
    Findings,
    access::{AccessRecord, Outcome},
    histogram::BOUNDS,
    table::Map,
};
use aivonx_protocol::{
    UnixMillis,
    limit::LimitName,
    node::{AdminState, Pool},
};
use prometheus_client::{encoding::text, metrics::histogram::Histogram, registry::Registry};

use super::{
    page::{Page, Share},
    pipe::Losses,
    sink::AccessSink,
};

/// Content type of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Label sets per family; beyond, the model's name is left out.
const SETS_MAX: usize = 5000;

/// Values read at the moment of a scrape, collected by the handler of `/metrics`.
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
    /// Whether the store takes no more changes.
    pub store_failed: bool,
    /// How long the store's last flush to disk took; None before the first.
    pub store_flush: Option<Duration>,
    /// What was refused since start.
    pub refusals: Refusals,
    /// The audit log.
    pub audit: AuditGauges,
    /// Requests known to be missing from the usage ledger.
    pub usage_lost: u64,
}

/// What identity and limits refused since start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusals {
    /// Logins with a wrong name, password or code.
    pub login_failures: u64,
    /// Locks that fell.
    pub lockouts: u64,
    /// Requests without a valid credential or the permission they need.
    pub denials: u64,
    /// Attempts to reach another organization's records.
    pub cross_organization: u64,
    /// What was beyond a limit, by [`LimitName`].
    pub limits: [u64; LimitName::ALL.len()],
}

/// The audit log at the moment of a scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AuditGauges {
    /// Entries written since the start.
    pub written: u64,
    /// Entries that wait to be stored.
    pub pending: u64,
    /// Age of the oldest of those.
    pub lag: Duration,
    /// Groups that could not be stored since the start.
    pub failures: u64,
    /// When the last checkpoint was made, since the start.
    pub checkpointed: Option<UnixMillis>,
    /// What the last verification of the whole log found.
    pub intact: Option<bool>,
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
    /// Id of the organization the requests were for. No label: the page has the sum, and each organization can
    /// be given its share.
    pub(crate) organization: Name,
}

/// What was counted under one set of labels. One look-up a request finds them all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Micro-USD.
    pub(crate) spend: u64,
}

/// Durations by route of the route table.
pub(crate) type Times = BTreeMap<&'static str, Histogram>;

fn observe(times: &mut Times, route: &'static str, duration: Duration) {
    times.entry(route).or_insert_with(|| Histogram::new(BOUNDS)).observe(duration.as_secs_f64());
}

/// Everything counted so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) total: u64,
    pub(crate) requests: Map<RequestSet, Counts>,
    /// By the outcome's number.
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
    pub(crate) retries: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) first_byte: Times,
    pub(crate) duration: Times,
    pub(crate) gauges: Gauges,
    /// Slugs of organizations, by id.
    pub(crate) slugs: Map<Arc<str>, Arc<str>>,
    /// What was found in prompts, by the organization's id.
    pub(crate) findings: Map<Name, Findings>,
    /// Names of the nodes seen at the last scrape.
    known: HashSet<Arc<str>>,
}

impl State {
    fn add(&mut self, r: &AccessRecord) {
        self.total += 1;
        self.outcomes[r.outcome as usize] += 1;
        self.retries += u64::from(r.retries);
        self.bytes_in += r.bytes_in;
        self.bytes_out += r.bytes_out;
        let counts = self.counts(r);
        counts.requests += 1;
        counts.input += r.prompt_tokens.unwrap_or(0);
        counts.output += r.output_tokens.unwrap_or(0);
        counts.spend += r.cost;
        if r.findings.total() > 0 {
            let organization = r.organization().map(|(id, _)| id.clone());
            self.findings.entry(organization).or_default().join(&r.findings);
        }
        observe(&mut self.duration, r.route, r.duration);
        if let Some(first_byte) = r.first_byte {
            observe(&mut self.first_byte, r.route, first_byte);
        }
        self.name(r);
    }

    /// Takes note of what its organization is called now.
    fn name(&mut self, r: &AccessRecord) {
        if let Some((id, slug)) = r.organization()
            && self.slugs.get(id).is_none_or(|before| before != slug)
        {
            self.slugs.insert(id.clone(), slug.clone());
        }
    }

    fn counts(&mut self, r: &AccessRecord) -> &mut Counts {
        let organization = r.organization().map(|(id, _)| id.clone());
        // The model that did the work.
        let (model, node) = (r.served.as_ref().or(r.model.as_ref()).cloned(), r.node.clone());
        let mut set = RequestSet { route: r.route, model, node, status: r.status, organization };
        if self.requests.len() >= SETS_MAX && !self.requests.contains_key(&set) {
            set.model = None;
        }
        self.requests.entry(set).or_default()
    }

    /// Takes over the gauges and forgets nodes that are gone.
    fn update(&mut self, gauges: &Gauges) {
        let now: HashSet<Arc<str>> = gauges.nodes.iter().map(|n| n.name.clone()).collect();
        if self.known.iter().any(|name| !now.contains(name)) {
            let gone = |node: &Name| {
                node.as_ref().is_some_and(|name| self.known.contains(name) && !now.contains(name))
            };
            self.requests.retain(|set, _| !gone(&set.node));
        }
        self.known = now;
        self.gauges = gauges.clone();
    }
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
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Page { state: state.clone(), losses, access }));
        Self { state, registry }
    }

    /// Counts finished requests. Called on the control plane.
    pub(crate) fn count(&self, records: &[AccessRecord]) {
        let mut state = lock(&self.state);
        records.iter().for_each(|record| state.add(record));
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

    /// The part of the page that is one organization's (by its id), or nobody's: its requests on all nodes, and `nodes`,
    /// which are its own.
    #[must_use]
    pub fn render_share(&self, organization: Option<&str>, nodes: Vec<NodeGauge>) -> String {
        let state = lock(&self.state);
        let own = state.requests.iter().filter(|(set, _)| set.organization.as_deref() == organization);
        let requests = own.map(|(set, counts)| (set.clone(), *counts)).collect();
        let name: Name = organization.map(Arc::from);
        let findings = state.findings.get(&name).copied().unwrap_or_default();
        let slug = name.and_then(|id| state.slugs.get(&id).cloned());
        drop(state);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Share { requests, nodes, slug, findings }));
        let mut out = String::with_capacity(4 << 10);
        // As above.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

/// Counters stay right even if a thread panicked while adding.
pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
