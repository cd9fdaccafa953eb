//! What an answer means: which ones send a request to another node, and which nodes get fewer requests for it.

use std::time::{Duration, Instant};

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind, OnHealth},
    harness::{Daemon, Request},
};
use serde_json::{Value, json};

/// Checks out of turn alone.
const RARELY: &str = "[health]\ninterval = \"1h\"\n";

const CRASHED: Fault = Fault::Status(
    500,
    r#"{"error":"llama runner process has terminated: CUDA error: unspecified launch failure"}"#,
);

fn chat(stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
}

async fn two(config: &str) -> ([FakeNode; 2], Daemon) {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], config).await;
    // Both get requests, though the model is in the memory of one alone.
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    (nodes, daemon)
}

#[tokio::test]
async fn a_node_that_fails_at_once_takes_no_requests_from_a_good_one_and_comes_back_when_it_is_well() {
    let ([broken, good], daemon) = two(RARELY).await;
    broken.fail_always(Some(CRASHED));
    for _ in 0..30 {
        daemon.post("/api/chat", &chat(false)).await.expect(200);
    }
    let tried = broken.requests().len();
    assert!((1..=6).contains(&tried), "{tried} of 30 were tried on it");
    assert!(good.requests().len() >= 30);
    let nodes = daemon.nodes().await;
    assert_eq!(nodes[0]["pool"], "active", "its health is well");
    assert!(nodes[0]["last_error"].as_str().is_some_and(|why| why.contains("CUDA error")), "{nodes:?}");

    // One real request finds out, then it has its share again.
    broken.fail_always(None);
    let served = async {
        loop {
            let answer = daemon.post("/api/chat", &chat(false)).await.expect(200);
            if answer.field("x-aivonx-node") == Some("n0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), served).await.expect("it gets a request");
    for _ in 0..10 {
        daemon.post("/api/chat", &chat(false)).await.expect(200);
    }
    assert!(broken.requests().len() > tried + 2);
}

#[tokio::test]
async fn a_node_that_is_due_gets_a_request_that_waits_for_another() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[], RARELY).await;
    for (name, node) in [("n0", &nodes[0]), ("n1", &nodes[1])] {
        node.with(|s| s.models[0].load());
        daemon.aivonx().ok(&["node", "add", name, &node.url(), "--max-parallel", "1"]).await;
    }
    daemon.until_active(2).await;
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    let [broken, good] = &nodes;
    broken.fail_always(Some(CRASHED));
    while broken.requests().len() < 3 {
        daemon.post("/api/chat", &chat(false)).await.expect(200);
    }
    broken.fail_always(None);
    // The other one has its place taken for good.
    good.gate();
    let before = good.requests().len();
    let mut first = daemon.client().await;
    first.send(&Request::json("/api/chat", &chat(false))).await;
    good.until_requests(before + 1).await;
    let served = daemon.post("/api/chat", &chat(false)).await.expect(200);
    assert_eq!(served.field("x-aivonx-node"), Some("n0"));
    good.open_gate();
    first.answer().await.expect(200);
}

#[tokio::test]
async fn a_request_that_every_node_fails_over_takes_none_of_them_out() {
    let (nodes, daemon) = two(RARELY).await;
    nodes.iter().for_each(|node| node.fail_always(Some(CRASHED)));
    for _ in 0..10 {
        let answer = daemon.post("/api/chat", &chat(false)).await.expect(500);
        assert!(answer.text().contains("llama runner"));
    }
    nodes.iter().for_each(|node| node.fail_always(None));
    let before = nodes.each_ref().map(|node| node.requests().len());
    for _ in 0..10 {
        daemon.post("/api/chat", &chat(false)).await.expect(200);
    }
    for (node, before) in nodes.iter().zip(before) {
        assert!(node.requests().len() > before + 1, "both serve");
    }
}

#[tokio::test]
async fn the_last_node_that_serves_a_model_is_never_taken_out_for_being_busy() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], RARELY).await;
    node.fail_always(Some(Fault::Status(503, r#"{"error":"server busy, please try again"}"#)));
    for _ in 0..20 {
        daemon.post("/api/chat", &chat(false)).await.expect(503);
    }
    node.fail_always(None);
    daemon.post("/api/chat", &chat(false)).await.expect(200);
    assert_eq!(daemon.nodes().await[0]["recent_errors"], 0);
}

#[tokio::test]
async fn a_stream_of_which_no_byte_came_goes_to_another_node() {
    // Those that send their head at once.
    let nodes = [FakeNode::openai().await, FakeNode::openai().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], RARELY).await;
    daemon.aivonx().ok(&["strategy", "set", "round_robin"]).await;
    for fault in [
        Fault::CloseAfter(0),
        Fault::ResetAfter(0),
        Fault::EndAfter(0),
        Fault::ErrorAfter(0),
        Fault::Events(": still there\n\n".into()),
        Fault::Events(
            ": still there\n\nretry: 9\nevent: error\ndata: {\"error\":{\"message\":\"dead\"}}\n\n".into(),
        ),
        Fault::Events("event: error\ndata: {\"error\":{\"message\":\"engine is dead\"}}\n\n".into()),
    ] {
        nodes[0].fail_always(Some(fault.clone()));
        for _ in 0..4 {
            let answer = daemon.post("/v1/chat/completions", &chat(true)).await.expect(200);
            assert_eq!(answer.field("x-aivonx-node"), Some("n1"), "{fault:?}");
            assert_eq!(answer.events().last().unwrap(), "[DONE]", "{fault:?}");
        }
    }
    assert!(!nodes[0].requests().is_empty(), "it was tried");
    daemon.until_idle().await;
}

#[tokio::test]
async fn an_error_after_the_first_line_counts_against_the_node_and_is_shown() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], RARELY).await;
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        node.fail_next(Fault::ErrorAfter(2));
        daemon.post(path, &chat(true)).await.expect(200);
    }
    daemon
        .stderr()
        .until("outcome=broken.*an error was encountered while running the model: unexpected EOF")
        .await;
    daemon
        .until_nodes("three errors", |nodes| {
            let why = nodes[0]["last_error"].as_str().unwrap_or_default();
            nodes[0]["recent_errors"] == 3 && why.contains("an error was encountered")
        })
        .await;
    assert_eq!(daemon.nodes().await[0]["pool"], "active");
}

