//! What runs now: seen, followed into the log, ended.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
};
use serde_json::json;

use super::{console, ends_well};

#[tokio::test]
async fn a_running_answer_is_seen_and_ended_and_its_line_comes() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    let mut client = daemon.client().await;
    let chat = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    client.send(&Request::json("/api/chat", &chat)).await;
    let mut console = console(&daemon, 120, 40);
    console.until(&["superadmin"]).await;
    console.keys("9");
    console.until(&["[9 Requests]", "waiting", "m:latest", "node1", "127.0.0.1"]).await;
    node.release(2);
    // It is looked at again by itself.
    console.until(&["answering"]).await;
    client.head().await;
    console.keys("\r");
    console.until(&["answer began", "tokens a second"]).await;
    // Its log is empty until it ends.
    console.keys("i");
    console.until(&["[7 Logs]", "request_id:", "its line comes when it ends"]).await;
    console.keys("9");
    console.until(&["[9 Requests]", "answering", "ctrl-d cancel"]).await;
    console.keys("\x04");
    console.until(&["Cancel the request of 127.0.0.1 for m:latest?"]).await;
    console.keys("y");
    console.until(&["Nothing is running"]).await;
    let mut told = String::new();
    while let Ok(Some(piece)) = client.piece().await {
        told += &String::from_utf8_lossy(&piece);
    }
    assert!(told.contains("an administrator ended the request"), "{told}");
    node.until_gone(1).await;
    console.keys("7");
    console.until(&["[7 Logs]", "POST /api/chat 200 m:latest node1", "1 of "]).await;
    console.keys("q");
    ends_well(console).await;
}
