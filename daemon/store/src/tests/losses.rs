//! Losses of the ledgers are reported: at the open, while running, and after the next restart as well.

use std::{fs, path::PathBuf};

use super::*;
use crate::usage::{Calendar, Code, Part, Parties, UsageEntry, UsageName};

fn request(time: u64) -> UsageEntry {
    UsageEntry {
        time,
        request: uuid::Uuid::from_u128(time.into()),
        parties: Parties::default(),
        address: None,
        times: 1,
        prompt: None,
        output: None,
        estimated: false,
        cost: 0,
        status: 200,
        outcome: 0,
        limit: None,
        findings: BTreeMap::new(),
        queued_ms: None,
        total_ms: 1,
    }
}

fn usage(store: &Store) -> UsageLog {
    store.usage_log(Calendar::UTC)
}

/// Stores requests in as many files, and changes a setting behind them.
async fn fill(store: &Store, files: u64) {
    for n in 0..files {
        usage(store).append(vec![request(1000 + n)], Vec::new()).await.unwrap();
        store.with_ledgers(|ledgers| ledgers.log(Ledger::Usage).roll()).await.unwrap();
    }
    store.settings().set_setup_used().await.unwrap();
}

/// The files of a ledger, oldest first.
fn files(dir: &Path, ledger: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("ledger").join(ledger)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "log"));
    files.sort();
    files
}

fn told(store: &Store) -> Vec<String> {
    store.ledger_losses().iter().map(ToString::to_string).collect()
}

/// As [`told`], in an order that does not depend on which reader found them first.
fn sorted(store: &Store) -> Vec<String> {
    let mut told = told(store);
    told.sort();
    told
}

const COMMIT_GONE: &str = "what lay at its end may be lost: the file COMMIT, which says how far it went, was missing, damaged or old";

/// What is told of a ledger whose end nobody knows.
fn end_unknown(ledger: Ledger) -> String {
    format!("{}: {COMMIT_GONE}", ledger.as_str())
}

#[tokio::test]
async fn a_lost_end_is_told_though_the_file_that_knows_is_lost_with_it() {
    for old in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let before = fs::read(dir.path().join("COMMIT")).unwrap();
        fill(&store, 1).await;
        store.close().await.unwrap();
        let store = open(dir.path()).await;
        fill(&store, 3).await;
        store.close().await.unwrap();
        if old {
            fs::write(dir.path().join("COMMIT"), before).unwrap();
        } else {
            fs::remove_file(dir.path().join("COMMIT")).unwrap();
        }
        fs::remove_file(files(dir.path(), "usage").pop().unwrap()).unwrap();
        for _ in 0..2 {
            let store = open(dir.path()).await;
            let ends = Ledger::ALL.map(end_unknown);
            assert_eq!(told(&store)[..4], ends, "old: {old}");
            assert_eq!(told(&store)[4..], ["usage ledger: record 4 is cut off"], "old: {old}");
            assert_eq!(store.usage_lost(), 1);
            store.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_in_memory_alone_at_the_end_is_told_at_the_next_starts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for count in [7, 20, 12] {
        usage(&store).note_unwritten(count).await.unwrap();
        store.audit_log().note_unwritten(count / 3).await.unwrap();
    }
    store
        .with_ledgers(|ledgers| {
            ledgers.counters.log.fail("no space left on device");
            ledgers.look();
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(told(&store), Vec::<String>::new());
    store.close().await.unwrap();
    for _ in 0..2 {
        let store = open(dir.path()).await;
        let wanted = [
            "audit log: 4 entries could not be written before aivonxd ended",
            "usage ledger: 12 requests could not be written before aivonxd ended",
            "counters of limits and names in the usage ledger: the last changes could not be written before aivonxd \
             ended",
        ];
        assert_eq!(told(&store), wanted);
        assert_eq!(store.usage_lost(), 12);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_written_after_all_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for count in [3, 0] {
        usage(&store).note_unwritten(count).await.unwrap();
        store.audit_log().note_unwritten(count).await.unwrap();
    }
    store.close().await.unwrap();
    assert_eq!(told(&open(dir.path()).await), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_reader_misses_is_told_before_it_has_its_answer_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store, 4).await;
    let paths = files(dir.path(), "usage");
    fs::remove_file(&paths[1]).unwrap();
    let mut bytes = fs::read(&paths[2]).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&paths[2], bytes).unwrap();
    let page = usage(&store).page(Default::default(), 0, u64::MAX, None, 100).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    let wanted = ["usage ledger: record 2 is missing", "usage ledger: record 3 is damaged"];
    assert_eq!(told(&store), wanted);
    let mut kept = store.watch_losses();
    while !store
        .run(|engine, _| Ok(engine.get::<Vec<NotedLoss>>(tree::Tree::Setting, settings::LOSSES)?.is_some()))
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
    kept.mark_unchanged();
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(told(&store), wanted);
}

#[tokio::test]
async fn files_that_are_removed_under_the_daemon_are_missed_or_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store, 3).await;
    usage(&store).append(vec![request(2000)], Vec::new()).await.unwrap();
    let mut lost = store.watch_losses();
    // At once, for the store looks after them by itself.
    fs::rename(dir.path().join("ledger"), dir.path().join("gone")).unwrap();
    while told(&store).len() < 3 {
        lost.changed().await.unwrap();
    }
    let wanted = [1, 2, 3].map(|n| format!("usage ledger: record {n} is missing"));
    assert_eq!(sorted(&store), wanted);
    usage(&store).append(vec![request(3000)], Vec::new()).await.unwrap();
    let page = usage(&store).page(Default::default(), 0, u64::MAX, None, 100).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.time).collect::<Vec<_>>(), [2000, 3000]);
    store.close().await.unwrap();
    let store = open(dir.path()).await;
    assert_eq!(sorted(&store), wanted);
    let page = usage(&store).page(Default::default(), 0, u64::MAX, None, 100).await.unwrap();
    assert_eq!(page.entries.len(), 2);
}

