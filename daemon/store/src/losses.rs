//! What ledgers have lost: found at the open, by a reader who meets a hole, or by the one who reads what nobody asks for.
//! Kept among the settings, so that it is reported for a while, across restarts, and recorded in the audit log once.

use std::{fmt, sync::Weak, time::Duration};

use aivonx_domain::now;
use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    AuditLog, Inner, Ledger, Store, StoreError, engine::Engine, marker::Acknowledged, segment::How,
    settings::LOSSES, tree::Tree,
};

/// How long a loss is reported.
pub const TOLD_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Most that are kept, the newest.
const KEPT_MAX: usize = 1000;

/// What the numbers of a loss count. Stored: the order is never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Everything the ledger holds.
    All,
    /// Entries of the audit log, by their own numbers.
    Entries,
    /// What the audit log holds besides: checkpoints, and where it stands.
    Inner,
    /// What never came into the ledger, from 1.
    Unwritten,
    /// Nothing: that the end of the ledger was lost would not have been noticed.
    Ends,
}

/// Records of a ledger that were acknowledged and are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLoss {
    /// Which.
    pub ledger: Ledger,
    /// What the numbers count.
    pub records: Counted,
    /// The first of them, as the ledger numbers what it writes.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// How they were lost.
    pub how: How,
}

impl LedgerLoss {
    /// That it is not known how far `ledger` went.
    const fn end(ledger: Ledger) -> Self {
        Self { ledger, records: Counted::Ends, from: 0, to: 0, how: How::Missing }
    }

    /// That so many records of it were in memory alone.
    const fn unwritten(ledger: Ledger, count: u64) -> Self {
        Self { ledger, records: Counted::Unwritten, from: 1, to: count, how: How::Missing }
    }

    /// Without the ledger's name.
    pub(super) fn what(&self) -> String {
        let Self { records, from, to, how, .. } = self;
        let (one, many) = match records {
            Counted::Entries => ("entry", "entries"),
            Counted::All => ("record", "records"),
            Counted::Inner => ("inner record", "inner records"),
            Counted::Unwritten => {
                let what = match self.ledger {
                    Ledger::Audit if *to == 1 => "1 entry".to_owned(),
                    Ledger::Audit => format!("{to} entries"),
                    Ledger::Usage => format!("{to} requests"),
                    Ledger::Sums | Ledger::Counters => "the last changes".to_owned(),
                };
                return format!("{what} could not be written before aivonxd ended");
            }
            Counted::Ends => {
                return "what lay at its end may be lost: the file COMMIT, which says how far it went, was missing, \
                        damaged or old"
                    .to_owned();
            }
        };
        let how = how.as_str();
        if from == to { format!("{one} {from} is {how}") } else { format!("{many} {from} to {to} are {how}") }
    }

    /// Whether `known` says all of it, in one piece or several.
    fn is_known(&self, known: &[NotedLoss]) -> bool {
        if matches!(self.records, Counted::Unwritten | Counted::Ends) {
            return false;
        }
        let alike = |loss: &&Self| (loss.ledger, loss.records) == (self.ledger, self.records);
        let alike: Vec<&Self> = known.iter().map(|noted| &noted.loss).filter(alike).collect();
        let mut at = self.from;
        while let Some(loss) = alike.iter().find(|loss| (loss.from..=loss.to).contains(&at)) {
            at = loss.to.saturating_add(1);
        }
        at > self.to
    }
}

impl fmt::Display for LedgerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.ledger.as_str(), self.what())
    }
}

/// A loss, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedLoss {
    loss: LedgerLoss,
    /// When it was found.
    found: UnixMillis,
    /// The audit log has an entry of it.
    recorded: bool,
}

impl NotedLoss {
    fn is_told(&self) -> bool {
        let told_for = u64::try_from(TOLD_FOR.as_millis()).unwrap_or(u64::MAX);
        now().saturating_sub(self.found) < told_for
    }
}

/// Adds what is not known yet; false if all of it was.
fn add(known: &mut Vec<NotedLoss>, found: Vec<LedgerLoss>) -> bool {
    let before = known.len();
    for loss in found {
        if !loss.is_known(known) {
            // The event of its name comes with the audit log's entry.
            tracing::error!("part of a ledger is lost, what is before and behind it is not: {loss}");
            known.push(NotedLoss { loss, found: now(), recorded: false });
        }
    }
    let is_new = known.len() > before;
    known.drain(..known.len().saturating_sub(KEPT_MAX));
    is_new
}

