//! OpenAI streams report their usage only on request: the gateway requests it, and removes it if the client did not.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request},
};
use serde_json::{Value, json};

#[tokio::test]
async fn usage_is_asked_for_and_taken_out_again() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    for options in [Value::Null, json!({}), json!({"include_usage": false}), json!({"include_usage": null})] {
        let mut body = json!({"model": "m", "stream": true, "messages": messages});
        if !options.is_null() {
            body["stream_options"] = options.clone();
        }
        let request = Request::json("/v1/chat/completions", &body);
        let direct = Client::connect(node.address()).await.ask(&request).await;
        let through = daemon.ask(&request).await.expect(200);
        assert_eq!(through.text(), direct.text(), "{options}");
        let sent = node.requests().pop().unwrap();
        assert_eq!(sent.json()["stream_options"]["include_usage"], true, "{options}");
        assert_eq!(sent.head.get("content-length"), Some(sent.body.len().to_string().as_str()));
    }
    let asked = json!({"model": "m", "stream": true, "messages": messages, "stream_options": {"include_usage": true}});
    let answer = daemon.ask(&Request::json("/v1/chat/completions", &asked)).await.expect(200);
    let events = answer.events();
    let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(6)));
    // Not a stream: nothing is added.
    let whole = json!({"model": "m", "messages": messages});
    daemon.ask(&Request::json("/v1/chat/completions", &whole)).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().json(), whole);
}

#[tokio::test]
async fn completions_lose_the_usage_chunk_too() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = json!({"model": "m", "stream": true, "prompt": "x"});
    let request = Request::json("/v1/completions", &body);
    let direct = Client::connect(node.address()).await.ask(&request).await;
    let through = daemon.ask(&request).await.expect(200);
    // Ollama also puts an empty usage into every other chunk.
    assert_eq!(through.text(), direct.text());
    assert_eq!(node.requests().pop().unwrap().json()["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn tokens_are_counted_in_every_dialect() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let messages = json!([{"role": "user", "content": "a b c"}]);
    let mut expected = 0;
    for path in [
        "/api/chat",
        "/api/generate",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ] {
        for stream in [true, false] {
            let body = json!({"model": "m", "stream": stream, "messages": messages, "prompt": "a b c",
                "input": "a b c", "max_tokens": 6, "max_output_tokens": 6, "options": {"num_predict": 6}});
            daemon.post(path, &body).await.expect(200);
            expected += 6;
        }
    }
    let pattern =
        regex::Regex::new(r#"(?m)^aivonx_tokens_total\{[^}]*direction="output"[^}]*\} (\d+)$"#).unwrap();
    let mut last = String::new();
    for _ in 0..200 {
        last = daemon.get("/metrics").await.expect(200).text();
        let total: u64 = pattern.captures_iter(&last).map(|c| c[1].parse::<u64>().unwrap()).sum();
        if total == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{expected} output tokens expected:\n{last}");
}
