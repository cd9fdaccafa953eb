//! Streams that break: never silence, never a half line, always the dialect's error.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Answer, Daemon},
};
use serde_json::{Value, json};

fn body() -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": "m", "stream": true, "messages": messages, "prompt": "x", "input": "x", "max_tokens": 99})
}

/// Demands that the answer ends with one error in its dialect and no terminator.
fn ends_with_error(path: &str, what: &Fault, answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{path} {what:?}: {text}");
    assert_eq!(answer.cut, None, "{path} {what:?}: the body itself ends in order: {text}");
    assert!(text.ends_with('\n'), "{path} {what:?}: {text}");
    if path.starts_with("/api/") {
        let lines = answer.lines();
        let (last, before) = lines.split_last().unwrap();
        assert!(last["error"].is_string() && last.get("done").is_none(), "{path} {what:?}: {text}");
        assert!(
            before.iter().all(|l| l["done"] == false && l.get("error").is_none()),
            "{path} {what:?}: {text}"
        );
        return;
    }
    let events = answer.events();
    let (last, before) = events.split_last().unwrap();
    let last: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{path} {what:?}: {e}: {text}"));
    match path {
        "/v1/messages" => {
            assert_eq!(last["type"], "error", "{path} {what:?}: {text}");
            assert!(last["error"]["type"].is_string() && last["error"]["message"].is_string(), "{text}");
            assert!(text.contains("event: error\n"), "{text}");
        }
        "/v1/responses" => {
            let failed =
                last["type"] == "error" || last["type"] == "response.failed" || last["error"].is_object();
            assert!(failed, "{path} {what:?}: {text}");
        }
        _ => assert!(last["error"]["message"].is_string(), "{path} {what:?}: {text}"),
    }
    for event in before {
        let event: Value =
            serde_json::from_str(event).unwrap_or_else(|e| panic!("{path} {what:?}: {e}: {text}"));
        let kind = event["type"].as_str().unwrap_or_default();
        assert!(!matches!(kind, "message_stop" | "response.completed" | "error"), "{path} {what:?}: {text}");
    }
}

#[tokio::test]
async fn a_broken_stream_ends_with_the_dialects_error() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[health]\nfailures = 100\n").await;
    for path in [
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ] {
        for fault in [
            Fault::ResetAfter(2),
            Fault::CloseAfter(2),
            Fault::EndAfter(2),
            Fault::EndAfter(1),
            Fault::BadChunk,
            Fault::ErrorAfter(2),
        ] {
            node.fail_next(fault.clone());
            let answer = daemon.post(path, &body()).await;
            ends_with_error(path, &fault, &answer);
        }
        daemon.post(path, &body()).await.expect(200);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn an_error_the_node_reports_itself_is_passed_on_as_it_is() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::ErrorAfter(2));
    let answer = daemon.post("/api/chat", &body()).await.expect(200);
    // What Ollama sends when its runner dies.
    let reported = "\n{\"error\":\"an error was encountered while running the model: unexpected EOF\"}\n";
    assert!(answer.text().ends_with(reported), "{}", answer.text());
    assert_eq!(answer.lines().len(), 3, "no second error after it");
}

#[tokio::test]
async fn a_silent_node_is_given_up() {
    let node = FakeNode::ollama().await;
    let limits = "[timeouts]\nidle = \"1s\"\nheader_wait = \"1s\"\n[health]\nfailures = 100\n";
    let daemon = Daemon::run(&[&node], limits).await;
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        node.fail_next(Fault::StallAfter(2));
        ends_with_error(path, &Fault::StallAfter(2), &daemon.post(path, &body()).await);
        node.fail_next(Fault::Silence);
        let answer = daemon.post(path, &body()).await;
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert!(answer.json()["error"].is_string() || answer.json()["error"].is_object());
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_total_limit_ends_a_stream_that_goes_on() {
    let node = FakeNode::ollama().await;
    node.delay(std::time::Duration::from_millis(50));
    let daemon = Daemon::run(&[&node], "[timeouts]\ntotal = \"1s\"\n").await;
    let mut long = body();
    long["options"] = json!({"num_predict": 100_000});
    let answer = daemon.post("/api/chat", &long).await;
    ends_with_error("/api/chat", &Fault::StallAfter(0), &answer);
    node.until_gone(1).await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_502() {
    let node = FakeNode::start(Kind::Ollama, &["m:latest"]).await;
    let daemon = Daemon::run(&[&node], "[health]\nfailures = 100\n[proxy]\nretries = 0\n").await;
    let whole = json!({"model": "m", "prompt": "x", "stream": false});
    for fault in [Fault::Garbage, Fault::HugeHead(4 << 20), Fault::ResetBeforeHead, Fault::CloseBeforeHead] {
        for path in ["/api/generate", "/v1/completions", "/v1/messages"] {
            node.fail_next(fault.clone());
            let answer = daemon.post(path, &whole).await;
            assert_eq!(answer.status, 502, "{fault:?}: {}", answer.text());
            let error = &answer.json()["error"];
            assert!(error.is_string() || error["message"].is_string(), "{fault:?}: {error}");
        }
    }
    // The node's own errors before the first byte keep their status and body.
    for (status, body) in
        [(500, r#"{"error":"model runner has unexpectedly stopped"}"#), (400, r#"{"error":"bad"}"#)]
    {
        node.fail_next(Fault::Status(status, body));
        let answer = daemon.post("/api/generate", &whole).await.expect(status);
        assert_eq!(answer.text(), body);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn wrong_lengths_never_look_like_whole_answers() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[health]\nfailures = 100\n").await;
    let whole = json!({"model": "m", "prompt": "x", "stream": false});
    for fault in [Fault::LengthTooLong(10), Fault::ResetAfter(0), Fault::CloseAfter(0)] {
        node.fail_next(fault.clone());
        let answer = daemon.post("/api/generate", &whole).await;
        let complete = answer.status == 200 && answer.cut.is_none();
        assert!(!complete, "{fault:?}: {}", answer.text());
    }
    // Bytes beyond the promised length belong to nobody: neither to this answer nor to the next.
    node.fail_next(Fault::LengthTooShort(5));
    let short = daemon.post("/api/generate", &whole).await;
    for _ in 0..3 {
        let next = daemon.post("/api/generate", &whole).await.expect(200);
        assert_eq!(next.json()["done"], true);
    }
    assert!(short.body.len() < 1000);
    daemon.until_idle().await;
}

#[tokio::test]
async fn a_line_without_end_is_passed_on_without_growing_memory() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::LongLine(16 << 20));
    let answer = daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(200);
    assert_eq!(answer.cut, None);
    assert!(answer.body.len() > 16 << 20, "{}", answer.body.len());
    assert!(answer.text().contains("\"done\":true"));
}

#[tokio::test]
async fn a_slow_head_is_waited_for() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::SlowHead);
    let answer = daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(200);
    assert_eq!(answer.lines().last().unwrap()["done"], true);
}