/// Keeps what was found beside what is known, durably; returns both.
pub(super) fn keep(engine: &Engine, found: Vec<LedgerLoss>) -> Result<Vec<NotedLoss>, StoreError> {
    let mut known: Vec<NotedLoss> = engine.get(Tree::Setting, &engine.own(LOSSES))?.unwrap_or_default();
    if add(&mut known, found) {
        engine.write(|batch| batch.put(Tree::Setting, &engine.own(LOSSES), &known))?;
    }
    Ok(known)
}

/// The losses that the file COMMIT, and the store's own notes of the ledgers, prove beside their extents.
pub(super) fn told_by(commit: Option<&Acknowledged>, own: Option<&Acknowledged>) -> Vec<LedgerLoss> {
    let mut told = Vec::new();
    if commit.map(|commit| commit.run) < own.map(|own| own.run) || commit.is_none() {
        told.extend(Ledger::ALL.map(LedgerLoss::end));
    }
    let commit = commit.copied().unwrap_or_default();
    let unwritten = [
        (Ledger::Audit, commit.unrecorded),
        (Ledger::Usage, commit.unwritten),
        (Ledger::Counters, commit.uncounted),
    ];
    let unwritten = unwritten.into_iter().filter(|(_, count)| *count > 0);
    told.extend(unwritten.map(|(ledger, count)| LedgerLoss::unwritten(ledger, count)));
    told
}

impl Inner {
    /// Takes note of what was found to be lost.
    pub(super) fn lose(&self, found: Vec<LedgerLoss>) {
        if !found.is_empty() {
            self.lost.send_if_modified(|known| add(known, found));
        }
    }
}

impl Store {
    /// What the ledgers lack, as far as it was found within [`TOLD_FOR`].
    #[must_use]
    pub fn ledger_losses(&self) -> Vec<LedgerLoss> {
        let lost = self.inner.lost.borrow();
        lost.iter().filter(|noted| noted.is_told()).map(|noted| noted.loss.clone()).collect()
    }

    /// All that was ever found, to be followed.
    #[must_use]
    pub fn watch_losses(&self) -> watch::Receiver<Vec<NotedLoss>> {
        self.inner.lost.subscribe()
    }

    /// Requests that the usage ledger has lost, by [`Self::ledger_losses`]: of a record that is lost at least one.
    #[must_use]
    pub fn usage_lost(&self) -> u64 {
        let is_usage = |loss: &LedgerLoss| loss.ledger == Ledger::Usage && loss.records != Counted::Ends;
        let lost = self.ledger_losses().into_iter().filter(is_usage);
        lost.map(|loss| (loss.to + 1).saturating_sub(loss.from)).sum()
    }
}

impl AuditLog {
    /// What is lost and has no entry yet.
    #[must_use]
    pub fn unrecorded_losses(&self) -> Vec<LedgerLoss> {
        let lost = self.store.inner.lost.borrow();
        lost.iter().filter(|noted| !noted.recorded).map(|noted| noted.loss.clone()).collect()
    }

    /// That these have one now.
    pub fn losses_are_recorded(&self, losses: &[LedgerLoss]) {
        self.store.inner.lost.send_if_modified(|known| {
            let mut new = known.iter_mut().filter(|noted| !noted.recorded && losses.contains(&noted.loss));
            new.by_ref().map(|noted| noted.recorded = true).count() > 0
        });
    }
}

/// Time until what could not be kept is tried again.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

/// Keeps what is found from now on among the settings. Ends with the last clone.
pub(super) async fn keep_up(inner: Weak<Inner>, mut lost: watch::Receiver<Vec<NotedLoss>>) {
    while lost.changed().await.is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        let known = lost.borrow_and_update().clone();
        if let Err(error) = (Store { inner }).keep_losses(known).await {
            tracing::debug!(%error, "what the ledgers lost is not kept yet");
            lost.mark_changed();
            tokio::time::sleep(KEEP_AGAIN).await;
        }
    }
}

/// Rest between two files that are verified.
const VERIFY_PAUSE: Duration = Duration::from_millis(20);

/// Time between two rounds of that.
const VERIFY_EVERY: Duration = Duration::from_secs(86_400);

/// Reads what nobody asks for, so that damage is noticed. Ends with the last clone.
pub(super) async fn verify(inner: Weak<Inner>) {
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
        self.inner.lose(found);
        Ok(next)
    }

    async fn keep_losses(&self, known: Vec<NotedLoss>) -> Result<(), StoreError> {
        self.run(move |engine, _| engine.write(|batch| batch.put(Tree::Setting, &engine.own(LOSSES), &known)))
            .await
    }
}
