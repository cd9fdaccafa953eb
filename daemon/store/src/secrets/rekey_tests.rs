//! Tests of changing the master key.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aivonx_config::StoreOptions;

use super::*;
use crate::{StoreError, recover, secrets::Vault};

fn options() -> StoreOptions {
    StoreOptions {
        cache_bytes: 16 << 20,
        snapshots: 9,
        snapshot_interval: Duration::from_secs(86_400),
        open_deadline: Duration::from_secs(30),
        operation_deadline: Duration::from_secs(20),
    }
}

async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("data"), &options()).await.unwrap()
}

fn key(dir: &Path, name: &str) -> MasterKey {
    MasterKey::load_or_generate(&dir.join(name)).unwrap()
}

async fn opens(store: &Store, key: MasterKey) -> bool {
    match Vault::open(key, store).await {
        Ok(_) => true,
        Err(SecretsError::WrongMasterKey { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// A store with two data keys and three snapshots, under the master key `old`.
async fn prepare(dir: &Path) -> Store {
    let store = open(dir).await;
    store.snapshot().await.unwrap();
    let vault = Vault::open(key(dir, "old"), &store).await.unwrap();
    store.snapshot().await.unwrap();
    vault.add_key(&store).await.unwrap();
    store.snapshot().await.unwrap();
    store
}

fn outcomes(rekeyed: &Rekeyed) -> Vec<&Rewrapped> {
    rekeyed.snapshots.iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn the_store_and_every_snapshot_open_under_the_new_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = prepare(dir).await;
    let unfinished = dir.join("data/snapshots/20260101T000000.000Z-1.snapshot.new");
    fs::write(&unfinished, "half").unwrap();
    let rekeyed = rekey(&store, key(dir, "old"), key(dir, "new")).await.unwrap();
    assert_eq!((rekeyed.data_keys, rekeyed.wrapped), (2, 2));
    assert_eq!(outcomes(&rekeyed), [&Rewrapped::Done(2), &Rewrapped::Done(1), &Rewrapped::NoKeys]);
    assert!(!unfinished.exists());
    assert!(opens(&store, key(dir, "new")).await && !opens(&store, key(dir, "old")).await);
    let again = rekey(&store, key(dir, "old"), key(dir, "new")).await.unwrap();
    assert_eq!((again.data_keys, again.wrapped), (2, 0));
    assert_eq!(outcomes(&again), [&Rewrapped::Already, &Rewrapped::Already, &Rewrapped::NoKeys]);
    store.close().await.unwrap();
    for snapshot in recover::list(&dir.join("data")).unwrap() {
        let to = dir.join("restored");
        recover::restore(&to, &snapshot.path).unwrap();
        let restored = Store::open(&to, &options()).await.unwrap();
        assert!(opens(&restored, key(dir, "new")).await, "{}", snapshot.path.display());
        restored.close().await.unwrap();
        fs::remove_dir_all(to).unwrap();
    }
}

#[tokio::test]
async fn after_a_crash_at_any_point_the_same_command_goes_on() {
    // Five data keys in all, each wrapped or recognised once before the store's turn and once after.
    for crash_at in 0..9 {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let store = prepare(dir).await;
        let calls = AtomicUsize::new(0);
        let (old, new) = (key(dir, "old"), key(dir, "new"));
        let with: Rewrap = Arc::new(move |record: &DataKeyRecord| {
            assert_ne!(calls.fetch_add(1, Ordering::Relaxed), crash_at, "the crash");
            wrap::rewrap(&old, &new, record).map_err(|e| e.to_string())
        });
        let crashed = carry_out(&store, 2, with).await;
        let through = crashed.is_ok();
        assert!(through || matches!(crashed, Err(SecretsError::Store(StoreError::Panicked(_)))));
        assert_eq!(through, crash_at >= 8, "at {crash_at}");
        // One of the two opens it, as long as it takes.
        let (by_old, by_new) = (opens(&store, key(dir, "old")).await, opens(&store, key(dir, "new")).await);
        assert_eq!((by_old, by_new), (crash_at < 5, crash_at >= 5), "at {crash_at}");
        for kept in store.kept_snapshots().await.unwrap() {
            let keys = kept.contents.unwrap().1;
            assert!(keys.windows(2).all(|two| two[0].master == two[1].master), "a file is old or new");
        }
        store.close().await.unwrap();
        let store = open(dir).await;
        rekey(&store, key(dir, "old"), key(dir, "new")).await.unwrap();
        assert!(opens(&store, key(dir, "new")).await && !opens(&store, key(dir, "old")).await);
        let tag = key(dir, "new").tag();
        for kept in store.kept_snapshots().await.unwrap() {
            assert!(kept.contents.unwrap().1.iter().all(|record| record.master == tag));
        }
    }
}

#[tokio::test]
async fn a_wrong_old_key_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = prepare(dir).await;
    let before = store.kept_snapshots().await.unwrap();
    let wrong = rekey(&store, key(dir, "other"), key(dir, "new")).await.unwrap_err();
    assert!(
        matches!(&wrong, SecretsError::WrongMasterKey { path, .. } if path.ends_with("other")),
        "{wrong}"
    );
    let same = rekey(&store, key(dir, "old"), key(dir, "old")).await.unwrap_err();
    assert!(matches!(same, SecretsError::SameMasterKey { .. }) && same.to_string().contains("generate-key"));
    assert_eq!(store.kept_snapshots().await.unwrap(), before);
    assert!(opens(&store, key(dir, "old")).await);
}

#[tokio::test]
async fn what_cannot_be_wrapped_anew_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = prepare(dir).await;
    let kept = store.kept_snapshots().await.unwrap();
    let foreign = tempfile::tempdir().unwrap();
    let other = Store::open(&foreign.path().join("data"), &options()).await.unwrap();
    Vault::open(key(foreign.path(), "third"), &other).await.unwrap();
    let copied = dir.join("data/snapshots/20990101T000000.000Z-9.snapshot");
    fs::copy(other.snapshot().await.unwrap(), &copied).unwrap();
    let mut bytes = fs::read(&kept[0].path).unwrap();
    bytes[40] ^= 1;
    fs::write(&kept[0].path, &bytes).unwrap();
    fs::create_dir(dir.join("data/store.damaged-20260101T000000.000Z")).unwrap();
    let rekeyed = rekey(&store, key(dir, "old"), key(dir, "new")).await.unwrap();
    let said = format!("{:?}", rekeyed.snapshots);
    assert!(said.contains("yet another master key") && said.contains("digest"), "{said}");
    assert_eq!(rekeyed.snapshots[2].1, Rewrapped::Done(1));
    assert_eq!(rekeyed.set_aside.len(), 1);
    assert_eq!(fs::read(&kept[0].path).unwrap(), bytes);
    assert!(opens(&store, key(dir, "new")).await);
}
