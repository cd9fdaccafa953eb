//! Personal data in prompts: what the nodes receive for what the clients send.

use aivonx_protocol::{organization::PrivacyMode, privacy};
use aivonx_tests::{fake::FakeNode, harness::Daemon};
use serde_json::{Value, json};

/// Every route that carries a prompt, with a body of its dialect around `text`.
fn prompts(text: &str) -> Vec<(&'static str, Value)> {
    let plain = json!([{"role": "user", "content": text}]);
    let parts = json!([{"role": "user", "content": [{"type": "text", "text": text}]}]);
    let arguments = json!({"to": text}).to_string();
    let call =
        json!([{"id": "c1", "type": "function", "function": {"name": "mail", "arguments": arguments}}]);
    let called = json!([{"role": "assistant", "content": "", "tool_calls": call}, {"role": "user", "content": "go on"}]);
    let native = json!([{"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "mail", "arguments": {"to": text, "deep": [{"er": text}]}}}]}]);
    vec![
        ("/api/chat", json!({"model": "m", "stream": false, "messages": plain})),
        ("/api/chat", json!({"model": "m", "stream": false, "messages": native})),
        (
            "/api/generate",
            json!({"model": "m", "stream": false, "prompt": text, "system": text, "suffix": text}),
        ),
        ("/api/proxy/generate", json!({"model": "m", "stream": false, "prompt": text})),
        ("/api/proxy/chat", json!({"model": "m", "stream": false, "messages": plain})),
        ("/api/embed", json!({"model": "m", "input": [text, "plain"]})),
        ("/api/embeddings", json!({"model": "m", "prompt": text})),
        ("/v1/chat/completions", json!({"model": "m", "messages": parts})),
        ("/v1/chat/completions", json!({"model": "m", "messages": called})),
        ("/v1/completions", json!({"model": "m", "prompt": [text]})),
        ("/v1/embeddings", json!({"model": "m", "input": text})),
        ("/v1/responses", json!({"model": "m", "input": text, "instructions": text})),
        ("/v1/messages", json!({"model": "m", "max_tokens": 9, "system": text, "messages": parts})),
    ]
}

const TEXT: &str = "mail bob@example.com, 4111 1111 1111 1111";
const SAFE: &str = "mail [REDACTED_EMAIL], [REDACTED_CARD]";

async fn set(daemon: &Daemon, mode: PrivacyMode) {
    daemon
        .control()
        .await
        .ask(privacy::Set { organization: None, mode: Some(mode), categories: None })
        .await
        .unwrap();
}

#[tokio::test]
async fn nodes_receive_what_the_mode_lets_through_on_every_route() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let received = || node.requests().pop().unwrap().json();
    for mode in [PrivacyMode::Off, PrivacyMode::Detect] {
        set(&daemon, mode).await;
        for (path, body) in prompts(TEXT) {
            daemon.post(path, &body).await.expect(200);
            assert_eq!(received(), body, "{path} {mode:?}");
        }
    }
    set(&daemon, PrivacyMode::Redact).await;
    for ((path, body), (_, safe)) in prompts(TEXT).into_iter().zip(prompts(SAFE)) {
        daemon.post(path, &body).await.expect(200);
        assert_eq!(received(), safe, "{path}");
        // What was redacted is left as it is.
        daemon.post(path, &safe).await.expect(200);
        assert_eq!(received(), safe, "{path}");
    }
    set(&daemon, PrivacyMode::Block).await;
    let before = node.requests().len();
    for (path, body) in prompts(TEXT) {
        let answer = daemon.post(path, &body).await.expect(400);
        let told = answer.text();
        assert!(told.contains("email") && !told.contains("bob@"), "{path}: {told}");
    }
    assert_eq!(node.requests().len(), before, "nothing reached the node");
    for (path, body) in prompts("nothing of note") {
        daemon.post(path, &body).await.expect(200);
    }
    // The text is in no log.
    daemon.until_idle().await;
    assert!(!daemon.stderr().text().contains("bob@"), "{}", daemon.stderr().text());
}

#[tokio::test]
async fn bytes_that_are_not_redacted_stay_and_escapes_hide_nothing() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    set(&daemon, PrivacyMode::Redact).await;
    let sent = r#"{ "model":"m" ,"stream":false,"seed":1.50e1, "prompt":"\ud83d\ude00 bob\u0040example.com \"x\"","zz":[1,  2]}"#;
    let wanted = r#"{ "model":"m" ,"stream":false,"seed":1.50e1, "prompt":"\ud83d\ude00 [REDACTED_EMAIL] \"x\"","zz":[1,  2]}"#;
    let post = |body: &str| aivonx_tests::harness::Request::post("/api/generate", body.as_bytes().to_vec());
    daemon.ask(&post(sent)).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&node.requests().pop().unwrap().body), wanted);
    // Text that only its tokens stand for cannot be searched.
    let refused = daemon.ask(&post(r#"{"model":"m","prompt":"x","context":[1,2,3]}"#)).await.expect(400);
    assert!(refused.text().contains("context"), "{}", refused.text());
}

#[tokio::test]
async fn what_only_resembles_json_or_data_is_searched_on_every_route() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    set(&daemon, PrivacyMode::Redact).await;
    for (text, safe) in [
        ("[123-45-6789]", "[[REDACTED_SSN]]"),
        (
            r#"{"ssn": 123-45-6789, "card": 4111111111111111e0}"#,
            r#"{"ssn": [REDACTED_SSN], "card": [REDACTED_CARD]e0}"#,
        ),
        (r#"{"card": -4111111111111111.0}"#, r#"{"card": "[REDACTED_CARD]"}"#),
        (
            "[4111, 1111, 1111, 1111]",
            r#"["[REDACTED_CARD]", "[REDACTED_CARD]", "[REDACTED_CARD]", "[REDACTED_CARD]"]"#,
        ),
        ("４１１１１１１１１１１１１１１１ bob%40example.com", "[REDACTED_CARD] [REDACTED_EMAIL]"),
    ] {
        for ((path, body), (_, wanted)) in prompts(text).into_iter().zip(prompts(safe)) {
            daemon.post(path, &body).await.expect(200);
            assert_eq!(node.requests().pop().unwrap().json(), wanted, "{path}");
        }
    }
    let tokens = [
        ("/api/chat", json!({"model": "m", "messages": [{"role": "user", "content": [1, 2, 3]}]})),
        ("/v1/completions", json!({"model": "m", "prompt": "", "prompt_embeds": "QUJDREVGR0hJSktMTU5P"})),
        ("/v1/chat/completions", json!({"model": "m", "messages": [], "prompt_token_ids": [1, 2, 3]})),
    ];
    let before = node.requests().len();
    for (path, body) in &tokens {
        let refused = daemon.post(path, body).await.expect(400);
        assert!(refused.text().contains("tokens"), "{path}: {}", refused.text());
    }
    set(&daemon, PrivacyMode::Block).await;
    for (path, body) in prompts("[123-45-6789]").iter().chain(&tokens) {
        daemon.post(path, body).await.expect(400);
    }
    assert_eq!(node.requests().len(), before, "nothing reached the node");
}

#[tokio::test]
async fn the_command_line_shows_what_would_happen_and_tenants_have_their_own_mode() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let aivonx = daemon.aivonx();
    let shown = aivonx.run_with_input(&["privacy", "test"], TEXT).await;
    assert!(shown.stdout.contains(SAFE), "{}", shown.stdout);
    aivonx.ok(&["org", "add", "acme"]).await;
    aivonx.ok(&["privacy", "set", "--org", "acme", "redact", "--categories", "email"]).await;
    let key = aivonx.json(&["key", "create", "work", "--org", "acme"]).await;
    let secret = format!("Bearer {}", key["secret"].as_str().unwrap());
    let body = json!({"model": "m", "stream": false, "prompt": TEXT});
    let request = aivonx_tests::harness::Request::json("/api/generate", &body);
    daemon.ask(&request.field("authorization", &secret)).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().json()["prompt"], "mail [REDACTED_EMAIL], 4111 1111 1111 1111");
    daemon.post("/api/generate", &body).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().json()["prompt"], TEXT, "others have none");
}
