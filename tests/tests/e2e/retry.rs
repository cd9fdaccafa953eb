//! Choosing nodes, and going on to another when one fails before its first byte.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind, OnHealth},
    harness::{Daemon, Request},
};
use serde_json::{Value, json};

const PATIENT: &str = "[health]\ninterval = \"1s\"\nfailures = 100\n";

fn body() -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "m", "messages": messages, "prompt": "x", "input": "x", "max_tokens": 99})
}

#[tokio::test]
async fn a_failed_attempt_goes_to_another_node() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], PATIENT).await;
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    for fault in [
        Fault::ResetBeforeHead,
        Fault::CloseBeforeHead,
        Fault::Garbage,
        Fault::Status(503, r#"{"error":"server busy"}"#),
        Fault::Status(502, r#"{"error":"bad gateway"}"#),
    ] {
        for path in ["/api/chat", "/v1/chat/completions", "/v1/messages", "/api/embed", "/api/show"] {
            a.fail_always(Some(fault.clone()));
            for _ in 0..2 {
                let answer = daemon.post(path, &body()).await;
                assert_eq!(answer.status, 200, "{fault:?} {path}: {}", answer.text());
                assert_eq!(answer.field("x-aivonx-node"), Some("n1"));
            }
            a.fail_always(None);
        }
    }
    assert!(!a.requests().is_empty(), "the failing node was tried");
    daemon.until_idle().await;
    // Once bytes have gone out there is no second attempt.
    let sent = a.requests().len() + b.requests().len();
    a.fail_next(Fault::ResetAfter(2));
    b.fail_next(Fault::ResetAfter(2));
    let answer = daemon.post("/api/chat", &body()).await.expect(200);
    assert!(answer.lines().last().unwrap()["error"].is_string());
    assert_eq!(a.requests().len() + b.requests().len(), sent + 1);
}

/// Checks out of turn alone.
const RARELY: &str = "[health]\ninterval = \"1h\"\nfailures = 1\nsuccesses = 1\n";

async fn all_that(fault: Fault, count: usize, health: &str) -> (Vec<FakeNode>, Daemon) {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(FakeNode::ollama().await);
    }
    let daemon = Daemon::run(&nodes.iter().collect::<Vec<_>>(), health).await;
    nodes.iter().for_each(|node| node.fail_always(Some(fault.clone())));
    (nodes, daemon)
}

fn sent(nodes: &[FakeNode]) -> usize {
    nodes.iter().map(|node| node.requests().len()).sum()
}

