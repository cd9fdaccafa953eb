//! What has been acknowledged stays.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aivonx_protocol::node::{self, NodeChange};
use aivonx_tests::{fake::FakeNode, harness::Daemon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_500_edits_loses_nothing_acknowledged() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    for n in 2..=5 {
        // Same server under other names: only the records matter here.
        daemon
            .aivonx()
            .ok(&[
                "node",
                "add",
                &format!("node{n}"),
                &format!("http://localhost:{}/{n}", node.address().port()),
                "--kind",
                "ollama",
                "--force",
            ])
            .await;
    }
    let acknowledged: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let count = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for n in 1..=5 {
        let name = format!("node{n}");
        let client = daemon.control().await;
        let (acknowledged, count) = (acknowledged.clone(), count.clone());
        writers.push(tokio::spawn(async move {
            for edit in 1..=100_u64 {
                let change = NodeChange {
                    labels: BTreeMap::from([("edit".to_owned(), Some(edit.to_string()))]),
                    ..NodeChange::default()
                };
                if client
                    .ask(node::Set { node: name.clone(), revision: None, change: Box::new(change) })
                    .await
                    .is_err()
                {
                    return;
                }
                acknowledged.lock().unwrap().insert(name.clone(), edit);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    aivonx_tests::within("half of the edits", async {
        while count.load(Ordering::Relaxed) < 250 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    daemon.kill().await;
    for writer in writers {
        writer.await.unwrap();
    }
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let nodes = daemon.nodes().await;
    assert_eq!(nodes.len(), 5);
    for (name, edit) in acknowledged.lock().unwrap().iter() {
        let node = nodes.iter().find(|n| n["name"] == **name).unwrap();
        let kept: u64 = node["labels"]["edit"].as_str().unwrap().parse().unwrap();
        assert!(kept >= *edit && kept <= edit + 1, "{name}: acknowledged {edit}, kept {kept}");
    }
}

#[tokio::test]
async fn what_the_ledgers_lost_is_told_beside_their_answers_and_after_restarts() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let ledger = daemon.data().join("ledger");
    assert!(daemon.stop().await.success());
    std::fs::remove_dir_all(ledger.join("audit")).unwrap();
    for _ in 0..2 {
        let mut daemon = Daemon::builder().folder(folder.path()).start_any().await;
        let listed = daemon.aivonx().run(&["audit", "list", "--limit", "5"]).await;
        assert_eq!(listed.code, 0);
        assert!(listed.stderr.contains("not all there was: audit log: entr"), "{}", listed.stderr);
        let status = daemon.aivonx().ok(&["status"]).await;
        assert!(status.contains("! part of a ledger is lost: audit log: entr"), "{status}");
        let entries = daemon.aivonx().ok(&["audit", "list", "--action", "chain_lost"]).await;
        // Of the entries, and of what the log holds besides.
        assert!((1..=2).contains(&entries.matches("chain_lost").count()), "{entries}");
        let usage = daemon.aivonx().run(&["usage", "show"]).await;
        assert_eq!((usage.code, &*usage.stderr), (0, ""));
        assert!(daemon.stop().await.success());
    }
}

#[tokio::test]
async fn recover_says_what_is_no_data_directory_and_which_key_a_new_one_needs() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let took = daemon.aivonx().ok(&["snapshot", "create"]).await;
    let held = daemon.aivonx().ok(&["snapshot", "create"]).await;
    let file = took.split_whitespace().nth(1).unwrap();
    assert!(
        took.starts_with("Took ") && held.starts_with(&format!("Nothing changed since {file}")),
        "{held}"
    );
    let snapshot = daemon.data().join("snapshots").join(file);
    assert!(daemon.stop().await.success());
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(aivonx_tests::harness::binary("aivonxd"));
        let output = command.arg("recover").args(arguments).kill_on_drop(true).output();
        aivonx_tests::within("recover", output).await.unwrap()
    };
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, what) in [("misspelt", "is not there"), ("", "is no data directory")] {
        let refused = run(&["--dir", &at(name), "--list"]).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains(what) && said.contains("--dir"), "{said}");
    }
    // One that is not there may be misspelt.
    let refused = run(&["--dir", &at("misspelt"), "--snapshot", snapshot.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && said.contains("is not there") && said.contains("mkdir"),
        "{said}"
    );
    assert!(!folder.path().join("misspelt").exists());
    std::fs::create_dir(at("new")).unwrap();
    let restored = run(&["--dir", &at("new"), "--snapshot", snapshot.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&restored.stdout);
    assert!(restored.status.success() && said.contains(&at("new/master.key")), "{said}");
    // What was put aside by a second one needs the key as much.
    let restored = run(&["--dir", &at("new"), "--snapshot", snapshot.to_str().unwrap()]).await;
    assert!(restored.status.success(), "{restored:?}");
    let mut entries = std::fs::read_dir(at("new")).unwrap().map(|entry| entry.unwrap().path());
    let aside = entries.find(|path| path.to_string_lossy().contains("store.damaged-")).unwrap();
    let restored = run(&["--dir", &at("new"), "--from", aside.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&restored.stdout);
    assert!(restored.status.success() && said.contains(&at("new/master.key")), "{said}");
}

#[tokio::test]
async fn a_damaged_store_is_refused_clearly_and_recovered() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let data = daemon.data().to_owned();
    assert!(daemon.stop().await.success());
    let db = data.join("store").join("db");
    let bytes = std::fs::read(&db).unwrap();
    std::fs::write(&db, &bytes[..bytes.len() / 2]).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(aivonx_tests::harness::binary("aivonxd"));
        command.args(arguments).kill_on_drop(true);
        command
    };
    let dir = data.to_str().unwrap().to_owned();
    let output =
        aivonx_tests::within("a refusal", run(&["dev", "--dir", &dir, "--listen", "127.0.0.1:0"]).output())
            .await
            .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("recover"), "{said}");
    let listed = run(&["recover", "--dir", &dir, "--list"]).output().await.unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8_lossy(&listed.stdout);
    for part in [" s old, ", "nothing is missing", "nodes 1", "no daemon uses the directory"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut snapshots: Vec<_> =
        std::fs::read_dir(data.join("snapshots")).unwrap().map(|e| e.unwrap().path()).collect();
    snapshots.sort();
    let newest = snapshots.last().expect("a snapshot from the orderly end");
    let restored =
        run(&["recover", "--dir", &dir, "--snapshot", newest.to_str().unwrap()]).output().await.unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let said = String::from_utf8_lossy(&restored.stdout);
    assert!(said.contains("audit log: whole ("), "{said}");
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    assert_eq!(daemon.nodes().await.len(), 1);
    let verdict = daemon.aivonx().ok(&["audit", "verify"]).await;
    assert!(verdict.contains("intact") && verdict.contains("Entries 1 to "), "{verdict}");
}
