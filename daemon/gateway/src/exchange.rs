//! One request from its head to its end: its id, its clock, and the record that is written when it is over. Dropped
//! anywhere (the client went away), it is recorded too: exactly one record per request.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use aivonx_config::AccessMode;
use aivonx_domain::{
    access::{AccessRecord, Outcome},
    model_name, network,
};
use aivonx_fleet::{Caller, Lease, Node, Traffic};
use aivonx_limits::{Price, Reservation};
use aivonx_protocol::node::NodeKind;
use aivonx_telemetry::redact;
use aivonx_wire::api::{Meter, meter::BYTES_PER_TOKEN};
use http::{HeaderName, HeaderValue, Method};
use uuid::Uuid;

use super::{
    body::verdict_text,
    conn::ConnContext,
    deadline::{CancelReason, Waiting},
    estimate::{self, Sent},
    fields::{Field, Fields},
    limit,
    meaning::Blame,
    running::Begun,
    shared::Settings,
    worker::Worker,
};
use crate::policy::Tally;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request does to its node's memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// It is answered by the model, which is in memory then.
    pub(super) loads: bool,
    /// The node that it was sent to had the model in memory, as far as was known.
    pub(super) held: bool,
    /// The model leaves when the answer is over.
    pub(super) leaves: bool,
}

pub(super) struct Exchange {
    pub(super) worker: Rc<Worker>,
    /// As they were when it began.
    pub(super) settings: Arc<Settings>,
    /// Who may use the gateway where it came in.
    pub(super) access: AccessMode,
    pub(super) record: AccessRecord,
    /// Our id of the request, as it stands in headers.
    pub(super) id: HeaderValue,
    /// Its share of the limits, until it is over. Dropped, it is given back.
    pub(super) reservation: Option<Reservation>,
    /// What is known of its prompt.
    pub(super) sent: Sent,
    /// Where it is counted, if it is for a model of an alias.
    pub(super) tally: Option<Arc<Tally>>,
    /// A node makes its answer, which is to come in one piece and has not come.
    pub(super) due: bool,
    /// What it does to its node's memory.
    pub(super) memory: Memory,
    /// How long it waited for places on nodes.
    pub(super) waited: Duration,
    began: Instant,
    told: bool,
}

impl Exchange {
    pub(super) fn begin(
        cx: &ConnContext,
        settings: Arc<Settings>,
        method: &Method,
        fields: &Fields<'_>,
    ) -> Self {
        let worker = cx.worker.clone();
        let began = worker.instant();
        let request_id = worker.request_id(began);
        let mut record = AccessRecord::new(request_id, cx.client, method.clone());
        record.client_request_id = client_request_id(fields.get(Field::RequestId));
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let id = HeaderValue::from_str(request_id.hyphenated().encode_lower(&mut text));
        // Hexadecimal digits and hyphens always make a header value.
        let id = id.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self {
            worker,
            access: cx.listener.access.unwrap_or(settings.access),
            settings,
            record,
            id,
            reservation: None,
            sent: Sent::default(),
            tally: None,
            due: false,
            memory: Memory::default(),
            waited: Duration::ZERO,
            began,
            told: false,
        }
    }

    /// Tokens of its prompt, where no node counts them.
    pub(super) fn prompt_estimate(&self) -> u64 {
        let ask = self.reservation.as_ref().map(Reservation::ask);
        ask.map_or(self.record.bytes_in / BYTES_PER_TOKEN, |ask| ask.prompt)
    }

    /// What is known of it by now.
    pub(super) fn begun(&self) -> Begun {
        let AccessRecord { request_id, client, route, .. } = self.record;
        Begun { id: request_id, at: self.began, client, route }
    }

    /// Our id of the request as text.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Time since its head.
    pub(super) fn lasted(&self) -> Duration {
        self.worker.instant() - self.began
    }

    /// Whether what an answer comes to counts against a limit, or costs something.
    pub(super) fn counts_tokens(&self) -> bool {
        self.reservation
            .as_ref()
            .is_some_and(|reserved| reserved.counts() || reserved.ask().price != Price::default())
    }

    /// A node was chosen.
    pub(super) fn chosen(&mut self) {
        self.record.queued = Some(self.lasted());
    }

    /// The node of `lease` was chosen so long after the head. Only the beginning of a stream can be compared with what
    /// is predicted then.
    pub(super) fn predict(&mut self, lease: &Lease, after: Duration) {
        let terms = lease.predicted().filter(|_| !self.due);
        let seconds = terms.and_then(|terms| Duration::try_from_secs_f64(terms.first_token()).ok());
        self.record.predicted = seconds.map(|seconds| after.saturating_add(seconds));
    }

    /// A byte of the answer is on its way; whether it is the first one.
    pub(super) fn first_byte(&mut self) -> bool {
        let first = self.record.first_byte.is_none();
        if first {
            self.record.first_byte = Some(self.lasted());
        }
        first
    }

