//! What was done to a log behind the daemon's back is found, and what it did itself is not taken for that.

use aivonx_store::{How, testing::copy};

use super::*;

/// Does something to the stored entries and says what the verification of the restarted log finds.
async fn tampered(what: impl FnOnce(&Store) -> futures_util::future::BoxFuture<'_, ()>) -> AuditVerdict {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(25).await;
    what(&f.store).await;
    let verdict = f.verify().await;
    f.close().await;
    verdict
}

fn found(verdict: &AuditVerdict) -> (Problem, u64, u64) {
    assert!(!verdict.intact);
    let found = verdict.found.as_ref().unwrap();
    (found.problem, found.seq, found.through)
}

#[tokio::test]
async fn whatever_is_done_to_the_store_is_found_and_named() {
    let flipped = tampered(|s| Box::pin(async { s.audit_log().tamper_flip(12).await }));
    assert_eq!(found(&flipped.await), (Problem::Changed, 12, 12));
    let edited =
        tampered(|s| Box::pin(async { s.audit_log().tamper_edit(12, |e| e.actor.name = "x".into()).await }));
    assert_eq!(found(&edited.await), (Problem::Changed, 12, 12));
    let dropped = tampered(|s| Box::pin(async { s.audit_log().tamper_drop(12, 14).await }));
    assert_eq!(found(&dropped.await), (Problem::Removed, 12, 14));
    let swapped = tampered(|s| Box::pin(async { s.audit_log().tamper_swap(12, 17).await }));
    assert_eq!(found(&swapped.await), (Problem::Reordered, 12, 12));
    let cut = tampered(|s| Box::pin(async { s.audit_log().tamper_drop(24, 26).await }));
    assert_eq!(found(&cut.await), (Problem::Cut, 24, 26));
    let intact = tampered(|_| Box::pin(async {})).await;
    assert!(intact.intact);
}

#[tokio::test]
async fn a_log_cut_while_the_daemon_was_away_begins_anew_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(25).await;
    let anchor = f.audit.checkpoint().await.unwrap();
    f.store.audit_log().tamper_drop(20, 26).await;
    f.close().await;
    let f = open(dir.path()).await;
    f.fill(2).await;
    let verdict = f.audit.verify(&[anchor], None).await.unwrap();
    assert_eq!(found(&verdict), (Problem::Removed, 20, 26));
    assert_eq!(verdict.anchors_wrong.len(), 1);
    let page = f.audit.list(&TenantScope::All, AuditFilter::default(), None, 3, false).await.unwrap();
    assert_eq!(page.entries[2].action, Action::ChainStart);
    assert_eq!((page.entries[2].seq, &*page.entries[2].details["reason"]), (27, "lost"));
    f.close().await;
}

/// Puts the log's files of an earlier time back, as a disk does that lost the end of them.
fn roll_back(dir: &Path, before: &Path) {
    std::fs::remove_dir_all(dir.join("ledger/audit")).unwrap();
    copy(before, &dir.join("ledger/audit"));
}

#[tokio::test]
async fn a_log_whose_end_the_disk_lost_begins_anew_behind_it_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let before = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(5).await;
    f.close().await;
    copy(&dir.path().join("ledger/audit"), before.path());
    let f = open(dir.path()).await;
    assert_eq!(f.store.ledger_losses(), []);
    f.fill(10).await;
    let last =
        f.audit.list(&TenantScope::All, AuditFilter::default(), None, 1, false).await.unwrap().entries[0].seq;
    f.close().await;
    roll_back(dir.path(), before.path());

    let f = open(dir.path()).await;
    let [loss] = &f.store.ledger_losses()[..] else { panic!("{:?}", f.store.ledger_losses()) };
    assert_eq!((loss.to, loss.how, loss.to - loss.from), (last, How::Cut, 9));
    let page = f.audit.list(&TenantScope::All, AuditFilter::default(), None, 2, false).await.unwrap();
    let [lost, start] = &page.entries[..] else { panic!("two entries") };
    assert_eq!((lost.action, start.action), (Action::ChainLost, Action::ChainStart));
    assert_eq!((start.seq, &*start.details["reason"]), (last + 1, "lost"));
    assert!(start.details["found"].contains(&format!("{last} are missing")), "{start:?}");
    assert_eq!(lost.object.as_ref().unwrap().name.as_deref(), Some("audit log"));
    assert_eq!(lost.details["lost"], format!("audit log: entries {} to {last} are cut off", last - 9));
    assert!(!f.verify().await.intact);
    f.close().await;

    // Reported for a while, and recorded once.
    let f = open(dir.path()).await;
    assert_eq!(f.store.ledger_losses().len(), 1);
    let lost = AuditFilter { actions: vec![Action::ChainLost], ..AuditFilter::default() };
    assert_eq!(f.audit.list(&TenantScope::All, lost, None, 9, false).await.unwrap().entries.len(), 1);
    f.close().await;
}

#[tokio::test]
async fn damage_that_nobody_reads_is_found_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(5).await;
    f.store.audit_log().tamper_roll().await;
    f.fill(5).await;
    f.store.audit_log().tamper_flip(3).await;
    f.close().await;
    let f = open(dir.path()).await;
    let lost = AuditFilter { actions: vec![Action::ChainLost], ..AuditFilter::default() };
    let mut found = f.audit.follow(TenantScope::All, lost, 1).await.unwrap();
    let entry = found.next().await.unwrap().unwrap();
    assert_eq!(entry.details["lost"], "audit log: entry 3 is damaged");
    assert_eq!(f.store.ledger_losses().len(), 1);
    f.close().await;
}

