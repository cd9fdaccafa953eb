//! Requests in one dialect for nodes that speak another.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Answer, Daemon, Request},
    within,
};
use serde_json::{Value, json};

const SAID: &str = "Hello, w\u{f6}rld \u{1f600} <b>&!";

/// An Ollama from before it had OpenAI's responses and Anthropic's messages.
async fn old_ollama() -> FakeNode {
    let node = FakeNode::ollama().await;
    node.with(|s| s.version = "0.12.6".to_owned());
    node
}

/// A server with OpenAI's chat completions alone.
async fn plain_openai() -> FakeNode {
    let node = FakeNode::openai().await;
    node.with(|s| s.lacks = ["/v1/messages", "/v1/responses"].map(str::to_owned).to_vec());
    node
}

fn chat(model: &str) -> Value {
    json!({"model": model, "max_tokens": 6, "messages": [{"role": "user", "content": "Why is the sky blue?"}]})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn events(answer: &Answer) -> Vec<Value> {
    let events = answer.events();
    events
        .iter()
        .filter(|event| *event != "[DONE]")
        .map(|event| serde_json::from_str(event).unwrap())
        .collect()
}

fn deltas(events: &[Value], place: &str) -> String {
    events.iter().filter_map(|event| event.pointer(place).and_then(Value::as_str)).collect()
}

/// The paths that a node was asked at.
fn asked(node: &FakeNode) -> Vec<String> {
    node.requests().iter().map(|request| request.head.target().to_owned()).collect()
}

#[tokio::test]
async fn messages_are_served_by_nodes_that_have_chats_alone() {
    for (node, path, heading) in [
        (old_ollama().await, "/api/chat", "anthropic>ollama"),
        (plain_openai().await, "/v1/chat/completions", "anthropic>openai"),
    ] {
        let daemon = Daemon::dev(&[&node]).await;
        let answer = daemon.post("/v1/messages", &chat("m")).await.expect(200);
        assert_eq!(answer.field("x-aivonx-translated"), Some(heading));
        assert_eq!(answer.field("content-type"), Some("application/json; charset=utf-8"));
        let message = answer.json();
        assert_eq!(
            (&message["type"], &message["content"][0]["text"], &message["stop_reason"]),
            (&json!("message"), &json!(SAID), &json!("max_tokens"))
        );
        assert!(message["usage"]["output_tokens"].as_u64().unwrap() > 0, "{message}");

        let answer = daemon.post("/v1/messages", &with(chat("m"), "stream", true.into())).await.expect(200);
        assert_eq!(answer.field("x-aivonx-translated"), Some(heading));
        assert!(answer.field("content-type").unwrap().starts_with("text/event-stream"));
        let events = events(&answer);
        assert_eq!(deltas(&events, "/delta/text"), SAID);
        assert_eq!(events.last().unwrap()["type"], "message_stop");
        let usage = &events[events.len() - 2]["usage"];
        assert_eq!(usage["output_tokens"], message["usage"]["output_tokens"]);
        assert!(usage["input_tokens"].as_u64().unwrap() > 0, "{usage}");

        let tool = json!([{"name": "weather", "input_schema": {"type": "object"}}]);
        let message = daemon.post("/v1/messages", &with(chat("m"), "tools", tool)).await.expect(200).json();
        assert_eq!(message["stop_reason"], "tool_use", "{message}");
        assert_eq!(
            (&message["content"][0]["name"], &message["content"][0]["input"]),
            (&json!("weather"), &json!({"city": "Paris"}))
        );

        // What the node lacks is asked for once.
        let mut paths = asked(&node);
        paths.dedup();
        assert_eq!(paths.into_iter().filter(|asked| asked != "/v1/messages").collect::<Vec<_>>(), [path]);
        assert!(asked(&node).iter().filter(|asked| *asked == "/v1/messages").count() <= 1);
        assert_eq!(daemon.nodes().await[0]["active_requests"], 0);
    }
}

#[tokio::test]
async fn what_a_node_counts_in_no_answer_is_estimated() {
    let node = plain_openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let reply = r#"{"choices":[{"message":{"content":"Hello there"},"finish_reason":"stop"}]}"#;
    for _ in 0..2 {
        // The first is asked for messages, which it does not have.
        daemon.post("/v1/messages", &chat("m")).await.expect(200);
    }
    node.fail_next(Fault::Body(reply));
    let answer = daemon.post("/v1/messages", &chat("m")).await.expect(200);
    assert_eq!(answer.field("x-aivonx-estimated"), Some("tokens"));
    let usage = answer.json()["usage"].clone();
    assert!(usage["input_tokens"].as_u64().unwrap() > 0 && usage["output_tokens"] == 3, "{usage}");
    let counted = daemon.post("/v1/messages", &chat("m")).await.expect(200);
    assert_eq!(counted.field("x-aivonx-estimated"), None);
}

#[tokio::test]
async fn responses_are_served_by_nodes_that_have_chats_alone() {
    for (node, heading) in [(old_ollama().await, "openai>ollama"), (plain_openai().await, "openai>openai")] {
        let daemon = Daemon::dev(&[&node]).await;
        let body = json!({"model": "m", "input": "Why?", "instructions": "short"});
        let answer = daemon.post("/v1/responses", &body).await.expect(200);
        assert_eq!(answer.field("x-aivonx-translated"), Some(heading));
        let response = answer.json();
        assert_eq!(
            (&response["status"], &response["output"][0]["content"][0]["text"]),
            (&json!("completed"), &json!(SAID))
        );
        let answer = daemon.post("/v1/responses", &with(body, "stream", true.into())).await.expect(200);
        let events = events(&answer);
        let text: Vec<Value> =
            events.iter().filter(|event| event["type"] == "response.output_text.delta").cloned().collect();
        assert_eq!(deltas(&text, "/delta"), SAID);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["usage"], response["usage"]);
    }
}

