//! Clients that leave, and streams that go silent.

use aivonx_tests::{
    fake::{End, FakeNode},
    harness::{Daemon, Request},
};
use serde_json::json;

const STREAMING: &[&str] = &[
    "/api/chat",
    "/api/generate",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
];

fn body(stream: bool) -> serde_json::Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "m", "stream": stream, "messages": messages, "prompt": "x", "input": "x", "max_tokens": 9})
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_request_at_once() {
    let node = FakeNode::ollama().await;
    // A load would go on.
    node.with(|s| s.models[0].load());
    let daemon = Daemon::dev(&[&node]).await;
    node.gate();
    let mut gone = 0;
    for path in STREAMING {
        for stream in [true, false] {
            // Before any byte of the answer.
            let mut client = daemon.client().await;
            client.send(&Request::json(path, &body(stream))).await;
            gone += 1;
            node.until_requests(gone).await;
            client.reset();
            node.until_gone(gone).await;
        }
        // In the middle of a stream, in an orderly way this time.
        let mut client = daemon.client().await;
        client.send(&Request::json(path, &body(true))).await;
        gone += 1;
        node.release(2);
        client.head().await;
        client.piece().await.unwrap().unwrap();
        drop(client);
        node.until_gone(gone).await;
        node.until("used permits", |s| s.recorded.iter().all(|r| r.is_health() || r.end.is_some())).await;
    }
    for path in ["/api/embed", "/api/embeddings", "/api/show", "/v1/embeddings"] {
        let mut client = daemon.client().await;
        client.send(&Request::json(path, &body(false))).await;
        gone += 1;
        node.until_requests(gone).await;
        client.reset();
        node.until_gone(gone).await;
    }
    daemon.until_idle().await;
    assert!(node.requests().iter().all(|r| r.end == Some(End::ClientGone)));
    // None of it counts against the node.
    assert_eq!(daemon.nodes().await[0]["pool"], "active");
}

#[tokio::test]
async fn active_counts_show_running_requests() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    // Else all but the first would wait until it is.
    [&a, &b].into_iter().for_each(|node| node.with(|s| s.models[0].load()));
    let daemon = Daemon::run(&[&a, &b], "").await;
    a.gate();
    b.gate();
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = daemon.client().await;
        client.send(&Request::json("/api/chat", &body(true))).await;
        clients.push(client);
        let count = clients.len();
        daemon
            .until_nodes("the request to be counted", |nodes| {
                nodes.iter().filter_map(|n| n["active_requests"].as_u64()).sum::<u64>() == count as u64
            })
            .await;
    }
    // Three each.
    let counts: Vec<_> = daemon.nodes().await.iter().map(|n| n["active_requests"].clone()).collect();
    assert_eq!(counts, [3, 3]);
    let seen = daemon.get("/api/proxy/active-requests").await.expect(200).json();
    assert_eq!(seen["total_active_requests"].as_u64().or(seen["total_active"].as_u64()), Some(6), "{seen}");
    a.open_gate();
    b.open_gate();
    for client in &mut clients {
        assert_eq!(client.answer().await.lines().last().unwrap()["done"], true);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_slows_the_node_and_loses_nothing() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.with(|s| s.tokens = vec!["x".repeat(20_000)]);
    let request = json!({"model": "m", "prompt": "x", "options": {"num_predict": 2_000}});
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/generate", &request)).await;
    let head = client.head().await;
    // Nothing has been read yet, and 40 MB fit into no socket buffer: the node cannot have finished.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(node.only_request().end, None, "the gateway must not swallow the answer");
    let answer = client.rest(head).await;
    assert_eq!(answer.cut, None);
    assert_eq!(answer.lines().len(), 2_001);
    assert_eq!(answer.lines().last().unwrap()["done"], true);
}
