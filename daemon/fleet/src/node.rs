//! A node as the data path sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use aivonx_domain::table::Set;
use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use aivonx_scheduler::{Answer, Terms};
use http::HeaderValue;
use tokio::sync::Notify;

use super::{Endpoint, dispatch::Ticket};

/// One node in a snapshot: immutable, but for [`Live`].
#[derive(Debug, Clone)]
pub struct Node {
    /// Stable id.
    pub id: Arc<str>,
    /// Unique name.
    pub name: Arc<str>,
    /// The name as a header's value.
    pub heading: HeaderValue,
    /// URL as the administrator sees it.
    pub url: Arc<str>,
    /// What it speaks.
    pub kind: NodeKind,
    /// What the administrator wants of it.
    pub admin_state: AdminState,
    /// What the health checks found.
    pub pool: Pool,
    /// Most requests at once; 0 is no limit.
    pub max_parallel: u32,
    /// Labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Id of the organization it is assigned to alone; None is shared.
    pub organization: Option<Arc<str>>,
    /// Where it is.
    pub endpoint: Arc<Endpoint>,
    /// What the last good check saw.
    pub seen: Arc<Seen>,
    /// Counters that outlive snapshots.
    pub live: Arc<Live>,
    /// Revision of the stored record.
    pub revision: u64,
}

impl Node {
    /// A name as a header's value. Names are checked when they are given, and always make one.
    pub(super) fn heading(name: &str) -> HeaderValue {
        HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// What the last good check of a node saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Version as reported, and parsed for comparison (`0.14.0` is `(0, 14, 0)`).
    pub version: Option<(Box<str>, (u32, u32, u32))>,
    /// Names of models in memory, in the form used for comparison.
    pub loaded: Set<Box<str>>,
}

/// Counters of one node, shared by every snapshot it appears in.
#[derive(Debug, Default)]
pub struct Live {
    active: AtomicU32,
    /// Moving average of the health check's round trip, microseconds; 0 is unknown.
    latency_us: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    suspect: AtomicBool,
    retired: AtomicBool,
    ended: Notify,
}

impl Live {
    /// Requests at work now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// Average latency in microseconds; None before the first answer.
    #[must_use]
    pub fn latency_us(&self) -> Option<u64> {
        Some(self.latency_us.load(Ordering::Relaxed)).filter(|us| *us > 0)
    }

    /// Takes one measured round trip into the average (weight one quarter; the first counts whole).
    pub fn observe_latency(&self, us: u64) {
        let old = self.latency_us.load(Ordering::Relaxed);
        let new = if old == 0 { us } else { (old * 3 + us) / 4 };
        self.latency_us.store(new.max(1), Ordering::Relaxed);
    }

    /// Requests sent to the node since start.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Attempts the node failed since start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts a failed attempt.
    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// Notes a success; whether it is the first after a failure, on whatever thread that was.
    pub fn recovers(&self) -> bool {
        self.suspect.load(Ordering::Relaxed) && self.suspect.swap(false, Ordering::Relaxed)
    }

    /// Whether the node was removed: what still runs on it has to end. Cheap; fit for polling.
    #[must_use]
    pub fn retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Returns once the node was removed.
    pub async fn until_retired(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !self.retired() {
            ended.await;
        }
    }

    /// Marks the node as removed, for ever.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.ended.notify_waiters();
    }
}

/// The right to send one request to a node. The active count is taken when it is made and given back when it
/// is dropped: exactly once, on every path.
#[derive(Debug)]
pub struct Lease {
    node: Arc<Node>,
    /// Its place in the scheduler.
    ticket: Ticket,
}

impl Lease {
    pub(super) fn new(node: Arc<Node>, ticket: Ticket) -> Self {
        node.live.active.fetch_add(1, Ordering::AcqRel);
        node.live.requests.fetch_add(1, Ordering::Relaxed);
        Self { node, ticket }
    }

    /// A lease in a scheduler of its own, for tests.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn alone(node: Arc<Node>) -> Self {
        let known = vec![(node, None)];
        let snapshot = super::catalogue::build(known, Default::default(), Arc::default(), |_| None);
        let want = super::Want { model: None, granted: true, ollama: Some((0, 0, 0)), openai: true, eligible: &super::Eligible::ALL };
        match snapshot.place(want, super::Work::default(), &[]) {
            Ok(super::Place::Now(lease)) => lease,
            other => unreachable!("the only request on its only node waits for nothing: {other:?}"),
        }
    }

    /// What was predicted when the node was chosen.
    #[must_use]
    pub fn predicted(&self) -> Terms {
        self.ticket.predicted
    }

    /// The answer has begun: the node may get the next request.
    pub fn begun(&self) {
        self.ticket.begun();
    }

    /// The node said that it is full.
    pub fn refused(&self) {
        self.ticket.refused();
    }

    /// Takes in what the answer said of the work.
    pub fn answered(&mut self, answer: Answer) {
        self.ticket.answered(answer);
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.node.live.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The leading three numbers of a version text (`0.14.0-rc1` is `(0, 14, 0)`).
#[must_use]
pub fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let core = text.trim_start_matches('v').split(['-', '+', ' ']).next()?;
    let mut parts = core.split('.').map(|p| p.parse::<u32>().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)))
}
