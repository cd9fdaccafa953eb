//! Counters of what went through, gauges of what is, in OpenMetrics text.
//!
//! Requests are counted a batch at a time on the control plane, never on a data-plane thread. Labels come
//! from the route table, the catalogue, the fleet and the status alone, so that no client can make one; the
//! number of label sets is bounded all the same, and those of a node that was removed go with it.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use aivonx_domain::access::AccessRecord;
use prometheus_client::{encoding::text, registry::Registry};

use super::{
    access_queue::AccessSink,
    counts::{Name, Totals, lock},
    exposition::{Exposition, Share},
    gauges::{Gauges, NodeGauge},
    queue::Losses,
};

/// Content type of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The daemon's metrics.
pub struct Metrics {
    state: Arc<Mutex<Totals>>,
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
        let state = Arc::new(Mutex::new(Totals::default()));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition { state: state.clone(), losses, access }));
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
        let answer_findings = state.answer_findings.get(&name).copied().unwrap_or_default();
        let slug = name.and_then(|id| state.slugs.get(&id).cloned());
        drop(state);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Share { requests, nodes, slug, findings, answer_findings }));
        let mut out = String::with_capacity(4 << 10);
        // As above.
        let _ = text::encode(&mut out, &registry);
        out
    }
}
