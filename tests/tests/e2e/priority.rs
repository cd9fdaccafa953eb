//! How the requests of keys wait: which go first, and what their clients hear meanwhile.

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Client, Daemon, Request},
    within,
};
use serde_json::{Value, json};

fn chat(path: &str, model: &str, content: &str) -> Request {
    Request::json(
        path,
        &json!({"model": model, "stream": true, "max_tokens": 9,
            "messages": [{"role": "user", "content": content}]}),
    )
}

/// A daemon with a node of two models that takes one request at a time, which it has: its answer waits for the gate.
async fn full(config: &str) -> (FakeNode, Daemon, Client) {
    let node = FakeNode::start(Kind::Ollama, &["m:latest", "n:latest"]).await;
    node.with(|s| s.models.iter_mut().for_each(aivonx_tests::fake::Model::load));
    let daemon = Daemon::run(&[], config).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--max-parallel", "1"]).await;
    daemon.until_active(1).await;
    node.gate();
    let mut first = daemon.client().await;
    first.send(&chat("/api/chat", "m", "first")).await;
    node.until_requests(1).await;
    (node, daemon, first)
}

/// The secret of a new key of an organization's or the fleet's.
async fn key(daemon: &Daemon, name: &str, options: &[&str]) -> String {
    let made = daemon.aivonx().json(&[&["key", "create", name], options].concat()).await;
    made["secret"].as_str().unwrap().to_owned()
}