#[tokio::test]
async fn what_recover_finds_lost_is_told_by_the_daemon_that_starts_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    fill(&store, 2).await;
    let snapshot = store.snapshot().await.unwrap();
    store.close().await.unwrap();
    fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let restored = recover::restore(dir.path(), &snapshot).unwrap();
    assert!(restored.ledgers.iter().any(|ledger| !ledger.lost.is_empty()));
    let store = open(dir.path()).await;
    assert!(
        told(&store).contains(&"usage ledger: records 1 to 2 are missing".to_owned()),
        "{:?}",
        told(&store)
    );
    assert!(!told(&store).contains(&end_unknown(Ledger::Audit)));
    assert_eq!(store.audit_log().unrecorded_losses(), store.ledger_losses());
    // Into a directory that never had a store nothing is lost.
    let other = tempfile::tempdir().unwrap();
    recover::restore(other.path(), &snapshot).unwrap();
    assert_eq!(told(&open(other.path()).await), Vec::<String>::new());
}

#[tokio::test]
async fn names_that_went_with_the_counters_are_taken_from_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.nodes().insert(node("gpu1")).await.unwrap();
    let code = Code::of(Part::Node, "gpu1");
    let name = UsageName { part: Part::Node, id: "gpu1".into(), name: "gpu1".into() };
    let entry = UsageEntry { parties: Parties { node: code, ..Parties::default() }, ..request(1000) };
    usage(&store).append(vec![entry], vec![(code, name.clone())]).await.unwrap();
    store.close().await.unwrap();
    fs::remove_dir_all(dir.path().join("ledger/counters")).unwrap();
    let store = open(dir.path()).await;
    assert!(told(&store)[0].starts_with("counters"), "{:?}", told(&store));
    assert!(usage(&store).names(vec![code]).await.unwrap().is_empty());
    assert_eq!(usage(&store).name_again().await.unwrap(), 1);
    assert_eq!(usage(&store).names(vec![code]).await.unwrap()[&code], name);
    assert_eq!(usage(&store).name_again().await.unwrap(), 0);
}