#[tokio::test]
async fn a_model_that_moved_is_found_at_once() {
    let nodes = [
        FakeNode::start(Kind::Ollama, &["m:latest", "other:latest"]).await,
        FakeNode::start(Kind::Ollama, &["other:latest"]).await,
    ];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], RARELY).await;
    // Pulled on the node itself, under a name that nobody knew.
    let new = nodes[1].with(|s| {
        let mut model = s.models[0].clone();
        model.name = "fresh:1b".into();
        s.models.push(model);
        json!({"model": "fresh:1b", "stream": false, "messages": []})
    });
    let answer = daemon.post("/api/chat", &new).await.expect(200);
    assert_eq!(answer.field("x-aivonx-node"), Some("n1"));
    // Gone from where it was known to be, and now elsewhere. The nodes were looked at a moment ago.
    let model = nodes[0].with(|s| s.models.remove(0));
    nodes[1].with(|s| s.models.push(model));
    let found = async {
        loop {
            let answer = daemon.post("/api/chat", &chat(false)).await;
            if answer.status == 200 {
                return answer;
            }
            assert_eq!(answer.status, 404, "{}", answer.text());
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), found).await.expect("it is found");
    assert_eq!(answer.field("x-aivonx-node"), Some("n1"));
    // What is nowhere does not keep the nodes busy.
    let looks = || nodes[0].with(|s| s.recorded.iter().filter(|r| r.head.target() == "/api/tags").count());
    let (before, begun) = (looks(), Instant::now());
    for _ in 0..50 {
        daemon.post("/api/chat", &json!({"model": "nowhere", "messages": []})).await.expect(404);
    }
    let most = begun.elapsed().as_secs() + 2;
    assert!(looks() - before <= usize::try_from(most).unwrap(), "{} in {most} s", looks() - before);
}

