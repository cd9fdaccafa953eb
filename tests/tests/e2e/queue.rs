//! Requests that wait for a place on a node.

use aivonx_tests::{
    fake::{FakeNode, Fault, OnHealth},
    harness::{Client, Daemon, Request},
    within,
};
use serde_json::{Value, json};

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
}

/// A daemon with a node that takes one request at a time, which it has: its answer waits for the gate.
async fn full(config: &str) -> (FakeNode, Daemon, Client) {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::run(&[], config).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--max-parallel", "1"]).await;
    daemon.until_active(1).await;
    node.gate();
    let mut first = daemon.client().await;
    first.send(&Request::json("/api/chat", &chat())).await;
    node.until_requests(1).await;
    (node, daemon, first)
}

/// Sends another request, which waits.
async fn waiting(daemon: &Daemon) -> Client {
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/chat", &chat())).await;
    client
}

/// Returns once the gateway knows of so many requests.
async fn known(daemon: &Daemon, count: usize) {
    let all = async {
        while daemon.aivonx().json(&["running", "list"]).await.as_array().map_or(0, Vec::len) < count {
            tokio::task::yield_now().await;
        }
    };
    within("the requests to be there", all).await;
}

#[tokio::test]
async fn a_request_waits_for_a_place_and_is_told_how_long() {
    let (node, daemon, mut first) = full("").await;
    let mut second = waiting(&daemon).await;
    let mut third = waiting(&daemon).await;
    known(&daemon, 3).await;
    assert_eq!(node.requests().len(), 1, "the others are not sent");
    node.open_gate();
    first.answer().await;
    for client in [&mut second, &mut third] {
        let answer = client.answer().await;
        let waited = answer.field("x-aivonx-queue").and_then(|field| field.strip_prefix("waited="));
        assert!(waited.is_some_and(|ms| ms.parse::<u64>().is_ok_and(|ms| ms > 0)), "{:?}", answer.head);
        assert_eq!(answer.lines().last().unwrap()["done"], true);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_never_sent() {
    let (node, daemon, mut first) = full("").await;
    let leaves = waiting(&daemon).await;
    known(&daemon, 2).await;
    leaves.reset();
    let mut stays = waiting(&daemon).await;
    node.open_gate();
    first.answer().await;
    assert_eq!(stays.answer().await.lines().last().unwrap()["done"], true);
    daemon.until_idle().await;
    assert_eq!(node.requests().len(), 2);
}

#[tokio::test]
async fn a_full_queue_refuses_in_every_dialect_and_says_where_one_would_stand() {
    let (node, daemon, mut first) = full("[proxy]\nqueue = 1\n").await;
    let mut second = waiting(&daemon).await;
    known(&daemon, 2).await;
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        let refused = daemon.post(path, &body).await.expect(503);
        assert_eq!(refused.field("x-aivonx-queue"), Some("position=2"), "{:?}", refused.head);
        let wait = refused.field("retry-after").and_then(|wait| wait.parse::<u32>().ok());
        assert!(wait.is_some_and(|wait| wait > 0), "{:?}", refused.head);
        assert!(refused.text().contains("busy"), "{}", refused.text());
    }
    node.open_gate();
    first.answer().await;
    second.answer().await;
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_wait_that_takes_too_long_ends_in_503() {
    let (node, daemon, mut first) = full("[timeouts]\nqueue = \"100ms\"\n").await;
    let refused = daemon.post("/api/chat", &chat()).await.expect(503);
    assert_eq!(refused.field("x-aivonx-queue"), Some("position=1"));
    node.open_gate();
    first.answer().await;
    daemon.until_idle().await;
}

#[tokio::test]
async fn who_waits_is_sent_when_a_node_may_take_more() {
    let (node, daemon, mut first) = full("").await;
    let mut second = waiting(&daemon).await;
    known(&daemon, 2).await;
    daemon.aivonx().ok(&["node", "set", "gpu1", "--max-parallel", "2"]).await;
    node.until_requests(2).await;
    node.open_gate();
    first.answer().await;
    second.answer().await;
    daemon.until_idle().await;
}

#[tokio::test]
async fn who_waits_goes_to_a_node_that_is_back() {
    const OFTEN: &str = "[health]\ninterval = \"100ms\"\nfailures = 1\nsuccesses = 1\n";
    let (node, daemon, mut first) = full(OFTEN).await;
    let other = FakeNode::ollama().await;
    other.with(|s| s.models[0].load());
    daemon.aivonx().ok(&["node", "add", "gpu2", &other.url()]).await;
    daemon.until_active(2).await;
    other.on_health(OnHealth::Fail(Fault::Status(500, "{}")));
    daemon.until_active(1).await;
    let mut second = waiting(&daemon).await;
    known(&daemon, 2).await;
    other.on_health(OnHealth::Well);
    assert_eq!(second.answer().await.field("x-aivonx-node"), Some("gpu2"));
    node.open_gate();
    first.answer().await;
    daemon.until_idle().await;
}

#[tokio::test]
async fn cold_requests_at_once_load_one_copy() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1], &nodes[2]], "").await;
    nodes.iter().for_each(FakeNode::gate);
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(waiting(&daemon).await);
    }
    known(&daemon, 10).await;
    let asked: Vec<usize> = nodes.iter().map(|node| node.requests().len()).collect();
    assert_eq!(asked.iter().sum::<usize>(), 1, "the others wait for its load: {asked:?}");
    nodes.iter().for_each(FakeNode::open_gate);
    for client in &mut clients {
        assert_eq!(client.answer().await.lines().last().unwrap()["done"], true);
    }
    daemon.until_idle().await;
}
