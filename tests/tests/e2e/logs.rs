//! `aivonx logs`, live and from memory.

use std::process::Stdio;

use aivonx_tests::{
    fake::{FakeNode, Fault, OnHealth},
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn each_request_is_one_event_with_its_fields() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut tail = daemon
        .aivonx()
        .start(&["logs", "-f", "-n", "0", "--grep", "/api/generate", "--output", "json"], Stdio::null());
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let request = Request::json("/api/generate", &json!({"model": "M", "prompt": "one two"}));
    // Following may begin a moment after the command has started: ask until an event comes.
    let event = within("a followed event", async {
        loop {
            daemon.ask(&request).await.expect(200);
            if let Ok(line) =
                tokio::time::timeout(std::time::Duration::from_millis(300), lines.next_line()).await
            {
                let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
                return event;
            }
        }
    })
    .await;
    assert_eq!((&event["target"], &event["level"]), (&json!("access"), &json!("info")), "{event}");
    let fields: std::collections::HashMap<String, String> =
        serde_json::from_value::<Vec<(String, String)>>(event["fields"].clone())
            .unwrap()
            .into_iter()
            .collect();
    for (field, value) in [("node", "node1"), ("model", "m:latest"), ("status", "200")] {
        assert_eq!(fields.get(field).map(String::as_str), Some(value), "{fields:?}");
    }
    assert!(fields["request_id"].len() > 10, "{fields:?}");
    let refused = daemon.ask(&Request::json("/api/generate", &json!({"model": "nope"}))).await.expect(404);
    let id = refused.field("x-request-id").unwrap();
    let text = within("the refusal in memory", async {
        loop {
            let text = daemon.aivonx().ok(&["logs", "-n", "50", "--grep", id]).await;
            if !text.is_empty() {
                return text;
            }
        }
    })
    .await;
    assert_eq!(text.lines().count(), 1, "one event per request: {text}");
    assert!(text.contains("404"), "{text}");
    node.fail_next(Fault::Status(500, r#"{"error":"evil \u001b[31m"}"#));
    daemon.ask(&request).await.expect(500);
    let text = daemon.aivonx().ok(&["logs", "--node", "node1", "--level", "info"]).await;
    assert!(text.contains("node1") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(daemon.aivonx().run(&["logs", "--grep", "("]).await.code, 2);
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_nobody() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    // Its output goes to a pipe nobody empties.
    let stuck = daemon.aivonx().start(&["logs", "-f", "--level", "info"], Stdio::null());
    let body = Request::json("/api/show", &json!({"model": "m"}));
    let mut client = daemon.client().await;
    for _ in 0..3_000 {
        client.ask(&body).await.expect(200);
    }
    drop(stuck);
    daemon.until_idle().await;
}

#[tokio::test]
async fn the_log_can_be_json_and_in_a_file() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[log]\ntarget = \"file\"\nformat = \"json\"\n").await;
    let answer = daemon.ask(&Request::json("/api/show", &json!({"model": "m"}))).await.expect(200);
    let id = answer.field("x-request-id").unwrap();
    let file = daemon.data().join("aivonxd.log");
    let line = within("the event in the file", async {
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Some(line) = text.lines().find(|l| l.contains(id)) {
                return line.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let event: Value = serde_json::from_str(&line).unwrap();
    assert!(event.is_object(), "{event}");
}

#[tokio::test]
async fn secrets_in_json_that_others_send_reach_no_log() {
    const MARK: &str = "hush-0123456789";
    let node = FakeNode::ollama().await;
    let log = "[log]\ntarget = \"file\"\nformat = \"json\"\nlevel = \"debug\"\n";
    let daemon = Daemon::run(&[&node], &format!("{log}[health]\ninterval = \"1s\"\n")).await;
    let aivonx = daemon.aivonx();
    // A node whose errors carry them, once more inside a text; it is asked by a job and by the health checks.
    let error = r#"{"error":"it said {\"error\":{\"api_key\":\"hush-0123456789\",\"Password\":[\"hush-0123456789\"]}}"}"#;
    node.fail_always(Some(Fault::Status(500, error)));
    node.on_health(OnHealth::Fail(Fault::Status(500, error)));
    let started = aivonx.json(&["model", "pull", "new", "--detach"]).await;
    aivonx.run(&["job", "show", started["id"].as_str().unwrap(), "--follow"]).await;
    daemon.until_active(0).await;
    daemon.post("/api/chat", &json!({"model": "m", "messages": []})).await;
    // A client whose name does; the audit log has it.
    let body = json!({"username": "mallory", "password": "hush-0123456789 and wrong"});
    let agent = r#"agent {"client":"x","auth":{"secret":"hush-0123456789"}}"#;
    let login = Request::json("/api/account/login", &body).field("user-agent", agent);
    daemon.ask(&login).await.expect(401);

    let copy = daemon.folder().join("audit.jsonl");
    aivonx.ok(&["audit", "export", "--out", copy.to_str().unwrap()]).await;
    let audit = std::fs::read_to_string(&copy).unwrap();
    assert!(audit.contains("login_failed") && audit.contains("[REDACTED]"), "{audit}");
    let logs = aivonx.ok(&["logs", "-n", "10000", "--level", "debug", "--output", "json"]).await;
    assert!(logs.contains("job_ended") && logs.contains("[REDACTED]"), "{logs}");
    let file = daemon.data().join("aivonxd.log");
    let file = within("the failed login in the file", async {
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.contains("login_failed") {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(file.contains("job_ended") && file.contains("[REDACTED]"), "{file}");
    for (place, text) in [("audit", audit), ("logs", logs), ("file", file)] {
        assert!(!text.contains(MARK), "{place}: {text}");
    }
}
