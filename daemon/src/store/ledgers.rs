//! The ledgers: what happened, in logs of their own beside the engine. What the engine suffers does not touch them,
//! `recover` leaves them where they are, and no snapshot holds them.

use std::{
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Store, StoreError,
    audit::kept::Kept,
    counters::Counters,
    layout::Layout,
    marker::{Acknowledged, Commit},
    segment::{Extent, Item, Limits, Log, Loss, Note, Setup, System},
    trouble::{self, Trouble},
    usage,
};

/// One of the ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

    /// The name of its directory, never changed.
    pub(super) const fn directory(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Usage => "usage",
            Self::Sums => "sums",
            Self::Counters => "counters",
        }
    }

    fn extent(self, of: &Acknowledged) -> Extent {
        match self {
            Self::Audit => of.audit,
            Self::Usage => of.usage,
            Self::Sums => of.sums,
            Self::Counters => of.counters,
        }
    }

    fn extent_mut(self, of: &mut Acknowledged) -> &mut Extent {
        match self {
            Self::Audit => &mut of.audit,
            Self::Usage => &mut of.usage,
            Self::Sums => &mut of.sums,
            Self::Counters => &mut of.counters,
        }
    }
}

/// What the numbers of a loss count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Everything the ledger holds.
    All,
    /// Entries of the audit log, by their own numbers.
    Entries,
    /// What the audit log holds besides: checkpoints, and where it stands.
    Inner,
}

/// Records of a ledger that were acknowledged and are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLoss {
    /// Which.
    pub ledger: Ledger,
    /// What the numbers count.
    pub records: Counted,
    /// The first of them, as the ledger numbers what it writes.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// `cut off`, `damaged` or `missing`.
    pub how: &'static str,
}

impl LedgerLoss {
    fn what(&self) -> String {
        let Self { records, from, to, how, .. } = self;
        let (one, many) = match records {
            Counted::Entries => ("entry", "entries"),
            Counted::All => ("record", "records"),
            Counted::Inner => ("inner record", "inner records"),
        };
        if from == to { format!("{one} {from} is {how}") } else { format!("{many} {from} to {to} are {how}") }
    }
}

impl fmt::Display for LedgerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.ledger.as_str(), self.what())
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
}

impl Ledgers {
    /// Opens them, and says what of `acknowledged` they lack. From then on `commit` is told of everything that is
    /// acknowledged; without one they are only looked at.
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
        };
        let lost: Vec<LedgerLoss> = lost.iter().map(|(ledger, loss)| ledgers.told(*ledger, loss)).collect();
        if let Some(commit) = commit {
            let reached = ledgers.reached();
            let noted = commit.advance(true, |to| *to = Acknowledged { seq: to.seq, ..reached });
            noted.map_err(StoreError::io("write", &layout.commit()))?;
        }
        lost.iter().for_each(tell);
        Ok((ledgers, lost))
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
    fn told(&self, ledger: Ledger, loss: &Loss) -> LedgerLoss {
        let entries = (ledger == Ledger::Audit).then(|| self.audit.entries_of(loss));
        let (records, from, to) = match entries {
            Some(Some((from, to))) => (Counted::Entries, from, to),
            Some(None) => (Counted::Inner, loss.from, loss.to),
            None => (Counted::All, loss.from, loss.to),
        };
        LedgerLoss { ledger, records, from, to, how: loss.how.as_str() }
    }

    /// Why one of them cannot be written.
    fn trouble(&self) -> Option<Arc<Trouble>> {
        let of = |ledger: Ledger| {
            let (since, why) = self.log(ledger).trouble()?;
            let what = format!("the {} cannot be written: {why}", ledger.as_str());
            Some(Arc::new(Trouble { since, what, hangs: false }))
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

fn tell(loss: &LedgerLoss) {
    // The event of its name comes with the audit log's entry.
    tracing::error!("part of a ledger is lost, what is before and behind it is not: {loss}");
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
            work(ledgers.as_ref().ok_or(StoreError::Closed)?)
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

    /// What the ledgers lacked at the open, or was found damaged since then.
    #[must_use]
    pub fn ledger_losses(&self) -> Vec<LedgerLoss> {
        self.inner.lost.borrow().clone()
    }

    /// The same, to be followed.
    #[must_use]
    pub fn watch_losses(&self) -> watch::Receiver<Vec<LedgerLoss>> {
        self.inner.lost.subscribe()
    }

    /// Why a ledger cannot be written, if one cannot.
    pub(super) fn ledger_trouble(&self) -> Option<Arc<Trouble>> {
        let ledgers = self.inner.ledgers.try_read().ok()?;
        ledgers.as_ref()?.trouble()
    }
}

/// Time between two attempts to write a ledger again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Has ledgers that could not be written tried again as soon as the disk takes writes. Ends with the last clone.
pub(super) async fn mend(inner: std::sync::Weak<super::Inner>) {
    let mut said = None;
    loop {
        tokio::time::sleep(RETRY_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner };
        let trouble = store.ledger_trouble().map(|trouble| trouble.what.clone());
        match (&said, &trouble) {
            (None, Some(error)) => tracing::error!(
                event = "store_failed",
                error,
                "a ledger cannot be written; it is tried again until the disk takes writes"
            ),
            (Some(_), None) => tracing::info!(event = "store_failed", "the ledgers are written again"),
            _ => {}
        }
        said = trouble;
        if said.is_some() {
            let dir = store.dir().to_owned();
            // A failure is the trouble's own, and told already.
            let _ = store
                .with_ledgers(move |ledgers| {
                    trouble::probe(&dir)?;
                    Ledger::ALL.into_iter().for_each(|ledger| ledgers.log(ledger).mend());
                    Ok(())
                })
                .await;
        }
    }
}

/// Rest between two files that are verified.
const VERIFY_PAUSE: Duration = Duration::from_millis(20);

/// Time between two rounds of that.
const VERIFY_EVERY: Duration = Duration::from_secs(86_400);

/// Reads what nobody asks for, so that damage is noticed. Ends with the last clone.
pub(super) async fn verify(inner: std::sync::Weak<super::Inner>) {
    loop {
        for ledger in Ledger::ALL {
            let mut from = 0;
            loop {
                tokio::time::sleep(VERIFY_PAUSE).await;
                let Some(inner) = inner.upgrade() else { return };
                match (Store { inner }).verify_segment(ledger, from).await {
                    Ok(Some(next)) => from = next,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "a ledger is not verified");
                        break;
                    }
                }
            }
        }
        tokio::time::sleep(VERIFY_EVERY).await;
    }
}

impl Store {
    /// Verifies the first closed segment of the ledger that begins with frame `from` or later; returns the frame behind
    /// it.
    async fn verify_segment(&self, ledger: Ledger, from: u64) -> Result<Option<u64>, StoreError> {
        let (next, found) = self
            .with_ledgers(move |ledgers| {
                let mut segments = ledgers.log(ledger).segments().into_iter();
                let segment = segments.find(|segment| segment.first >= from && segment.is_closed());
                let Some(segment) = segment else { return Ok((None, Vec::new())) };
                let losses = segment.verify()?;
                Ok((Some(segment.end), losses.iter().map(|loss| ledgers.told(ledger, loss)).collect()))
            })
            .await?;
        for loss in found {
            self.inner.lost.send_if_modified(|lost| {
                let is_new = !lost.contains(&loss);
                if is_new {
                    tell(&loss);
                    lost.push(loss.clone());
                }
                is_new
            });
        }
        Ok(next)
    }
}
