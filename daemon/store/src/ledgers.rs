//! The ledgers: what happened, in logs of their own beside the engine. What the engine suffers does not touch them,
//! `recover` leaves them where they are, and no snapshot holds them.

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    audit::kept::Kept,
    counters::Counters,
    layout::Layout,
    losses::{Counted, LedgerLoss},
    marker::{Acknowledged, Commit},
    segment::{Extent, Item, Limits, Log, Loss, Note, Setup, System},
    trouble::{self, Trouble},
    usage,
};

/// One of the ledgers. Stored in losses: the order is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ledger {
    /// Who did what.
    Audit,
    /// Each request.
    Usage,
    /// What requests come to, by day.
    Sums,
    /// What is used of limits, when keys were last used, and the names in the usage ledger.
    Counters,
}

impl Ledger {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Audit, Self::Usage, Self::Sums, Self::Counters];

    /// Its name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit log",
            Self::Usage => "usage ledger",
            Self::Sums => "sums of the usage ledger",
            Self::Counters => "counters of limits and names in the usage ledger",
        }
    }

    /// Whether reports of usage are made from it.
    #[must_use]
    pub const fn is_of_usage(self) -> bool {
        matches!(self, Self::Usage | Self::Sums)
    }

    /// The name of its directory, never changed.
    pub(super) const fn directory(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Usage => "usage",
            Self::Sums => "sums",
            Self::Counters => "counters",
        }
    }

    pub(super) fn extent(self, of: &Acknowledged) -> Extent {
        match self {
            Self::Audit => of.audit,
            Self::Usage => of.usage,
            Self::Sums => of.sums,
            Self::Counters => of.counters,
        }
    }

    pub(super) fn extent_mut(self, of: &mut Acknowledged) -> &mut Extent {
        match self {
            Self::Audit => &mut of.audit,
            Self::Usage => &mut of.usage,
            Self::Sums => &mut of.sums,
            Self::Counters => &mut of.counters,
        }
    }
}

/// What there is of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerState {
    /// Which.
    pub ledger: Ledger,
    /// Records that can be read.
    pub records: u64,
    /// What was acknowledged and is not there.
    pub lost: Vec<LedgerLoss>,
}

impl fmt::Display for LedgerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ledger, records, lost } = self;
        let name = ledger.as_str();
        if lost.is_empty() {
            return match records {
                0 => write!(f, "{name}: empty"),
                _ => write!(f, "{name}: whole ({records} records)"),
            };
        }
        let state = if *records == 0 { "gone" } else { "in part" };
        let lost: Vec<String> = lost.iter().map(LedgerLoss::what).collect();
        write!(f, "{name}: {state} ({records} records are left; {})", lost.join("; "))
    }
}

/// The open ledgers.
#[derive(Debug)]
pub(super) struct Ledgers {
    pub(super) audit: Kept,
    pub(super) usage: usage::kept::Kept,
    pub(super) counters: Counters,
    commit: Option<Arc<Commit>>,
}

impl Ledgers {
    /// Opens them, and says what of `acknowledged` they lack. From then on everything that is acknowledged is noted in
    /// `commit`, and with [`Self::acknowledge`] what there is; without one they are only read.
    pub(super) fn open(
        layout: &Layout,
        daemon: &str,
        acknowledged: Option<Acknowledged>,
        commit: Option<&Arc<Commit>>,
    ) -> Result<(Self, Vec<LedgerLoss>), StoreError> {
        let audited = Arc::new(AtomicU64::new(acknowledged.map_or(0, |reached| reached.audited)));
        let mut lost = Vec::new();
        let mut open = |ledger: Ledger| {
            let (log, losses) = Log::open(Setup {
                dir: &layout.ledger(ledger),
                daemon,
                name: ledger.directory(),
                extent: acknowledged.as_ref().map(|reached| ledger.extent(reached)),
                limits: Limits::default(),
                disk: Arc::new(System),
                note: match commit {
                    Some(commit) => note(layout, ledger, commit, &audited),
                    None => Box::new(|_, _| Ok(())),
                },
            })?;
            lost.extend(losses.into_iter().map(|loss| (ledger, loss)));
            Ok::<_, StoreError>(log)
        };
        let audit = open(Ledger::Audit)?;
        let (usage, sums, counters) = (open(Ledger::Usage)?, open(Ledger::Sums)?, open(Ledger::Counters)?);
        let ledgers = Self {
            audit: Kept::open(audit, audited)?,
            usage: usage::kept::Kept::open(usage, sums)?,
            counters: Counters::open(counters)?,
            commit: commit.cloned(),
        };
        let lost = lost.iter().map(|(ledger, loss)| ledgers.told(*ledger, loss)).collect();
        Ok((ledgers, lost))
    }

