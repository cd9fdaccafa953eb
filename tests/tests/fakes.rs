//! The fakes themselves: what the other tests stand on.

use std::time::Duration;

use aivonx_tests::{
    fake::{End, FakeNode, Fault, Kind},
    harness::{Client, Request},
};
use serde_json::json;

async fn ask(node: &FakeNode, request: &Request) -> aivonx_tests::harness::Answer {
    Client::connect(node.address()).await.ask(request).await
}

#[tokio::test]
async fn ollama_streams_lines_and_counts() {
    let node = FakeNode::ollama().await;
    let body = json!({"model": "m", "prompt": "one two three"});
    let answer = ask(&node, &Request::json("/api/generate", &body)).await.expect(200);
    assert_eq!(answer.field("content-type"), Some("application/x-ndjson"));
    let lines = answer.lines();
    assert_eq!(answer.pieces.len(), lines.len());
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["done"], &last["prompt_eval_count"], &last["eval_count"]),
        (&json!(true), &json!(3), &json!(6))
    );
    let whole = json!({"model": "m", "prompt": "one two three", "stream": false});
    let answer = ask(&node, &Request::json("/api/generate", &whole)).await.expect(200);
    assert_eq!(answer.json()["response"], "Hello, w\u{f6}rld \u{1f600} <b>&!");
    assert_eq!(node.requests()[0].json(), body);
}

#[tokio::test]
async fn every_stream_is_valid_and_ends_with_its_terminator() {
    let node = FakeNode::ollama().await;
    let chat = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    for (path, last) in [("/v1/chat/completions", "[DONE]"), ("/v1/completions", "[DONE]")] {
        let events = ask(&node, &Request::json(path, &chat)).await.expect(200).events();
        assert_eq!(events.last().map(String::as_str), Some(last));
        for event in &events[..events.len() - 1] {
            serde_json::from_str::<serde_json::Value>(event).unwrap_or_else(|e| panic!("{e} in {event}"));
        }
    }
    for (path, last) in [("/v1/responses", "response.completed"), ("/v1/messages", "message_stop")] {
        let body = json!({"model": "m", "stream": true, "max_tokens": 3, "input": "hi", "messages": []});
        let events = ask(&node, &Request::json(path, &body)).await.expect(200).events();
        let events: Vec<serde_json::Value> = events
            .iter()
            .map(|event| serde_json::from_str(event).unwrap_or_else(|e| panic!("{e} in {event}")))
            .collect();
        assert_eq!(events.last().unwrap()["type"], last);
    }
    for path in ["/api/tags", "/api/ps", "/v1/models", "/v1/models/m", "/api/version"] {
        ask(&node, &Request::get(path)).await.expect(200).json();
    }
    for (path, body) in [
        ("/api/show", json!({"model": "m"})),
        ("/api/embed", json!({"model": "m", "input": ["a", "b"]})),
        ("/api/embeddings", json!({"model": "m", "prompt": "a"})),
        ("/v1/embeddings", json!({"model": "m", "input": "a"})),
        ("/v1/responses", json!({"model": "m", "input": "a"})),
        ("/v1/messages", json!({"model": "m", "messages": []})),
        ("/v1/chat/completions", json!({"model": "m", "messages": []})),
    ] {
        ask(&node, &Request::json(path, &body)).await.expect(200).json();
    }
    assert_eq!(
        ask(&node, &Request::json("/api/pull", &json!({"model": "n"}))).await.lines().last().unwrap()["status"],
        "success"
    );
    ask(&node, &Request::json("/api/show", &json!({"model": "n"}))).await.expect(200).json();
}

#[tokio::test]
async fn a_gated_step_goes_out_only_when_released() {
    let node = FakeNode::ollama().await;
    node.gate();
    let mut client = Client::connect(node.address()).await;
    client.send(&Request::json("/api/generate", &json!({"model": "m", "prompt": "x"}))).await;
    node.release(1);
    client.head().await;
    client.piece().await.unwrap().expect("the first line");
    let second = tokio::time::timeout(Duration::from_millis(20), client.piece()).await;
    assert!(second.is_err(), "the second line has not been released");
    client.reset();
    node.until_gone(1).await;
    assert_eq!(node.only_request().end, Some(End::ClientGone));
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let node = FakeNode::start(Kind::Ollama, &["m:latest"]).await;
    let request = Request::json("/api/generate", &json!({"model": "m", "prompt": "x"}));
    for fault in [Fault::ResetBeforeHead, Fault::CloseBeforeHead] {
        node.fail_next(fault);
        let mut client = Client::connect(node.address()).await;
        client.send(&request).await;
        assert!(client.try_head().await.is_none());
    }
    for fault in [Fault::ResetAfter(2), Fault::CloseAfter(2), Fault::BadChunk] {
        node.fail_next(fault.clone());
        let answer = ask(&node, &request).await.expect(200);
        assert!(answer.cut.is_some() && !answer.pieces.is_empty(), "{fault:?}: {answer:?}");
    }
    node.fail_next(Fault::EndAfter(2));
    let answer = ask(&node, &request).await.expect(200);
    assert_eq!((answer.cut, answer.pieces.len()), (None, 2));
    node.fail_next(Fault::Status(503, "{}"));
    ask(&node, &request).await.expect(503);
    node.refuse().await;
    assert!(tokio::net::TcpStream::connect(node.address()).await.is_err());
    node.accept().await;
    ask(&node, &request).await.expect(200);
}
