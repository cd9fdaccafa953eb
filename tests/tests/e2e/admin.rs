//! The real command line against the real daemon.

use std::process::Stdio;

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Aivonx, Daemon, Request},
    within,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn nodes_are_listed_with_the_documented_fields() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::dev(&[&node]).await;
    let nodes = daemon.aivonx().json(&["node", "list"]).await;
    let row = &nodes[0];
    for field in [
        "id",
        "name",
        "url",
        "kind",
        "pool",
        "admin_state",
        "models",
        "loaded",
        "latency_ms",
        "active_requests",
        "last_error",
    ] {
        assert!(row.get(field).is_some(), "{field} is missing in {row}");
    }
    assert_eq!(
        (&row["url"], &row["kind"], &row["pool"]),
        (&json!(node.url()), &json!("ollama"), &json!("active"))
    );
    assert_eq!((&row["models"], &row["loaded"]), (&json!(["m:latest"]), &json!(["m:latest"])));
    assert_eq!((&row["admin_state"], &row["last_error"]), (&json!("enabled"), &json!(null)));
    let table = daemon.aivonx().ok(&["node", "list"]).await;
    assert!(table.contains(row["name"].as_str().unwrap()) && table.contains(&node.url()), "{table}");
    let shown = daemon.aivonx().json(&["node", "show", row["id"].as_str().unwrap()]).await;
    assert_eq!(shown["name"], row["name"]);
    let status = daemon.aivonx().json(&["status"]).await;
    assert_eq!((&status["mode"], &status["nodes_active"]), (&json!("dev"), &json!(1)), "{status}");
    assert_eq!(status["pid"], daemon.pid());
}

#[tokio::test]
async fn a_node_is_added_changed_drained_disabled_and_removed() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::start(Kind::Openai, &["x"]).await);
    let daemon = Daemon::dev(&[&a]).await;
    let aivonx = daemon.aivonx();
    let added = aivonx.json(&["node", "add", "second", &b.url(), "--label", "rack=7"]).await;
    assert_eq!((&added["node"]["kind"], &added["healthy"]), (&json!("openai"), &json!(true)), "{added}");
    assert_eq!(added["node"]["labels"]["rack"], "7");
    for (arguments, code) in [
        (vec!["node", "add", "second", "http://127.0.0.1:1"], 1),
        (vec!["node", "add", "Bad Name", "http://127.0.0.1:1"], 1),
        (vec!["node", "add", "third", "ftp://127.0.0.1"], 1),
        (vec!["node", "add", "third", "http://169.254.169.254"], 1),
        (vec!["node", "add", "third", "http://user:secret@127.0.0.1:1"], 1),
        (vec!["node", "show", "nowhere"], 1),
        (vec!["node", "remove", "nowhere", "--yes"], 1),
        (vec!["node", "frobnicate"], 2),
        (vec!["node", "add"], 2),
        (vec!["node", "set", "second"], 2),
        (vec!["logs", "--since", "whenever"], 2),
        (vec!["strategy", "set", "random"], 2),
    ] {
        let ran = aivonx.run(&arguments).await;
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
        assert!(ran.stderr.trim().lines().count() >= 1, "{arguments:?}");
    }
    let set = aivonx.json(&["node", "set", "second", "--max-parallel", "3", "--name", "renamed"]).await;
    assert_eq!((&set["max_parallel"], &set["name"]), (&json!(3), &json!("renamed")));
    let stale = aivonx.run(&["node", "set", "renamed", "--max-parallel", "4", "--revision", "1"]).await;
    assert_eq!(stale.code, 1, "a conflict, not a lost update: {}", stale.stdout);
    // Draining finishes what is there and takes nothing new.
    a.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/generate", &json!({"model": "m", "prompt": "x"}))).await;
    a.until_requests(1).await;
    let mut drain = aivonx.start(&["node", "drain", "node1", "--wait"], Stdio::null());
    let mut lines = BufReader::new(drain.stdout.take().unwrap()).lines();
    let line = within("the count", lines.next_line()).await.unwrap().unwrap();
    assert!(line.contains("1 request"), "{line}");
    daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(503);
    a.open_gate();
    assert_eq!(client.answer().await.lines().last().unwrap()["done"], true);
    assert!(within("the end of draining", drain.wait()).await.unwrap().success());
    aivonx.ok(&["node", "enable", "node1"]).await;
    daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(200);
    aivonx.ok(&["node", "disable", "node1"]).await;
    daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(503);
    aivonx.ok(&["node", "enable", "node1"]).await;
    let checked = aivonx.json(&["node", "check", "node1"]).await;
    let checked = if checked.is_array() { checked[0].clone() } else { checked };
    assert_eq!(checked["healthy"], true, "{checked}");
    // Removing ends what runs, with the dialect's error.
    a.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/generate", &json!({"model": "m", "prompt": "x"}))).await;
    a.release(1);
    let head = client.head().await;
    aivonx.ok(&["node", "remove", "node1", "--yes"]).await;
    let answer = client.rest(head).await;
    assert!(answer.lines().last().unwrap()["error"].is_string(), "{}", answer.text());
    a.until_gone(1).await;
    assert_eq!(daemon.nodes().await.len(), 1);
}