    /// Takes what there is for all that was acknowledged: what is lost has been noted elsewhere. `run` is the number of
    /// this run of the store.
    pub(super) fn acknowledge(&self, run: u64) -> Result<(), StoreError> {
        let reached = self.reached();
        self.note(|to| *to = Acknowledged { seq: to.seq, run, ..reached })
    }

    /// Notes how much of a ledger is lost, or will be should the process end now: requests, entries of the audit log, or
    /// (1) whatever is counted. That needs no room on the disk.
    pub(super) fn note_unwritten(&self, ledger: Ledger, count: u64) -> Result<(), StoreError> {
        let Some(commit) = &self.commit else { return Ok(()) };
        let of = |to: &mut Acknowledged| match ledger {
            Ledger::Audit => Some(std::mem::replace(&mut to.unrecorded, count)),
            Ledger::Usage => Some(std::mem::replace(&mut to.unwritten, count)),
            Ledger::Counters => Some(std::mem::replace(&mut to.uncounted, count)),
            // Made of the requests again.
            Ledger::Sums => None,
        };
        match of(&mut commit.reached()) {
            Some(known) if known != count => self.note(|to| {
                of(to);
            }),
            _ => Ok(()),
        }
    }

    fn note(&self, change: impl FnOnce(&mut Acknowledged)) -> Result<(), StoreError> {
        let noted = self.commit.as_ref().map_or(Ok(()), |commit| commit.advance(true, change));
        noted.map_err(|e| StoreError::Engine(format!("the file COMMIT cannot be written: {e}")))
    }

    /// Looks after the files, see [`Log::look`]. What fails is a trouble of the log, and tried again soon.
    pub(super) fn look(&self) {
        for ledger in Ledger::ALL {
            let _ = self.log(ledger).look();
        }
        let uncounted = u64::from(self.counters.log.is_behind());
        if let Err(error) = self.note_unwritten(Ledger::Counters, uncounted) {
            tracing::debug!(%error, "that what is counted is not written is not noted");
        }
    }

    /// What was met since the last call where something should have been: see [`Log::suspicions`].
    pub(super) fn suspicions(&self) -> Vec<LedgerLoss> {
        let of = |ledger: Ledger| {
            let lost = self.log(ledger).suspicions();
            if ledger == Ledger::Counters && !lost.is_empty() {
                // All of it is in memory.
                self.counters.write_anew();
            }
            lost.into_iter().map(move |loss| self.told(ledger, &loss))
        };
        Ledger::ALL.into_iter().flat_map(of).collect()
    }

    pub(super) const fn log(&self, ledger: Ledger) -> &Log {
        match ledger {
            Ledger::Audit => &self.audit.log,
            Ledger::Usage => &self.usage.requests,
            Ledger::Sums => &self.usage.sums,
            Ledger::Counters => &self.counters.log,
        }
    }

    /// How far they go.
    pub(super) fn reached(&self) -> Acknowledged {
        Acknowledged {
            audited: self.audit.audited(),
            audit: self.audit.log.extent(),
            usage: self.usage.requests.extent(),
            sums: self.usage.sums.extent(),
            counters: self.counters.log.extent(),
            ..Acknowledged::default()
        }
    }

    /// What there is of each, all of it read; `lost` is what was missing at the open.
    pub(super) fn states(&self, lost: &[LedgerLoss]) -> Vec<LedgerState> {
        let of = |ledger: Ledger| {
            let log = self.log(ledger);
            let mut lost: Vec<LedgerLoss> =
                lost.iter().filter(|loss| loss.ledger == ledger).cloned().collect();
            for loss in log.segments().iter().flat_map(|segment| segment.verify().unwrap_or_default()) {
                let loss = self.told(ledger, &loss);
                if !lost.contains(&loss) {
                    lost.push(loss);
                }
            }
            let is_frame = |item: &Result<Item, StoreError>| matches!(item, Ok(Item::Frame(_)));
            let records = log.read(0..=u64::MAX).filter(is_frame).count() as u64;
            LedgerState { ledger, records, lost }
        };
        Ledger::ALL.map(of).into()
    }

    /// A loss in words. The audit log's entries have numbers of their own.
    pub(super) fn told(&self, ledger: Ledger, loss: &Loss) -> LedgerLoss {
        let entries = (ledger == Ledger::Audit).then(|| self.audit.entries_of(loss));
        let (records, from, to) = match entries {
            Some(Some((from, to))) => (Counted::Entries, from, to),
            Some(None) => (Counted::Inner, loss.from, loss.to),
            None => (Counted::All, loss.from, loss.to),
        };
        LedgerLoss { ledger, records, from, to, how: loss.how }
    }

