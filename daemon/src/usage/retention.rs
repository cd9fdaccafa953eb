//! Forgetting what is older than the ledger is kept for.

use std::{collections::HashSet, sync::Weak, time::Duration};

use aivonx_protocol::{
    UnixMillis,
    usage::{RECORD_DAYS, SUM_DAYS},
};

use super::{Inner, writer::Job};
use crate::{
    identity::now,
    store::{
        StoreError, UsageLog,
        usage::{Calendar, Used},
    },
};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3600);
/// Before the first round.
const FIRST: Duration = Duration::from_secs(90);
/// Records removed, or looked through, as one.
const PART: usize = 1024;

/// The time from which on all requests are kept at `now`: whole days.
pub(super) fn kept_since(calendar: Calendar, now: UnixMillis) -> UnixMillis {
    calendar.midnight(calendar.day_of(now).saturating_sub(RECORD_DAYS))
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
    if forget(&inner.log, now).await? > 0 {
        forget_names(inner).await?;
    }
    Ok(())
}

/// Forgets requests and sums; returns how many records those were.
async fn forget(log: &UsageLog, now: UnixMillis) -> Result<usize, StoreError> {
    let calendar = log.calendar();
    let (before, day) = (kept_since(calendar, now), calendar.day_of(now).saturating_sub(SUM_DAYS));
    let mut forgotten = 0;
    loop {
        let part = log.forget_entries(before, PART).await? + log.forget_days(day, PART).await?;
        if part == 0 {
            return Ok(forgotten);
        }
        forgotten += part;
        // Others want the store too.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Forgets the names that neither requests nor sums need any more.
async fn forget_names(inner: &Inner) -> Result<(), StoreError> {
    // From here on the writer knows which names it has stored: those are in use, whatever is found below.
    if inner.ask(Job::Watch).await.is_none() {
        return Ok(());
    }
    let log = &inner.log;
    let mut unused = HashSet::new();
    let mut from = None;
    loop {
        let (codes, next) = log.named(from, PART).await?;
        unused.extend(codes);
        from = next;
        if from.is_none() {
            break;
        }
    }
    for part in [Used::Sums, Used::Entries] {
        let mut from = None;
        loop {
            let (codes, next) = log.used(part, from, PART).await?;
            for code in &codes {
                unused.remove(code);
            }
            from = next;
            if from.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let mut unused = unused.into_iter();
    loop {
        let part: Vec<_> = unused.by_ref().take(PART).collect();
        if part.is_empty() {
            return Ok(());
        }
        inner.ask(|done| Job::Forget(part, done)).await;
    }
}
