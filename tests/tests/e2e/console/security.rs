//! Blocks and attacks.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
};
use serde_json::json;

use super::{console, ends_well};

#[tokio::test]
async fn an_address_is_blocked_and_let_in_again() {
    let daemon = Daemon::builder().config("").start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin"]).await;
    console.keys(":blocks\r");
    console.until(&["Nobody is blocked."]).await;
    console.keys("a");
    console.until(&["Requests of a blocked address", "192.0.2.7"]).await;
    console.keys("192.0.2.0/24\r1h\rguesses keys\r");
    console.until(&["192.0.2.0/24 is blocked", "address", "59m"]).await;
    let blocks = daemon.aivonx().json(&["block", "list"]).await;
    assert_eq!(blocks[0]["reason"], json!("guesses keys"));
    console.keys("\x04");
    console.until(&["Unblock 192.0.2.0/24?"]).await;
    console.keys("y");
    console.until(&["Nobody is blocked."]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_key_is_shut_off_and_the_undo_is_shown() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().config("").node(&node).mode("required").start().await;
    let aivonx = daemon.aivonx();
    let made = aivonx.json(&["key", "create", "ci"]).await;
    let bearer = format!("Bearer {}", made["secret"].as_str().expect("a secret"));
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let request = Request::json("/api/chat", &chat).field("Authorization", &bearer);
    daemon.ask(&request).await.expect(200);

    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin"]).await;
    console.keys(":incidents\r");
    console.until(&["[Incidents]"]).await;
    console.keys("c");
    console.until(&["Shut off", "Addresses"]).await;
    console.keys("ci\x13");
    console.until(&["Shut off ci?", "disabled until it is enabled again"]).await;
    console.keys("y");
    console.until(&["What was done", "Contained the key ci", "To undo: aivonx key enable"]).await;
    daemon.ask(&request).await.expect(401);

    let report = daemon.folder().join("report.md");
    console.leave("What was done").await;
    console.keys("x");
    console.until(&["Incident report", "24h"]).await;
    console.keys(&format!("\t{}\x13", report.display()));
    console.until(&["the report is in"]).await;
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("## Counter-measures") && report.contains("keys=[\"ci\"]"), "{report}");
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn the_setup_is_checked_with_the_cures() {
    let daemon = Daemon::builder().config("").start_any().await;
    let mut console = console(&daemon, 120, 40);
    console.until(&["superadmin"]).await;
    console.keys(":check\r");
    console.until(&["[Check]", "RESULT", "warn"]).await;
    // The worst comes first.
    console.keys("\r");
    console.until(&["to do"]).await;
    console.keys("i");
    console.until(&["Try isolation?"]).await;
    console.keys("y");
    console.until(&["Isolation of organizations", "ok"]).await;
    console.leave("Isolation of organizations").await;
    console.keys("q");
    ends_well(console).await;
}