    /// Puts what the answer came to into the record: the node's counts, as far as they can be, and where it did not
    /// count an estimate.
    pub(super) fn usage(&mut self, answer: &Meter) {
        let ask = self.reservation.as_ref().map(Reservation::ask);
        let answer = answer.tally(|output| estimate::is_expected(output, ask));
        self.due &= !answer.complete;
        estimate::count(&mut self.record, answer, ask, self.sent);
        if let (Some(ask), Some(counted), false) = (ask, self.record.prompt_tokens, self.record.estimated) {
            self.worker.shared.token_rates.learn(self.model(), ask.prompt, counted);
        }
    }

    /// The model that a node was asked for, by the catalogue's name.
    pub(super) fn model(&self) -> &str {
        self.record.served.as_ref().or(self.record.model.as_ref()).map_or("", |name| name)
    }

    /// `node` served the request.
    pub(super) fn served_by(&self, node: &Node) {
        if node.live.succeeded(self.model()) {
            self.worker.shared.fleet.report(node.id.clone(), Traffic::Served);
        }
    }

    /// The answer of `node` has begun: what it holds in memory is seen at once.
    pub(super) fn loaded(&self, node: &Node) {
        let tells = node.kind == NodeKind::Ollama && self.record.status == 200 && !self.model().is_empty();
        if tells && self.memory.loads && !self.memory.held {
            let model = model_name::normalize(self.model()).into_owned();
            self.worker.shared.fleet.report(node.id.clone(), Traffic::Loaded(model.into()));
        }
    }

    /// The answer of `node` is over.
    pub(super) fn left(&self, node: &Node) {
        // What was refused unloads nothing.
        if self.memory.leaves && self.record.status == 200 && node.kind == NodeKind::Ollama {
            let model = model_name::normalize(self.model()).into_owned();
            self.worker.shared.fleet.report(node.id.clone(), Traffic::Unloads(model.into()));
        }
    }

    /// `node` does not have the model that it listed.
    pub(super) fn model_missing(&self, node: &Node) {
        self.worker.shared.fleet.report(node.id.clone(), Traffic::Missing);
    }

    /// There was no connection to `node`: nobody's request gets there.
    pub(super) fn unreachable(&self, node: &Node, why: String) {
        Blame::Connection.on(node, "");
        self.report(node, why, None);
    }

    /// `node` failed over this request, which is shown; whether it is held against the node is another question.
    pub(super) fn failed(&self, node: &Node, why: String) {
        let AccessRecord { subject, client, .. } = &self.record;
        let id =
            subject.as_deref().and_then(|s| s.organization.as_ref().or(s.user.as_ref()).or(s.key.as_ref()));
        let caller =
            id.map_or_else(|| Caller::Address(network(*client)), |(id, _)| Caller::Subject(id.clone()));
        self.report(node, why, Some(caller));
    }

    fn report(&self, node: &Node, mut why: String, by: Option<Caller>) {
        redact::scrub(&mut why, 0);
        node.live.count_failure();
        self.worker.shared.fleet.report(node.id.clone(), Traffic::Failed { why, by });
    }

    /// The request ended before `node` answered.
    pub(super) fn gave_up(&self, node: &Node, verdict: CancelReason) {
        if matches!(verdict, CancelReason::TimedOut(Waiting::Load | Waiting::Head | Waiting::Whole)) {
            self.failed(node, verdict_text(verdict).to_owned());
            Blame::Model.on(node, self.model());
        }
    }

    /// Ends the exchange and hands its record over.
    pub(super) fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.record.outcome = outcome;
        self.record.duration = self.lasted();
        if let Some(tally) = self.tally.take() {
            tally.count(&self.record);
        }
        if let Some(reservation) = self.reservation.take() {
            limit::settle(reservation, &mut self.record, &self.worker.shared.limits, self.due);
        }
        self.worker.shared.requests.fetch_add(1, Ordering::Relaxed);
        let spent = AccessRecord::new(Uuid::nil(), self.record.client, Method::GET);
        self.worker.tell(std::mem::replace(&mut self.record, spent));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        // A connection that is broken off is dropped without a turn of its own.
        self.worker.begin_turn();
        if self.record.status == 0 {
            // The convention of nginx's log for a client that left before the answer.
            self.record.status = 499;
        }
        self.end(Outcome::ClientGone);
    }
}

/// The client's own id, if it is one: `[A-Za-z0-9._-]{1,64}`.
fn client_request_id(field: Option<&HeaderValue>) -> Option<Box<str>> {
    let id = field?.to_str().ok()?;
    let good = (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    good.then(|| id.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::client_request_id;

    #[test]
    fn a_client_id_is_kept_only_if_well_formed() {
        let with = |value: &str| client_request_id(Some(&HeaderValue::from_str(value).unwrap()));
        assert_eq!(with("req_01.a-B").as_deref(), Some("req_01.a-B"));
        assert!(with("a b").is_none());
        assert!(with("").is_none());
        assert!(with(&"x".repeat(65)).is_none());
    }
}
