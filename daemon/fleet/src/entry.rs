//! One node as the control plane keeps it: the record, and what checks and traffic said of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aivonx_config::Health;
use aivonx_domain::{model_name, now};
use aivonx_protocol::{
    UnixMillis,
    node::{self, AdminState, NodeKind, Pool},
};
use aivonx_store::{NodeTraitsRecord, NodeWakeRecord, node::NodeRecord};
use tokio::sync::Notify;

use super::{
    Counting, Endpoint, Live, Node, Seen,
    doubt::{Caller, Doubts},
    inventory::Inventory,
    kept_inventory::KeptInventory,
    probe::Found,
    rates::Rates,
    record,
    simulated::is_simulated,
    sleep::{Called, Calls, Idle},
    tenants::Tenants,
};

/// An endpoint, and why it must not be used if so (a credential that does not decrypt, a damaged CA).
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) unusable: Option<String>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: NodeRecord,
    pub(super) traits: NodeTraitsRecord,
    /// How it is woken, if it may sleep.
    pub(super) wake: Option<NodeWakeRecord>,
    /// Called when it is to be woken.
    pub(super) called: Arc<Called>,
    idle: Idle,
    /// It holds a copy that is to be kept loaded, so that it is not left alone.
    in_use: bool,
    /// When it was called in vain, until it may be called again.
    called_in_vain: Option<Instant>,
    /// The packets that it is sent while it is down.
    calls: Calls,
    pub(super) at: Prepared,
    pub(super) live: Arc<Live>,
    pub(super) pool: Pool,
    pub(super) sight: Option<Arc<Inventory>>,
    pub(super) seen: Arc<Seen>,
    pub(super) last_error: Option<String>,
    pub(super) last_check: Option<UnixMillis>,
    /// Held during a check, so that results come in the order of checks.
    pub(super) checking: Arc<tokio::sync::Mutex<()>>,
    /// Failed checks in a row.
    failures: u32,
    /// Good checks in a row.
    successes: u32,
    /// Not yet in since it was added, enabled or moved: enters after one good check.
    fresh: bool,
    /// What real traffic says against it.
    doubts: Doubts,
    /// When the node was last asked what it has.
    looked: Option<Instant>,
    /// Models that it was not seen to hold though it answered with them, and when that was first said.
    unseen: Vec<(Box<str>, Instant)>,
    /// When a request failed on it, if that is the last error.
    request_failed: Option<Instant>,
    /// Told when that is reason to check it now.
    pub(super) doubted: Arc<Notify>,
    /// What it was sent and failed lately.
    rates: Rates,
    /// Last published values of what changes all the time.
    told: Passing,
}

/// Least time between two looks that requests cause.
pub(super) const LOOKS: Duration = Duration::from_secs(1);

/// How long a node is not looked at again for a model that it answers with and does not list.
const UNSEEN: Duration = Duration::from_secs(10);

/// Most such models remembered.
const MOST_UNSEEN: usize = 16;

/// How long a node counts as down that was called in vain.
const IN_VAIN: Duration = Duration::from_secs(300);

/// How long an error of a request is shown, unless another is served before.
const SHOWN: Duration = Duration::from_secs(300);

/// What changes all the time: told once a second at most.
#[derive(Debug, Default, PartialEq)]
struct Passing {
    active: u32,
    sent: f64,
    failed: u32,
    latency_us: Option<u64>,
    last_check: Option<UnixMillis>,
}

/// A change of pool, to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Active,
    Standby,
    /// Not moved, but worth the same line: a new node's first check failed.
    Absent,
    /// It may sleep.
    Asleep,
}

impl Entry {
    pub(super) fn new(record: NodeRecord, at: Prepared) -> Self {
        let last_error = at.unusable.clone();
        Self {
            record,
            traits: NodeTraitsRecord::default(),
            wake: None,
            called: Arc::default(),
            idle: Idle::default(),
            in_use: false,
            called_in_vain: None,
            calls: Calls::default(),
            at,
            live: Arc::default(),
            pool: Pool::Standby,
            sight: None,
            seen: Arc::default(),
            last_error,
            last_check: None,
            checking: Arc::default(),
            failures: 0,
            successes: 0,
            fresh: true,
            doubts: Doubts::default(),
            looked: None,
            unseen: Vec::new(),
            request_failed: None,
            doubted: Arc::default(),
            rates: Rates::default(),
            told: Passing::default(),
        }
    }

