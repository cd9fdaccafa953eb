//! The audit log over the real binaries: it survives, proves itself, and shows what was done to it.

use std::{fs, path::Path, process::Stdio};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Daemon, Request, binary},
    within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

async fn entries(aivonx: &Aivonx, filter: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["audit", "list", "-n", "1000"];
    arguments.extend(filter);
    aivonx.json(&arguments).await.as_array().unwrap().clone()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn the_log_is_listed_shown_and_verified() {
    let daemon = Daemon::dev(&[]).await;
    let aivonx = daemon.aivonx();
    let verdict = aivonx.json(&["audit", "verify"]).await;
    assert_eq!((&verdict["intact"], &verdict["found"]), (&json!(true), &json!(null)), "{verdict}");
    let all = entries(&aivonx, &["--oldest-first"]).await;
    let actions: Vec<&str> = all.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions[0], "chain_start");
    assert!(actions.contains(&"start"), "{actions:?}");
    let verify = &entries(&aivonx, &["--action", "audit_verify"]).await[0];
    assert_eq!((&verify["outcome"], &verify["via"]), (&json!("ok"), &json!("audit.verify")));
    assert!(verify["source"]["uid"].is_u64() && verify["source"]["pid"].is_u64(), "{verify}");
    let seq = verify["seq"].to_string();
    assert_eq!(aivonx.json(&["audit", "show", &seq]).await, *verify);
    for (filter, some) in [
        (vec!["--outcome", "ok"], true),
        (vec!["--outcome", "failed"], false),
        (vec!["--object-kind", "audit"], true),
        (vec!["--actor", "aivonxd", "--action", "start", "--action", "stop"], true),
        (vec!["--actor", "nobody"], false),
        (vec!["--since", "1h"], true),
        (vec!["--until", "1h"], false),
    ] {
        assert_eq!(!entries(&aivonx, &filter).await.is_empty(), some, "{filter:?}");
    }
    let table = aivonx.ok(&["audit", "list"]).await;
    assert!(table.contains("audit_verify"), "{table}");
    assert_eq!(aivonx.run(&["audit", "show", "999999"]).await.code, 1);
    assert_eq!(aivonx.run(&["audit", "list", "--action", "nonsense"]).await.code, 2);
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for _ in 0..3 {
        let mut daemon = Daemon::builder().folder(folder.path()).start_any().await;
        for _ in 0..3 {
            daemon.aivonx().ok(&["audit", "verify"]).await;
            acknowledged += 1;
        }
        daemon.kill().await;
    }
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let aivonx = daemon.aivonx();
    let verdict = aivonx.json(&["audit", "verify"]).await;
    assert_eq!((&verdict["intact"], &verdict["first"]), (&json!(true), &json!(1)), "{verdict}");
    assert_eq!(verdict["restarts"], json!([]), "{verdict}");
    assert_eq!(entries(&aivonx, &["--action", "audit_verify"]).await.len(), acknowledged + 1);
    assert_eq!(entries(&aivonx, &["--action", "start"]).await.len(), 4);
}

