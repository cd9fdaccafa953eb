//! Models in the nodes' memory, as clients of the gateway load and unload them.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Daemon, Request},
};
use serde_json::{Value, json};

/// Checks out of turn alone.
const RARELY: &str = "[health]\ninterval = \"1h\"\n";

fn holds(node: &FakeNode) -> usize {
    node.with(|s| s.models.iter().filter(|model| model.loaded.is_some()).count())
}

fn load(node: &FakeNode) {
    node.with(|s| s.models[0].load());
}

async fn in_memory(daemon: &Daemon) -> Value {
    daemon.get("/api/ps").await.expect(200).json()["models"].clone()
}

#[tokio::test]
async fn a_client_that_stops_a_model_takes_it_out_of_the_memory_of_every_node() {
    let nodes = [
        FakeNode::ollama().await,
        FakeNode::ollama().await,
        FakeNode::ollama().await,
        FakeNode::start(Kind::Ollama, &["other:latest"]).await,
    ];
    for at in [0, 1, 3] {
        load(&nodes[at]);
    }
    let daemon = Daemon::run(&nodes.each_ref(), RARELY).await;
    // Loaded since the gateway looked.
    load(&nodes[2]);
    let told = daemon.post("/api/generate", &json!({"model": "m", "keep_alive": 0})).await.expect(200).json();
    assert_eq!(
        (&told["model"], &told["done"], &told["done_reason"]),
        (&json!("m"), &json!(true), &json!("unload"))
    );
    assert_eq!(told["response"], "");
    assert_eq!(nodes.each_ref().map(holds), [0, 0, 0, 1]);
    let left = in_memory(&daemon).await;
    assert_eq!(left.as_array().map(|rows| rows.len()), Some(1), "{left}");
    assert_eq!(left[0]["name"], "other:latest");

    load(&nodes[1]);
    let stop = json!({"model": "m:latest", "keep_alive": "0s", "messages": [], "stream": true});
    let told = daemon.post("/api/chat", &stop).await.expect(200).json();
    assert_eq!((&told["done_reason"], &told["message"]["content"]), (&json!("unload"), &json!("")));
    assert_eq!(holds(&nodes[1]), 0);

    // One that makes an answer goes to one node.
    nodes[..3].iter().for_each(load);
    let chat = json!({"model": "m", "keep_alive": 0, "messages": [{"role": "user", "content": "hi"}]});
    let before = nodes.iter().map(|node| node.requests().len()).sum::<usize>();
    daemon.post("/api/chat", &chat).await.expect(200);
    assert_eq!(nodes.iter().map(|node| node.requests().len()).sum::<usize>(), before + 1);
}

#[tokio::test]
async fn what_requests_load_and_unload_is_seen_at_once() {
    let node = FakeNode::start(Kind::Ollama, &["m:latest", "n:latest"]).await;
    let daemon = Daemon::run(&[&node], RARELY).await;
    // Names of the same weights, of which the scheduler counts one.
    node.with(|s| s.models[1].digest = s.models[0].digest.clone());
    daemon.aivonx().ok(&["node", "check", "n0"]).await;
    let until = async |expected: &[&str]| {
        loop {
            let rows = in_memory(&daemon).await;
            let names: Vec<&str> =
                rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
            if names == expected {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let chat = |model: &str, keep: Value, stream: bool| json!({"model": model, "keep_alive": keep, "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
    for (at, stream) in [(0, false), (1, true)] {
        let name = ["m", "n"][at];
        node.with(|s| s.models[at].load());
        daemon.post("/api/chat", &chat(name, json!("5m"), stream)).await.expect(200);
        until(&["m:latest", "n:latest"][..=at]).await;
    }
    node.with(|s| s.models[0].loaded = None);
    daemon.post("/api/chat", &chat("m", json!(0), false)).await.expect(200);
    until(&["n:latest"]).await;
    node.with(|s| s.models[0].load());
    daemon.post("/v1/chat/completions", &chat("m", json!("5m"), false)).await.expect(200);
    until(&["m:latest", "n:latest"]).await;
}

#[tokio::test]
async fn a_client_is_not_told_that_a_model_is_unloaded_while_a_node_keeps_it() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    nodes.iter().for_each(load);
    let daemon = Daemon::run(&nodes.each_ref(), RARELY).await;
    let stop = json!({"model": "m", "keep_alive": "0"});
    nodes[1].fail_next(Fault::Status(500, r#"{"error":"a runner that does not end"}"#));
    let told = daemon.post("/api/generate", &stop).await.expect(502);
    assert!(
        told.text().contains("n1") && told.text().contains("a runner that does not end"),
        "{}",
        told.text()
    );
    assert_eq!(nodes.each_ref().map(holds), [0, 1, 0]);
    // One that is gone holds nothing.
    nodes[0].refuse().await;
    daemon.post("/api/generate", &stop).await.expect(200);
    assert_eq!(holds(&nodes[1]), 0);
    daemon.post("/api/generate", &json!({"model": "nope", "keep_alive": 0})).await.expect(404);
}

fn chat(stream: bool) -> Value {
    json!({
        "model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}],
        "options": {"seed": 1, "num_ctx": 4096}, "keep_alive": "1h",
    })
}

/// Has a client leave that sent `body` and was not answered.
async fn leave(daemon: &Daemon, node: &FakeNode, path: &str, body: &Value) {
    let before = node.requests().len();
    let mut client = daemon.client().await;
    client.send(&Request::json(path, body)).await;
    node.until_requests(before + 1).await;
    client.reset();
}

#[tokio::test]
async fn a_load_goes_on_when_its_client_leaves() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], RARELY).await;
    node.gate();
    leave(&daemon, &node, "/api/chat", &chat(true)).await;
    node.until_requests(2).await;
    let requests = node.requests();
    assert_eq!(requests[1].head.target(), "/api/generate");
    let own = json!({"model": "m", "stream": false, "options": {"num_ctx": 4096}, "keep_alive": "1h"});
    assert_eq!(requests[1].json(), own);
    assert_eq!(requests[0].end, None, "the load belongs to that connection");

    // The one that tries again waits for the same load.
    let mut again = daemon.client().await;
    again.send(&Request::json("/api/chat", &chat(false))).await;
    node.open_gate();
    again.answer().await.expect(200);
    node.until("all is over", |s| s.recorded.iter().all(|r| r.is_health() || r.end.is_some())).await;
    assert_eq!(node.requests().len(), 3);
    let listed = async {
        while in_memory(&daemon).await[0]["name"] != "m:latest" {
            tokio::task::yield_now().await;
        }
    };
    aivonx_tests::within("the catalogue to have it", listed).await;

    // What is in memory needs no load: that request just ends.
    node.gate();
    leave(&daemon, &node, "/api/chat", &chat(true)).await;
    node.until_gone(1).await;
    node.open_gate();
    daemon.post("/api/chat", &chat(false)).await.expect(200);
    assert_eq!(node.requests().len(), 5);
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_node_that_cannot_load_so_is_left_at_once_and_not_to_blame() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], RARELY).await;
    node.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/v1/chat/completions", &chat(false))).await;
    node.until_requests(1).await;
    node.fail_next(Fault::Status(404, r#"{"error":"404 page not found"}"#));
    client.reset();
    node.until_gone(1).await;
    assert_eq!(node.requests()[1].json(), json!({"model": "m", "stream": false}), "/v1 knows no options");
    node.open_gate();
    daemon.post("/api/chat", &chat(false)).await.expect(200);
    assert_eq!(daemon.nodes().await[0]["last_error"], Value::Null);
}
