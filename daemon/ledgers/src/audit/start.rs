//! Opening the log: where it goes on, or why it begins anew.

use std::sync::{Arc, Mutex, OnceLock, Weak};

use aivonx_domain::now;
use aivonx_protocol::audit::{Action, HexBytes, Outcome, canonical};
use aivonx_store::{AuditHead, AuditLog, LedgerLoss, NotedLoss, Restoration, Store, secrets::Vault};
use tokio::sync::{mpsc, watch};

use super::{
    Audit, AuditError, Entry, Figures, Fold, Inner, Options, QUEUE, Shared, retention, signer::Signer,
    verify, writer::Writer,
};

impl Audit {
    /// Opens the log of `store` and begins to write. A log that cannot be continued is begun anew, see the
    /// module; the whole log is verified in the background.
    ///
    /// # Errors
    /// If the store fails or the signing key does not open.
    pub async fn open(store: &Store, vault: &Vault, options: Options) -> Result<Self, AuditError> {
        let signer = Signer::open(store, vault).await?;
        let log = store.audit_log();
        let restored = store.settings().restoration().await?;
        let (head, begin) = match head(&log).await? {
            Ok(head) => (head, None),
            Err(lost) => {
                // The key is that of all members of a cluster, the log each one's own.
                let may_be_new = signer.is_new || store.member_id().is_some();
                begin(&log, &signer, may_be_new, restored.as_ref(), lost).await?
            }
        };
        let checkpoint = log.last_checkpoint().await?.unwrap_or(0).min(head.last);
        let (queue, jobs) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            log,
            signer,
            options,
            fold: Mutex::new(Fold::default()),
            head: watch::Sender::new(head.clone()),
            figures: Figures::default(),
            slugs: OnceLock::new(),
        });
        tokio::spawn(Writer::new(shared.clone(), jobs, head, checkpoint).run());
        let audit = Self { inner: Arc::new(Inner::Kept { queue, shared }) };
        if let Some(begin) = begin {
            audit.write(begin).await?;
        }
        let mut losses = store.watch_losses();
        losses.mark_unchanged();
        let log = store.audit_log();
        let found = log.unrecorded_losses();
        for loss in &found {
            audit.write(lost(loss)).await?;
        }
        log.losses_are_recorded(&found);
        if let Some(restored) = restored {
            audit.write(entry(&restored)).await?;
            store.settings().forget_restoration().await?;
        }
        tokio::spawn(verify::in_background(audit.clone()));
        tokio::spawn(retention::keep_up(audit.clone()));
        tokio::spawn(tell_losses(Arc::downgrade(&audit.inner), losses));
        Ok(audit)
    }
}

/// Records what is found damaged later on.
async fn tell_losses(audit: Weak<Inner>, mut losses: watch::Receiver<Vec<NotedLoss>>) {
    while losses.changed().await.is_ok() {
        let Some(inner) = audit.upgrade() else { return };
        let Inner::Kept { shared, .. } = &*inner else { return };
        let log = shared.log.clone();
        let (audit, found) = (Audit { inner }, log.unrecorded_losses());
        found.iter().for_each(|loss| audit.note(lost(loss)));
        log.losses_are_recorded(&found);
    }
}

/// What is recorded about part of a ledger that is lost.
fn lost(loss: &LedgerLoss) -> Entry {
    Entry::new(Action::ChainLost)
        .outcome(Outcome::Failed)
        .object("ledger", None, Some(loss.ledger.as_str()))
        .detail("lost", loss)
}

/// Where the log stands, or why it cannot go on from there.
async fn head(log: &AuditLog) -> Result<Result<AuditHead, String>, AuditError> {
    let Some(head) = log.head().await? else {
        return Ok(Err("where it ends is not recorded".to_owned()));
    };
    let acknowledged = log.acknowledged().await?;
    if acknowledged > head.last {
        return Ok(Err(format!(
            "its entries {} to {acknowledged} are missing: the disk lost its end",
            head.last + 1
        )));
    }
    let highest = log.highest().await?;
    if highest > head.last {
        return Ok(Err(format!("it should end with entry {}, and there is a trace of {highest}", head.last)));
    }
    Ok(match log.walk(head.last, 1).await?.pop() {
        Some((seq, Ok(last))) if seq == head.last && last.hash == head.hash => Ok(head),
        Some((seq, Ok(_))) if seq == head.last => Err(format!("its last entry {seq} was changed")),
        Some((_, Err(why))) => Err(format!("its last entry {} cannot be read: {why}", head.last)),
        // Everything may have been removed by age, but the last entry never is.
        _ => Err(format!("its last entry {} is missing", head.last)),
    })
}

/// The head of a new chain and its first entry.
async fn begin(
    log: &AuditLog,
    signer: &Signer,
    may_be_new: bool,
    restored: Option<&Restoration>,
    lost: String,
) -> Result<(AuditHead, Option<Entry>), AuditError> {
    // The places of entries that were lost stay free, so that it shows that they were there.
    let highest = log.highest().await?.max(log.acknowledged().await?);
    let is_new = may_be_new && highest == 0;
    let reason = match restored {
        _ if is_new => "new",
        Some(_) if highest == 0 => "restored",
        _ => "lost",
    };
    let chain = uuid::Uuid::now_v7().to_string();
    let mut entry = Entry::new(Action::ChainStart).detail("chain", &chain).detail("reason", reason);
    if !is_new {
        entry = entry.detail("found", &lost);
        tracing::error!(event = "audit_broken", reason, "the audit log begins anew: {lost}");
    }
    // Of a log that is only damaged the first entry is still known, or what is left of it.
    let first = match log.head().await {
        Ok(Some(head)) => head.first,
        _ if highest == 0 => 1,
        _ => log.walk(0, 1).await?.first().map_or(highest + 1, |(seq, _)| *seq),
    };
    let genesis = canonical::genesis(signer.daemon(), &chain);
    let head = AuditHead { chain, first, last: highest, hash: HexBytes(genesis.0) };
    Ok((head, Some(entry)))
}

/// What is recorded about a restored snapshot.
fn entry(restored: &Restoration) -> Entry {
    let mut entry = Entry::new(Action::Restore)
        .object("store", None, None)
        .via("aivonxd recover")
        .detail("snapshot", &restored.snapshot)
        .detail("snapshot_time", restored.snapshot_time)
        .detail("restored", restored.time)
        .detail("noticed", now());
    if let Some(behind) = restored.changes_behind {
        entry = entry.detail("changes_lost", behind);
    }
    match &restored.ledgers {
        Ok(records) => entry.detail("ledgers_kept", records),
        Err(why) => entry.detail("ledgers_lost", why),
    }
}
