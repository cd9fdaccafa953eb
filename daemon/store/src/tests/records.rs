use aivonx_protocol::strategy::Strategy;

use super::*;
use crate::secrets::Sealed;

#[tokio::test]
async fn nodes_are_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let a = store.nodes().insert(node("a")).await.unwrap();
    let b = store.nodes().insert(node("b")).await.unwrap();
    assert_eq!((a.revision, a.id.len()), (1, 36));
    let b = store.nodes().update(&b.id, Some(1), |n| n.max_parallel = 9).await.unwrap();
    assert_eq!(b.revision, 2);
    store.settings().set_strategy(Strategy::LowestLatency).await.unwrap();
    let daemon = store.settings().daemon_id().to_owned();
    store.close().await.unwrap();
    assert!(matches!(store.nodes().list().await, Err(StoreError::Closed)));

    let store = open(dir.path()).await;
    assert_eq!(store.nodes().list().await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(store.nodes().get(&a.id).await.unwrap(), Some(a.clone()));
    assert_eq!(store.nodes().by_name("b").await.unwrap(), Some(b));
    assert_eq!(store.settings().strategy().await.unwrap(), Strategy::LowestLatency);
    assert_eq!(store.settings().daemon_id(), daemon);
    store.verify().await.unwrap();
}

#[tokio::test]
async fn names_are_unique_and_free_again_after_a_rename_or_removal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let nodes = store.nodes();
    let a = nodes.insert(node("a")).await.unwrap();
    let b = nodes.insert(node("b")).await.unwrap();
    let taken = |e| matches!(e, StoreError::NameTaken { name, .. } if name == "a");
    assert!(taken(nodes.insert(node("a")).await.unwrap_err()));
    assert!(taken(nodes.update(&b.id, None, |n| n.name = "a".into()).await.unwrap_err()));
    assert_eq!(nodes.get(&b.id).await.unwrap(), Some(b.clone()), "a refused change stores nothing");
    nodes.update(&a.id, None, |n| n.name = "c".into()).await.unwrap();
    let b = nodes.update(&b.id, None, |n| n.name = "a".into()).await.unwrap();
    assert_eq!(nodes.by_name("a").await.unwrap(), Some(b.clone()));
    assert_eq!(nodes.by_name("b").await.unwrap(), None);
    nodes.remove(&b.id, Some(2)).await.unwrap();
    nodes.insert(node("a")).await.unwrap();
    let error = nodes.insert(NodeRecord { id: a.id, ..node("z") }).await.unwrap_err();
    assert!(matches!(error, StoreError::IdTaken { .. }));
    assert_eq!(store.health().errors, 0, "refusals are no errors of the store");
}