#[tokio::test]
async fn removing_asks_first() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let ran = daemon.aivonx().run(&["node", "remove", "node1"]).await;
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(daemon.nodes().await.len(), 1);
}

#[tokio::test]
async fn models_and_the_strategy() {
    let (a, b) = (
        FakeNode::start(Kind::Ollama, &["both:latest"]).await,
        FakeNode::start(Kind::Ollama, &["both:latest", "b:1b"]).await,
    );
    let daemon = Daemon::dev(&[&a, &b]).await;
    let aivonx = daemon.aivonx();
    let models = aivonx.json(&["model", "list"]).await;
    assert_eq!(models.as_array().map(Vec::len), Some(2), "{models}");
    let both = aivonx.json(&["model", "show", "both"]).await;
    assert_eq!(both["nodes"].as_array().map(Vec::len), Some(2), "{both}");
    assert_eq!(aivonx.run(&["model", "show", "nowhere"]).await.code, 1);
    let shown = aivonx.ok(&["strategy", "show", "--output", "json"]).await;
    assert!(shown.contains("cost"), "{shown}");
    aivonx.ok(&["strategy", "set", "lowest_latency"]).await;
    assert!(aivonx.ok(&["strategy", "show", "--output", "json"]).await.contains("lowest_latency"));
}

#[tokio::test]
async fn exit_codes_tell_unreachable_from_not_permitted() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Aivonx::new(&folder.path().join("control.sock"));
    let ran = nobody.run(&["status"]).await;
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("control.sock"), "{}", ran.stderr);
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    // Someone else, where this test may become someone else.
    if rustix::process::geteuid().is_root() {
        for path in [daemon.folder(), daemon.data()] {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).unwrap();
        }
        let mut command = daemon.aivonx().command(&["node", "list"]);
        command.uid(65_534).gid(65_534);
        let output = within("aivonx", command.output()).await;
        // The binary itself may lie where nobody may look: then there is nothing to learn here.
        if let Ok(output) = output {
            assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert_eq!(daemon.aivonx().run(&["status", "--output", "json"]).await.code, 0);
    assert_eq!(daemon.aivonx().run(&["--nonsense"]).await.code, 2);
}

#[tokio::test]
async fn hostile_names_do_not_reach_the_terminal() {
    let evil = "e\u{1b}]0;owned\u{7}\u{202e}\u{200b}vil:latest";
    let node = FakeNode::start(Kind::Ollama, &[evil]).await;
    let daemon = Daemon::dev(&[&node]).await;
    for arguments in
        [&["model", "list"][..], &["node", "list"], &["node", "show", "node1"], &["status"], &["logs"]]
    {
        let ran = daemon.aivonx().run(arguments).await;
        let text = ran.stdout + &ran.stderr + &daemon.stderr().text() + &daemon.stdout().text();
        for c in ['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}'] {
            assert!(!text.contains(c), "{arguments:?} lets {c:?} through: {text:?}");
        }
    }
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_origins_and_no_secrets() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[timeouts]\nidle = \"7s\"\n").await;
    let settings = daemon.aivonx().json(&["config", "show"]).await;
    let settings = settings.as_array().unwrap();
    let idle = settings.iter().find(|s| s["key"] == "timeouts.idle").unwrap();
    assert!(idle["value"].as_str().unwrap().contains('7'), "{idle}");
    assert!(idle["origin"].as_str().unwrap().contains("aivonxd.toml:"), "{idle}");
    let total = settings.iter().find(|s| s["key"] == "timeouts.connect").unwrap();
    assert_eq!(total["origin"], "default", "{total}");
}
