//! The usage ledger: who used what of the gateway.
//!
//! Finished requests are seen on the control plane (`telemetry.observe`), kept in memory for less than a second
//! and written in groups: a kill -9 loses what was not yet written and nothing else, and nothing is counted twice. What
//! cannot be written is tried again until it can. What is kept in memory is bounded: beyond, requests are left out of
//! the ledger and counted, which the log, a metric, an alert and `status` say. Only inference is recorded; refusals that are alike are one record with their number, so that a
//! flood of them does not become one of the disk.

mod bound;
mod error;
mod follow;
mod gather;
mod range;
mod report;
mod retention;
mod seen;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, atomic::Ordering};

use aivonx_domain::AccessRecord;
use aivonx_protocol::usage::UsageFrom;
use aivonx_store::{Ledger, Store, UsageLog, usage::Calendar};
use aivonx_telemetry::AccessSink;
use tokio::sync::{broadcast, mpsc, oneshot};

pub use bound::{Bound, Bounds};
pub use error::UsageError;
pub use follow::{Follow, Followed};
pub use report::Only;
pub use retention::Keep;

use gather::Gathered;
use writer::Job;

/// Groups of requests that a slow follower may be behind.
const BEHIND: usize = 256;

/// The usage ledger. Clones share it.
#[derive(Debug, Clone)]
pub struct Usage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: UsageLog,
    gathered: Arc<Gathered>,
    jobs: mpsc::Sender<Job>,
    live: broadcast::Sender<Arc<Vec<(Whose, UsageFrom)>>>,
    /// What is on its way from the data plane.
    access: Option<AccessSink>,
    bounds: Bounds,
    keep: Keep,
}

/// Whose a live record is, by ids.
type Whose = (Option<Arc<str>>, Option<Arc<str>>);

/// Figures for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageHealth {
    /// Requests left out of the ledger since the start.
    pub lost: u64,
}

impl Usage {
    /// Begins to write and to forget. Call it inside the control plane's runtime. `access` is where finished
    /// requests come from, `bounds` knows what is left of limits, `calendar` has the limits' days, and `keep` says for
    /// how long.
    #[must_use]
    pub fn open(
        store: &Store,
        access: Option<AccessSink>,
        bounds: Bounds,
        calendar: Calendar,
        keep: Keep,
    ) -> Self {
        let log = store.usage_log(calendar);
        let gathered = Arc::<Gathered>::default();
        let (jobs, queue) = mpsc::channel(16);
        tokio::spawn(writer::run(log.clone(), gathered.clone(), queue));
        let usage = Self {
            inner: Arc::new(Inner {
                log,
                gathered,
                jobs,
                live: broadcast::Sender::new(BEHIND),
                access,
                bounds,
                keep,
            }),
        };
        tokio::spawn(retention::keep_up(Arc::downgrade(&usage.inner)));
        if store.ledger_losses().iter().any(|loss| loss.ledger == Ledger::Counters) {
            let log = usage.inner.log.clone();
            tokio::spawn(async move {
                match log.name_again().await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(count, "names in the usage ledger that were lost are there again")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "names in the usage ledger that were lost are not there again")
                    }
                }
            });
        }
        usage
    }

    /// What `telemetry.observe` is to be given.
    pub fn observer(&self) -> impl Fn(&[AccessRecord]) + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.inner);
        move |records| {
            let Some(inner) = inner.upgrade() else { return };
            let now = aivonx_domain::now();
            if inner.live.receiver_count() > 0 {
                let wanted = records.iter().filter(|record| seen::counts(record));
                let told: Vec<_> = wanted.map(|record| seen::live(record, now)).collect();
                if !told.is_empty() {
                    // Nobody may have stayed to hear it.
                    let _ = inner.live.send(Arc::new(told));
                }
            }
            inner.gathered.take(records, now);
        }
    }

    /// Writes what was seen so far.
    pub async fn flush(&self) {
        self.ask(Job::Flush).await;
    }

    /// Writes what was seen so far and ends writing.
    pub async fn close(&self) {
        self.ask(Job::Close).await;
    }

    async fn ask(&self, job: impl FnOnce(oneshot::Sender<()>) -> Job) {
        // A writer that is gone has nothing left to write.
        self.inner.ask(job).await;
    }

    /// Figures for metrics.
    #[must_use]
    pub fn health(&self) -> UsageHealth {
        UsageHealth { lost: self.inner.gathered.lost.load(Ordering::Relaxed) }
    }
}

impl Inner {
    /// What the writer answers; None of one that is gone.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(job(done)).await.ok()?;
        answer.await.ok()
    }
}