#[tokio::test]
async fn every_node_is_tried_before_the_client_gets_an_error() {
    for fault in [
        Fault::ResetBeforeHead,
        Fault::CloseBeforeHead,
        Fault::Garbage,
        Fault::Body(""),
        Fault::Status(502, r#"{"error":"bad gateway"}"#),
        Fault::Status(500, r#"{"error":"llama runner process has terminated"}"#),
        Fault::Status(404, r#"{"error":"model 'm' not found"}"#),
    ] {
        let (nodes, daemon) = all_that(fault.clone(), 5, PATIENT).await;
        let answer = daemon.post("/api/chat", &body()).await;
        match &fault {
            Fault::Status(status, body) => assert_eq!((answer.status, &*answer.text()), (*status, *body)),
            _ => assert_eq!(answer.status, 502, "{fault:?} {}", answer.text()),
        }
        assert!(nodes.iter().all(|node| node.requests().len() == 1), "{fault:?}");
        daemon.until_idle().await;
    }
    let (nodes, daemon) =
        all_that(Fault::Status(502, "{}"), 3, &format!("{PATIENT}[proxy]\nretries = 1\n")).await;
    daemon.post("/api/chat", &body()).await.expect(502);
    assert_eq!(sent(&nodes), 2, "no more than is set");
}

#[tokio::test]
async fn requests_take_no_healthy_node_from_anybody() {
    for (fault, count) in [
        (Fault::ResetBeforeHead, 3),
        (Fault::CloseBeforeHead, 1),
        (Fault::Status(502, "{}"), 1),
        (Fault::Status(503, r#"{"error":"server busy"}"#), 2),
        (Fault::Status(429, "{}"), 1),
        (Fault::ResetAfter(2), 2),
    ] {
        let (nodes, daemon) = all_that(fault.clone(), count, RARELY).await;
        for _ in 0..10 {
            daemon.post("/api/chat", &body()).await;
        }
        nodes.iter().for_each(|node| node.fail_always(None));
        for _ in 0..2 * count {
            daemon.post("/api/chat", &body()).await.expect(200);
        }
        daemon.until_idle().await;
        let active = daemon.nodes().await.iter().filter(|node| node["pool"] == "active").count();
        assert_eq!(active, count, "{fault:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_gone_leaves_with_the_first_request_it_does_not_take() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], RARELY).await;
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    a.refuse().await;
    // One of two requests in a row is its own.
    for _ in 0..2 {
        daemon.post("/api/show", &json!({"model": "m"})).await.expect(200);
    }
    daemon.until_active(1).await;
    // It is looked for in ever longer intervals.
    a.accept().await;
    daemon.until_active(2).await;
}

#[tokio::test]
async fn busy_nodes_are_no_failure_and_the_client_is_told_when_to_come_back() {
    let (nodes, daemon) = all_that(Fault::Status(503, r#"{"error":"server busy"}"#), 5, PATIENT).await;
    let answer = daemon.post("/api/chat", &body()).await.expect(503);
    assert_eq!(answer.json()["error"], "server busy");
    assert_eq!(sent(&nodes), 5, "each is asked");
    assert!(
        daemon.nodes().await.iter().all(|node| node["recent_errors"] == 0 && node["last_error"].is_null())
    );
    // Where the last one is gone rather than busy, it is still worth coming back.
    let (busy, gone) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&busy, &gone], PATIENT).await;
    busy.fail_always(Some(Fault::Status(503, "{}")));
    gone.refuse().await;
    for _ in 0..2 {
        daemon.post("/api/chat", &body()).await.expect(503);
    }
}

#[tokio::test]
async fn a_reused_connection_that_died_is_tried_once_more_on_a_fresh_one() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], &format!("{PATIENT}[proxy]\nthreads = 1\n")).await;
    daemon.post("/api/chat", &body()).await.expect(200);
    for _ in 0..3 {
        node.fail_next(Fault::CloseIfReused);
        let answer = daemon.post("/api/chat", &body()).await.expect(200);
        assert_eq!(answer.lines().last().unwrap()["done"], true);
        node.with(|s| s.faults.clear());
    }
    // And one that the node closed while it was idle is noticed before it is used.
    node.drop_connections();
    node.until("closed connections", |s| s.open == 0).await;
    let before = node.requests().len();
    daemon.post("/api/chat", &body()).await.expect(200);
    assert_eq!(node.requests().len(), before + 1);
}

#[tokio::test]
async fn connections_to_a_node_are_reused() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], &format!("{PATIENT}[proxy]\nthreads = 1\n")).await;
    for _ in 0..20 {
        daemon.post("/api/chat", &body()).await.expect(200);
    }
    let mut used: Vec<u64> = node.requests().iter().map(|r| r.connection).collect();
    used.dedup();
    assert!(used.len() <= 2, "{used:?}");
}

#[tokio::test]
async fn all_candidates_at_their_bound_are_503_with_retry_after() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[], &format!("{PATIENT}[proxy]\nqueue = 0\n")).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--max-parallel", "1"]).await;
    daemon.until_active(1).await;
    node.gate();
    let mut first = daemon.client().await;
    first.send(&Request::json("/api/chat", &body())).await;
    node.until_requests(1).await;
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        let busy = daemon.post(path, &body()).await.expect(503);
        assert!(
            busy.field("retry-after").is_some_and(|v| v.parse::<u32>().is_ok_and(|s| s > 0)),
            "{:?}",
            busy.head
        );
        let error = busy.json();
        if path == "/v1/messages" {
            assert_eq!(error["error"]["type"], "overloaded_error", "{error}");
        }
    }
    node.open_gate();
    assert_eq!(first.answer().await.lines().last().unwrap()["done"], true);
    daemon.until_idle().await;
    daemon.post("/api/chat", &body()).await.expect(200);
}

#[tokio::test]
async fn a_model_no_node_has_is_404_with_the_nearest_names() {
    let node = FakeNode::start(Kind::Ollama, &["llama3.2:3b", "qwen3:8b", "mistral:7b"]).await;
    let daemon = Daemon::dev(&[&node]).await;
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages", "/api/show", "/v1/embeddings"] {
        let mut wrong = body();
        wrong["model"] = json!("llama3.2:8b");
        let answer = daemon.post(path, &wrong).await.expect(404);
        let text = answer.text();
        assert!(text.contains("llama3.2:8b") && text.contains("llama3.2:3b"), "{path}: {text}");
    }
    assert!(node.requests().is_empty());
    let mut odd = body();
    odd["model"] = json!("\u{1b}[31mred\u{202e}\n");
    let answer = daemon.post("/api/chat", &odd).await.expect(404);
    assert!(!answer.text().contains('\u{1b}'));
    daemon.get("/v1/models/nowhere").await.expect(404);
}

