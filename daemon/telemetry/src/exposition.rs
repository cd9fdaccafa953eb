//! The page a scrape gets: every family in one place, in the order it is printed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, atomic::Ordering},
    time::UNIX_EPOCH,
};

use aivonx_domain::{Findings, access::Outcome};
use aivonx_protocol::limit::LimitName;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, NoLabelSet,
    },
    metrics::MetricType,
    registry::Unit,
};

use super::{
    access_queue::AccessSink,
    counts::{Counts, RequestSet, Times, Totals, lock},
    gauges::{Gauges, NodeGauge},
    process,
    queue::Losses,
};

/// See the module.
pub(crate) struct Exposition {
    pub(crate) state: Arc<Mutex<Totals>>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) access: AccessSink,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        self.requests(&mut out)?;
        out.nodes(&lock(&self.state).gauges.nodes)?;
        self.daemon(&mut out)
    }
}

impl Exposition {
    fn requests(&self, out: &mut Writer<'_>) -> fmt::Result {
        let state = lock(&self.state);
        let requests = merged(state.requests.iter().map(|(set, counts)| (set, *counts)));
        out.requests(&requests)?;
        let sets = Outcome::ALL.map(|o| ([("outcome", o.name())], state.outcomes[o as usize]));
        out.counters("aivonx_outcomes", "How requests ended", sets)?;
        out.counter("aivonx_retries", "Attempts after the first", state.retries)?;
        out.tokens(&requests)?;
        out.usage(
            state.requests.iter().map(|(set, counts)| (slug_of(&state, &set.organization), set, counts)),
        )?;
        for (direction, found) in [(PROMPTS, &state.findings), (ANSWERS, &state.answer_findings)] {
            out.findings(direction, found.iter().map(|(id, found)| (slug_of(&state, id), found)))?;
        }
        let sets = [([("direction", "in")], state.bytes_in), ([("direction", "out")], state.bytes_out)];
        out.counters("aivonx_body_bytes", "Bytes of request and answer bodies", sets)?;
        let help = "Time from a request's head to the first byte of its answer";
        out.histograms("aivonx_request_first_byte", help, &state.first_byte)?;
        let help = "How far off the predicted time to the first byte of a stream was";
        out.histograms("aivonx_prediction_error", help, &state.prediction_error)?;
        let help = "Time from a request's head to its end";
        out.histograms("aivonx_request_duration", help, &state.duration)?;
        out.gauge(
            "aivonx_active_streams",
            "Answers being sent now",
            None,
            Some(state.gauges.active_streams),
        )?;
        let help = "Requests that wait for a place on a node";
        out.gauge("aivonx_queue_waiting", help, None, Some(state.gauges.waiting))?;
        out.gauge("aivonx_connections", "Client connections open now", None, Some(state.gauges.connections))?;
        let closed = state.gauges.connections_closed.iter().map(|(reason, n)| ([("reason", *reason)], *n));
        out.counters("aivonx_connections_closed", "Client connections that the gateway closed", closed)
    }

