use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

async fn refusal(dir: &Path) -> StoreError {
    Store::open(dir, &options()).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_second_daemon_is_refused_with_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let error = refusal(dir.path()).await;
    assert!(matches!(&error, StoreError::InUse { pid: Some(pid), .. } if *pid == std::process::id()));
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    let snapshot = store.snapshot().await.unwrap();
    assert!(matches!(recover::restore(dir.path(), &snapshot), Err(StoreError::InUse { .. })));
    store.close().await.unwrap();
    open(dir.path()).await;
}

#[tokio::test]
async fn the_directory_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let sub = dir.path().join("a/b");
    let store = open(&sub).await;
    store.snapshot().await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["", "store", "snapshots"] {
        assert_eq!(mode(&sub.join(name)), 0o700, "{name}");
    }
    for name in ["STORE", "COMMIT", "lock"] {
        assert_eq!(mode(&sub.join(name)), 0o600, "{name}");
    }
    store.close().await.unwrap();
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&sub).await;
    assert_eq!(mode(&sub), 0o700);
    store.close().await.unwrap();
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(refusal(&sub).await, StoreError::BadPath { .. }));
}

#[tokio::test]
async fn a_foreign_directory_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "x").unwrap();
    let error = refusal(dir.path()).await;
    assert!(matches!(&error, StoreError::ForeignDirectory { entry, .. } if entry == "thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let file = dir.path().join("thesis.tex");
    assert!(matches!(refusal(&file).await, StoreError::BadPath { .. }));
}

#[tokio::test]
async fn what_other_parts_put_there_first_is_not_foreign() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["master.key", "control.sock", "aivonxd.log", "aivonxd.log.1", "lost+found"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    open(dir.path()).await;
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("store")).unwrap();
    fs::write(dir.path().join("store/db"), "half").unwrap();
    marker::Marker { schema: 1, daemon: "d".into(), state: marker::State::Creating, database: None }
        .write(&dir.path().join("STORE"))
        .unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.settings().daemon_id(), "d");
    store.nodes().insert(node("a")).await.unwrap();
}

#[tokio::test]
async fn an_open_that_takes_too_long_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { open_deadline: Duration::ZERO, ..options() };
    let error = Store::open(dir.path(), &options).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::OpenTimedOut { .. }), "{error}");
    assert!(error.to_string().contains("aivonxd recover --list"), "{error}");
    // The thread goes on in the background and owns the directory: wait until it is free.
    let layout = super::Layout::new(dir.path());
    while Lock::take(&layout).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