#[tokio::test]
async fn a_model_whose_nodes_are_down_or_draining_is_503() {
    let (a, b) = (
        FakeNode::start(Kind::Ollama, &["m:latest"]).await,
        FakeNode::start(Kind::Ollama, &["n:latest"]).await,
    );
    let daemon = Daemon::run(
        &[&a, &b],
        "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\nfailures = 1\nsuccesses = 1\n",
    )
    .await;
    daemon.aivonx().ok(&["node", "drain", "n0"]).await;
    let answer = daemon.post("/api/chat", &body()).await.expect(503);
    assert!(answer.field("retry-after").is_some());
    daemon.aivonx().ok(&["node", "enable", "n0"]).await;
    daemon.post("/api/chat", &body()).await.expect(200);
    a.refuse().await;
    daemon.until_active(1).await;
    let answer = daemon.post("/api/chat", &body()).await.expect(503);
    assert!(answer.field("retry-after").is_some(), "{:?}", answer.head);
    let nodes = daemon.nodes().await;
    assert!(nodes[0]["last_error"].as_str().is_some_and(|e| !e.is_empty()), "{nodes:?}");
    a.accept().await;
    daemon.until_active(2).await;
    daemon.post("/api/chat", &body()).await.expect(200);
}

#[tokio::test]
async fn only_a_proper_answer_is_healthy() {
    let node = FakeNode::ollama().await;
    let daemon =
        Daemon::run(&[&node], "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\nfailures = 1\nsuccesses = 1\n")
            .await;
    for fault in [
        Fault::Status(404, "404 page not found"),
        Fault::Status(500, "{}"),
        Fault::Body("<html>a login page</html>"),
        Fault::Body("{}"),
        Fault::Redirect("/login"),
        Fault::Garbage,
        Fault::Silence,
    ] {
        node.on_health(OnHealth::Fail(fault.clone()));
        daemon.until_active(0).await;
        node.on_health(OnHealth::Well);
        daemon.until_active(1).await;
    }
}

#[tokio::test]
async fn nodes_that_hold_the_model_in_memory_come_first_and_equals_take_turns() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    nodes[1].with(|s| s.models[0].load());
    let daemon = Daemon::run(&nodes.iter().collect::<Vec<_>>(), PATIENT).await;
    daemon
        .until_nodes("the loaded model to be seen", |nodes| {
            nodes.iter().any(|n| n["loaded"].as_array().is_some_and(|l| !l.is_empty()))
        })
        .await;
    let answer = daemon.post("/api/chat", &body()).await.expect(200);
    assert_eq!(answer.field("x-aivonx-node"), Some("n1"));
    let many = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&many.iter().collect::<Vec<_>>(), "[health]\ninterval = \"60s\"\n").await;
    for _ in 0..9 {
        // `show` loads nothing, so that all stay equal.
        daemon.post("/api/show", &json!({"model": "m"})).await.expect(200);
    }
    for node in &many {
        assert!((1..=6).contains(&node.requests().len()), "{}", node.requests().len());
    }
}

#[tokio::test]
async fn a_node_too_old_for_a_route_is_no_candidate() {
    let (old, new) = (FakeNode::ollama().await, FakeNode::ollama().await);
    old.with(|s| s.version = "0.5.1".to_owned());
    let daemon = Daemon::run(&[&old, &new], PATIENT).await;
    for _ in 0..4 {
        for path in ["/v1/responses", "/v1/messages"] {
            let answer = daemon.post(path, &body()).await.expect(200);
            assert_eq!(answer.field("x-aivonx-node"), Some("n1"));
        }
    }
    assert!(old.requests().is_empty());
    daemon.aivonx().ok(&["node", "disable", "n1"]).await;
    // It is asked in its own dialect where nobody else is left.
    let answer = daemon.post("/v1/messages", &body()).await.expect(200);
    assert_eq!(answer.field("x-aivonx-translated"), Some("anthropic>ollama"));
    assert_eq!(answer.json()["type"], "message");
}

#[tokio::test]
async fn a_request_leaves_a_node_that_is_found_down_before_it_answered() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let health = "[health]\ninterval = \"100ms\"\ntimeout = \"200ms\"\nfailures = 2\n";
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], health).await;
    nodes.iter().for_each(FakeNode::gate);
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/chat", &body())).await;
    daemon
        .until_nodes("the request to be at a node", |nodes| nodes.iter().any(|n| n["active_requests"] == 1))
        .await;
    let (down, up) =
        if nodes[0].requests().is_empty() { (&nodes[1], &nodes[0]) } else { (&nodes[0], &nodes[1]) };
    down.on_health(OnHealth::Fail(Fault::Silence));
    up.open_gate();
    assert_eq!(client.answer().await.expect(200).lines().last().unwrap()["done"], true);
    down.until_gone(1).await;

    // Where there is no other, it is waited for.
    up.gate();
    client.send(&Request::json("/api/chat", &body())).await;
    up.until_requests(2).await;
    up.on_health(OnHealth::Fail(Fault::Silence));
    daemon.until_active(0).await;
    up.on_health(OnHealth::Well);
    daemon.until_active(1).await;
    up.open_gate();
    client.answer().await.expect(200);
}