    fn daemon(&self, out: &mut Writer<'_>) -> fmt::Result {
        let gauges = lock(&self.state).gauges.clone();
        let Gauges { store_errors, store_failed, store_flush, refusals, audit, usage_lost, .. } = gauges;
        let help = "Logins refused for a wrong name, password or code";
        out.counter("aivonx_login_failures", help, refusals.login_failures)?;
        out.counter("aivonx_lockouts", "Locks after too many failed logins", refusals.lockouts)?;
        let help = "Requests without a valid credential or the permission they need";
        out.counter("aivonx_denials", help, refusals.denials)?;
        let help = "Attempts to reach another organization's records";
        out.counter("aivonx_cross_organization_attempts", help, refusals.cross_organization)?;
        let limits = LimitName::ALL.into_iter().zip(refusals.limits);
        let sets = limits.map(|(limit, n)| ([("limit", limit.name())], n));
        out.counters("aivonx_limit_refusals", "Requests refused because a limit was used up", sets)?;
        if let Some(budgets) = gauges.budgets {
            let help = "Whether the database of shared limits does not answer (1)";
            out.gauge("aivonx_budget_degraded", help, None, Some(u64::from(budgets.degraded)))?;
            let help = "Times the database of shared limits answered";
            out.counter("aivonx_budget_turns", help, budgets.turns)?;
            let help = "Times the database of shared limits did not answer";
            out.counter("aivonx_budget_failures", help, budgets.failures)?;
            let help = "Slices of limits that were not renewed and count as spent";
            out.counter("aivonx_budget_expired", help, budgets.expired)?;
            let help = "Requests, tokens and micro-USD that counted as spent and were put right";
            out.counter("aivonx_budget_put_right", help, budgets.put_right)?;
            let help = "Requests, tokens and micro-USD of slices that a restart lost, which count as spent";
            out.counter("aivonx_budget_let_go", help, budgets.let_go)?;
        }
        out.counter("aivonx_store_errors", "Failed reads and writes of the store", store_errors)?;
        let help = "Whether the store takes no changes because the disk failed (1) or takes them (0)";
        out.gauge("aivonx_store_failed", help, None, Some(u64::from(store_failed)))?;
        let flush = store_flush.map(|d| d.as_secs_f64());
        let help = "Time the store's last flush to disk took";
        out.gauge("aivonx_store_flush", help, Some(Unit::Seconds), flush)?;
        out.counter("aivonx_audit_entries", "Entries of the audit log written", audit.written)?;
        let help = "Groups of audit entries or checkpoints that could not be stored";
        out.counter("aivonx_audit_failures", help, audit.failures)?;
        out.gauge("aivonx_audit_pending", "Audit entries that wait to be stored", None, Some(audit.pending))?;
        let help = "Age of the oldest audit entry that waits to be stored";
        out.gauge("aivonx_audit_lag", help, Some(Unit::Seconds), Some(audit.lag.as_secs_f64()))?;
        let signed = audit.checkpointed.map(|ms| ms as f64 / 1000.0);
        let help = "When the audit log was last signed, since the epoch";
        out.gauge("aivonx_audit_checkpoint_time", help, Some(Unit::Seconds), signed)?;
        let help = "Whether the audit log verified when it was last verified as a whole";
        out.gauge("aivonx_audit_intact", help, None, audit.intact.map(u32::from))?;
        let dropped = [
            ([("reason", "slow")], self.losses.queue.load(Ordering::Relaxed)),
            ([("reason", "failed")], self.losses.write.load(Ordering::Relaxed)),
        ];
        out.counters(
            "aivonx_log_events_dropped",
            "Log events that reached memory but not the log's sink",
            dropped,
        )?;
        let help = "Requests missing from the usage ledger; a lost record of it counts as one, and may have had more";
        out.counter("aivonx_usage_records_lost", help, usage_lost)?;
        let help = "When the first of the served certificates expires, since the epoch";
        let until = gauges.certificates_until.map(|seconds| seconds as f64);
        out.gauge("aivonx_certificate_expiry_time", help, Some(Unit::Seconds), until)?;
        let help = "Failed attempts to obtain a certificate by ACME";
        out.counter("aivonx_certificate_failures", help, gauges.certificates_failed)?;
        let help = "Requests that were neither logged nor counted";
        out.counter("aivonx_access_records_dropped", help, self.access.dropped())?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        out.0
            .encode_descriptor("aivonx_build", "The daemon", None, MetricType::Info)?
            .encode_info(&labels)?;
        let resident = Some(process::resident_bytes());
        out.gauge("process_resident_memory", "Resident memory", Some(Unit::Bytes), resident)?;
        let started = process::started().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        let help = "When the process started, since the epoch";
        out.gauge("process_start_time", help, Some(Unit::Seconds), Some(started))
    }
}

/// Names of what was found, and what they say.
const PROMPTS: (&str, &str) = ("aivonx_findings", "Personal data and credentials found in prompts");
const ANSWERS: (&str, &str) = ("aivonx_answer_findings", "Personal data and credentials found in answers");

/// The part of the page that is one organization's.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) requests: Vec<(RequestSet, Counts)>,
    pub(crate) nodes: Vec<NodeGauge>,
    pub(crate) slug: Option<Arc<str>>,
    pub(crate) findings: Findings,
    pub(crate) answer_findings: Findings,
}

impl Collector for Share {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Writer(encoder);
        let requests = merged(self.requests.iter().map(|(set, counts)| (set, *counts)));
        out.requests(&requests)?;
        out.tokens(&requests)?;
        let slug = self.slug.as_deref().unwrap_or_default();
        out.usage(self.requests.iter().map(|(set, counts)| (slug, set, counts)))?;
        out.findings(PROMPTS, [(slug, &self.findings)].into_iter())?;
        out.findings(ANSWERS, [(slug, &self.answer_findings)].into_iter())?;
        out.nodes(&self.nodes)
    }
}

/// The slug of an organization; nobody's is empty.
fn slug_of<'s>(state: &'s Totals, id: &'s Option<Arc<str>>) -> &'s str {
    id.as_ref().map_or("", |id| state.slugs.get(id).unwrap_or(id))
}

/// Route, model, node and status.
type Labels<'a> = (&'static str, Option<&'a str>, Option<&'a str>, u16);

/// The counts of each set of labels, summed over the organizations.
fn merged<'a>(sets: impl Iterator<Item = (&'a RequestSet, Counts)>) -> BTreeMap<Labels<'a>, Counts> {
    let mut merged = BTreeMap::<_, Counts>::new();
    for (set, counts) in sets {
        let labels = (set.route, set.model.as_deref(), set.node.as_deref(), set.status);
        let sum = merged.entry(labels).or_default();
        sum.requests += counts.requests;
        sum.input += counts.input;
        sum.output += counts.output;
        sum.spend += counts.spend;
    }
    merged
}