    /// Why one of them cannot be written.
    fn trouble(&self) -> Option<Arc<Trouble>> {
        let of = |ledger: Ledger| {
            let (since, why) = self.log(ledger).trouble()?;
            let what = format!("the {} cannot be written: {why}", ledger.as_str());
            // A change that nobody could account for is not made.
            Some(Arc::new(Trouble { since, what, hangs: false, stops_changes: ledger == Ledger::Audit }))
        };
        Ledger::ALL.into_iter().find_map(of)
    }
}

fn note(layout: &Layout, ledger: Ledger, commit: &Arc<Commit>, audited: &Arc<AtomicU64>) -> Note {
    let (commit, path, audited) = (commit.clone(), layout.commit(), audited.clone());
    Box::new(move |extent, durable| {
        let noted = commit.advance(durable, |to| {
            *ledger.extent_mut(to) = extent;
            if ledger == Ledger::Audit {
                to.audited = audited.load(Ordering::Acquire);
            }
        });
        match noted.map_err(StoreError::io("write", &path)) {
            // What was written is there all the same; only its loss would not be noticed.
            Err(error) if !durable => {
                tracing::error!(%error, "how far a ledger goes is not noted");
                Ok(())
            }
            noted => noted,
        }
    })
}

impl Store {
    /// Runs `work` on a blocking thread, within `store.operation_deadline`. It is carried to its end even if the caller
    /// stops waiting. The engine has no part in it, so that a failed one does not stop it.
    pub(super) async fn with_ledgers<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledgers) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        let working = tokio::task::spawn_blocking(move || {
            let ledgers = inner.ledgers.read().unwrap_or_else(PoisonError::into_inner);
            let ledgers = ledgers.as_ref().ok_or(StoreError::Closed)?;
            let done = work(ledgers);
            // Before the answer, so that a caller that asks next what is missing from it gets these as well.
            inner.lose(ledgers.suspicions());
            done
        });
        let deadline = self.inner.options.operation_deadline;
        let done = match tokio::time::timeout(deadline, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => Err(StoreError::Panicked(error.to_string())),
            Err(_) => Err(StoreError::TooSlow { deadline }),
        };
        if let Err(error) = &done {
            self.count_error(error);
        }
        done
    }

    /// Why a file beside the engine cannot be written, if one cannot: first what stops changes.
    pub(super) fn file_trouble(&self) -> Option<Arc<Trouble>> {
        let files = self
            .inner
            .files
            .get()
            .map(|(since, what)| Arc::new(Trouble { since, what, hangs: false, stops_changes: true }));
        files.or_else(|| self.inner.ledgers.try_read().ok()?.as_ref()?.trouble())
    }
}

/// Time between two looks after the files, and two attempts to write a ledger again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Time between two lines about one that still cannot be written.
const SAY_AGAIN_EVERY: Duration = Duration::from_secs(300);

/// Looks after the files of the ledgers and those that say how far the store goes, and has what could not be written tried
/// again as soon as the disk takes writes. Ends with the last clone.
pub(super) async fn mend(inner: std::sync::Weak<super::Inner>) {
    let mut said: Option<Instant> = None;
    loop {
        tokio::time::sleep(RETRY_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner: inner.clone() };
        // What is wrong is told by itself.
        let _ = store
            .with_ledgers(move |ledgers| {
                ledgers.look();
                inner.look_at_files();
                Ok(())
            })
            .await;
        match store.file_trouble() {
            Some(trouble) if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN_EVERY) => {
                tracing::error!(
                    event = "store_failed",
                    error = trouble.what,
                    "a file of the store is not as it should be; it is looked at again until it is"
                );
                said = Some(Instant::now());
            }
            None if said.take().is_some() => {
                tracing::info!(event = "store_failed", "the files of the store are written again");
            }
            _ => {}
        }
        if said.is_some() {
            let dir = store.inner.layout.ledgers();
            // What still fails is told already.
            let _ = store
                .with_ledgers(move |ledgers| {
                    let behind = || {
                        Ledger::ALL
                            .map(|ledger| ledgers.log(ledger))
                            .into_iter()
                            .filter(|log| log.is_behind())
                    };
                    if behind().next().is_some() && trouble::probe(&dir).is_ok() {
                        behind().for_each(Log::mend);
                    }
                    Ok(())
                })
                .await;
        }
    }
}
