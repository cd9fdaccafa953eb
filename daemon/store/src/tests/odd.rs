//! What is no regular file stands where one belongs: refused in words at once, never waited for.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    time::Instant,
};

use super::*;
use crate::{
    backend::{Write, sled::Sled},
    engine::Engine,
    tree::Tree,
};

/// Puts something of a kind in the place of a file.
type Put = fn(&Path);

const KINDS: [(&str, Put); 5] = [
    ("a directory", |path| fs::create_dir(path).unwrap()),
    ("a symbolic link to nothing", |path| symlink("nowhere", path).unwrap()),
    ("a named pipe", pipe),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("a device", |path| symlink("/dev/null", path).unwrap()),
];

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_file_is_refused_in_words_and_recovered_from() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    let store = open(&base).await;
    let a = store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    let snapshot = recover::list(&base).unwrap().remove(0).path;
    for name in ["STORE", "COMMIT", "store/db", "store/conf", "store", "snapshots"] {
        for (kind, put) in KINDS {
            // An engine's directory that is another directory is one without files.
            if name == "snapshots" && kind == "a directory" {
                continue;
            }
            let (began, what) = (Instant::now(), format!("{name} is {kind}"));
            let at = dir.path().join(what.replace(['/', ' '], "-"));
            copy(&base, &at);
            remove(&at.join(name));
            put(&at.join(name));
            let refused = Store::open(&at, &options()).await.map(drop).unwrap_err();
            let said = match name {
                "store" => "store/db is missing",
                _ => kind,
            };
            let text = refused.to_string();
            let cure = if name == "snapshots" { "move this away" } else { "aivonxd recover" };
            assert!(text.contains(said) && text.contains(cure), "{what}: {text}");
            assert_eq!(recover::list(&at).unwrap().is_empty(), name == "snapshots", "{what}");
            recover::restore(&at, &snapshot).unwrap_or_else(|e| panic!("{what}: {e}"));
            let store = open(&at).await;
            assert_eq!(store.nodes().list().await.unwrap(), std::slice::from_ref(&a), "{what}");
            store.close().await.unwrap();
            assert!(recover::list(&at).unwrap().len() <= 2, "{what}");
            assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_place_of_the_ledgers_is_refused_in_words_and_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base");
    open(&base).await.close().await.unwrap();
    let snapshot = recover::list(&base).unwrap().remove(0).path;
    let file: (_, Put) = ("a file", |path| fs::write(path, "x").unwrap());
    for name in ["ledger", "ledger/usage"] {
        for (kind, put) in KINDS.into_iter().skip(1).chain([file]) {
            let what = format!("{name} is {kind}");
            let at = dir.path().join(what.replace(['/', ' '], "-"));
            copy(&base, &at);
            remove(&at.join(name));
            put(&at.join(name));
            let refused = Store::open(&at, &options()).await.map(drop).unwrap_err().to_string();
            assert!(refused.contains(&what) && refused.contains("aivonxd recover"), "{what}: {refused}");
            recover::restore(&at, &snapshot).unwrap_or_else(|e| panic!("{what}: {e}"));
            let parent = at.join(name).parent().unwrap().to_owned();
            let mut there = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
            let aside = format!("{}.damaged-", at.join(name).display());
            assert!(there.any(|path| path.to_string_lossy().starts_with(&aside)), "{what}");
            open(&at).await.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_snapshot_and_a_lock_that_are_no_files_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data");
    let store = open(&at).await;
    let whole = store.snapshot().await.unwrap();
    store.close().await.unwrap();
    for (kind, put) in KINDS {
        let odd = at.join("snapshots/20260101T000000.000Z-1.snapshot");
        put(&odd);
        let refused = recover::restore(&at, &odd).unwrap_err().to_string();
        assert!(refused.contains(kind), "{refused}");
        // The others can be seen and used all the same.
        let listed = recover::list(&at).unwrap();
        let why = listed.iter().find(|one| one.path == odd).unwrap().contents.clone().unwrap_err();
        assert!(why.contains(kind), "{why}");
        open(&at).await.close().await.unwrap();
        remove(&odd);

        remove(&at.join("lock"));
        put(&at.join("lock"));
        let refused = recover::restore(&at, &whole).unwrap_err().to_string();
        assert!(refused.contains("lock") && refused.contains(kind), "{refused}");
        remove(&at.join("lock"));
    }
    recover::restore(&at, &whole).unwrap();
    open(&at).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_while_a_daemon_runs_even_if_its_lock_file_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(recover::in_use(dir.path()), Some(Some(std::process::id())));
    fs::remove_file(dir.path().join("lock")).unwrap();
    assert_eq!(recover::in_use(dir.path()), Some(None));
    assert!(matches!(recover::restore(dir.path(), &snapshot), Err(StoreError::InUse { pid: None, .. })));
    store.nodes().insert(node("a")).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(recover::in_use(dir.path()), None);
    recover::restore(dir.path(), &snapshot).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_set_aside_is_put_back_if_it_is_whole_and_told_of_if_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let snapshot = store.snapshot().await.unwrap();
    for n in 0..40 {
        store.nodes().insert(node(&format!("n{n}"))).await.unwrap();
    }
    store.close().await.unwrap();
    let aside = recover::restore(dir.path(), &snapshot).unwrap().set_aside.unwrap();
    let before: Vec<_> = fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().path()).collect();
    let restored = recover::restore_from(dir.path(), &aside).unwrap();
    assert_eq!(restored.summary.records["node"], 40);
    let after: Vec<_> = fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(before, after, "what was set aside is evidence");
    let store = open(dir.path()).await;
    assert_eq!(store.nodes().list().await.unwrap().len(), 40);
    store.close().await.unwrap();

    // One of its records is lost.
    let engine = Engine::over(Sled::open(&aside, 16 << 20).unwrap());
    let (key, _) = engine.scan(Tree::Node).next().unwrap().unwrap();
    engine.backend().apply(&[Write { space: Tree::Node.name(), key: &key, value: None }]).unwrap();
    engine.backend().flush().unwrap();
    drop(engine);
    let refused = recover::restore_from(dir.path(), &aside).unwrap_err().to_string();
    assert!(refused.contains("nodes: cut, 39 of 40") && refused.contains("recover --list"), "{refused}");
    assert!(!refused.contains("panicked"), "{refused}");
    assert!(
        recover::restore_from(dir.path(), dir.path()).unwrap_err().to_string().contains("no store in it")
    );
    assert_eq!(open(dir.path()).await.nodes().list().await.unwrap().len(), 40);
}