#[tokio::test]
async fn anchors_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(5).await;
    let right = f.audit.checkpoint().await.unwrap();
    assert_eq!(f.audit.checkpoint().await.unwrap(), right, "nothing is new");
    assert!(f.audit.verify(std::slice::from_ref(&right), None).await.unwrap().intact);
    let wrong = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = right.clone();
        change(&mut checkpoint);
        let signed = f.audit.shared().unwrap().signer.resign(checkpoint);
        let audit = f.audit.clone();
        async move { audit.verify(&[signed], None).await.unwrap().anchors_wrong[0].why }
    };
    assert_eq!(wrong(|c| c.seq = 99).await, AnchorProblem::Cut);
    assert_eq!(wrong(|c| c.hash.0[0] ^= 1).await, AnchorProblem::Differs);
    assert_eq!(wrong(|c| c.daemon = "other".into()).await, AnchorProblem::OtherDaemon);
    let other_chain = |c: &mut Checkpoint| {
        c.chain = "other".into();
        c.hash.0[0] ^= 1;
    };
    assert_eq!(wrong(other_chain).await, AnchorProblem::OtherChain);
    let mut forged = right.clone();
    forged.time += 1;
    let verdict = f.audit.verify(&[forged, right.clone()], None).await.unwrap();
    assert_eq!((verdict.anchors_agreed, verdict.anchors_wrong[0].why), (1, AnchorProblem::BadSignature));
    assert!(!verdict.intact);
    f.close().await;
}

#[tokio::test]
async fn what_is_removed_by_age_leaves_a_chain_that_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = options();
    old.retention = Duration::from_secs(3600);
    let f = open_with(dir.path(), old.clone()).await;
    f.fill(35).await;
    let anchor = f.audit.checkpoint().await.unwrap();
    assert_eq!(f.audit.retain().await.unwrap(), 0, "nothing is old");
    f.close().await;
    // An hour later.
    let f = open_with(dir.path(), Options { retention: Duration::from_millis(1), ..old.clone() }).await;
    let mut wait = f.audit.follow(TenantScope::All, AuditFilter::default(), 0).await.unwrap();
    f.fill(1).await;
    wait.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let removed = f.audit.retain().await.unwrap();
    assert_eq!(removed, 36);
    assert_eq!(f.audit.retain().await.unwrap(), 0);
    f.audit.checkpoint().await.unwrap();
    f.close().await;
    let f = open_with(dir.path(), old).await;
    let verdict = f.audit.verify(&[anchor], None).await.unwrap();
    assert!(verdict.intact, "{verdict:?}");
    assert_eq!((verdict.first, verdict.anchors_agreed), (37, 1));
    assert!(verdict.retained_from.is_some());
    let page = f.audit.list(&TenantScope::All, AuditFilter::default(), None, 1000, true).await.unwrap();
    assert_eq!(page.entries[0].seq, 37);
    assert!(page.entries.iter().any(|e| e.action == Action::AuditRetention && e.details["through"] == "36"));
    f.close().await;
}

#[tokio::test]
async fn nothing_is_removed_from_a_broken_log() {
    let dir = tempfile::tempdir().unwrap();
    let f = open_with(dir.path(), Options { retention: Duration::from_millis(1), ..options() }).await;
    f.fill(35).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    f.store.audit_log().tamper_drop(5, 5).await;
    assert!(matches!(f.audit.retain().await, Err(AuditError::Broken(_))));
    assert_eq!(found(&f.verify().await), (Problem::Removed, 5, 5));
    f.close().await;
}

#[tokio::test]
async fn a_restored_snapshot_leaves_the_log_alone_and_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let f = open(dir.path()).await;
    f.fill(5).await;
    let snapshot = f.store.snapshot().await.unwrap();
    f.fill(20).await;
    let anchor = f.audit.checkpoint().await.unwrap();
    f.close().await;
    let restored = recover::restore(dir.path(), &snapshot).unwrap();
    assert_eq!(restored.ledgers.len(), 4);
    assert!(restored.ledgers.iter().all(|ledger| ledger.lost.is_empty()), "{:?}", restored.ledgers);

    let f = open(dir.path()).await;
    let verdict = f.audit.verify(std::slice::from_ref(&anchor), None).await.unwrap();
    assert_eq!((verdict.intact, verdict.last, verdict.anchors_agreed), (true, 27, 1), "{verdict:?}");
    let entry = f.audit.show(&TenantScope::All, 27).await.unwrap().unwrap();
    assert_eq!(entry.action, Action::Restore);
    assert_eq!(entry.details["snapshot"], snapshot.file_name().unwrap().to_str().unwrap());
    f.close().await;
    // It is recorded once.
    let f = open(dir.path()).await;
    assert_eq!(f.verify().await.last, 27);
    f.close().await;

    // The log is not there any more: a new chain says so.
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let restored = recover::restore(dir.path(), &snapshot).unwrap();
    assert_eq!(
        restored.ledgers[0].to_string(),
        "audit log: gone (0 records are left; entries 1 to 27 are missing)"
    );
    let f = open(dir.path()).await;
    f.fill(1).await;
    let verdict = f.audit.verify(&[anchor], None).await.unwrap();
    assert_eq!(verdict.restarts[0].reason, "lost", "{verdict:?}");
    assert!(!verdict.intact, "what was published is not there any more");
    f.close().await;
}
