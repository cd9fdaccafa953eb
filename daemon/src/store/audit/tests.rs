use aivonx_protocol::audit::{
    Action, AuditActor, AuditFilter, AuditObject, AuditOrganization, AuditSource, CheckpointKind, HexBytes,
    Outcome, canonical::genesis,
};

use super::*;
use crate::store::tests::open;

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
    let all = entries(n);
    for group in all.chunks(97) {
        let last = group.last().unwrap();
        let head = AuditHead { chain: "c".into(), first: 1, last: last.seq, hash: last.hash };
        store.audit_log().append(group.to_vec(), None, head).await.unwrap();
    }
    all
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

/// All entries a query asks for, over as many pages as it takes.
async fn all_pages(
    store: &Store,
    reach: &Reach,
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
    let acme = Reach::Organization("acme".into());
    for filter in &filters {
        for reach in [&Reach::All, &acme] {
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
    let page = store.audit_log().page(&Reach::All, query).await.unwrap();
    assert!((2..10).contains(&page.entries.len()), "{}", page.entries.len());
    assert_eq!(page.next, page.entries.last().map(|e| e.seq));
    let query = Query { limit: 100, bytes: 1, ..Query::default() };
    assert_eq!(store.audit_log().page(&Reach::All, query).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn an_entry_out_of_reach_is_as_one_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 8).await;
    let log = store.audit_log();
    assert_eq!(log.entry(&Reach::All, 3).await.unwrap().as_ref(), Some(&all[2]));
    let acme = Reach::Organization("acme".into());
    assert_eq!(log.entry(&acme, 4).await.unwrap().as_ref(), Some(&all[3]));
    assert_eq!(log.entry(&acme, 3).await.unwrap(), None);
    // Its slug is not its id.
    assert_eq!(log.entry(&Reach::Organization("acme-slug".into()), 4).await.unwrap(), None);
    assert_eq!(log.entry(&Reach::All, 9).await.unwrap(), None);
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
    // To the minute, which ten entries share.
    assert!((1992..=2001).contains(&log.first_since(all[2000].time).await.unwrap().unwrap()));
    assert_eq!(log.first_since(u64::MAX).await.unwrap(), None);
    let walked = log.walk(2999, 10).await.unwrap();
    assert_eq!(walked, [(2999, Ok(all[2998].clone())), (3000, Ok(all[2999].clone()))]);

    let mut forgotten = 0;
    loop {
        match log.forget(2000, 300).await.unwrap() {
            0 => break,
            n => forgotten += n,
        }
    }
    assert_eq!(forgotten, 2000);
    let left = |tree| store.run(move |engine, _| Ok(engine.keys(tree, ..).count()));
    assert_eq!(left(Tree::Audit).await.unwrap(), 1000);
    let checkpoints = log.checkpoints().await.unwrap();
    assert_eq!(checkpoints.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2000, 3000]);
    let blocks = store.run(|engine, _| {
        let keys = engine.keys(Tree::AuditIndex, ..).map(|key| Ok(index::block_of(&key?)));
        keys.collect::<Result<std::collections::BTreeSet<_>, StoreError>>()
    });
    assert_eq!(blocks.await.unwrap().into_iter().flatten().collect::<Vec<_>>(), [1, 2]);
    let none = AuditFilter::default();
    assert_eq!(all_pages(&store, &Reach::All, &none, 400, true).await, (2001..=3000).collect::<Vec<_>>());
    let bob = AuditFilter { actor: Some("bob".into()), ..none };
    assert!(all_pages(&store, &Reach::All, &bob, 400, true).await.iter().all(|seq| *seq > 2000));
}

#[tokio::test]
async fn a_lost_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let all = filled(&store, 600).await;
    let log = store.audit_log();
    assert_eq!(log.mend_index(all.clone()).await.unwrap(), 0);
    let lost = store.run(|engine, _| {
        let keys: Vec<_> = engine.keys(Tree::AuditIndex, ..).collect::<Result<_, _>>()?;
        engine.tree(Tree::AuditIndex).insert(&keys[0], b"nonsense")?;
        remove_all(engine, Tree::AuditIndex, &keys[1..])
    });
    assert!(lost.await.unwrap() > 10);
    assert!(log.mend_index(all[..300].to_vec()).await.unwrap() > 10);
    log.mend_index(all[300..].to_vec()).await.unwrap();
    let bob = AuditFilter { actor: Some("bob".into()), ..AuditFilter::default() };
    assert_eq!(all_pages(&store, &Reach::All, &bob, 1000, true).await.len(), 200);
}