#[tokio::test]
async fn the_ollama_command_works_on_a_server_with_openais_api() {
    let node = FakeNode::start(Kind::Openai, &["Exact/Name"]).await;
    let daemon = Daemon::dev(&[&node]).await;
    let shown = daemon.post("/api/show", &json!({"model": "Exact/Name"})).await.expect(200);
    assert_eq!(shown.field("x-aivonx-translated"), Some("ollama>openai"));
    assert!(shown.json()["capabilities"].to_string().contains("completion"));
    daemon.post("/api/show", &json!({"model": "none"})).await.expect(404);

    let load = daemon.post("/api/generate", &json!({"model": "Exact/Name"})).await.expect(200).json();
    assert_eq!((&load["done"], &load["done_reason"]), (&json!(true), &json!("load")));
    let unload = json!({"model": "Exact/Name", "keep_alive": 0});
    let unload = daemon.post("/api/generate", &unload).await.expect(200).json();
    assert_eq!((&unload["done"], &unload["done_reason"]), (&json!(true), &json!("unload")));
    assert!(node.requests().is_empty(), "{:?}", asked(&node));

    for (path, body, place) in [
        ("/api/chat", chat("Exact/Name"), "/message/content"),
        ("/api/generate", json!({"model": "Exact/Name", "prompt": "Why?", "system": "short"}), "/response"),
    ] {
        let answer = daemon.post(path, &body).await.expect(200);
        assert_eq!(answer.field("content-type"), Some("application/x-ndjson"));
        assert_eq!(answer.field("x-aivonx-translated"), Some("ollama>openai"));
        let lines = answer.lines();
        assert_eq!(deltas(&lines, place), SAID);
        let last = lines.last().unwrap();
        assert_eq!((&last["done"], &last["model"]), (&json!(true), &json!("Exact/Name")));
        assert!(last["eval_count"].as_u64().unwrap() > 0 && last["prompt_eval_count"].as_u64().unwrap() > 0);
        let whole = daemon.post(path, &with(body, "stream", false.into())).await.expect(200).json();
        assert_eq!(whole.pointer(place), Some(&json!(SAID)));
    }
    let raw = json!({"model": "Exact/Name", "prompt": "<|fim|>", "raw": true});
    let answer = daemon.post("/api/generate", &raw).await.expect(200);
    assert_eq!(deltas(&answer.lines(), "/response"), SAID);
    assert_eq!(node.requests().pop().unwrap().head.target(), "/v1/completions");
    let embed = json!({"model": "Exact/Name", "input": ["a b", "c"]});
    let embed = daemon.post("/api/embed", &embed).await.expect(200).json();
    assert_eq!(embed["embeddings"].as_array().unwrap().len(), 2);
    let older = json!({"model": "Exact/Name", "prompt": "a b"});
    let older = daemon.post("/api/embeddings", &older).await.expect(200).json();
    assert_eq!(older["embedding"], embed["embeddings"][0]);
}