    /// Samples what changes all the time, `seconds` after the last time; whether there is something to publish.
    pub(super) fn look(&mut self, seconds: u64) -> bool {
        self.rates.look(&self.live, seconds);
        self.live.tidy();
        self.told != self.passing()
    }

    /// Notes that everything is published now.
    pub(super) fn is_told(&mut self) {
        self.told = self.passing();
    }

    fn passing(&self) -> Passing {
        Passing {
            active: self.live.active(),
            sent: self.rates.sent(),
            failed: self.rates.failed(),
            latency_us: self.live.latency_us(),
            last_check: self.last_check,
        }
    }

    /// Bytes of GPU memory that loaded models take, as far as the node reports it.
    fn vram(&self) -> Option<u64> {
        let sight = self.sight.as_deref().filter(|_| self.pool == Pool::Active)?;
        if self.record.kind != NodeKind::Ollama {
            return None;
        }
        let mut sizes = sight.loaded.iter().map(|model| model.facts.size_vram);
        sizes.try_fold(0, |sum: u64, size| Some(sum.saturating_add(size?)))
    }

    /// Takes a newer record. What is known of the node still holds unless something that a connection depends on
    /// changed.
    pub(super) fn change(&mut self, record: NodeRecord, mut at: Prepared) {
        if self.record.ca_pem == record.ca_pem
            && self.record.credential.chain() == record.credential.chain()
            && let (Some(old), Some(new)) = (&self.at.endpoint.tls, &at.endpoint.tls)
            && !Arc::ptr_eq(&old.config, &new.config)
        {
            let mut endpoint = (*at.endpoint).clone();
            if let Some(tls) = &mut endpoint.tls {
                tls.config = old.config.clone();
            }
            at.endpoint = Arc::new(endpoint);
        }
        let moved = !self.at.endpoint.same_as(&at.endpoint)
            || self.at.unusable != at.unusable
            || self.record.kind != record.kind;
        if moved {
            self.at = at;
            (self.sight, self.seen) = (None, Arc::default());
            self.last_error = self.at.unusable.clone();
        }
        let left = record.admin_state == AdminState::Disabled;
        if moved || left {
            self.pool = Pool::Standby;
            self.fresh = true;
            (self.failures, self.successes) = (0, 0);
            self.doubts.clear();
            (self.called_in_vain, self.calls) = (None, Calls::default());
        }
        if left {
            self.last_error = None;
        }
        self.record = record;
    }

    /// Takes in what a check found; the reason goes with a move.
    pub(super) fn checked(
        &mut self,
        result: Result<Found, String>,
        health: &Health,
    ) -> Option<(Moved, String)> {
        self.last_check = Some(now());
        match result {
            Ok(found) => self.good(found.sight, found.round_trip, health).map(|m| (m, String::new())),
            Err(why) => self.bad(why.clone(), health).map(|m| (m, why)),
        }
    }

