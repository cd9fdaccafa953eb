//! Personal data in answers: what the clients receive for what the nodes say.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};

const TEXT: &str = "Write to bob@example.com, card 4111 1111 1111 1111, or call 555-123-4567. Bye";
const SAFE: &str = "Write to [REDACTED_EMAIL], card [REDACTED_CARD], or call [REDACTED_PHONE]. Bye";

/// A node that says `text`, a few bytes with each token.
fn says(node: &FakeNode, text: &str) {
    let tokens = text.as_bytes().chunks(3).map(|token| String::from_utf8(token.to_vec()).unwrap()).collect();
    node.with(|state| state.tokens = tokens);
}

/// Every route that writes, and where its text is in an answer and in the pieces of a stream.
fn routes() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let messages = json!([{"role": "user", "content": "go on"}]);
    vec![
        ("/api/chat", json!({"model": "m", "messages": messages}), "/message/content", "/message/content"),
        ("/api/generate", json!({"model": "m", "prompt": "go on"}), "/response", "/response"),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": messages}),
            "/choices/0/message/content",
            "/choices/0/delta/content",
        ),
        ("/v1/completions", json!({"model": "m", "prompt": "go on"}), "/choices/0/text", "/choices/0/text"),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9999, "messages": messages}),
            "/content/0/text",
            "/delta/text",
        ),
        ("/v1/responses", json!({"model": "m", "input": "go on"}), "/output/0/content/0/text", "/delta"),
    ]
}

async fn ask(daemon: &Daemon, path: &str, body: &Value, stream: bool, key: &str) -> String {
    let mut body = body.clone();
    body["stream"] = stream.into();
    let request = Request::json(path, &body).field("authorization", &format!("Bearer {key}"));
    daemon.ask(&request).await.expect(200).text()
}

/// The text in the pieces of a stream.
fn pieces(stream: &str, at: &str) -> String {
    let lines = stream.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter_map(|object| object.pointer(at).and_then(Value::as_str).map(str::to_owned)).collect()
}

async fn key(daemon: &Daemon) -> String {
    daemon.aivonx().ok(&["org", "add", "acme"]).await;
    let made = daemon.aivonx().json(&["key", "create", "work", "--org", "acme"]).await;
    made["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn clients_receive_what_the_mode_lets_through_in_every_dialect() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let (aivonx, key) = (daemon.aivonx(), key(&daemon).await);
    let shown = aivonx.json(&["privacy", "show", "--org", "acme"]).await;
    assert_eq!((&shown["mode"], &shown["answers"]), (&json!("off"), &json!("off")));
    says(&node, TEXT);
    for (mode, text) in [("off", TEXT), ("detect", TEXT), ("redact", SAFE)] {
        let set = aivonx.run(&["privacy", "set", "--org", "acme", "--answers", mode]).await;
        assert!(set.stdout.contains(&format!("Answers {mode}: ")), "{}", set.stdout);
        for (path, body, whole, delta) in routes() {
            let answer: Value = serde_json::from_str(&ask(&daemon, path, &body, false, &key).await).unwrap();
            assert_eq!(answer.pointer(whole), Some(&json!(text)), "{mode} {path} {answer}");
            let stream = ask(&daemon, path, &body, true, &key).await;
            assert_eq!(pieces(&stream, delta), text, "{mode} {path} {stream}");
            if mode == "redact" {
                assert!(!stream.contains("bob@") && !stream.contains("4111"), "{stream}");
            }
        }
    }
    // Others have their own mode, and what was found is counted under answers.
    daemon.until_idle().await;
    let plain = daemon.post("/api/generate", &json!({"model": "m", "stream": false, "prompt": "x"})).await;
    assert_eq!(plain.json()["response"], TEXT);
    let counted = "aivonx_answer_findings_total{organization=\"acme\",category=\"email\"} 24\n";
    within("the counts", async { while !daemon.get("/metrics").await.text().contains(counted) {} }).await;
    let metrics = daemon.get("/metrics").await.text();
    assert!(!metrics.contains("aivonx_findings_total{organization=\"acme\""), "nothing was in the prompts");
    assert!(daemon.stderr().text().contains("answer_findings"));
    assert!(!daemon.stderr().text().contains("bob@"));
}

#[tokio::test]
async fn translated_answers_are_screened_too() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let key = key(&daemon).await;
    daemon.aivonx().ok(&["privacy", "set", "--org", "acme", "--answers", "redact"]).await;
    says(&node, TEXT);
    for (path, body, whole, delta) in routes() {
        let answer: Value = serde_json::from_str(&ask(&daemon, path, &body, false, &key).await).unwrap();
        assert_eq!(answer.pointer(whole), Some(&json!(SAFE)), "{path} {answer}");
        let stream = ask(&daemon, path, &body, true, &key).await;
        assert_eq!(pieces(&stream, delta), SAFE, "{path} {stream}");
    }
}

#[tokio::test]
async fn an_answer_without_findings_stays_byte_for_byte() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let key = key(&daemon).await;
    let events = "event: x\ndata: { \"choices\":[ {\"delta\":{\"content\":\"In 2024 \\u0041 \"},\"zz\": [1,  2]} ] }\n\n\
                  : ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"all was well\"},\"finish_reason\":\"stop\"}]}\n\n\
                  data: [DONE]\n\n";
    node.fail_always(Some(aivonx_tests::fake::Fault::Events(events.into())));
    daemon.aivonx().ok(&["privacy", "set", "--org", "acme", "--answers", "redact"]).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "go on"}], "stream_options": {"include_usage": true}});
    assert_eq!(ask(&daemon, "/v1/chat/completions", &body, true, &key).await, events);
}

#[tokio::test]
async fn what_would_be_held_too_long_ends_in_the_dialects_error() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let key = key(&daemon).await;
    daemon.aivonx().ok(&["privacy", "set", "--org", "acme", "--answers", "redact"]).await;
    says(&node, &format!("So it goes: {}", "a1B2".repeat(2000)));
    for (path, body, _, delta) in routes() {
        let stream = ask(&daemon, path, &body, true, &key).await;
        assert!(stream.contains("error") && stream.contains("more than 4096 bytes"), "{path} {stream}");
        assert_eq!(pieces(&stream, delta), "So it goes: ", "{path}");
    }
    // The node is not to blame.
    assert_eq!(daemon.aivonx().json(&["node", "list"]).await[0]["recent_errors"], json!(0));
}

#[tokio::test]
async fn an_administrator_of_an_organization_only_tightens() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "acme"]).await;
    aivonx.ok(&["privacy", "set", "--org", "acme", "redact", "--answers", "detect"]).await;
    let shown = aivonx.json(&["privacy", "show", "--org", "acme"]).await;
    assert_eq!((&shown["mode"], &shown["answers"]), (&json!("redact"), &json!("detect")));
    // Those without one have their own, too.
    aivonx.ok(&["privacy", "set", "--answers", "redact"]).await;
    says(&node, TEXT);
    let plain = daemon.post("/api/generate", &json!({"model": "m", "stream": false, "prompt": "x"})).await;
    assert_eq!(plain.json()["response"], SAFE);
    // It goes with its organization.
    aivonx.ok(&["org", "remove", "acme", "--yes"]).await;
    aivonx.ok(&["org", "add", "acme"]).await;
    assert_eq!(aivonx.json(&["privacy", "show", "--org", "acme"]).await["answers"], json!("off"));
}
