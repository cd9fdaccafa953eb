//! Removing what is older than the retention, so that the rest still verifies.
//!
//! Entries go up to a checkpoint. It is signed anew as the place where the log begins, that is recorded, and
//! only then is anything removed: after a crash, the next round finishes. Nothing is removed from a part of the log
//! that does not verify. What is removed cannot be read any more; it leaves the disk with the file that it is in,
//! which holds a day at most beyond it.

use std::{collections::HashSet, time::Duration};

use aivonx_domain::now;
use aivonx_protocol::audit::{Action, CheckpointKind};
use tokio::sync::oneshot;

use super::{Audit, AuditError, Entry, verify::Walk, writer::Job};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(3600);
/// Before the first round.
const FIRST: Duration = Duration::from_secs(60);

/// Keeps up with the retention for as long as the log is open.
pub(super) async fn keep_up(audit: Audit) {
    let Ok(shared) = audit.shared() else { return };
    if shared.options.retention.is_zero() {
        return;
    }
    // The task must not keep the log open.
    let (weak, mut wait) = (std::sync::Arc::downgrade(&audit.inner), FIRST);
    drop(audit);
    loop {
        tokio::time::sleep(wait).await;
        wait = ROUND;
        let Some(inner) = weak.upgrade() else { return };
        match (Audit { inner }).retain().await {
            Ok(_) => {}
            Err(AuditError::Closed) => return,
            Err(error) => {
                tracing::error!(event = "audit_failed", error = %error, "old audit entries could not be removed");
            }
        }
    }
}

impl Audit {
    /// Removes what is older than the retention; returns how many entries.
    ///
    /// # Errors
    /// If the store fails, or the entries to be removed do not verify.
    pub async fn retain(&self) -> Result<u64, AuditError> {
        let shared = self.shared()?;
        let retention = u64::try_from(shared.options.retention.as_millis()).unwrap_or(u64::MAX);
        if retention == 0 {
            return Ok(0);
        }
        let before = now().saturating_sub(retention);
        let last = shared.head.borrow().last;
        // The last entry always stays.
        let first_kept = shared.log.first_since(before).await?.unwrap_or(last).min(last);
        let mut walk = Walk::new(shared, HashSet::new()).await?;
        let done = walk.removed_through();
        let cut = walk
            .checkpoints()
            .filter(|c| c.kind == CheckpointKind::Regular && c.seq > done && c.seq < first_kept)
            .max_by_key(|c| c.seq)
            .cloned();
        let Some(cut) = cut else {
            // What an earlier round left.
            return self.remove(done).await;
        };
        let chain = walk.run_to(cut.seq).await?;
        if let Some(found) = chain.found() {
            return Err(AuditError::Broken(found.to_string()));
        }
        let (stored, answer) = oneshot::channel();
        let start = Box::new(shared.signer.retention(&cut));
        self.queue()?.send(Job::Replace(start, stored)).await.map_err(|_| AuditError::Closed)?;
        answer.await.map_err(|_| AuditError::Closed)??;
        let entry = Entry::new(Action::AuditRetention)
            .detail("from", done + 1)
            .detail("through", cut.seq)
            .detail("before", before);
        self.write(entry).await?;
        self.remove(cut.seq).await
    }

    async fn remove(&self, through: u64) -> Result<u64, AuditError> {
        if through == 0 {
            return Ok(0);
        }
        Ok(self.shared()?.log.forget(through).await?)
    }
}
