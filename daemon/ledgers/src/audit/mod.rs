//! The audit log: who did what, in a chain of hashes with signed checkpoints.
//!
//! [`Audit`] is what the other parts hold. [`Audit::write`] returns when the entry is durable, for
//! administration; [`Audit::note`] never waits, for the data path and for refusals. What can come as a flood
//! (refusals, failed log-ins) is written down singly at first and then counted per minute and actor, and so is
//! inference. Nothing sensitive gets in: see [`Entry::detail`].
//!
//! One task ([`writer`]) gives entries their place, stores them in groups with one sync each, and signs a
//! checkpoint every so many entries, every so often, and at shutdown. The form that is hashed and signed is
//! [`aivonx_protocol::audit::canonical`].
//!
//! # What a lost or restored store means
//!
//! The log is no part of the engine's store, nor of the snapshots: `aivonxd recover` leaves it as it is, and the
//! restoration itself is recorded (`restore`). If the log is found cut short at the start, a new chain begins behind the
//! last entry that was ever acknowledged, with an entry `chain_start` that says why: `restored` after `recover` into an
//! empty directory, else `lost`. What any of the ledgers lacks is recorded too (`chain_lost`). Verification reports every
//! such place, and fails on one that nothing explains. Published checkpoints of the old chain then name a chain that
//! is not there any more, which `verify --anchor` reports as well.

mod entry;
mod error;
mod export;
mod fold;
mod mirror;
mod publish;
mod read;
mod retention;
mod sensitive;
mod signer;
mod start;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_config as config;
use aivonx_domain::{AccessRecord, now};
use aivonx_protocol::{
    UnixMillis,
    audit::{AuditEntry, AuditKey, Checkpoint, Signature},
};
use aivonx_store::{AuditHead, AuditLog};
use aivonx_telemetry::AuditGauges;
use tokio::sync::{mpsc, oneshot, watch};

pub use entry::{Entry, Who};
pub use error::AuditError;
pub use read::Follow;
pub use verify::Progress;

use fold::Fold;
use signer::Signer;
use writer::Job;

/// Entries that may wait to be stored; further ones that nobody waits for are counted instead.
const QUEUE: usize = 8192;

/// When checkpoints are made, where they go, and how long entries are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A checkpoint after so many entries.
    pub checkpoint_entries: u64,
    /// A checkpoint after this time, if there is something new.
    pub checkpoint_interval: Duration,
    /// A file that checkpoints are appended to.
    pub checkpoint_file: Option<PathBuf>,
    /// Entries older than this are removed; zero keeps them for ever.
    pub retention: Duration,
    /// Over what time floods and inference are counted together.
    pub fold: Duration,
}

impl From<&config::Audit> for Options {
    fn from(config: &config::Audit) -> Self {
        Self {
            checkpoint_entries: config.checkpoint_entries,
            checkpoint_interval: config.checkpoint_interval,
            checkpoint_file: config.checkpoint_file.clone(),
            retention: config.retention,
            fold: Duration::from_secs(60),
        }
    }
}

/// The audit log. Clones share it.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

enum Inner {
    /// In the store.
    Kept { queue: mpsc::Sender<Job>, shared: Arc<Shared> },
    /// For tests of other parts: entries as they came.
    Memory(Mutex<Vec<AuditEntry>>),
}

/// What the writer and the readers share.
struct Shared {
    log: AuditLog,
    signer: Signer,
    options: Options,
    fold: Mutex<Fold>,
    head: watch::Sender<AuditHead>,
    figures: Figures,
    /// Slug of an organization by its id.
    slugs: OnceLock<Slugs>,
}

type Slugs = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

#[derive(Debug, Default)]
struct Figures {
    /// Entries given and not yet stored.
    pending: AtomicU64,
    /// When the oldest of those was given.
    oldest: AtomicU64,
    written: AtomicU64,
    failures: AtomicU64,
    checkpointed: AtomicU64,
    /// 0 unknown, 1 intact, 2 broken.
    verified: AtomicU64,
}

impl Audit {
    /// A log in memory, for tests. Nothing is folded together.
    #[must_use]
    pub fn memory() -> Self {
        Self { inner: Arc::new(Inner::Memory(Mutex::default())) }
    }

    /// What a log in memory was given, in order.
    #[must_use]
    pub fn kept(&self) -> Vec<AuditEntry> {
        match &*self.inner {
            Inner::Memory(kept) => kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Inner::Kept { .. } => Vec::new(),
        }
    }

    /// Records `entry`; durable when it returns, with its position in the log; 0 if it was counted together with
    /// others of a flood, and will be written down with them within the minute.
    ///
    /// # Errors
    /// If it could not be made durable.
    pub async fn write(&self, entry: Entry) -> Result<u64, AuditError> {
        let (queue, shared) = match &*self.inner {
            Inner::Memory(kept) => return Ok(keep(kept, entry)),
            Inner::Kept { queue, shared } => (queue, shared),
        };
        let time = now();
        let Some(entry) = shared.admit(entry, time) else { return Ok(0) };
        mirror::mirror(&entry);
        let (done, stored) = oneshot::channel();
        shared.figures.pending.fetch_add(1, Ordering::Relaxed);
        if queue.send(Job::Entry { entry: Box::new(entry), time, done: Some(done) }).await.is_err() {
            shared.figures.pending.fetch_sub(1, Ordering::Relaxed);
            return Err(AuditError::Closed);
        }
        stored.await.map_err(|_| AuditError::Closed)?
    }

