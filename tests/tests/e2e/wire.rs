//! What goes over the wire besides the answers of each route (`conformance.rs`): what is added, framing, many requests on
//! a connection.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Client, Daemon, Request},
};
use serde_json::json;

#[tokio::test]
async fn engines_rank_and_score() {
    let (node, ollama) = (FakeNode::openai().await, FakeNode::start(Kind::Ollama, &["o"]).await);
    let daemon = Daemon::dev(&[&node, &ollama]).await;
    for path in ["/v1/rerank", "/v1/score"] {
        let answer = r#"{"results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":7}}"#;
        node.fail_next(Fault::Body(answer));
        let body = json!({"model": "m", "query": "a", "documents": ["b"], "top_n": 1});
        assert_eq!(daemon.post(path, &body).await.expect(200).text(), answer);
        let sent = node.requests().pop().unwrap();
        assert_eq!((sent.head.target(), sent.json()), (path, body));
        let refused =
            daemon.post(path, &json!({"model": "o", "query": "a", "documents": []})).await.expect(501);
        assert_eq!(refused.field("x-should-retry"), Some("false"));
    }
    assert!(ollama.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_takes_no_stream_options_is_not_sent_any() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let messages = json!([{"role": "user", "content": "x"}]);
    let chat = json!({"model": "m", "stream": true, "max_tokens": 9, "messages": messages});
    let key = daemon.tenant("acme").await;
    daemon.aivonx().ok(&["limit", "set", "--org", "acme", "tokens.day=100000"]).await;
    let ask = async || {
        let request =
            Request::json("/v1/chat/completions", &chat).field("authorization", &format!("Bearer {key}"));
        daemon.ask(&request).await.expect(200)
    };
    // A limit needs the counts, so they are asked for; then the request is as the client sent it.
    node.fail_next(Fault::Status(
        400,
        r#"{"error":{"message":"Unrecognized request argument: stream_options"}}"#,
    ));
    assert!(ask().await.text().contains("[DONE]"));
    let sent: Vec<_> = node.requests().iter().map(|r| r.json()["stream_options"].is_object()).collect();
    assert_eq!(sent, [true, false]);
    ask().await;
    assert_eq!(node.requests().pop().unwrap().json(), chat, "it is remembered");
}

#[tokio::test]
async fn chunks_go_out_as_they_come() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "m", "stream": true, "max_tokens": 100, "messages": messages, "prompt": "x", "input": "x"});
    for path in [
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ] {
        node.gate();
        let mut client = daemon.client().await;
        client.send(&Request::json(path, &body)).await;
        // The node makes a step only after the client has seen the one before: nothing can be held back.
        node.release(1);
        client.head().await;
        for step in 0..4 {
            let piece =
                client.piece().await.unwrap().unwrap_or_else(|| panic!("{path} ended at step {step}"));
            let text = String::from_utf8_lossy(&piece);
            assert!(text.ends_with('\n'), "{path}: {text:?}");
            node.release(1);
        }
        client.reset();
        node.until("the client's departure", |s| {
            let last = s.recorded.iter().rfind(|r| !r.is_health());
            last.is_some_and(|r| r.end == Some(aivonx_tests::fake::End::ClientGone))
        })
        .await;
        node.open_gate();
        daemon.until_idle().await;
    }
}

#[tokio::test]
async fn bodies_are_forwarded_byte_for_byte() {
    let node = FakeNode::start(Kind::Ollama, &["m:latest"]).await;
    let daemon = Daemon::dev(&[&node]).await;
    // Nothing here is governed at the top level: odd spacing, numbers, escapes, nested copies of governed keys.
    let body = "\u{20}\n{ \"prompt\" : \"a\\u0062\\/ \u{1f600}\" ,\r\n\t\"model\":\"m\" , \"options\": {\"model\":1,\"model\":2, \
                \"seed\": 1e3, \"x\": -0.00 }, \"extra\": [1,2,{\"stream\":\"no\"}],\"Temperature\":1 }\n ";
    daemon.ask(&Request::post("/api/generate", body)).await.expect(200);
    assert_eq!(node.only_request().body, body);
    let large = format!("{{\"model\":\"m\",\"prompt\":\"{}\"}}", "0123456789abcdef".repeat(1 << 18));
    daemon.ask(&Request::post("/api/generate", large.clone())).await.expect(200);
    assert!(node.requests()[1].body == large, "4 MiB arrive unchanged");
}

#[tokio::test]
async fn http2_with_prior_knowledge_streams_too() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = aivonx_tests::harness::H2Client::connect(daemon.address()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let direct = Client::connect(node.address()).await.ask(&Request::json("/api/chat", &body)).await;
    let json_type = [("content-type", "application/json")];
    let answer = client.ask("POST", "/api/chat", &json_type, body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.cut), (200, None));
    assert_eq!(answer.body, direct.body);
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let (mut client, body) = (client.clone(), body.to_string());
        tasks.push(tokio::spawn(async move { client.ask("POST", "/api/chat", &[], body).await }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().body, direct.body);
    }
    // Leaving one stream cancels that request at the node.
    node.gate();
    let (mut other, text) = (client.clone(), body.to_string());
    let begun = tokio::spawn(async move { other.begin("POST", "/api/chat", &[], text).await });
    node.release(1);
    let response = begun.await.unwrap().unwrap();
    drop(response);
    node.until_gone(1).await;
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut client = daemon.client().await;
    let stream = Request::json("/api/generate", &json!({"model": "m", "prompt": "x"}));
    let whole = Request::json("/api/generate", &json!({"model": "m", "prompt": "x", "stream": false}));
    let refused = Request::json("/api/generate", &json!({"model": "nowhere", "prompt": "x"}));
    for _ in 0..3 {
        let first = client.ask(&stream).await.expect(200);
        assert_eq!(first.lines().last().unwrap()["done"], true);
        client.ask(&whole).await.expect(200);
        client.ask(&refused).await.expect(404);
        client.ask(&Request::get("/api/tags")).await.expect(200);
    }
    // Pipelined requests are answered in order.
    let mut both = stream.bytes(daemon.address()).to_vec();
    both.extend_from_slice(&Request::get("/api/version").bytes(daemon.address()));
    client.send_raw("POST", &both).await;
    assert_eq!(client.answer().await.lines().last().unwrap()["done"], true);
    assert!(client.answer().await.json()["version"].is_string());
}