#[tokio::test]
async fn a_nodes_own_dialect_wins() {
    let (old, new) = (old_ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::dev(&[&old, &new]).await;
    for _ in 0..4 {
        let answer = daemon.post("/v1/messages", &chat("m")).await.expect(200);
        assert_eq!(answer.field("x-aivonx-translated"), None);
    }
    assert!(old.requests().is_empty());

    // Nothing is learned of a path from an answer about a model.
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::Status(404, r#"{"error":{"message":"The model `m` does not exist."}}"#));
    daemon.post("/v1/messages", &chat("m")).await.expect(404);
    let answer = daemon.post("/v1/messages", &chat("m")).await.expect(200);
    assert_eq!(answer.field("x-aivonx-translated"), None);
    assert_eq!(asked(&node), ["/v1/messages", "/v1/messages"]);
}

#[tokio::test]
async fn prompts_are_completed_by_nodes_that_have_chats_alone() {
    for (node, heading) in
        [(FakeNode::ollama().await, "openai>ollama"), (FakeNode::openai().await, "openai>openai")]
    {
        node.with(|s| s.lacks = vec!["/v1/completions".to_owned()]);
        let daemon = Daemon::dev(&[&node]).await;
        let body = json!({"model": "m", "prompt": "Why?"});
        let answer = daemon.post("/v1/completions", &body).await.expect(200);
        assert_eq!(answer.field("x-aivonx-translated"), Some(heading));
        assert_eq!(answer.json()["choices"][0]["text"], SAID);
        let answer = daemon.post("/v1/completions", &with(body, "stream", true.into())).await.expect(200);
        assert_eq!(deltas(&events(&answer), "/choices/0/text"), SAID);
        assert_eq!(answer.events().last().unwrap(), "[DONE]");
        assert_eq!(asked(&node).iter().filter(|asked| *asked == "/v1/completions").count(), 1);
    }
}

#[tokio::test]
async fn a_route_that_a_node_lacks_is_no_missing_model() {
    let node = FakeNode::openai().await;
    node.with(|s| s.lacks = ["/v1/completions", "/v1/embeddings"].map(str::to_owned).to_vec());
    let daemon = Daemon::dev(&[&node]).await;
    for (path, body, asked_at) in [
        ("/api/generate", json!({"model": "m", "prompt": "x", "raw": true}), "/v1/completions"),
        ("/api/embed", json!({"model": "m", "input": "x"}), "/v1/embeddings"),
    ] {
        for _ in 0..2 {
            let refused = daemon.post(path, &body).await.expect(501);
            assert_eq!(refused.field("x-should-retry"), Some("false"));
            let said = refused.json()["error"].as_str().unwrap().to_owned();
            assert!(said.contains("node1 does not have it"), "{said}");
        }
        assert_eq!(asked(&node).iter().filter(|asked| *asked == asked_at).count(), 1, "{path}");
    }
    // What it does have goes on.
    daemon.post("/api/chat", &chat("m")).await.expect(200);
}

#[tokio::test]
async fn while_the_nodes_of_its_dialect_are_down_a_request_is_translated() {
    let (ollama, openai) = (FakeNode::ollama().await, FakeNode::openai().await);
    let daemon = Daemon::dev(&[&ollama, &openai]).await;
    let ask = async || daemon.post("/api/chat", &chat("m")).await.expect(200);
    assert_eq!(ask().await.field("x-aivonx-translated"), None);
    // It is found out by the request itself, and then known.
    ollama.refuse().await;
    let show = daemon.post("/api/show", &json!({"model": "m"})).await.expect(200);
    assert_eq!(show.field("x-aivonx-translated"), Some("ollama>openai"));
    for _ in 0..2 {
        assert_eq!(ask().await.field("x-aivonx-translated"), Some("ollama>openai"));
    }
    let show = daemon.post("/api/show", &json!({"model": "m"})).await.expect(200).json();
    assert!(show["capabilities"].is_array(), "{show}");
    // With both down it is the nodes that are missing, not the dialect.
    openai.refuse().await;
    let refused = daemon.post("/api/chat", &chat("m")).await;
    assert!(matches!(refused.status, 502 | 503), "{}", refused.text());
    openai.accept().await;
    ollama.accept().await;
    daemon.until_active(2).await;
    assert_eq!(ask().await.field("x-aivonx-translated"), None);
}

/// A message that cannot be translated.
fn searching() -> Value {
    with(chat("m"), "tools", json!([{"type": "web_search_20250305", "name": "web_search"}]))
}

#[tokio::test]
async fn what_a_node_of_its_dialect_answers_is_not_translated_away() {
    let (old, own) = (old_ollama().await, FakeNode::openai().await);
    let daemon = Daemon::dev(&[&old, &own]).await;
    for body in [chat("m"), searching()] {
        for status in [429, 500, 503] {
            own.fail_next(Fault::Status(status, r#"{"error":{"message":"its own words"}}"#));
            let answer = daemon.post("/v1/messages", &body).await.expect(status);
            assert_eq!(answer.field("x-aivonx-translated"), None);
            assert!(answer.text().contains("its own words"), "{}", answer.text());
        }
    }
    assert!(old.requests().is_empty(), "{:?}", asked(&old));
}

#[tokio::test]
async fn what_cannot_be_translated_waits_for_the_nodes_of_its_dialect() {
    let (old, own) = (old_ollama().await, FakeNode::openai().await);
    let daemon = Daemon::dev(&[&old, &own]).await;
    own.refuse().await;
    let refused = daemon.post("/v1/messages", &searching()).await;
    assert!(matches!(refused.status, 502 | 503), "{}", refused.text());
    daemon.until_active(1).await;
    daemon.post("/v1/messages", &searching()).await.expect(503);
    assert!(old.requests().is_empty(), "{:?}", asked(&old));
    // As a last resort it is asked before it is known to be back.
    own.accept().await;
    let answer = daemon.post("/v1/messages", &searching()).await.expect(200);
    assert_eq!(answer.field("x-aivonx-translated"), None);
}

#[tokio::test]
async fn what_cannot_be_carried_over_is_refused_by_name() {
    let node = old_ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let search = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let refused = daemon.post("/v1/messages", &with(chat("m"), "tools", search)).await.expect(400).json();
    assert_eq!(
        (&refused["type"], &refused["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"))
    );
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("'tools[0].type' of 'web_search_20250305'"), "{message}");
    let earlier = json!({"model": "m", "input": "x", "previous_response_id": "resp_1"});
    // No node keeps any of it, so none is known here.
    let refused = daemon.post("/v1/responses", &earlier).await.expect(404).json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("'resp_1'"), "{refused}");
    assert!(node.requests().is_empty());
    daemon.until_idle().await;
}

#[tokio::test]
async fn errors_come_in_the_clients_dialect() {
    for node in [old_ollama().await, plain_openai().await] {
        let daemon = Daemon::dev(&[&node]).await;
        daemon.post("/v1/messages", &chat("m")).await.expect(200);
        node.fail_next(Fault::Status(400, r#"{"error":{"message":"the prompt is too long"}}"#));
        let refused = daemon.post("/v1/messages", &chat("m")).await.expect(400);
        assert!(refused.field("x-aivonx-translated").is_some());
        let refused = refused.json();
        assert_eq!(
            (&refused["type"], &refused["error"]["message"]),
            (&json!("error"), &json!("the prompt is too long"))
        );

        node.fail_next(Fault::Body(r#"{"error":"llama runner process has terminated"}"#));
        let failed = daemon.post("/v1/messages", &chat("m")).await.expect(502).json();
        assert!(failed["error"]["message"].as_str().unwrap().contains("terminated"), "{failed}");

        // What is no answer at all is known before anything was said.
        for odd in ["{\"choices\":", "<p>hello</p>", "[7]"] {
            node.fail_next(Fault::Body(odd));
            let failed = daemon.post("/v1/messages", &chat("m")).await.expect(502).json();
            assert_eq!(failed["type"], "error", "{odd}: {failed}");
            assert!(failed["error"]["message"].as_str().unwrap().contains("could not be read"), "{failed}");
        }

        let stream = with(chat("m"), "stream", true.into());
        for fault in [Fault::ErrorAfter(2), Fault::ResetAfter(2), Fault::EndAfter(2)] {
            node.fail_next(fault.clone());
            let answer = daemon.post("/v1/messages", &stream).await.expect(200);
            let events = events(&answer);
            assert_eq!(events.last().unwrap()["type"], "error", "{fault:?}: {}", answer.text());
            assert!(!answer.text().contains("message_stop"), "{fault:?}");
        }
        daemon.until_idle().await;
    }
}

#[tokio::test]
async fn translated_chunks_go_out_as_they_come() {
    let (ollama, openai) = (old_ollama().await, plain_openai().await);
    for (node, path) in [
        (&ollama, "/v1/messages"),
        (&ollama, "/v1/responses"),
        (&openai, "/v1/messages"),
        (&openai, "/api/chat"),
    ] {
        let daemon = Daemon::dev(&[node]).await;
        daemon
            .post(path, &with(with(chat("m"), "stream", false.into()), "input", "x".into()))
            .await
            .expect(200);
        node.gate();
        let mut client = daemon.client().await;
        client
            .send(&Request::json(path, &with(with(chat("m"), "stream", true.into()), "input", "x".into())))
            .await;
        node.release(1);
        client.head().await;
        // The node makes a step only after the client has seen the one before.
        for step in 0..3 {
            let piece =
                client.piece().await.unwrap().unwrap_or_else(|| panic!("{path} ended at step {step}"));
            assert!(String::from_utf8_lossy(&piece).ends_with('\n'), "{path}");
            node.release(1);
        }
        client.reset();
        node.open_gate();
        daemon.until_idle().await;
    }
}

#[tokio::test]
async fn what_was_redacted_stays_so_and_large_bodies_arrive() {
    for (node, image) in [
        (old_ollama().await, "/messages/0/images/0"),
        (plain_openai().await, "/messages/0/content/0/image_url/url"),
    ] {
        let daemon = Daemon::dev(&[&node]).await;
        daemon.aivonx().ok(&["privacy", "set", "redact"]).await;
        let data = "aGlo".repeat(40_000);
        // More changes than are made on the thread that serves the request.
        let text = "mail bob@example.com ".repeat(400);
        let content = json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
            {"type": "text", "text": text},
        ]);
        let body = json!({"model": "m", "max_tokens": 6, "messages": [{"role": "user", "content": content}]});
        daemon.post("/v1/messages", &body).await.expect(200);
        let sent = node.requests().pop().unwrap().json();
        let image = sent.pointer(image).and_then(Value::as_str).unwrap();
        assert_eq!(image.trim_start_matches("data:image/png;base64,").len(), data.len());
        let sent = sent.to_string();
        assert!(!sent.contains("bob@example.com"));
        assert_eq!(sent.matches("[REDACTED_EMAIL]").count(), 400);
    }
}

#[tokio::test]
async fn limits_see_the_clients_request_and_the_nodes_counts() {
    let node = old_ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    daemon.aivonx().ok(&["limit", "set", "--org", "acme", "tokens.day=100000"]).await;
    let request = Request::json("/v1/messages", &with(chat("m"), "stream", true.into()))
        .field("authorization", &format!("Bearer {key}"));
    let answer = daemon.ask(&request).await.expect(200);
    let events = events(&answer);
    let counted = &events[events.len() - 2]["usage"];
    within("the usage", async {
        loop {
            let total = daemon.aivonx().json(&["usage", "show"]).await["total"].clone();
            if total["output_tokens"] == counted["output_tokens"] {
                assert_eq!(total["prompt_tokens"], counted["input_tokens"]);
                return;
            }
        }
    })
    .await;
}