    /// Records `entry` soon, without waiting for anything. Entries of a flood are counted together, and so are
    /// those for which there is no room.
    pub fn note(&self, entry: Entry) {
        let (queue, shared) = match &*self.inner {
            Inner::Memory(kept) => {
                keep(kept, entry);
                return;
            }
            Inner::Kept { queue, shared } => (queue, shared),
        };
        let time = now();
        let Some(entry) = shared.admit(entry, time) else { return };
        mirror::mirror(&entry);
        let action = entry.action;
        shared.figures.pending.fetch_add(1, Ordering::Relaxed);
        if queue.try_send(Job::Entry { entry: Box::new(entry), time, done: None }).is_err() {
            shared.figures.pending.fetch_sub(1, Ordering::Relaxed);
            shared.fold().lose(action);
        }
    }

    /// Counts finished inference of the data path towards the summaries of its actors' minute.
    pub fn inference<'r>(&self, done: impl Iterator<Item = &'r AccessRecord>) {
        if let Inner::Kept { shared, .. } = &*self.inner {
            let mut fold = shared.fold();
            done.for_each(|record| fold.infer(record));
        }
    }

    /// Has entries say the slug of their organization as well, by its id. Must not block. The first stays.
    pub fn name_organizations(&self, slugs: impl Fn(&str) -> Option<String> + Send + Sync + 'static) {
        if let Ok(shared) = self.shared() {
            // A second call could only come from a second start.
            let _ = shared.slugs.set(Box::new(slugs));
        }
    }

    /// Writes down what was counted together so far, without waiting for the minute to end: whoever looks at a flood while
    /// it lasts sees all of it. What the store does not take now is written down later, as ever.
    pub async fn write_counted(&self) {
        let Ok(queue) = self.queue() else { return };
        let (done, written) = oneshot::channel();
        if queue.send(Job::Counted(done)).await.is_ok() {
            // A log that is closed meanwhile has it written down.
            let _ = written.await;
        }
    }

    /// Makes a checkpoint of everything recorded so far; the last one if nothing is new.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub async fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let (done, made) = oneshot::channel();
        self.queue()?.send(Job::Checkpoint(done)).await.map_err(|_| AuditError::Closed)?;
        if let Some(checkpoint) = made.await.map_err(|_| AuditError::Closed)?? {
            return Ok(checkpoint);
        }
        let last = self.shared()?.log.checkpoints().await?.pop();
        let (seq, last) = last.ok_or_else(|| AuditError::Broken("it has no checkpoint".to_owned()))?;
        last.map_err(|why| AuditError::Broken(format!("the checkpoint of entry {seq} cannot be read: {why}")))
    }

    /// The public keys, the newest first.
    ///
    /// # Errors
    /// [`AuditError::Closed`] of a log in memory.
    pub fn keys(&self) -> Result<Vec<AuditKey>, AuditError> {
        Ok(self.shared()?.signer.keys().to_vec())
    }

    /// Signs `message`, which says itself what it is of, with the newest key.
    ///
    /// # Errors
    /// [`AuditError::Closed`] of a log in memory.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, AuditError> {
        Ok(self.shared()?.signer.sign_message(message))
    }

    /// Figures for metrics.
    #[must_use]
    pub fn health(&self) -> AuditGauges {
        let Ok(shared) = self.shared() else { return AuditGauges::default() };
        let figures = &shared.figures;
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let pending = load(&figures.pending);
        let lag = if pending == 0 { 0 } else { now().saturating_sub(load(&figures.oldest)) };
        AuditGauges {
            written: load(&figures.written),
            pending,
            lag: Duration::from_millis(lag),
            failures: load(&figures.failures),
            checkpointed: Some(load(&figures.checkpointed)).filter(|at| *at > 0),
            intact: match load(&figures.verified) {
                1 => Some(true),
                2 => Some(false),
                _ => None,
            },
        }
    }

    /// Stores what is waiting and counted, makes a last checkpoint, and takes nothing more.
    pub async fn close(&self) {
        let Ok(queue) = self.queue() else { return };
        let (done, closed) = oneshot::channel();
        if queue.send(Job::Close(done)).await.is_ok() {
            // If the task is gone, there is nothing left to wait for.
            let _ = closed.await;
        }
    }

    fn shared(&self) -> Result<&Arc<Shared>, AuditError> {
        match &*self.inner {
            Inner::Kept { shared, .. } => Ok(shared),
            Inner::Memory(_) => Err(AuditError::Closed),
        }
    }

    fn queue(&self) -> Result<&mpsc::Sender<Job>, AuditError> {
        match &*self.inner {
            Inner::Kept { queue, .. } => Ok(queue),
            Inner::Memory(_) => Err(AuditError::Closed),
        }
    }
}

impl Shared {
    fn fold(&self) -> std::sync::MutexGuard<'_, Fold> {
        // Counters stay right even if a thread panicked while adding.
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the slug of the entry's organization.
    fn name(&self, entry: &mut AuditEntry) {
        if let (Some(organization), Some(slugs)) = (&mut entry.organization, self.slugs.get())
            && organization.name.is_none()
        {
            organization.name = slugs(&organization.id);
        }
    }

    fn admit(&self, entry: Entry, time: UnixMillis) -> Option<Entry> {
        self.fold().admit(entry, time)
    }
}

fn keep(kept: &Mutex<Vec<AuditEntry>>, entry: Entry) -> u64 {
    mirror::mirror(&entry);
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let seq = kept.len() as u64 + 1;
    kept.push(entry.placed(seq, now()));
    seq
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}
