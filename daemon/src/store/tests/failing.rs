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
    // The disk is as good as ever, so a new start would mend it.
    store.mendable().await;
    assert!(began.elapsed() < FOR_EVER);
    drop(never);
}

#[tokio::test]
async fn a_failed_write_is_told_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    assert_eq!(store.trouble(), None);
    let refused = store.run(|engine, _| {
        engine.failed.store(true, std::sync::atomic::Ordering::Release);
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
    while store.trouble().is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    store.close().await.unwrap();
}
