//! What the gateway must remember. The only place that names sled.
//!
//! One repository per collection ([`Records`] of it; [`Settings`], [`DataKeys`]), async, typed, and confined to what
//! the caller may [`TenantScope`]. Writes that belong together are one transaction; a write that returns `Ok` is flushed and synced to the disk. Every record has
//! a checksum, every tree a count and a digest, all checked at open. A damaged store is refused with what to
//! do; [`recover`] goes back to a snapshot. Nothing is ever recreated silently.
//!
//! What happened (audit log, usage, counters of limits) is in logs of our own beside the engine, see [`ledgers`].
//!
//! In the data directory: `store/` (the engine's files), `ledger/` (the logs), `snapshots/`, `STORE` (schema and daemon
//! id), `COMMIT` (how far what was acknowledged goes), `lock`. The master key (`master.key`) lies beside them.

mod answers;
pub mod audit;
mod backend;
pub mod bank;
mod batch;
mod block;
mod change;
mod codec;
mod contain;
mod copies;
mod counters;
pub mod data_key;
pub mod database;
mod disabled_key;
mod engine;
mod error;
mod files;
mod keeper;
pub mod key;
mod key_certificate;
mod key_queueing;
mod key_use;
mod layout;
mod learned;
mod lease;
mod ledgers;
pub mod limit;
pub mod limit_counter;
pub mod lockout;
mod losses;
mod marker;
pub mod member;
mod migrate;
mod model_access;
pub mod node;
mod node_traits;
mod node_wake;
mod old;
mod old_usage;
mod open;
pub mod organization;
mod pattern;
mod placement;
pub mod policy;
mod prefix;
pub mod price;
mod projection;
mod records;
pub mod recover;
mod reencrypt;
mod references;
mod rekey;
pub mod relocate;
mod repositories;
mod room;
mod salvage;
pub mod secret;
pub mod secrets;
mod segment;
pub mod session;
mod settings;
mod snapshot;
mod snapshots;
mod swap;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;
mod tree;
mod trouble;
mod upkeep;
pub mod usage;
pub mod user;
mod whole;

#[cfg(test)]
pub(crate) mod tests;

use aivonx_config::StoreOptions;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_protocol::UnixMillis;
use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinHandle,
};

pub use answers::AnswersRecord;
pub use audit::{AuditHead, AuditLog};
pub use block::BlockRecord;
pub use change::Collection;
pub use codec::CodecError;
pub use contain::{Contain, Contained, Containment};
pub use copies::CopiesRecord;
pub use data_key::{DataKeyRecord, DataKeys};
pub use disabled_key::{DisabledBy, DisabledKeyRecord};
pub use error::StoreError;
pub use key::{KeyRecord, RetiringHash};
pub use key_certificate::KeyCertificateRecord;
pub use key_queueing::KeyQueueingRecord;
pub use key_use::KeyUses;
pub use learned::LearnedTexts;
pub use ledgers::{Ledger, LedgerState};
pub use limit::{LimitRecord, LimitSubject, LimitValues};
pub use limit_counter::{CounterRecord, Counts, LimitCounters, SavedWindow};
pub use lockout::LockoutRecord;
pub use losses::{Counted, LedgerLoss, NotedLoss, TOLD_FOR};
pub use model_access::ModelAccessRecord;
pub use node::{NodeRecord, Nodes, StoredCredential};
pub use node_traits::NodeTraitsRecord;
pub use node_wake::NodeWakeRecord;
pub use organization::OrganizationRecord;
pub use pattern::PatternRecord;
pub use placement::PlacementRecord;
pub use policy::{AliasRecord, AliasWeightsRecord, PolicyRecord};
pub use price::PriceRecord;
pub use projection::{Changed, Follower, InForce, Projection, Which};
pub use records::{Head, Record, Records, Trees};
pub(crate) use reencrypt::Reseal;
pub use reencrypt::{Unopened, Use};
pub use references::Contents;
pub(crate) use rekey::Rewrap;
pub use rekey::{Kept, Rewrapped};
pub use secret::{SecretKind, SecretRecord};
pub use segment::How;
pub use session::SessionRecord;
pub use settings::{FleetPrivacy, Restoration, Settings};
pub use trouble::Trouble;
pub use usage::UsageLog;
pub use user::{StoredReset, StoredTotp, UserRecord};
pub use whole::{Copied, Staged};

