use std::path::{Path, PathBuf};

use aivonx_protocol::audit::{
    Action, AuditActor, AuditFilter, AuditObject, AuditOrganization, AuditSource, CheckpointKind, HexBytes,
    Outcome, canonical::genesis,
};

use super::*;
use crate::tests::open;

const MINUTE: u64 = 60_000;

/// An entry whose parts follow from its position.
fn entry(seq: u64, prev: Digest) -> AuditEntry {
    let actor = ["alice", "bob", "carol"][(seq % 3) as usize];
    let organization = ["acme", "zeta"].get((seq % 4) as usize);
    let mut entry = AuditEntry {
        seq,
        time: 1_700_000_000_000 + seq * MINUTE / 10,
        action: [Action::Login, Action::Create, Action::Denied][(seq / 2 % 3) as usize],
        outcome: if seq.is_multiple_of(7) { Outcome::Denied } else { Outcome::Ok },
        actor: AuditActor { id: Some(format!("id-{actor}")), name: actor.into() },
        source: AuditSource {
            address: [
                None,
                Some(format!("192.0.{}.{}", seq % 11, seq % 200)),
                Some(format!("2001:db8::{seq:x}")),
            ][(seq % 3) as usize]
                .clone(),
            ..AuditSource::default()
        },
        organization: organization
            .map(|o| AuditOrganization { id: (*o).into(), name: Some(format!("{o}-slug")) }),
        object: seq.is_multiple_of(5).then(|| AuditObject {
            kind: "node".into(),
            id: Some(format!("n{seq}")),
            name: Some(format!("gpu{}", seq % 20)),
        }),
        via: None,
        request_id: None,
        details: [("n".to_owned(), seq.to_string())].into(),
        prev,
        hash: HexBytes([0; 32]),
    };
    entry.hash = entry.chained(&prev);
    entry
}

fn entries(n: u64) -> Vec<AuditEntry> {
    let mut prev = genesis("d", "c");
    (1..=n)
        .map(|seq| {
            let entry = entry(seq, prev);
            prev = entry.hash;
            entry
        })
        .collect()
}

async fn filled(store: &Store, n: u64) -> Vec<AuditEntry> {
    let mut all = Vec::new();
    more(store, &mut all, n).await;
    all
}

async fn more(store: &Store, all: &mut Vec<AuditEntry>, n: u64) {
    let before = all.len();
    *all = entries(before as u64 + n);
    for group in all[before..].chunks(97) {
        let last = group.last().unwrap();
        let head = AuditHead { chain: "c".into(), first: 1, last: last.seq, hash: last.hash };
        store.audit_log().append(group.to_vec(), None, head).await.unwrap();
    }
}

fn checkpoint(seq: u64) -> Checkpoint {
    Checkpoint {
        daemon: "d".into(),
        chain: "c".into(),
        kind: CheckpointKind::Regular,
        seq,
        hash: HexBytes([1; 32]),
        previous: 0,
        time: 5,
        signer: HexBytes([2; 32]),
        signature: HexBytes([3; 64]),
    }
}

/// A log of `n` entries with two checkpoints, as schema 1 had it.
pub(crate) fn old_log(n: u64) -> (Vec<AuditEntry>, Vec<Checkpoint>, AuditHead) {
    let entries = entries(n);
    let head = AuditHead { chain: "c".into(), first: 1, last: n, hash: entries[n as usize - 1].hash };
    (entries, vec![checkpoint(n / 3), checkpoint(n / 2)], head)
}

/// All entries a query asks for, over as many pages as it takes.
async fn all_pages(
    store: &Store,
    reach: &TenantScope,
    filter: &AuditFilter,
    limit: usize,
    oldest_first: bool,
) -> Vec<u64> {
    let mut query = Query { filter: filter.clone(), cursor: None, limit, bytes: 1 << 20, oldest_first };
    let mut seqs = Vec::new();
    loop {
        let page = store.audit_log().page(reach, query.clone()).await.unwrap();
        seqs.extend(page.entries.iter().map(|e| e.seq));
        query.cursor = page.next;
        if page.next.is_none() {
            return seqs;
        }
    }
}

