//! A node as the data path sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

use aivonx_domain::{model_name, table::Set};
use aivonx_protocol::node::{AdminState, NodeKind, Pool};
use aivonx_scheduler::{Answer, Terms};
use http::HeaderValue;
use tokio::sync::Notify;

use super::{
    Endpoint,
    dispatch::ticket::{Load, Ticket},
    ejection::{Ejections, Scope, Standing},
    lacks::Lacks,
};

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
    /// Whether it is somebody else's, to whom prompts go.
    pub third_party: bool,
    /// Most models it holds in memory at once; None is learned.
    pub models_at_once: Option<u32>,
    /// Revision of the stored record.
    pub revision: u64,
}

impl Node {
    /// Whether requests are sent to it: also to one that sleeps, which is woken for them.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        self.pool != Pool::Standby && self.admin_state == AdminState::Enabled
    }

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
    /// Its engine sleeps, and does not wake for a request by itself.
    pub dozes: bool,
}

/// It answered a request since a check asked for this last.
const ANSWERED: u8 = 1;
/// It failed a request since the last success was reported.
const SUSPECT: u8 = 2;
/// There is something in [`Live::ejections`].
const HELD: u8 = 4;

/// Counters of one node, shared by every snapshot it appears in.
#[derive(Debug, Default)]
pub struct Live {
    active: AtomicU32,
    /// Moving average of the health check's round trip, microseconds; 0 is unknown.
    latency_us: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    /// [`ANSWERED`], [`SUSPECT`] and [`HELD`].
    marks: AtomicU8,
    /// What real requests failed on. Locked only while there is anything in it.
    ejections: Mutex<Ejections>,
    retired: AtomicBool,
    ended: Notify,
    /// A [`Counting`].
    counting: AtomicU8,
    /// The APIs and routes that requests found it not to serve.
    lacks: Lacks,
    /// Held while its engine is woken.
    pub(super) rousing: tokio::sync::Mutex<()>,
}

/// How a node counts the tokens of a stream of OpenAI's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Counting {
    /// Nothing is known.
    Unknown,
    /// It takes `stream_options.include_usage`.
    Usage,
    /// It says without being asked.
    Unasked,
    /// It takes no `stream_options`.
    Refused,
}

impl Live {
    /// Requests at work now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// How it counts, as far as is known.
    #[must_use]
    pub fn counting(&self) -> Counting {
        [Counting::Usage, Counting::Unasked, Counting::Refused]
            .into_iter()
            .find(|counting| *counting as u8 == self.counting.load(Ordering::Relaxed))
            .unwrap_or(Counting::Unknown)
    }

    /// Remembers how it counts.
    pub fn counts(&self, counting: Counting) {
        self.counting.store(counting as u8, Ordering::Relaxed);
    }

    /// Whether requests found it not to serve the API or the route of this bit for `model` lately; there is none for 0.
    #[must_use]
    pub fn lacks(&self, api: u64, model: &str) -> bool {
        self.lacks.has(api, model, Instant::now)
    }

    /// Remembers that it does not serve the API or the route of this bit for `model`.
    pub fn has_not(&self, api: u64, model: &str) {
        self.lacks.add(api, model, Instant::now());
    }

    /// It may be another server by now.
    pub(super) fn forget_lacks(&self) {
        self.lacks.forget();
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
        self.marks.fetch_or(SUSPECT, Ordering::Relaxed);
    }

    /// Holds a failed attempt against the node: new requests go elsewhere once there are too many.
    pub fn hold(&self, scope: Scope<'_>) {
        let mut ejections = self.ejections();
        match scope {
            Scope::Model(model) => model_name::with_normal(model, |normal| {
                ejections.failed(Scope::Model(normal), Instant::now());
            }),
            scope => ejections.failed(scope, Instant::now()),
        }
        self.marks.fetch_or(HELD, Ordering::Relaxed);
    }

    /// Notes that a request for `model` was served; whether it is the first one after a failure, on whatever thread
    /// that was.
    pub fn succeeded(&self, model: &str) -> bool {
        if self.marks.load(Ordering::Relaxed) == ANSWERED {
            return false;
        }
        self.marks.fetch_or(ANSWERED, Ordering::Relaxed);
        if self.marks.load(Ordering::Relaxed) & HELD != 0 {
            let mut ejections = self.ejections();
            model_name::with_normal(model, |normal| ejections.served(normal, Instant::now()));
            self.unmark(&ejections);
        }
        self.marks.fetch_and(!SUSPECT, Ordering::Relaxed) & SUSPECT != 0
    }

    /// Notes that a piece of an answer came.
    pub fn answers(&self) {
        if self.marks.load(Ordering::Relaxed) & ANSWERED == 0 {
            self.marks.fetch_or(ANSWERED, Ordering::Relaxed);
        }
    }