use change::{Change, Feed};
use database::Server;
use engine::Engine;
use layout::{Layout, Lock};
use ledgers::Ledgers;
use marker::{Commit, Marker, State};
use migrate::{SCHEMAS, Schemas};
use room::Room;
use snapshot::Occasion;
use trouble::{Condition, Failing};

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// The engine in use. One that has failed is replaced by another, see [`trouble`].
    engine: ArcSwap<Slot>,
    /// That on the directory; let go when the store is closed.
    lock: Mutex<Option<Arc<Lock>>>,
    commit: Arc<Commit>,
    /// As [`Slot`]. Apart, so that an engine that hangs does not stop them.
    ledgers: RwLock<Option<Ledgers>>,
    /// What the ledgers lack.
    lost: watch::Sender<Vec<NotedLoss>>,
    layout: Layout,
    feed: Feed,
    counters: Counters,
    condition: Condition,
    room: Room,
    marker: Marker,
    /// What is wrong with the files beside the ledgers.
    files: Failing,
    /// A snapshot is wanted before its time.
    snapshot_due: Arc<Notify>,
    /// The database that keeps the settings, if that is not the embedded store.
    server: Option<Arc<Server>>,
    /// Why another process writes the settings now, if that is so.
    superseded: watch::Sender<Option<String>>,
    /// Where this gateway serves, to be shown to other members.
    address: Mutex<Arc<str>>,
    /// All members, as they were seen last.
    members: ArcSwap<Vec<member::Member>>,
    options: StoreOptions,
    /// What goes on by itself until the store is closed.
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// An engine; None once closed. Held for reading while an operation runs, so that closing waits for all of them.
type Slot = RwLock<Option<Engine>>;

#[derive(Default)]
struct Counters {
    errors: AtomicU64,
    /// Kept when the engine is gone.
    last_flush: AtomicU64,
    flush_us: AtomicU64,
    /// When the newest snapshot was taken; 0 is never.
    snapshot_taken: AtomicU64,
    /// Number of the change that it has.
    snapshot_seq: AtomicU64,
}

/// Figures for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Operations that failed through no fault of the caller, since the open.
    pub errors: u64,
    /// When something was last made durable, since the open.
    pub last_flush: Option<UnixMillis>,
    /// How long that took.
    pub flush_took: Option<Duration>,
}

/// How long a failed engine may take to let go of its files.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Deadline of an operation that reads the whole store.
const LONG: Duration = Duration::from_secs(300);