#[tokio::test]
async fn every_query_finds_what_a_scan_finds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 2500).await;
    let text = |text: &str| Some(text.to_owned());
    let network = |text: &str| Some(text.parse().unwrap());
    let none = AuditFilter::default();
    let filters = [
        none.clone(),
        AuditFilter { actor: text("id-bob"), ..none.clone() },
        AuditFilter { actor: text("bob"), actions: vec![Action::Login], ..none.clone() },
        AuditFilter {
            actions: vec![Action::Login, Action::Denied],
            outcome: Some(Outcome::Denied),
            ..none.clone()
        },
        AuditFilter { organization: text("acme-slug"), object_kind: text("node"), ..none.clone() },
        AuditFilter { object: text("gpu10"), ..none.clone() },
        AuditFilter { object: text("n2000"), ..none.clone() },
        AuditFilter { actor: text("nobody"), ..none.clone() },
        AuditFilter { since: Some(all[700].time), until: Some(all[1900].time), ..none.clone() },
        AuditFilter { since: Some(all[700].time + 1), actor: text("carol"), ..none.clone() },
        AuditFilter { until: Some(all[100].time), actor: text("carol"), ..none.clone() },
        AuditFilter { until: Some(1), ..none.clone() },
        AuditFilter { network: network("192.0.3.0/24"), ..none.clone() },
        AuditFilter { network: network("192.0.3.16/28"), actor: text("bob"), ..none.clone() },
        AuditFilter { network: network("192.0.4.70"), ..none.clone() },
        AuditFilter { network: network("2001:db8::100/120"), ..none.clone() },
        AuditFilter { network: network("128.0.0.0/1"), until: Some(all[100].time), ..none.clone() },
        AuditFilter { network: network("::/0"), ..none.clone() },
        AuditFilter { network: network("198.51.100.0/24"), ..none.clone() },
    ];
    let acme = TenantScope::Organization("acme".into());
    for filter in &filters {
        for reach in [&TenantScope::All, &acme] {
            let mut scan: Vec<u64> =
                all.iter().filter(|e| filter.matches(e) && query::covers(reach, e)).map(|e| e.seq).collect();
            assert_eq!(all_pages(&store, reach, filter, 100, true).await, scan, "{filter:?} {reach:?}");
            scan.reverse();
            assert_eq!(all_pages(&store, reach, filter, 33, false).await, scan, "{filter:?} {reach:?}");
        }
    }
}

#[tokio::test]
async fn pages_are_bounded_in_bytes_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    filled(&store, 50).await;
    let query = Query { limit: 100, bytes: 1000, ..Query::default() };
    let page = store.audit_log().page(&TenantScope::All, query).await.unwrap();
    assert!((2..10).contains(&page.entries.len()), "{}", page.entries.len());
    assert_eq!(page.next, page.entries.last().map(|e| e.seq));
    let query = Query { limit: 100, bytes: 1, ..Query::default() };
    assert_eq!(store.audit_log().page(&TenantScope::All, query).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn an_entry_out_of_reach_is_as_one_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 8).await;
    let log = store.audit_log();
    assert_eq!(log.entry(&TenantScope::All, 3).await.unwrap().as_ref(), Some(&all[2]));
    let acme = TenantScope::Organization("acme".into());
    assert_eq!(log.entry(&acme, 4).await.unwrap().as_ref(), Some(&all[3]));
    assert_eq!(log.entry(&acme, 3).await.unwrap(), None);
    // Its slug is not its id.
    assert_eq!(log.entry(&TenantScope::Organization("acme-slug".into()), 4).await.unwrap(), None);
    assert_eq!(log.entry(&TenantScope::All, 9).await.unwrap(), None);
}

