//! Screen 1.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
};
use serde_json::json;

use super::{console, ends_well};

/// A node is known to be gone, or back, after one check.
const QUICK: &str = "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\nfailures = 1\nsuccesses = 1\n";

fn chat() -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json("/api/chat", &json!({"model": "m", "stream": true, "messages": messages}))
}

#[tokio::test]
async fn the_overview_moves_with_traffic() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin", "1 active", "0 now, 0 streaming"]).await;
    node.gate();
    let mut client = daemon.client().await;
    client.send(&chat()).await;
    node.until_requests(1).await;
    console.until(&["1 now, 0 streaming"]).await;
    node.release(2);
    let head = client.head().await;
    console.until(&["1 now, 1 streaming"]).await;
    node.open_gate();
    client.rest(head).await;
    // What ended is among the busiest, and was timed.
    console.until(&["0 now, 0 streaming", "m:latest", "p95 "]).await;
    let pulse = daemon.aivonx().json(&["pulse"]).await;
    assert_eq!((&pulse["minute"]["requests"], &pulse["minute"]["errors"]), (&json!(1), &json!(0)), "{pulse}");
    assert!(pulse["minute"]["first_byte_p50_ms"].is_u64(), "{pulse}");
    assert_eq!(pulse["models"][0]["name"], "m:latest");
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_node_that_goes_down_is_told_with_the_key_to_it() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], QUICK).await;
    // Else the next step would be to try it.
    daemon.ask(&chat()).await.expect(200);
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin", "1 active"]).await;
    node.refuse().await;
    daemon.until_active(0).await;
    console.until(&["no node is active", "n0 does not answer", "1 standby"]).await;
    // The second line is the node's own, and enter leads to it.
    console.keys("jj\r");
    console.until(&["[2 Nodes]", "n0 (esc: back)"]).await;
    node.accept().await;
    daemon.until_active(1).await;
    console.leave("(esc: back)").await;
    console.until(&["Nodes 1", "e edit"]).await;
    console.keys("1");
    console.until(&["[1 Overview]", "1 active", "nothing"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_budget_that_is_nearly_used_up_is_told_of() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    let made = aivonx.json(&["key", "create", "ci", "--org", "acme"]).await;
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    aivonx.ok(&["limit", "set", "--org", "acme", "inference.day=5"]).await;
    let told = async || aivonx.json(&["pulse"]).await["budgets"].clone();
    for used in 1..=4 {
        assert_eq!(told().await, json!([]), "{used}");
        daemon.ask(&chat().field("authorization", &bearer)).await.expect(200);
    }
    let budget = told().await[0].clone();
    assert_eq!((&budget["of"], &budget["name"]), (&json!("organization"), &json!("acme")), "{budget}");
    assert_eq!((&budget["used"], &budget["allowed"]), (&json!(4), &json!(5)), "{budget}");
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "acme, organization inference.day: 4 of 5", "80%"]).await;
    console.keys("G\r");
    console.until(&["acme", "[6 Usage]"]).await;
    console.keys("q");
    ends_well(console).await;
}