impl Store {
    /// Opens the store in the data directory `dir`, which is made if it is not there. Verifies every record.
    ///
    /// # Errors
    /// See [`StoreError`]: in use, foreign directory, damaged, newer schema, deadline passed. After
    /// [`StoreError::OpenTimedOut`] a thread may hang on the damage for ever: the process should exit.
    pub async fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        Self::open_as(dir, options, SCHEMAS).await
    }

    async fn open_as(dir: &Path, options: &StoreOptions, schemas: Schemas) -> Result<Self, StoreError> {
        Self::open_on(dir, options, None, schemas).await
    }

    /// As [`Self::open`], with the settings in a database, if one is given.
    ///
    /// # Errors
    /// As [`Self::open`]; and if the database is not there or may not be used.
    pub async fn open_with(
        dir: &Path,
        options: &StoreOptions,
        server: Option<Server>,
    ) -> Result<Self, StoreError> {
        Self::open_on(dir, options, server, SCHEMAS).await
    }

    async fn open_on(
        dir: &Path,
        options: &StoreOptions,
        server: Option<Server>,
        schemas: Schemas,
    ) -> Result<Self, StoreError> {
        let server = server.map(Arc::new);
        let opened = open::open(dir, options, server.clone(), schemas).await?;
        let mut kept = snapshot::paths(&opened.layout.snapshots())?.into_iter();
        let newest = kept.find_map(|path| snapshot::read(&path).ok());
        let (snapshot_seq, snapshot_taken) = newest.map_or((0, 0), |found| (found.seq, found.created));
        let store = Self {
            inner: Arc::new_cyclic(|inner| Inner {
                layout: opened.layout,
                marker: Marker {
                    schema: schemas.current,
                    daemon: opened.daemon,
                    state: State::Ready,
                    database: opened.database,
                },
                server,
                superseded: watch::Sender::default(),
                address: Mutex::new(Arc::from("")),
                members: ArcSwap::default(),
                files: Failing::default(),
                snapshot_due: Arc::default(),
                feed: Feed::new(),
                counters: Counters {
                    snapshot_seq: snapshot_seq.into(),
                    snapshot_taken: snapshot_taken.into(),
                    ..Counters::default()
                },
                condition: Condition::default(),
                room: Room::default(),
                options: options.clone(),
                tasks: Mutex::default(),
                ledgers: RwLock::new(Some(opened.ledgers)),
                lost: watch::Sender::new(opened.lost),
                engine: ArcSwap::from_pointee(in_use(opened.engine, inner.clone())),
                lock: Mutex::new(Some(Arc::new(opened.lock))),
                commit: opened.commit,
            }),
        };
        let weak = || Arc::downgrade(&store.inner);
        let tasks = vec![
            tokio::spawn(snapshots::take_snapshots(weak())),
            tokio::spawn(trouble::mend(weak())),
            tokio::spawn(room::watch(weak())),
            tokio::spawn(ledgers::mend(weak())),
            tokio::spawn(lease::follow(weak())),
            tokio::spawn(losses::verify(weak())),
            tokio::spawn(losses::keep_up(weak(), store.watch_losses())),
        ];
        *store.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(store)
    }

    /// Every change from now on. For the rest of the daemon there is [`Follower`].
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.inner.feed.subscribe()
    }

    /// Whether it is closed, or being closed.
    fn is_closed(&self) -> bool {
        self.latest().is_none()
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.layout.dir
    }

    /// The database that keeps the settings; None if the embedded store does.
    #[must_use]
    pub fn database(&self) -> Option<&Arc<Server>> {
        self.inner.server.as_ref()
    }

    /// Where limits are shared with other gateways, for this data directory: in the database that keeps the settings.
    /// Leases end `expires` after they were renewed; days begin `day_offset` after midnight UTC.
    ///
    /// # Errors
    /// If the way to it cannot be prepared.
    pub fn bank(
        &self,
        expires: Duration,
        day_offset: Duration,
    ) -> Result<Option<Arc<dyn bank::Bank>>, StoreError> {
        match (&self.inner.server, &self.inner.marker.database) {
            (Some(server), Some(member)) => server.bank(member, expires, day_offset).map(Some),
            _ => Ok(None),
        }
    }

    /// Figures for metrics.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let counters = &self.inner.counters;
        let time = |at: &AtomicU64| Some(at.load(Ordering::Relaxed)).filter(|at| *at > 0);
        StoreHealth {
            errors: counters.errors.load(Ordering::Relaxed),
            last_flush: time(&counters.last_flush),
            flush_took: time(&counters.flush_us).map(Duration::from_micros),
        }
    }

    /// Why the store takes no changes, or a ledger nothing, if that is so. It mends by itself.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<Trouble>> {
        let inner = &self.inner;
        let file = self.file_trouble();
        let stops = |trouble: &Arc<Trouble>| trouble.stops_changes;
        inner.condition.get().or_else(|| file.clone().filter(stops)).or_else(|| inner.room.trouble()).or(file)
    }

    /// Number of the last change; None once closed, or while it is being closed.
    fn latest(&self) -> Option<u64> {
        self.inner.engine.load().try_read().ok()?.as_ref().map(Engine::seq)
    }

    /// Reads and checks every record against the checksums, counts and digests.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with what differs.
    pub async fn verify(&self) -> Result<(), StoreError> {
        let dir = self.inner.layout.dir.clone();
        self.run_long(move |engine, _| match engine.quiet(Engine::verify)? {
            Ok(_) => Ok(()),
            Err(e) => Err(e.report(|what| StoreError::Damaged { dir, what })),
        })
        .await
    }

    /// Takes a snapshot if something changed since the last, and closes; every later operation of any clone
    /// fails with [`StoreError::Closed`]. The directory is free for another daemon when it returns.
    ///
    /// # Errors
    /// If the snapshot fails; the store is closed all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(JoinHandle::abort);
        let inner = self.inner.clone();
        let last = match self.inner.condition.get() {
            None => self.run_long(move |engine, _| inner.snapshot_if_behind(engine)).await,
            // What it holds is not known any more, and a snapshot must hold what was acknowledged.
            Some(_) => Err(StoreError::Failed),
        };
        let inner = self.inner.clone();
        let closed = tokio::task::spawn_blocking(move || {
            inner.store_sums();
            let ledgers = inner.ledgers.write().unwrap_or_else(PoisonError::into_inner).take();
            // What was appended since the last look may be in a file that was removed.
            if let Some(ledgers) = ledgers {
                ledgers.look();
                inner.look_at_files();
            }
            drop(inner.engine.load().write().unwrap_or_else(PoisonError::into_inner).take());
            drop(inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        match last {
            // An engine that failed may never let go of its files; the threads that wait for it end with the process.
            Err(StoreError::Failed) => {
                let _ = tokio::time::timeout(LETTING_GO, closed).await;
                return Err(StoreError::Failed);
            }
            _ => closed.await.map_err(|e| StoreError::Panicked(e.to_string()))?,
        }
        match last {
            Err(StoreError::Closed) => Ok(()),
            other => other,
        }
    }

    fn daemon(&self) -> &str {
        &self.inner.marker.daemon
    }

    /// Runs `work` on a blocking thread, within `store.operation_deadline`. It is carried to its end even if the
    /// caller stops waiting.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine, &Feed) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_within(self.inner.options.operation_deadline, work).await
    }

    /// As [`Self::run`], for what reads the whole store.
    async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine, &Feed) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_within(self.inner.options.operation_deadline.max(LONG), work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce(&Engine, &Feed) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.inner.condition.hangs() {
            return Err(StoreError::Failed);
        }
        let inner = self.inner.clone();
        let slot = inner.engine.load_full();
        let used = slot.clone();
        let working = tokio::task::spawn_blocking(move || {
            let engine = used.read().unwrap_or_else(PoisonError::into_inner);
            let engine = engine.as_ref().ok_or(StoreError::Closed)?;
            let done = work(engine, &inner.feed);
            inner.counters.last_flush.fetch_max(engine.last_flush().unwrap_or(0), Ordering::Relaxed);
            inner.counters.flush_us.store(engine.flush_us(), Ordering::Relaxed);
            if let Err(e) = &done
                && engine.has_failed()
            {
                inner.fails(&used, &e.to_string(), false);
            }
            done
        });
        let done = match tokio::time::timeout(deadline, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(e)) => Err(match e.try_into_panic() {
                Ok(panic) => StoreError::Panicked(open::panic_message(&*panic).to_owned()),
                Err(e) => StoreError::Panicked(e.to_string()),
            }),
            Err(_) => {
                let what = format!("an operation did not end within {} s", deadline.as_secs_f32());
                self.inner.fails(&slot, &what, true);
                Err(StoreError::Failed)
            }
        };
        let done = done.map_err(|error| self.inner.named(error));
        if let Err(error) = &done {
            self.count_error(error);
        }
        done
    }

    fn count_error(&self, error: &StoreError) {
        if error.is_refusal() || matches!(error, StoreError::Closed) {
            return;
        }
        self.inner.counters.errors.fetch_add(1, Ordering::Relaxed);
        // Why it takes no changes was said when it began.
        let is_said = matches!(
            error,
            StoreError::Failed
                | StoreError::NoRoom { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::Disordered { .. }
                | StoreError::Unrecorded { .. }
                | StoreError::Away(_)
        );
        if !is_said {
            tracing::error!(%error, "the store failed");
        }
    }
}