#[tokio::test]
async fn good_traffic_keeps_a_node_in_and_of_those_that_are_out_one_is_tried() {
    let node = FakeNode::ollama().await;
    let health = "[health]\ninterval = \"100ms\"\ntimeout = \"200ms\"\nfailures = 3\nsuccesses = 1\n";
    let daemon = Daemon::run(&[&node], health).await;
    node.on_health(OnHealth::Fail(Fault::Silence));
    let checks = |node: &FakeNode| node.with(|s| s.recorded.iter().filter(|r| r.is_health()).count());
    let before = checks(&node);
    while checks(&node) < before + 12 {
        daemon.post("/api/chat", &chat(false)).await.expect(200);
        assert_eq!(daemon.nodes().await[0]["pool"], "active");
    }
    // Without any it leaves; and where no other is left it is still better than nothing.
    daemon.until_active(0).await;
    daemon.post("/api/chat", &chat(false)).await.expect(200);
    node.refuse().await;
    let answer = daemon.post("/api/chat", &chat(false)).await.expect(503);
    assert!(answer.field("retry-after").is_some());
}

#[tokio::test]
async fn a_request_leaves_a_node_that_is_removed_before_it_answered() {
    let (nodes, daemon) = two(RARELY).await;
    nodes.iter().for_each(FakeNode::gate);
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/chat", &chat(true))).await;
    daemon
        .until_nodes("the request to be at a node", |nodes| nodes.iter().any(|n| n["active_requests"] == 1))
        .await;
    let at = usize::from(nodes[0].requests().is_empty());
    nodes[1 - at].open_gate();
    daemon.aivonx().ok(&["node", "remove", &format!("n{at}"), "--yes"]).await;
    let answer = client.answer().await.expect(200);
    assert_eq!(answer.field("x-aivonx-node"), Some(&*format!("n{}", 1 - at)));
}

#[tokio::test]
async fn of_several_answers_the_client_gets_the_best() {
    let (nodes, daemon) = two(RARELY).await;
    let missing = r#"{"error":"model 'm' not found"}"#;
    let failed = r#"{"error":"model requires more system memory (9 GiB) than is available (3 GiB)"}"#;
    let busy = r#"{"error":"server busy"}"#;
    let page = "<html><body>502 Bad Gateway</body></html>";
    for (a, b, best) in [
        ((404, missing), (500, failed), (500, failed)),
        ((500, failed), (503, busy), (503, busy)),
        ((502, page), (404, missing), (404, missing)),
        ((429, busy), (502, page), (429, busy)),
    ] {
        for (first, second) in [(0, 1), (1, 0)] {
            nodes[first].fail_always(Some(Fault::Status(a.0, a.1)));
            nodes[second].fail_always(Some(Fault::Status(b.0, b.1)));
            let answer = daemon.post("/api/chat", &chat(false)).await;
            assert_eq!((answer.status, &*answer.text()), best);
            let node = if best == a { first } else { second };
            assert_eq!(answer.field("x-aivonx-node"), Some(&*format!("n{node}")));
        }
    }
    // Not even an answer: that of the other.
    nodes[0].fail_always(Some(Fault::ResetBeforeHead));
    nodes[1].fail_always(Some(Fault::Status(500, failed)));
    for _ in 0..4 {
        assert_eq!(daemon.post("/api/chat", &chat(false)).await.expect(500).text(), failed);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn each_deadline_says_which_it_was() {
    for (config, stream, loaded, says) in [
        ("whole = \"300ms\"", false, false, "timeouts.whole"),
        ("load = \"300ms\"", true, false, "timeouts.load"),
        ("header_wait = \"300ms\"\nload = \"1h\"", true, true, "timeouts.header_wait"),
    ] {
        let node = FakeNode::ollama().await;
        if loaded {
            node.with(|s| s.models[0].load());
        }
        let config = format!("[timeouts]\n{config}\n[health]\ninterval = \"200ms\"\n");
        let daemon = Daemon::run(&[&node], &config).await;
        if loaded {
            daemon.until_nodes("it is loaded", |nodes| nodes[0]["loaded"][0] == "m:latest").await;
        }
        node.fail_always(Some(Fault::Silence));
        let answer = daemon.post("/api/chat", &chat(stream)).await.expect(504);
        assert!(answer.text().contains(says), "{says}: {}", answer.text());
        daemon.stderr().until(&format!("outcome=timed_out.*{says}")).await;
    }
}