    /// Takes in a good check.
    fn good(&mut self, sight: Inventory, round_trip: Duration, health: &Health) -> Option<Moved> {
        self.live.reached();
        self.live.observe_latency(u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX));
        // A good check says nothing of what requests fail over.
        if self.request_failed.is_none_or(|at| at.elapsed() > SHOWN) {
            self.last_error = None;
        }
        self.failures = 0;
        self.calls = Calls::default();
        self.successes = self.successes.saturating_add(1);
        if self.sight.as_deref() != Some(&sight) {
            let seen = sight.seen();
            if self.seen.version != seen.version {
                self.live.forget_lacks();
            }
            self.seen = Arc::new(seen);
            if let Some(counting) = sight.counting()
                && self.live.counting() == Counting::Unknown
            {
                self.live.counts(counting);
            }
            self.sight = Some(Arc::new(sight));
        }
        let unseen = std::mem::take(&mut self.unseen);
        self.unseen = unseen.into_iter().filter(|(normal, _)| !self.holds(normal)).collect();
        if self.record.admin_state == AdminState::Disabled {
            return None;
        }
        let enters = match self.pool {
            Pool::Active => false,
            Pool::Standby => self.fresh || self.successes >= health.successes,
            Pool::Asleep => true,
        };
        enters.then(|| {
            self.pool = Pool::Active;
            self.live.forget_lacks();
            self.fresh = false;
            self.idle.ends(Instant::now());
            self.called_in_vain = None;
            self.doubts.clear();
            Moved::Active
        })
    }

    /// Takes in a failed check.
    fn bad(&mut self, why: String, health: &Health) -> Option<Moved> {
        self.last_error = Some(why);
        self.request_failed = None;
        self.successes = 0;
        // While real requests are answered, what its health route says is no reason to do without the node: such a
        // check only begins a new row.
        let answers = self.live.has_answered() && self.pool == Pool::Active && self.failures > 0;
        self.failures = if answers { 1 } else { self.failures.saturating_add(1) };
        match self.pool {
            Pool::Active if self.failures >= health.failures => {
                self.pool = Pool::Standby;
                Some(Moved::Standby)
            }
            Pool::Standby if self.fresh && self.failures == 1 => Some(Moved::Absent),
            _ => None,
        }
    }

    /// Leaves it alone if nobody asked it for long enough, so that it may sleep, or if it was called in vain a while ago, so
    /// that the next request calls it again. Says why.
    pub(super) fn rests(&mut self, now: Instant) -> Option<(Moved, &'static str)> {
        let idle = self.idle.for_how_long(self.live.requests(), self.live.active(), now);
        let after = Duration::from_secs(self.wake.as_ref()?.idle_seconds);
        let is_over = |at: Instant| now.saturating_duration_since(at) >= IN_VAIN;
        let why = match self.pool {
            Pool::Active if idle >= after && !self.in_use => "nobody asked it for a while",
            // Without knowing what it has, no request would be for it.
            Pool::Standby if self.sight.is_some() && self.called_in_vain.is_some_and(is_over) => {
                "it did not wake, and may be called again"
            }
            _ => return None,
        };
        if self.record.admin_state != AdminState::Enabled {
            return None;
        }
        self.pool = Pool::Asleep;
        self.called_in_vain = None;
        Some((Moved::Asleep, why))
    }

    /// Takes in whether it holds a copy that is to be kept loaded.
    pub(super) fn stays_awake(&mut self, in_use: bool, now: Instant) {
        if std::mem::replace(&mut self.in_use, in_use) && !in_use {
            self.idle.ends(now);
        }
    }

    /// Takes in what it had before the start, if it may sleep: until it answers it is thought to, so that a request for what
    /// it has wakes it.
    pub(super) fn slept(&mut self, kept: KeptInventory) {
        let is_same = self.record.url == kept.url && self.record.kind == kept.kind;
        if self.wake.is_none() || self.sight.is_some() || !is_same {
            return;
        }
        self.seen = Arc::new(kept.inventory.seen());
        self.sight = Some(kept.inventory);
        if self.record.admin_state == AdminState::Enabled {
            self.pool = Pool::Asleep;
        }
    }

    /// How it is to be woken now: its checks find it down, it may only sleep, and a packet is due.
    pub(super) fn is_to_be_woken(&mut self, now: Instant) -> Option<NodeWakeRecord> {
        let enabled = self.record.admin_state == AdminState::Enabled;
        let is_down = self.pool == Pool::Standby && self.failures > 0 && enabled;
        let wake = self.wake.clone().filter(|_| is_down)?;
        self.calls.is_due(now).then_some(wake)
    }

    /// It was called in vain.
    pub(super) fn does_not_wake(&mut self, now: Instant) -> Option<Moved> {
        if self.pool != Pool::Asleep {
            return None;
        }
        self.pool = Pool::Standby;
        self.called_in_vain = Some(now);
        self.last_error.get_or_insert_with(|| "does not wake".to_owned());
        Some(Moved::Standby)
    }

    /// Takes in how it is woken.
    pub(super) fn set_wake(&mut self, wake: Option<NodeWakeRecord>) {
        if self.wake != wake {
            self.wake = wake;
            self.idle.ends(Instant::now());
            self.calls = Calls::default();
        }
        if self.wake.is_none() && self.pool == Pool::Asleep {
            (self.pool, self.fresh) = (Pool::Standby, true);
            self.doubted.notify_one();
        }
    }

    /// Takes in a failed attempt of real traffic, and has the node checked if that is reason to. A check alone decides.
    pub(super) fn traffic_failed(&mut self, why: String, by: Option<Caller>, now: Instant) {
        self.last_error = Some(why);
        self.request_failed = by.as_ref().map(|_| now);
        if self.pool == Pool::Active && self.doubts.hear(by, now) {
            self.doubted.notify_one();
        }
    }

    /// The node is asked now what it has.
    pub(super) fn looks(&mut self, now: Instant) {
        self.looked = Some(now);
    }

    /// Whether what it has may be asked again: it was not in the last second.
    pub(super) fn may_look(&self, now: Instant) -> bool {
        let recent = |at: Instant| now.saturating_duration_since(at) < LOOKS;
        let asked = self.record.admin_state != AdminState::Disabled && self.pool != Pool::Asleep;
        asked && !self.looked.is_some_and(recent)
    }

    /// Takes in that it does not have a model that it listed.
    pub(super) fn model_missing(&self, now: Instant) {
        if self.may_look(now) {
            self.doubted.notify_one();
        }
    }

    /// Takes in that it answers with a model of this normal name, and has it looked at if that is news. One that it does
    /// not list is asked for again after a while only.
    pub(super) fn loaded(&mut self, normal: Box<str>, now: Instant) {
        self.unseen.retain(|(_, at)| now.saturating_duration_since(*at) < UNSEEN);
        let known = self.holds(&normal) || self.unseen.iter().any(|(other, _)| *other == normal);
        if !known && self.unseen.len() < MOST_UNSEEN {
            self.unseen.push((normal, now));
            self.doubted.notify_one();
        }
    }

    /// Takes in that the model of this normal name leaves its memory: what loads it again is news.
    pub(super) fn unloads(&mut self, normal: &str) {
        self.unseen.retain(|(other, _)| **other != *normal);
    }

    /// Whether it was seen to hold the model of this normal name in memory.
    pub(super) fn holds(&self, normal: &str) -> bool {
        let sight = self.sight.as_deref();
        sight.is_some_and(|sight| sight.loaded.iter().any(|m| model_name::normalize(&m.name) == normal))
    }

    /// Takes in a good attempt of real traffic.
    pub(super) fn traffic_passed(&mut self) {
        self.doubts.clear();
        self.request_failed = None;
        if self.pool == Pool::Active && self.failures == 0 {
            self.last_error = None;
        }
    }

    /// Whether the last check failed, or the node waits to come back after such.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0 || self.pool == Pool::Standby
    }

    /// As the data path sees it.
    pub(super) fn node(&self) -> Node {
        let record = &self.record;
        Node {
            id: record.id.as_str().into(),
            name: record.name.as_str().into(),
            heading: Node::heading(&record.name),
            url: record.url.as_str().into(),
            kind: record.kind,
            admin_state: record.admin_state,
            pool: self.pool,
            max_parallel: record.max_parallel,
            labels: Arc::new(record.labels.clone()),
            organization: record.organization.as_deref().map(Into::into),
            endpoint: self.at.endpoint.clone(),
            seen: self.seen.clone(),
            live: self.live.clone(),
            third_party: self.traits.third_party,
            models_at_once: self.traits.models_at_once,
            revision: record.revision,
        }
    }

    /// As administrators see it.
    pub(super) fn view(&self, tenants: &Tenants) -> node::Node {
        let record = &self.record;
        let sight = self.sight.as_deref();
        let mut models: Vec<String> =
            sight.map(|s| s.models.iter().map(|m| m.name.to_string()).collect()).unwrap_or_default();
        models.sort_unstable();
        let here = self.pool == Pool::Active;
        let mut loaded: Vec<String> = sight
            .filter(|_| here)
            .map(|s| s.loaded.iter().map(|m| m.name.to_string()).collect())
            .unwrap_or_default();
        loaded.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a latency of 285 years is out of reach")]
        let latency_ms = self.live.latency_us().map(|us| us as f64 / 1000.0);
        node::Node {
            id: record.id.clone(),
            name: record.name.clone(),
            url: record.url.clone(),
            kind: record.kind,
            version: sight.and_then(|s| s.version.as_deref().map(str::to_owned)),
            pool: self.pool,
            admin_state: record.admin_state,
            models,
            loaded,
            latency_ms,
            active_requests: self.live.active(),
            max_parallel: record.max_parallel,
            last_error: self.last_error.clone(),
            last_check: self.last_check,
            credential: record::shown(&record.credential),
            labels: record.labels.clone(),
            server_name: record.server_name.clone(),
            custom_ca: record.ca_pem.is_some(),
            revision: record.revision,
            simulated: is_simulated(&record.id),
            organization: record.organization.as_deref().map(|id| tenants.slug(id).to_owned()),
            vram_bytes: self.vram(),
            requests_per_second: self.rates.sent(),
            recent_errors: self.rates.failed(),
        }
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
