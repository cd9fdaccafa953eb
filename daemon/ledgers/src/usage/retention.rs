//! Forgetting what is older than the ledger is kept for.

use std::{sync::Weak, time::Duration};

use aivonx_config as config;
use aivonx_domain::now;
use aivonx_protocol::UnixMillis;
use aivonx_store::{
    StoreError, UsageLog,
    usage::{Calendar, DAY_MS},
};

use super::{Inner, writer::Job};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3600);
/// Before the first round.
const FIRST: Duration = Duration::from_secs(90);

/// For how many days what is kept, the present one not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Single requests.
    pub records: u32,
    /// The sums of days; not for less than single requests.
    pub sums: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self::from(&config::Usage::default())
    }
}

impl From<&config::Usage> for Keep {
    fn from(config: &config::Usage) -> Self {
        let days = |time: Duration| u32::try_from(time.as_secs().div_ceil(DAY_MS / 1000)).unwrap_or(u32::MAX);
        let records = days(config.records);
        Self { records, sums: days(config.sums).max(records) }
    }
}

impl Keep {
    /// The time from which on all requests are kept at `now`: whole days.
    pub(super) fn records_since(self, calendar: Calendar, now: UnixMillis) -> UnixMillis {
        calendar.midnight(calendar.day_of(now).saturating_sub(self.records))
    }

    /// The first day whose sums are kept at `now`.
    fn sums_since(self, calendar: Calendar, now: UnixMillis) -> u32 {
        calendar.day_of(now).saturating_sub(self.sums)
    }
}

/// Keeps up for as long as the ledger is open.
pub(super) async fn keep_up(open: Weak<Inner>) {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = ROUND;
        let Some(inner) = open.upgrade() else { return };
        match round(&inner, now()).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(event = "usage_failed", %error, "old usage could not be removed");
            }
        }
    }
}

/// One round.
pub(super) async fn round(inner: &Inner, now: UnixMillis) -> Result<(), StoreError> {
    // Names are without use only where something went that used them.
    if forget(&inner.log, inner.keep, now).await? > 0 {
        forget_names(inner).await?;
    }
    Ok(())
}

/// Forgets requests and sums; returns how many files those were.
async fn forget(log: &UsageLog, keep: Keep, now: UnixMillis) -> Result<usize, StoreError> {
    let calendar = log.calendar();
    let requests = log.forget_entries(keep.records_since(calendar, now)).await?;
    Ok(requests + log.forget_days(keep.sums_since(calendar, now)).await?)
}

/// Forgets the names that neither requests nor sums need any more.
async fn forget_names(inner: &Inner) -> Result<(), StoreError> {
    // From here on the writer knows which names it has stored: those are in use, even if found unused below.
    if inner.ask(Job::Watch).await.is_none() {
        return Ok(());
    }
    let unused = inner.log.unused_names().await?;
    if !unused.is_empty() {
        inner.ask(|done| Job::Forget(unused, done)).await;
    }
    Ok(())
}