/// Families written one after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn requests(&mut self, requests: &BTreeMap<Labels<'_>, Counts>) -> fmt::Result {
        let sets = requests.iter().map(|((route, model, node, status), counts)| {
            let labels = [
                ("route", (*route).to_owned()),
                ("model", model.unwrap_or_default().to_owned()),
                ("node", node.unwrap_or_default().to_owned()),
                ("status", status.to_string()),
            ];
            (labels, counts.requests)
        });
        self.counters("aivonx_requests", "Requests answered", sets)
    }

    fn tokens(&mut self, requests: &BTreeMap<Labels<'_>, Counts>) -> fmt::Result {
        let mut tokens = BTreeMap::<_, u64>::new();
        for ((_, model, node, _), counts) in requests {
            for (direction, n) in [("input", counts.input), ("output", counts.output)] {
                if n > 0 {
                    let labels = (model.unwrap_or_default(), node.unwrap_or_default(), direction);
                    *tokens.entry(labels).or_default() += n;
                }
            }
        }
        let sets = tokens.into_iter().map(|((model, node, direction), n)| {
            ([("model", model), ("node", node), ("direction", direction)], n)
        });
        self.counters("aivonx_tokens", "Tokens as counted by the nodes", sets)
    }

    /// Tokens and money by organization and model.
    fn usage<'s>(
        &mut self,
        sets: impl Iterator<Item = (&'s str, &'s RequestSet, &'s Counts)>,
    ) -> fmt::Result {
        let mut sums = BTreeMap::<_, Counts>::new();
        for (organization, set, counts) in sets {
            let sum = sums.entry((organization, set.model.as_deref().unwrap_or_default())).or_default();
            sum.input += counts.input;
            sum.output += counts.output;
            sum.spend += counts.spend;
        }
        let tokens = sums.iter().flat_map(|((organization, model), sum)| {
            [("input", sum.input), ("output", sum.output)].into_iter().filter(|(_, n)| *n > 0).map(
                move |(direction, n)| {
                    ([("organization", *organization), ("model", *model), ("direction", direction)], n)
                },
            )
        });
        let help = "Tokens by organization and model, estimated where no node counted them";
        self.counters("aivonx_organization_tokens", help, tokens)?;
        let spend = sums.iter().filter(|(_, sum)| sum.spend > 0).map(|((organization, model), sum)| {
            ([("organization", *organization), ("model", *model)], sum.spend as f64 / 1e6)
        });
        self.counters("aivonx_spend_usd", "US dollars by organization and model", spend)
    }

    /// What was found in prompts or answers, by organization and category.
    fn findings<'s>(
        &mut self,
        (name, help): (&str, &str),
        found: impl Iterator<Item = (&'s str, &'s Findings)>,
    ) -> fmt::Result {
        let sorted: BTreeMap<&str, &Findings> = found.collect();
        let sets = sorted.into_iter().flat_map(|(organization, found)| {
            found.each().map(move |(category, n)| {
                ([("organization", organization), ("category", category.name())], u64::from(n))
            })
        });
        self.counters(name, help, sets)
    }

    fn nodes(&mut self, nodes: &[NodeGauge]) -> fmt::Result {
        let mut nodes: Vec<_> = nodes.iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let nodes = || nodes.iter().map(|n| (*n, [("node", &*n.name)]));
        let up = nodes().map(|(n, labels)| (labels, u32::from(n.state() == "active")));
        self.gauges("aivonx_node_up", "Whether the node may be chosen", None, up)?;
        let states = nodes().flat_map(|(n, _)| {
            ["active", "standby", "draining", "disabled"]
                .map(|state| ([("node", &*n.name), ("state", state)], u32::from(n.state() == state)))
        });
        self.gauges("aivonx_node_state", "1 for the state the node is in", None, states)?;
        let active = nodes().map(|(n, labels)| (labels, n.active));
        self.gauges("aivonx_node_active_requests", "Requests the node works on now", None, active)?;
        let latency = nodes().filter_map(|(n, labels)| Some((labels, n.latency?.as_secs_f64())));
        let help = "Moving average of the health check's round trip";
        self.gauges("aivonx_node_latency", help, Some(Unit::Seconds), latency)
    }

    fn counters<L, V>(
        &mut self,
        name: &str,
        help: &str,
        sets: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        L: EncodeLabelSet,
        V: EncodeCounterValue,
    {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in sets {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauges<L, V>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        sets: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        L: EncodeLabelSet,
        V: EncodeGaugeValue,
    {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in sets {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: Option<impl EncodeGaugeValue>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        value.map_or(Ok(()), |value| family.encode_gauge(&value))
    }

    fn histograms(&mut self, name: &str, help: &str, times: &Times) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (route, times) in times {
            times.encode(family.encode_family(&[("route", *route)])?)?;
        }
        Ok(())
    }
}
