//! Handling an attack.

use std::time::{Duration, Instant};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::json;

fn chat() -> Request {
    Request::json("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
}

fn keyed(request: Request, secret: &str) -> Request {
    request.field("Authorization", &format!("Bearer {secret}"))
}

#[tokio::test]
async fn a_contained_key_ends_what_runs_and_is_let_in_again() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::builder().config("").node(&node).mode("required").start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let made = aivonx.json(&["key", "create", "ci", "--org", "acme"]).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let id = aivonx.json(&["key", "show", "acme/ci"]).await["id"].as_str().expect("an id").to_owned();
    node.gate();
    let mut stream = daemon.client().await;
    stream.send(&keyed(chat(), &secret)).await;
    node.release(1);
    let head = stream.head().await;
    stream.piece().await.unwrap().unwrap();

    let contained = Instant::now();
    let said = aivonx.ok(&["incident", "contain", "--key", "acme/ci", "--reason", "leaked"]).await;
    assert!(said.contains("Contained the key acme/ci"), "{said}");
    assert!(said.contains(&format!("To undo: aivonx key enable {id}\n")), "{said}");
    let answer = stream.rest(head).await;
    assert!(answer.lines().pop().unwrap()["error"].is_string());
    // Generous for a loaded machine: without the cut it would wait for the node for ever.
    assert!(contained.elapsed() < Duration::from_secs(10), "{:?}", contained.elapsed());
    daemon.ask(&keyed(chat(), &secret)).await.expect(401);
    assert_eq!(aivonx.json(&["key", "show", "ci"]).await["enabled"], json!(false));
    assert!(aivonx.ok(&["key", "list"]).await.contains("disabled"));

    aivonx.ok(&["key", "enable", &id]).await;
    node.release(1000);
    daemon.ask(&keyed(chat(), &secret)).await.expect(200);
    let audit = aivonx.json(&["audit", "list", "--action", "disable"]).await;
    assert!(audit.to_string().contains("leaked"), "{audit}");

    // As an administrator would without an attack.
    aivonx.ok(&["key", "disable", "acme/ci"]).await;
    daemon.ask(&keyed(chat(), &secret)).await.expect(401);
}

#[tokio::test]
async fn everything_named_is_contained_or_nothing() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().config("").node(&node).mode("required").start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let password = daemon.folder().join("password");
    std::fs::write(&password, "marked-kettle-orbit-9").unwrap();
    let add = ["user", "add", "alice", "--org", "acme", "--password-file", password.to_str().unwrap()];
    aivonx.ok(&add).await;
    let made = aivonx.json(&["key", "create", "ci", "--org", "acme", "--user", "alice"]).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();

    let ran = aivonx.run(&["incident", "contain", "--key", "ci", "--user", "nobody-here"]).await;
    assert_ne!(ran.code, 0);
    daemon.ask(&keyed(chat(), &secret)).await.expect(200);

    let line = ["incident", "contain", "--user", "alice", "--address", "192.0.2.0/24", "--for", "1h"];
    let done = aivonx.json(&line).await;
    assert_eq!(done[0]["kind"], json!("user"));
    assert_eq!(done[0]["must_change"], json!(1));
    let id = aivonx.json(&["user", "show", "alice"]).await["id"].as_str().expect("an id").to_owned();
    assert_eq!(done[0]["undo"], json!(format!("aivonx user enable {id}")));
    assert_eq!(done[1]["undo"], json!("aivonx block remove 192.0.2.0/24"));
    daemon.ask(&keyed(chat(), &secret)).await.expect(401);
    assert_eq!(aivonx.json(&["block", "list"]).await[0]["target"], json!("192.0.2.0/24"));
    let again = aivonx.json(&line).await;
    assert_eq!([&again[0]["undo"], &again[1]["undo"]], [&json!(null); 2], "it was shut off before");
    aivonx.ok(&["user", "enable", &id]).await;
    daemon.ask(&keyed(chat(), &secret)).await.expect(200);

    aivonx.ok(&["incident", "contain", "--org", "acme"]).await;
    daemon.ask(&keyed(chat(), &secret)).await.expect(401);
    aivonx.ok(&["org", "set", "acme", "--enable"]).await;
    daemon.ask(&keyed(chat(), &secret)).await.expect(200);

    // What cannot be undone is asked for.
    let unconfirmed = aivonx.run(&["incident", "contain", "--user", "alice", "--revoke"]).await;
    assert_ne!(unconfirmed.code, 0);
    daemon.ask(&keyed(chat(), &secret)).await.expect(200);
    assert!(unconfirmed.code == 2 && unconfirmed.stderr.contains("--yes"), "{unconfirmed:?}");
    let done = aivonx.ok(&["incident", "contain", "--user", "alice", "--revoke", "--yes"]).await;
    assert!(done.contains("1 key revoked") && done.contains("Revoked for good: 1 key"), "{done}");
    // How the rest is undone can be had again.
    let report = aivonx.ok(&["incident", "report"]).await;
    assert!(report.contains(&format!("undo=aivonx user enable {id}")), "{report}");
    aivonx.ok(&["user", "enable", "alice"]).await;
    daemon.ask(&keyed(chat(), &secret)).await.expect(401);
}

#[tokio::test]
async fn guessed_keys_are_detected_and_reported() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().config("").node(&node).mode("required").start().await;
    let aivonx = daemon.aivonx();
    // More of a minute are counted together and written at its end.
    for n in 0..3 {
        daemon.ask(&keyed(chat(), &format!("aivx_guess{n}"))).await.expect(401);
    }
    // The audit log is written behind the requests.
    let guesses = within("three refused keys in the audit log", async {
        loop {
            let found = aivonx.json(&["incident", "detect"]).await;
            let all = found.as_array().unwrap().clone();
            let refused = all.into_iter().find(|one| one["kind"] == "refused_credentials");
            if let Some(refused) = refused.filter(|refused| refused["count"] == 3) {
                return refused;
            }
        }
    })
    .await;
    assert_eq!(guesses["subject"], json!("127.0.0.1"));
    assert_eq!(guesses["contain"], json!("aivonx incident contain --address 127.0.0.1"));
    assert!(
        aivonx.ok(&["incident", "detect", "--since", "1h"]).await.contains("from 127.0.0.1 were refused")
    );

    aivonx.ok(&["incident", "contain", "--address", "192.0.2.7", "--reason", "guesses"]).await;
    let report = aivonx.ok(&["incident", "report", "--since", "1h"]).await;
    for part in [
        "## Timeline",
        "denied unknown credential from 127.0.0.1",
        "- 127.0.0.1: ",
        "address 192.0.2.7: guesses",
        "## Lessons",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    let report = aivonx.json(&["incident", "report", "--since", "1h"]).await;
    assert!(report["measures"].to_string().contains("192.0.2.7"), "{report}");
}