impl Inner {
    /// The engine of `slot` has failed. That of one that was replaced meanwhile is no news.
    fn fails(&self, slot: &Arc<Slot>, what: &str, hangs: bool) {
        if Arc::ptr_eq(slot, &self.engine.load()) {
            self.condition.fails(what, hangs);
        }
    }

    /// Whether a change may be made now: who made it must be recorded, how far the store goes noted, and there must be
    /// room.
    fn may_change(&self) -> Result<(), StoreError> {
        let ledgers = self.ledgers.try_read().ok();
        if let Some((_, why)) = ledgers.and_then(|ledgers| ledgers.as_ref()?.audit.log.trouble()) {
            return Err(StoreError::Unrecorded { why });
        }
        if let Some((_, why)) = self.files.get() {
            return Err(StoreError::Disordered { why });
        }
        self.room.look(&self.layout)
    }

    /// What is not stored is made of the requests again at the next open, which then takes longer.
    fn store_sums(&self) {
        let ledgers = self.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = ledgers.as_ref().map(|ledgers| ledgers.usage.store_sums()) {
            tracing::warn!(%error, "the sums of the usage ledger are not stored");
        }
    }
}

/// An engine that asks the store of `inner` before every change.
fn in_use(engine: Engine, inner: Weak<Inner>) -> Slot {
    engine
        .guard(Box::new(move || inner.upgrade().map_or(Err(StoreError::Closed), |inner| inner.may_change())));
    RwLock::new(Some(engine))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.layout.dir).finish_non_exhaustive()
    }
}