#[tokio::test]
async fn the_log_survives_a_restart_and_is_forgotten_from_its_old_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 3000).await;
    let head = store.audit_log().head().await.unwrap().unwrap();
    for seq in [1000, 2000, 3000] {
        store.audit_log().append(Vec::new(), Some(checkpoint(seq)), head.clone()).await.unwrap();
    }
    store.close().await.unwrap();

    let store = open(dir.path()).await;
    let log = store.audit_log();
    assert_eq!(log.head().await.unwrap().unwrap(), head);
    assert_eq!((head.last, log.highest().await.unwrap()), (3000, 3000));
    assert_eq!(log.first_since(all[2000].time).await.unwrap(), Some(2001));
    assert_eq!(log.first_since(u64::MAX).await.unwrap(), None);
    let walked = log.walk(2999, 10).await.unwrap();
    assert_eq!(walked, [(2999, Ok(all[2998].clone())), (3000, Ok(all[2999].clone()))]);

    assert_eq!(log.forget(2000).await.unwrap(), 2000);
    assert_eq!(log.forget(2000).await.unwrap(), 0);
    assert_eq!(log.entry(&TenantScope::All, 2000).await.unwrap(), None);
    assert_eq!(log.walk(0, 1).await.unwrap()[0].0, 2001);
    let checkpoints = log.checkpoints().await.unwrap();
    assert_eq!(checkpoints.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2000, 3000]);
    let none = AuditFilter::default();
    assert_eq!(
        all_pages(&store, &TenantScope::All, &none, 400, true).await,
        (2001..=3000).collect::<Vec<_>>()
    );
    let bob = AuditFilter { actor: Some("bob".into()), ..none };
    assert!(all_pages(&store, &TenantScope::All, &bob, 400, true).await.iter().all(|seq| *seq > 2000));
}

/// The segments' indexes.
fn indexes(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("ledger/audit")).unwrap().map(|e| e.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "index")).collect()
}

#[tokio::test]
async fn a_lost_or_wrong_index_is_made_anew_and_goes_with_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut all = filled(&store, 300).await;
    for _ in 0..3 {
        store.with_ledgers(|ledgers| ledgers.audit.log.roll()).await.unwrap();
        more(&store, &mut all, 300).await;
    }
    store.close().await.unwrap();
    let kept = indexes(dir.path());
    assert_eq!(kept.len(), 3);
    std::fs::remove_file(&kept[0]).unwrap();
    std::fs::write(&kept[1], "nonsense").unwrap();
    std::fs::copy(&kept[1], &kept[2]).unwrap();
    let store = open(dir.path()).await;
    let bob = AuditFilter { actor: Some("bob".into()), ..AuditFilter::default() };
    let scan: Vec<u64> = all.iter().filter(|entry| bob.matches(entry)).map(|entry| entry.seq).collect();
    assert_eq!(all_pages(&store, &TenantScope::All, &bob, 100, true).await, scan);
    assert_eq!(indexes(dir.path()).len(), 3);
    assert_eq!(store.audit_log().forget(650).await.unwrap(), 650);
    assert_eq!(indexes(dir.path()).len(), 1);
    let scan: Vec<u64> = scan.into_iter().filter(|seq| *seq > 650).collect();
    assert_eq!(all_pages(&store, &TenantScope::All, &bob, 100, true).await, scan);
    more(&store, &mut all, 1).await;
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.ledger_losses(), []);
    assert_eq!(store.audit_log().walk(0, 1).await.unwrap()[0].0, 651, "what was forgotten stays so");
}

#[tokio::test]
async fn an_entry_that_is_damaged_is_passed_over_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    filled(&store, 200).await;
    let log = store.audit_log();
    log.tamper_flip(50).await;
    assert_eq!(all_pages(&store, &TenantScope::All, &AuditFilter::default(), 1000, true).await.len(), 199);
    assert!(matches!(log.entry(&TenantScope::All, 50).await, Err(StoreError::Record { .. })));
    assert!(log.walk(50, 1).await.unwrap()[0].1.is_err());
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    let [loss] = &store.ledger_losses()[..] else { panic!("{:?}", store.ledger_losses()) };
    assert_eq!(loss.to_string(), "audit log: entry 50 is damaged");
    let walked = store.audit_log().walk(49, 3).await.unwrap();
    assert_eq!(
        walked.iter().map(|(place, read)| (*place, read.is_ok())).collect::<Vec<_>>(),
        [(49, true), (50, false), (51, true)]
    );
}

#[tokio::test]
async fn an_engine_that_hangs_does_not_stop_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 10).await;
    let (never, until_dropped) = std::sync::mpsc::channel::<()>();
    let hung = store.run_within(std::time::Duration::from_millis(10), move |_, _| {
        let _ = until_dropped.recv();
        Ok(())
    });
    assert!(hung.await.is_err());
    let log = store.audit_log();
    let entry = entry(11, all[9].hash);
    let head = AuditHead { chain: "c".into(), first: 1, last: 11, hash: entry.hash };
    log.append(vec![entry.clone()], None, head).await.unwrap();
    assert_eq!(log.entry(&TenantScope::All, 11).await.unwrap(), Some(entry));
    drop(never);
}
