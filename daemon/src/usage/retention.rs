//! Forgetting what is older than the ledger is kept for.

use std::{sync::Weak, time::Duration};

use aivonx_protocol::{
    UnixMillis,
    usage::{RECORD_DAYS, SUM_DAYS},
};

use super::Inner;
use crate::{
    identity::now,
    store::{
        StoreError, UsageLog,
        usage::{DAY_MS, day_of},
    },
};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3600);
/// Before the first round.
const FIRST: Duration = Duration::from_secs(90);
/// Records removed as one.
const PART: usize = 1024;

/// The time from which on all requests are kept at `now`: whole days.
pub(super) fn kept_since(now: UnixMillis) -> UnixMillis {
    u64::from(day_of(now).saturating_sub(RECORD_DAYS)) * DAY_MS
}

/// Keeps up for as long as the ledger is open.
pub(super) async fn keep_up(log: UsageLog, open: Weak<Inner>) {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = ROUND;
        if open.strong_count() == 0 {
            return;
        }
        match forget(&log, now()).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(event = "usage_failed", %error, "old usage could not be removed");
            }
        }
    }
}

/// One round.
pub(super) async fn forget(log: &UsageLog, now: UnixMillis) -> Result<(), StoreError> {
    let (before, day) = (kept_since(now), day_of(now).saturating_sub(SUM_DAYS));
    while log.forget_entries(before, PART).await? > 0 {
        // Others want the store too.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while log.forget_days(day, PART).await? > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