#[tokio::test]
async fn an_old_revision_is_a_conflict_that_names_both() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let nodes = store.nodes();
    let id = nodes.insert(node("a")).await.unwrap().id;
    nodes.update(&id, Some(1), |n| n.max_parallel = 1).await.unwrap();
    let conflict = |e| matches!(e, StoreError::Conflict { expected: 1, found: 2, .. });
    assert!(conflict(nodes.update(&id, Some(1), |n| n.max_parallel = 2).await.unwrap_err()));
    assert!(conflict(nodes.remove(&id, Some(1)).await.unwrap_err()));
    let same = nodes.update(&id, Some(2), |n| n.revision = 77).await.unwrap();
    assert_eq!(same.revision, 2, "a change that changes nothing is not stored");
    nodes.remove(&id, None).await.unwrap();
    assert!(matches!(nodes.remove(&id, None).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(nodes.update(&id, None, |_| ()).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn another_beginning_of_days_is_noticed_once() {
    let dir = tempfile::tempdir().unwrap();
    let hours = |hours: u64| std::time::Duration::from_secs(3600 * hours);
    let mut told = Vec::new();
    for offset in [2, 2, 0, 0, 3] {
        let store = open(dir.path()).await;
        told.push(store.settings().keep_day_offset(hours(offset)).await.unwrap());
        store.close().await.unwrap();
    }
    assert_eq!(told, [None, None, Some(hours(2)), None, Some(hours(0))]);
}

#[tokio::test]
async fn every_change_is_told_after_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut feed = store.subscribe();
    let id = store.nodes().insert(node("a")).await.unwrap().id;
    store.nodes().update(&id, None, |n| n.max_parallel = 1).await.unwrap();
    store.nodes().update(&id, None, |_| ()).await.unwrap();
    store.settings().set_strategy(Strategy::LowestLatency).await.unwrap();
    store.nodes().remove(&id, None).await.unwrap();
    let change = |collection, id: &str, revision| Change { collection, id: id.into(), revision };
    assert_eq!(feed.recv().await.unwrap(), change(Collection::Node, &id, 1));
    assert_eq!(feed.recv().await.unwrap(), change(Collection::Node, &id, 2));
    assert_eq!(feed.recv().await.unwrap(), change(Collection::Strategy, "", 0));
    assert_eq!(feed.recv().await.unwrap(), change(Collection::Node, &id, 0));
    assert!(feed.try_recv().is_err());
    assert!(store.health().last_flush.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = store.nodes().insert(node("shared")).await.unwrap().id;
    let writers = (0..8).map(|w| {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move {
            for i in 0..10 {
                store.nodes().insert(node(&format!("n{w}-{i}"))).await.unwrap();
                store.nodes().update(&id, None, |n| n.max_parallel += 1).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    let shared = store.nodes().get(&id).await.unwrap().unwrap();
    assert_eq!((shared.max_parallel, shared.revision), (84, 81));
    assert_eq!(store.nodes().list().await.unwrap().len(), 81);
}

#[tokio::test]
async fn large_records_are_durable_and_too_large_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    // Large enough that the engine keeps it in a file of its own.
    let pem = "x".repeat(400 << 10);
    let record = NodeRecord { ca_pem: Some(pem.clone()), ..node("big") };
    let id = store.nodes().insert(record).await.unwrap().id;
    let error = store.nodes().update(&id, None, |n| n.ca_pem = Some("x".repeat(2 << 20))).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.nodes().get(&id).await.unwrap().unwrap().ca_pem, Some(pem));
}

#[tokio::test]
async fn a_closure_that_panics_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = store.nodes().insert(node("a")).await.unwrap().id;
    let error = store.nodes().update(&id, None, |_| panic!("on purpose")).await.unwrap_err();
    assert!(matches!(error, StoreError::Panicked(_)));
    assert_eq!(store.health().errors, 1);
    store.nodes().update(&id, None, |n| n.max_parallel = 7).await.unwrap();
    store.verify().await.unwrap();
}

/// The stored form of schema 1. Once a version with it is released it is frozen: a record's form changes only
/// together with a migration, and this fixture stays.
#[test]
fn the_stored_form_is_the_frozen_one() {
    let record = NodeRecord {
        id: "0190-a".into(),
        name: "gpu1".into(),
        kind: NodeKind::Openai,
        admin_state: AdminState::Draining,
        ca_pem: Some("PEM".into()),
        server_name: Some("gpu".into()),
        organization: Some("0190-o".into()),
        credential: StoredCredential::Basic {
            user: "u".into(),
            password: Sealed { key: 1, nonce: [7; 12], ciphertext: vec![1, 2, 3] },
        },
        created: 1_700_000_000_000,
        revision: 3,
        ..node("gpu1")
    };
    let tree = tree::Tree::Node;
    let bytes = codec::encode(tree.name(), b"0190-a", tree.version(), &record).unwrap();
    assert_eq!(hex::encode(&bytes), include_str!("node-v1.hex").trim());
    let read: NodeRecord = codec::decode(tree.name(), b"0190-a", tree.version(), &bytes).unwrap();
    assert_eq!(read, record);
}