#[tokio::test]
async fn a_copy_is_proven_without_a_daemon() {
    let mut daemon = Daemon::dev(&[]).await;
    let aivonx = daemon.aivonx();
    for _ in 0..4 {
        aivonx.ok(&["audit", "verify"]).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (copy, key) = (folder.path().join("a.jsonl"), folder.path().join("key.pem"));
    let table = folder.path().join("a.csv");
    let exported = aivonx.json(&["audit", "export", "--out", path(&copy)]).await;
    aivonx.ok(&["audit", "export", "--format", "csv", "--outcome", "ok", "--out", path(&table)]).await;
    fs::write(&key, aivonx.ok(&["audit", "key"]).await).unwrap();
    let again = aivonx.run(&["audit", "export", "--out", path(&copy)]).await;
    assert!(again.code == 1 && again.stderr.contains("there already"), "{}", again.stderr);
    assert_eq!(entries(&aivonx, &["--action", "export"]).await.len(), 2, "taking a copy is recorded");
    let events = aivonx.ok(&["logs", "-n", "1000", "--output", "json"]).await;
    let mirrored = events.lines().filter(|line| line.contains("[\"event\",\"export\"]")).count();
    assert_eq!(mirrored, 2, "it is in the log for alerts: {events}");
    let events = aivonx.ok(&["logs", "-n", "1000", "--output", "json"]).await;
    let mirrored = events.lines().filter(|line| line.contains("[\"event\",\"export\"]")).count();
    assert_eq!(mirrored, 2, "it is in the log for alerts: {events}");
    assert!(daemon.stop().await.success());

    let text = fs::read_to_string(&copy).unwrap();
    assert_eq!(exported["entries"], text.lines().count());
    assert_eq!(exported["complete"], true);
    let verify = async |file: &Path| {
        aivonx.run(&["audit", "verify", "--file", path(file), "--public-key", path(&key)]).await
    };
    for file in [&copy, &table] {
        let ran = verify(file).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("is what was signed"), "{}", ran.stdout);
    }
    let lines: Vec<&str> = text.lines().collect();
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let flipped = text.replacen("\"audit_verify\"", "\"audit_read\"", 1);
    let dropped = join(&[&lines[..2], &lines[3..]].concat());
    let mut swapped = lines.clone();
    swapped.swap(1, 3);
    for (changed, says) in [
        (flipped, "was changed"),
        (dropped, "Entry 3 was removed"),
        (join(&swapped), "Entry 2 was reordered"),
        (join(&lines[..lines.len() - 1]), "cut off"),
    ] {
        fs::write(&copy, changed).unwrap();
        let ran = verify(&copy).await;
        assert_eq!(ran.code, 1, "{says}");
        assert!(ran.stdout.contains("NOT") && ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
}

#[tokio::test]
async fn published_checkpoints_betray_a_log_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let published = folder.path().join("published.log");
    let extra = format!("[audit]\ncheckpoint_entries = 3\ncheckpoint_file = {:?}\n", path(&published));
    let mut daemon = Daemon::builder().folder(folder.path()).config(&extra).start_any().await;
    for _ in 0..4 {
        daemon.aivonx().ok(&["audit", "verify"]).await;
    }
    let kept = folder.path().join("kept.log");
    fs::write(&kept, daemon.aivonx().ok(&["audit", "checkpoint"]).await).unwrap();
    for anchors in [&published, &kept] {
        let verdict = daemon.aivonx().json(&["audit", "verify", "--anchor", path(anchors)]).await;
        assert!(verdict["anchors_agreed"].as_u64().unwrap() >= 1, "{verdict}");
    }
    let events = daemon.aivonx().ok(&["logs", "-n", "1000", "--output", "json"]).await;
    assert!(events.contains("audit_checkpoint"), "{events}");
    let journal = folder.path().join("journal.json");
    fs::write(&journal, &events).unwrap();
    daemon.aivonx().ok(&["audit", "verify", "--anchor", path(&journal)]).await;
    let data = daemon.data().to_owned();
    assert!(daemon.stop().await.success());

    // Somebody gets rid of the log, and goes back to a snapshot to explain it.
    let mut snapshots: Vec<_> =
        fs::read_dir(data.join("snapshots")).unwrap().map(|e| e.unwrap().path()).collect();
    snapshots.sort();
    for gone in ["store", "ledger"] {
        fs::remove_dir_all(data.join(gone)).unwrap();
    }
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    command.args(["recover", "--dir", path(&data), "--snapshot", path(snapshots.last().unwrap())]);
    let recovered = within("recover", command.output()).await.unwrap();
    assert!(recovered.status.success(), "{}", String::from_utf8_lossy(&recovered.stderr));
    let daemon = Daemon::builder().folder(folder.path()).config(&extra).start_any().await;
    let aivonx = daemon.aivonx();
    let ran = aivonx.run(&["audit", "verify", "--anchor", path(&kept)]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("NOT intact") && ran.stdout.contains("begins anew"), "{}", ran.stdout);
    let restored = &entries(&aivonx, &["--action", "restore"]).await[0];
    assert_eq!(restored["via"], "aivonxd recover", "{restored}");
}

#[tokio::test]
async fn inference_is_summed_up_and_followers_see_it_come() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let body = json!({"model": "m", "prompt": "marked-pr0mpt", "stream": false});
    for _ in 0..5 {
        daemon.ask(&Request::json("/api/generate", &body)).await.expect(200);
    }
    let mut follow =
        daemon.aivonx().start(&["audit", "follow", "-n", "0", "--output", "json"], Stdio::null());
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // What was asked before may be summed up at any time, so other entries may come in between.
    let mut until = async |name: &str, value: &str| loop {
        let line = within("an entry", lines.next_line()).await.unwrap().unwrap();
        if serde_json::from_str::<Value>(&line).unwrap()[name] == value {
            break;
        }
    };
    // It has begun once it is recorded itself.
    until("via", "audit.follow").await;
    daemon.aivonx().ok(&["audit", "verify"]).await;
    until("action", "audit_verify").await;
    assert!(daemon.stop().await.success());

    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let summaries = entries(&daemon.aivonx(), &["--action", "inference_summary"]).await;
    let sum = |name: &str| -> u64 {
        summaries.iter().map(|e| e["details"][name].as_str().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!((sum("requests"), sum("failed")), (5, 0), "{summaries:?}");
    assert_eq!(summaries[0]["actor"]["name"], "anonymous");
    assert!(!format!("{:?}", entries(&daemon.aivonx(), &[]).await).contains("marked-pr0mpt"));
}