fn by(secret: &str, request: Request) -> Request {
    request.field("Authorization", &format!("Bearer {secret}"))
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

/// Pieces of an answer, until one has `text` in it.
async fn until(client: &mut Client, text: &str) {
    let mut seen = String::new();
    let all = async {
        while !seen.contains(text) {
            let piece = client.piece().await.unwrap().expect("more of the answer");
            seen += std::str::from_utf8(&piece).unwrap();
        }
    };
    within(text, all).await;
}

#[tokio::test]
async fn a_higher_priority_goes_first() {
    let (node, daemon, mut first) = full("").await;
    let low = key(&daemon, "batch", &["--priority", "low"]).await;
    let high = key(&daemon, "people", &[]).await;
    let set = daemon.aivonx().json(&["key", "set", "people", "--priority", "high"]).await;
    assert_eq!((&set["priority"], &set["keep_waiting"]), (&json!("high"), &json!(false)), "{set}");
    let mut clients = Vec::new();
    for (at, request) in [
        by(&low, chat("/api/chat", "m", "low")),
        chat("/api/chat", "m", "normal"),
        by(&high, chat("/api/chat", "m", "high")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = daemon.client().await;
        client.send(&request).await;
        known(&daemon, at + 2).await;
        clients.push(client);
    }
    node.open_gate();
    first.answer().await;
    for client in &mut clients {
        client.answer().await;
    }
    let content = |body: &Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    let order: Vec<String> = node.requests().iter().map(|request| content(&request.json())).collect();
    assert_eq!(order, ["first", "high", "normal", "low"]);
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_priority_is_shown_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).start().await;
    daemon.tenant("acme").await;
    daemon.aivonx().ok(&["key", "set", "key", "--org", "acme", "--priority", "low"]).await;
    let shown = daemon.aivonx().ok(&["key", "show", "key"]).await;
    assert!(shown.contains("low"), "{shown}");
    let wrong = daemon.aivonx().run(&["key", "set", "key", "--priority", "urgent"]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("low, normal or high"), "{}", wrong.stderr);
    daemon.kill().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    let keys = daemon.aivonx().json(&["key", "list"]).await;
    assert_eq!(keys[0]["priority"], "low", "{keys}");
    // The next one of the name begins anew.
    daemon.aivonx().ok(&["key", "revoke", "key", "--yes"]).await;
    let fresh = daemon.aivonx().json(&["key", "create", "key", "--org", "acme"]).await;
    let shown = daemon.aivonx().json(&["key", "show", fresh["id"].as_str().unwrap()]).await;
    assert_eq!(shown["priority"], "normal", "{shown}");
}

#[tokio::test]
async fn who_is_kept_waiting_hears_of_it_in_its_dialect() {
    let (node, daemon, mut first) = full("[timeouts]\nkeep_waiting = \"50ms\"\n").await;
    let patient = key(&daemon, "patient", &["--keep-waiting"]).await;
    let mut clients = Vec::new();
    for (path, kind, filler, last) in [
        ("/v1/chat/completions", "text/event-stream", ": waiting\n", "data: [DONE]"),
        ("/v1/messages", "text/event-stream", ": waiting\n", "message_stop"),
        ("/api/chat", "application/x-ndjson", " ", "\"done\":true"),
    ] {
        let mut client = daemon.client().await;
        client.send(&by(&patient, chat(path, "m", "hi"))).await;
        let head = client.head().await;
        assert_eq!((head.status(), head.get("content-type")), (200, Some(kind)), "{head:?}");
        assert!(head.get("x-request-id").is_some() && head.get("x-accel-buffering").is_some(), "{head:?}");
        for _ in 0..3 {
            let piece = client.piece().await.unwrap().unwrap();
            assert_eq!(&piece[..], filler.as_bytes(), "{path}");
        }
        clients.push((client, last));
    }
    assert_eq!(node.requests().len(), 1, "none of them was sent");
    node.open_gate();
    first.answer().await;
    for (client, last) in &mut clients {
        until(client, last).await;
    }
    // Who asks for no stream, or by no such key, hears nothing but the answer.
    node.gate();
    let mut ahead = daemon.client().await;
    ahead.send(&chat("/api/chat", "m", "ahead")).await;
    node.until_requests(5).await;
    let mut plain = daemon.client().await;
    plain.send(&chat("/v1/chat/completions", "m", "plain")).await;
    known(&daemon, 2).await;
    node.open_gate();
    ahead.answer().await;
    let answer = plain.answer().await.expect(200);
    assert!(answer.field("x-aivonx-queue").is_some() && !answer.text().contains("waiting"), "{answer:?}");
    daemon.until_idle().await;
}

#[tokio::test]
async fn what_fails_while_it_is_kept_waiting_is_the_streams_own_error() {
    let (node, daemon, mut first) = full("[timeouts]\nkeep_waiting = \"20ms\"\nqueue = \"500ms\"\n").await;
    let patient = key(&daemon, "patient", &["--keep-waiting"]).await;
    for (path, error) in [
        ("/v1/chat/completions", "data: {\"error\":{\""),
        ("/v1/messages", "event: error\ndata: {"),
        ("/api/chat", "{\"error\":\""),
    ] {
        let answer = daemon.ask(&by(&patient, chat(path, "m", "hi"))).await.expect(200);
        assert!(answer.text().contains(error) && answer.text().contains("busy"), "{}", answer.text());
    }
    // Before the time has passed it is refused as ever.
    daemon.aivonx().ok(&["key", "set", "patient", "--no-keep-waiting"]).await;
    daemon.ask(&by(&patient, chat("/api/chat", "m", "hi"))).await.expect(503);
    node.open_gate();
    first.answer().await;
    daemon.until_idle().await;
}

#[tokio::test]
async fn who_leaves_while_it_is_kept_waiting_is_never_sent() {
    let (node, daemon, mut first) = full("[timeouts]\nkeep_waiting = \"20ms\"\n").await;
    let patient = key(&daemon, "patient", &["--keep-waiting"]).await;
    let mut leaves = daemon.client().await;
    leaves.send(&by(&patient, chat("/v1/chat/completions", "m", "hi"))).await;
    leaves.head().await;
    leaves.reset();
    node.open_gate();
    first.answer().await;
    daemon.until_idle().await;
    assert_eq!(node.requests().len(), 1);
}

#[tokio::test]
async fn one_model_leaves_places_in_the_queue_to_the_others() {
    let (node, daemon, mut first) = full("[proxy]\nqueue = 4\n").await;
    let mut clients = Vec::new();
    for at in 0..2 {
        let mut client = daemon.client().await;
        client.send(&chat("/api/chat", "m", "hi")).await;
        known(&daemon, at + 2).await;
        clients.push(client);
    }
    daemon.ask(&chat("/api/chat", "m", "one more")).await.expect(503);
    let mut other = daemon.client().await;
    other.send(&chat("/api/chat", "n", "hi")).await;
    known(&daemon, 4).await;
    clients.push(other);
    node.open_gate();
    first.answer().await;
    for client in &mut clients {
        client.answer().await.expect(200);
    }
    daemon.until_idle().await;
}