    /// Whether it answered any request since this was asked last.
    pub(super) fn has_answered(&self) -> bool {
        self.marks.fetch_and(!ANSWERED, Ordering::Relaxed) & ANSWERED != 0
    }

    /// How much it is to be preferred for the model of this normal name: the least first. A single load, as long as
    /// nothing failed.
    #[must_use]
    pub fn standing(&self, normal: &str) -> Standing {
        if self.marks.load(Ordering::Relaxed) & HELD == 0 {
            return Standing::Well;
        }
        self.ejections().standing(normal, self.active(), Instant::now())
    }

    /// A connection came about.
    pub(super) fn reached(&self) {
        self.change_held(Ejections::reached);
    }

    /// Forgets failures that are long ago.
    pub(super) fn tidy(&self) {
        self.change_held(|ejections| ejections.tidy(Instant::now()));
    }

    fn change_held(&self, change: impl FnOnce(&mut Ejections)) {
        if self.marks.load(Ordering::Relaxed) & HELD != 0 {
            let mut ejections = self.ejections();
            change(&mut ejections);
            self.unmark(&ejections);
        }
    }

    fn ejections(&self) -> MutexGuard<'_, Ejections> {
        // Every entry is whole at each moment.
        self.ejections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that no failure that comes at the same time is overlooked.
    fn unmark(&self, ejections: &Ejections) {
        if ejections.is_empty() {
            self.marks.fetch_and(!HELD, Ordering::Relaxed);
        }
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
    /// Its place in the scheduler, while it has one.
    ticket: Option<Ticket>,
    /// Whether it still counts among those at work there.
    has_place: bool,
    /// The model, if this is the request that finds out whether the node is well again.
    probe: Option<Box<str>>,
}

impl Lease {
    pub(super) fn new(node: Arc<Node>, ticket: Ticket) -> Self {
        node.live.active.fetch_add(1, Ordering::AcqRel);
        node.live.requests.fetch_add(1, Ordering::Relaxed);
        Self { node, ticket: Some(ticket), probe: None, has_place: true }
    }

    /// Takes a place on `node` past the scheduler, or None if it is at its bound: for a node that nothing is scheduled on.
    #[must_use]
    pub fn take(node: &Arc<Node>) -> Option<Self> {
        let bound = node.max_parallel;
        node.live
            .active
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (bound == 0 || n < bound).then_some(n + 1))
            .ok()?;
        node.live.requests.fetch_add(1, Ordering::Relaxed);
        Some(Self { node: node.clone(), ticket: None, probe: None, has_place: true })
    }

    /// What was predicted when the node was chosen; None of one that nothing is scheduled on.
    #[must_use]
    pub fn predicted(&self) -> Option<Terms> {
        self.ticket.as_ref().map(|ticket| ticket.predicted)
    }

    /// The load that its request causes, if it is predicted to cause one.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        let loads = self.node.kind == NodeKind::Ollama;
        self.ticket.as_ref().filter(|_| loads)?.load(&self.node)
    }

    /// The answer has begun: the node may get the next request.
    pub fn begun(&self) {
        self.ticket.iter().for_each(Ticket::begun);
    }

    /// The node said that it is full.
    pub fn refused(&self) {
        self.ticket.iter().for_each(Ticket::refused);
    }

    /// Takes in what the answer said of the work.
    pub fn answered(&mut self, answer: Answer) {
        if let Some(ticket) = &mut self.ticket {
            ticket.answered(answer);
        }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Says what it is for: it may be the request that finds out whether the node is well again.
    pub fn is_for(&mut self, model: &str) {
        let live = &self.node.live;
        if live.marks.load(Ordering::Relaxed) & HELD != 0 {
            let due = |normal: &str| live.ejections().begin(normal, Instant::now()).then(|| normal.into());
            self.probe = model_name::with_normal(model, due);
        }
    }

    /// Gives the place back; the node is still known.
    pub fn give_back(&mut self) {
        if std::mem::take(&mut self.has_place) {
            self.node.live.active.fetch_sub(1, Ordering::AcqRel);
        }
        // After it, or the next one would be counted before this one is not.
        self.ticket = None;
        if let Some(model) = self.probe.take() {
            self.node.live.ejections().end(&model);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The leading three numbers of a version text (`0.14.0-rc1` is `(0, 14, 0)`).
#[must_use]
pub fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let core = text.trim_start_matches('v').split(['-', '+', ' ']).next()?;
    let mut parts = core.split('.').map(|p| p.parse::<u32>().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0), parts.next().flatten().unwrap_or(0)))
}
