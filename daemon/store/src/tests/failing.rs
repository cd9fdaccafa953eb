use std::time::Instant;

use super::*;

/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_operation_that_hangs_ends_the_store_and_nothing_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let began = Instant::now();
    let (never, until_dropped) = std::sync::mpsc::channel::<()>();
    let hung = store.run_within(Duration::from_millis(20), move |_, _| {
        let _ = until_dropped.recv_timeout(FOR_EVER);
        Ok(())
    });
    assert!(matches!(hung.await, Err(StoreError::Failed)));
    let trouble = store.trouble().unwrap();
    assert!(trouble.hangs && trouble.what.contains("did not end within"), "{trouble:?}");
    assert!(matches!(store.nodes().list().await, Err(StoreError::Failed)));
    assert!(matches!(store.nodes().insert(node("a")).await, Err(StoreError::Failed)));
    assert!(matches!(store.close().await, Err(StoreError::Failed)));
    assert!(began.elapsed() < FOR_EVER);
    drop(never);
}

/// Returns when the store takes changes again.
async fn mended(store: &Store) {
    while store.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_second_engine_takes_the_place_of_one_that_hangs_and_has_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    let mut changes = store.subscribe();
    let (told, acknowledged) = std::sync::mpsc::channel();
    let (never, until_dropped) = std::sync::mpsc::channel::<()>();
    // The first engine stays open, its lock held, until it comes to life again.
    let hung = store.run_within(Duration::from_millis(20), move |engine, _| {
        let _ = until_dropped.recv_timeout(FOR_EVER);
        let _ = told.send(engine.write(|batch| batch.put(tree::Tree::Setting, b"late", &1_u8)));
        Ok(())
    });
    assert!(hung.await.is_err());
    mended(&store).await;
    // Followers of the store read all of it anew.
    assert_eq!(
        changes.recv().await.unwrap(),
        Change { collection: Collection::Node, id: String::new(), revision: 0 }
    );
    store.nodes().insert(node("b")).await.unwrap();
    drop(never);
    assert!(matches!(acknowledged.recv_timeout(FOR_EVER), Ok(Err(StoreError::Failed))));
    // What it says then changes nothing.
    assert_eq!(store.trouble(), None);
    store.nodes().insert(node("c")).await.unwrap();
    store.verify().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(open(dir.path()).await.nodes().list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_anew_says_so_and_is_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    let aside = dir.path().join("aside");
    std::fs::rename(dir.path().join("store"), &aside).unwrap();
    let failed = store.run(|engine, _| {
        engine.retire();
        Err::<(), _>(StoreError::Engine("input/output error".into()))
    });
    assert!(failed.await.is_err());
    while !store.trouble().unwrap().what.contains("store/db is missing") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(store.nodes().list().await.unwrap().len(), 1);
    std::fs::rename(&aside, dir.path().join("store")).unwrap();
    mended(&store).await;
    store.nodes().insert(node("b")).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_write_is_told_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    assert_eq!(store.trouble(), None);
    let refused = store.run(|engine, _| {
        engine.retire();
        Err::<(), _>(StoreError::Engine("no space left on device".into()))
    });
    assert!(refused.await.is_err());
    let trouble = store.trouble().unwrap();
    assert!(!trouble.hangs && trouble.what.contains("no space left"), "{trouble:?}");
    assert_eq!(store.nodes().list().await.unwrap().len(), 1);
    assert!(matches!(store.nodes().insert(node("b")).await, Err(StoreError::Failed)));
    assert!(matches!(store.close().await, Err(StoreError::Failed)));
    // What was acknowledged is there after a new start.
    assert_eq!(open(dir.path()).await.nodes().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_is_told_and_tried_again_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store
        .with_ledgers(|ledgers| {
            ledgers.usage.requests.fail("no space left on device");
            Ok(())
        })
        .await
        .unwrap();
    let trouble = store.trouble().unwrap();
    assert!(trouble.what.starts_with("the usage ledger cannot be written: "), "{trouble:?}");
    assert!(!trouble.hangs);
    // The store itself is as good as ever, and is not opened anew.
    store.nodes().insert(node("a")).await.unwrap();
    mended(&store).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn files_that_are_taken_away_under_the_store_are_written_again_or_stop_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let at = |name: &str| dir.path().join(name);
    for name in ["COMMIT", "STORE"] {
        std::fs::remove_file(at(name)).unwrap();
        while !at(name).is_file() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    store.nodes().insert(node("a")).await.unwrap();
    for name in ["COMMIT", "STORE", "store/db", "ledger"] {
        std::fs::rename(at(name), at("aside")).unwrap();
        std::fs::create_dir(at("in-place")).unwrap();
        std::fs::write(at("in-place/x"), "").unwrap();
        let other = if name == "ledger" { at("in-place/x") } else { at("in-place") };
        // Before the next look, or it is made anew.
        while std::fs::rename(&other, at(name)).is_err() {
            let _ = std::fs::remove_file(at(name));
            let _ = std::fs::remove_dir_all(at(name));
        }
        while store.trouble().is_none_or(|trouble| !trouble.what.contains(name)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(store.trouble().unwrap().stops_changes);
        let refused = store.nodes().insert(node("b")).await.unwrap_err();
        assert!(refused.to_string().starts_with("no change is made while"), "{name}: {refused}");
        if name == "ledger" {
            // Made again of what is still open.
            std::fs::remove_file(at(name)).unwrap();
            std::fs::remove_dir_all(at("aside")).unwrap();
            std::fs::remove_dir_all(at("in-place")).unwrap();
        } else {
            std::fs::remove_dir_all(at(name)).unwrap();
            std::fs::rename(at("aside"), at(name)).unwrap();
        }
        mended(&store).await;
    }
    store.nodes().insert(node("b")).await.unwrap();
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.nodes().list().await.unwrap().len(), 2);
    assert_eq!(store.ledger_losses(), []);
}
