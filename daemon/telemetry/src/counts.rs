//! What is counted of finished requests, and under which labels.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_domain::{
    Findings,
    access::{AccessRecord, Outcome},
    histogram::BOUNDS,
    table::Map,
};
use prometheus_client::metrics::histogram::Histogram;

use super::gauges::Gauges;

/// Label sets per family; beyond, the model's name is left out.
const SETS_MAX: usize = 5000;

/// A name in a label, or an organization's id; None where there is none.
pub(crate) type Name = Option<Arc<str>>;

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
pub(crate) struct Totals {
    pub(crate) total: u64,
    pub(crate) requests: Map<RequestSet, Counts>,
    /// By the outcome's number.
    pub(crate) outcomes: [u64; Outcome::ALL.len()],
    pub(crate) retries: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) first_byte: Times,
    /// How far off the predictions of those were.
    pub(crate) prediction_error: Times,
    pub(crate) duration: Times,
    pub(crate) gauges: Gauges,
    /// Slugs of organizations, by id.
    pub(crate) slugs: Map<Arc<str>, Arc<str>>,
    /// What was found in prompts, by the organization's id.
    pub(crate) findings: Map<Name, Findings>,
    /// The same in answers.
    pub(crate) answer_findings: Map<Name, Findings>,
    /// Names of the nodes seen at the last scrape.
    known: HashSet<Arc<str>>,
}

impl Totals {
    /// Counts a finished request.
    pub(crate) fn add(&mut self, r: &AccessRecord) {
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
        for (all, found) in
            [(&mut self.findings, &r.findings), (&mut self.answer_findings, &r.answer_findings)]
        {
            if found.total() > 0 {
                let organization = r.organization().map(|(id, _)| id.clone());
                all.entry(organization).or_default().join(found);
            }
        }
        observe(&mut self.duration, r.route, r.duration);
        if let Some(first_byte) = r.first_byte {
            observe(&mut self.first_byte, r.route, first_byte);
            // What failed was not what was predicted.
            if let Some(predicted) = r.predicted.filter(|_| r.status < 400) {
                observe(&mut self.prediction_error, r.route, predicted.abs_diff(first_byte));
            }
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
    pub(crate) fn update(&mut self, gauges: &Gauges) {
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

/// Counters stay right even if a thread panicked while adding.
pub(crate) fn lock(state: &Mutex<Totals>) -> MutexGuard<'_, Totals> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
