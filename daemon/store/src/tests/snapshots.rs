use super::*;

#[tokio::test]
async fn the_newest_few_are_kept_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut paths = Vec::new();
    for i in 0..5 {
        store.nodes().insert(node(&format!("n{i}"))).await.unwrap();
        paths.push(store.snapshot().await.unwrap());
    }
    store.nodes().insert(node("after")).await.unwrap();
    let listed = recover::list(dir.path()).unwrap();
    let newest_first: Vec<_> = paths.iter().rev().take(3).cloned().collect();
    assert_eq!(listed.iter().map(|s| s.path.clone()).collect::<Vec<_>>(), newest_first);
    let newest = listed[0].contents.as_ref().unwrap();
    assert_eq!((newest.records["node"], newest.changes_behind), (5, Some(1)));
    assert_eq!(newest.daemon_id, store.settings().daemon_id());
    let told = store.newest_snapshot().unwrap();
    assert!(told.taken.abs_diff(newest.created) < 10_000, "{told:?}");
    assert_eq!(told.behind, 1);
    assert_eq!(store.snapshots().await.unwrap(), listed);
    store.close().await.unwrap();
    // It took one more at the end, which counts from the start.
    assert_eq!(open(dir.path()).await.newest_snapshot().unwrap().behind, 0);
}

#[tokio::test]
async fn one_that_is_removed_while_the_daemon_runs_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    store.snapshot().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    while recover::list(dir.path()).unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let listed = recover::list(dir.path()).unwrap();
    assert_eq!(listed[0].contents.as_ref().unwrap().changes_behind, Some(0));
    while store.newest_snapshot().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn restoring_sets_aside_and_brings_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let a = store.nodes().insert(node("a")).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    store.nodes().insert(node("b")).await.unwrap();
    store.close().await.unwrap();
    let restored = recover::restore(dir.path(), &snapshot).unwrap();
    assert!(restored.set_aside.unwrap().join("db").is_file());
    assert_eq!(restored.summary.changes_behind, Some(1));
    let store = open(dir.path()).await;
    assert_eq!(store.nodes().list().await.unwrap(), std::slice::from_ref(&a));
    store.nodes().insert(node("c")).await.unwrap();
    store.close().await.unwrap();

    // To another machine.
    let other = tempfile::tempdir().unwrap();
    recover::restore(other.path(), &snapshot).unwrap();
    assert_eq!(open(other.path()).await.nodes().list().await.unwrap(), [a]);
    // Not over somebody else's.
    let foreign = tempfile::tempdir().unwrap();
    open(foreign.path()).await.close().await.unwrap();
    assert!(matches!(recover::restore(foreign.path(), &snapshot), Err(StoreError::BadSnapshot { .. })));
}

#[tokio::test]
async fn closing_takes_one_only_if_something_changed() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await.unwrap();
    assert_eq!(recover::list(dir.path()).unwrap().len(), 1);
    open(dir.path()).await.close().await.unwrap();
    assert_eq!(recover::list(dir.path()).unwrap().len(), 1);
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(recover::list(dir.path()).unwrap().len(), 2);
}

#[tokio::test]
async fn an_unchanged_store_needs_no_other_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("a")).await.unwrap();
    let (first, is_new) = store.take_snapshot().await.unwrap();
    assert!(is_new);
    assert_eq!(store.take_snapshot().await.unwrap(), (first.clone(), false));
    // One that cannot be used holds nothing.
    std::fs::write(&first.path, "").unwrap();
    assert!(store.take_snapshot().await.unwrap().1);
    store.nodes().insert(node("b")).await.unwrap();
    let (second, is_new) = store.take_snapshot().await.unwrap();
    assert!(is_new && second.path != first.path);
}

#[tokio::test]
async fn a_damaged_snapshot_is_listed_as_such_and_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let snapshot = store.snapshot().await.unwrap();
    store.close().await.unwrap();
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    assert!(recover::list(dir.path()).unwrap().iter().any(|s| s.contents.is_err()));
    assert!(matches!(recover::restore(dir.path(), &snapshot), Err(StoreError::BadSnapshot { .. })));
    open(dir.path()).await;
}

#[tokio::test]
async fn the_task_takes_one_while_something_changed() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { snapshot_interval: Duration::from_millis(20), ..options() };
    let store = Store::open(dir.path(), &options).await.unwrap();
    store.nodes().insert(node("a")).await.unwrap();
    while recover::list(dir.path())
        .unwrap()
        .first()
        .is_none_or(|s| s.contents.as_ref().is_ok_and(|c| c.records["node"] == 0))
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_changed_after_going_back_is_newer_than_what_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for i in 0..5 {
        store.nodes().insert(node(&format!("n{i}"))).await.unwrap();
        store.snapshot().await.unwrap();
    }
    store.close().await.unwrap();
    let first = recover::list(dir.path()).unwrap().pop().unwrap().path;
    recover::restore(dir.path(), &first).unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("after")).await.unwrap();
    let taken = store.snapshot().await.unwrap();
    let listed = recover::list(dir.path()).unwrap();
    assert_eq!(listed[0].path, taken);
    assert_eq!(listed[0].contents.as_ref().unwrap().changes_behind, Some(0));
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let snapshot = store.snapshot().await.unwrap();
    store.close().await.unwrap();
    let half = snapshot.with_extension("snapshot.new");
    std::fs::write(&half, "half").unwrap();
    open(dir.path()).await;
    assert!(!half.exists() && snapshot.exists());
}
