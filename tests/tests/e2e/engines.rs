//! Routes that some engines serve and others do not, and the count of a request's tokens.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind, Model},
    harness::{Answer, Daemon, Request},
};
use serde_json::{Value, json};

/// Sends a body to `path` as Anthropic's clients do.
async fn anthropic(daemon: &Daemon, path: &str, body: &Value) -> Answer {
    daemon.ask(&Request::json(path, body).field("anthropic-version", "2023-06-01")).await
}

fn messages(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[tokio::test]
async fn tokens_are_counted_by_a_node_that_can() {
    let (node, ollama) = (FakeNode::openai().await, FakeNode::start(Kind::Ollama, &["o"]).await);
    let daemon = Daemon::dev(&[&node, &ollama]).await;
    let body = json!({"model": "m", "system": "s", "messages": messages("x"), "tools": [{"name": "t"}]});
    for path in ["/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"] {
        node.fail_next(Fault::Body(r#"{"input_tokens":37}"#));
        let counted = anthropic(&daemon, path, &body).await.expect(200);
        assert_eq!(
            (counted.text().as_str(), counted.field("x-aivonx-estimated")),
            (r#"{"input_tokens":37}"#, None)
        );
        let sent = node.requests().pop().unwrap();
        assert_eq!((sent.head.target(), sent.json()), ("/v1/messages/count_tokens", body.clone()));
    }
    let unknown =
        anthropic(&daemon, "/v1/messages/count_tokens", &json!({"model": "x", "messages": []})).await;
    assert_eq!(unknown.expect(404).json()["type"], "error");
    node.fail_next(Fault::Status(
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#,
    ));
    assert_eq!(
        anthropic(&daemon, "/v1/messages/count_tokens", &body).await.expect(400).json()["error"]["message"],
        "no"
    );
    assert!(ollama.requests().is_empty());
}

#[tokio::test]
async fn where_no_node_counts_tokens_they_are_estimated_by_what_was_counted() {
    let (node, ollama) = (FakeNode::openai().await, FakeNode::start(Kind::Ollama, &["o"]).await);
    let daemon = Daemon::dev(&[&node, &ollama]).await;
    let text = "Why is the sky blue, and the sea? ".repeat(20);
    let count = async |model: &str| {
        let body = json!({"model": model, "messages": messages(&text)});
        let counted = anthropic(&daemon, "/v1/messages/count_tokens", &body).await.expect(200);
        assert_eq!(counted.field("x-aivonx-estimated"), Some("tokens"));
        counted.json()["input_tokens"].as_u64().unwrap()
    };
    let first = count("o").await;
    assert!((150..250).contains(&first), "{first} for {} bytes", text.len());
    // A model that needs twice as many tokens as most.
    let reply = r#"{"model":"o","message":{"role":"assistant","content":"Hi"},"done":true,"prompt_eval_count":340,"eval_count":1}"#;
    ollama.fail_next(Fault::Body(reply));
    let chat = json!({"model": "o", "messages": messages(&text), "stream": false});
    daemon.post("/api/chat", &chat).await.expect(200);
    let second = count("o").await;
    assert!((330..350).contains(&second), "{second}");
    // A server that is busy, or has no such route, is asked, and neither blamed nor searched for the model.
    let name = daemon.nodes().await.iter().find(|n| n["kind"] == "openai").unwrap()["name"].clone();
    for (fault, is_asked_again) in [
        (Some(Fault::Status(429, r#"{"error":{"message":"busy"}}"#)), true),
        (Some(Fault::Status(503, r#"{"error":{"message":"busy"}}"#)), true),
        // Of the model, perhaps, or of what it was started without.
        (Some(Fault::Status(501, r#"{"error":{"message":"not supported"}}"#)), true),
        (None, false),
        (Some(Fault::Status(404, r#"{"detail":"Not Found"}"#)), false),
        (Some(Fault::Status(405, r#"{"detail":"Method Not Allowed"}"#)), false),
    ] {
        node.with(|state| state.recorded.clear());
        fault.into_iter().for_each(|fault| node.fail_next(fault));
        assert!(count("m").await > 0);
        assert_eq!(node.requests().len(), 1);
        if is_asked_again {
            continue;
        }
        // Nobody asks it for that again, until it may be another server.
        assert!(count("m").await > 0);
        assert_eq!(node.requests().len(), 1);
        let name = name.as_str().unwrap();
        daemon.aivonx().ok(&["node", "disable", name]).await;
        daemon.aivonx().ok(&["node", "enable", name]).await;
        daemon.until_active(2).await;
    }
    // What was learned is of the model that an alias stands for.
    daemon.aivonx().ok(&["model", "alias", "set", "claude", "o"]).await;
    let alias = count("claude").await;
    assert!((330..350).contains(&alias), "{alias}");
    assert!(daemon.nodes().await.iter().all(|node| node["errors_5m"] == 0 || node["errors_5m"].is_null()));
}

#[tokio::test]
async fn counting_tokens_costs_nothing_and_hides_what_a_prompt_must_not_carry() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let key = daemon.tenant("acme").await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["limit", "set", "--org", "acme", "inference.day=1", "tokens.day=2000"]).await;
    aivonx.ok(&["privacy", "set", "--org", "acme", "redact"]).await;
    let ask = async |path: &str, body: &Value| {
        let request =
            Request::json(path, body).field("x-api-key", &key).field("anthropic-version", "2023-06-01");
        daemon.ask(&request).await
    };
    let body = json!({"model": "m", "messages": messages("mail john.doe@example.com")});
    for _ in 0..3 {
        node.fail_next(Fault::Body(r#"{"input_tokens":3700}"#));
        ask("/v1/messages/count_tokens", &body).await.expect(200);
        node.fail_next(Fault::Body(r#"{"tokens":[1,2,3],"count":3}"#));
        ask("/tokenize", &json!({"model": "m", "prompt": "x"})).await.expect(200);
    }
    let sent = node.requests();
    assert!(sent.iter().all(|sent| !String::from_utf8_lossy(&sent.body).contains("john.doe")));
    ask("/v1/messages", &json!({"model": "m", "max_tokens": 1, "messages": messages("x")})).await.expect(200);
    ask("/v1/messages", &json!({"model": "m", "max_tokens": 1, "messages": messages("x")})).await.expect(429);
}

#[tokio::test]
async fn what_an_engine_serves_is_served_and_what_it_lacks_is_said() {
    let (node, ollama) = (FakeNode::openai().await, FakeNode::start(Kind::Ollama, &["o"]).await);
    let daemon = Daemon::dev(&[&node, &ollama]).await;
    for (path, body) in [
        ("/rerank", json!({"model": "m", "query": "a", "documents": ["b"]})),
        ("/v1/rerank", json!({"model": "m", "query": "a", "documents": ["b"]})),
        ("/v2/rerank", json!({"model": "m", "query": "a", "documents": ["b"]})),
        ("/v1/reranking", json!({"model": "m", "query": "a", "documents": ["b"]})),
        ("/reranking", json!({"model": "m", "query": "a", "documents": ["b"]})),
        ("/score", json!({"model": "m", "text_1": "a", "text_2": ["b", "c"]})),
        ("/v1/score", json!({"model": "m", "text_1": "a", "text_2": ["b", "c"]})),
        ("/tokenize", json!({"model": "m", "content": "Why?", "add_special": true})),
        ("/detokenize", json!({"model": "m", "tokens": [1, 2, 3]})),
        ("/infill", json!({"model": "m", "input_prefix": "fn a(", "input_suffix": "}", "n_predict": 5})),
        ("/v1/completions", json!({"model": "m", "prompt": "fn a(", "suffix": "}"})),
    ] {
        let answer = r#"{"results":[{"index":0,"relevance_score":0.9}],"usage":{"total_tokens":7}}"#;
        node.fail_next(Fault::Body(answer));
        assert_eq!(daemon.post(path, &body).await.expect(200).text(), answer, "{path}");
        let sent = node.requests().pop().unwrap();
        assert_eq!((sent.head.target(), sent.json()), (path, body.clone()));
        if path == "/v1/completions" {
            continue;
        }
        // Clients of an engine's own routes name no model where there is one alone.
        let names_none = ["/rerank", "/reranking", "/tokenize", "/detokenize", "/infill"].contains(&path);
        if names_none {
            let mut bare = body.clone();
            bare.as_object_mut().unwrap().remove("model");
            node.fail_next(Fault::Body(answer));
            assert_eq!(daemon.post(path, &bare).await.expect(200).text(), answer, "{path}");
            assert_eq!(node.requests().pop().unwrap().json(), bare, "{path}");
        }
        // Another engine than the route is of, and a node of another kind.
        node.fail_next(Fault::Status(404, r#"{"detail":"Not Found"}"#));
        let mut other = body.clone();
        other["model"] = "o".into();
        for (body, node) in [(&body, "node1"), (&other, "node2")] {
            let refused = daemon.post(path, body).await.expect(501);
            let words = refused.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(words.contains("serves this route") && words.contains(node), "{path}: {words}");
            assert_eq!(refused.field("x-should-retry"), Some("false"), "{path}");
        }
        if names_none {
            node.with(|state| state.models.push(Model::new("n")));
            daemon.aivonx().ok(&["node", "check", "node1"]).await;
        }
        let missing = daemon.post(path, &json!({"query": "a"})).await.expect(400).json();
        assert_eq!(missing["error"]["message"], "model is required", "{path}");
        if names_none {
            node.with(|state| state.models.truncate(1));
            daemon.aivonx().ok(&["node", "check", "node1"]).await;
        }
        assert_eq!(daemon.get(path).await.expect(405).field("allow"), Some("POST"), "{path}");
    }
    assert!(ollama.requests().is_empty());
}

#[tokio::test]
async fn a_stream_of_llama_cpps_own_api_is_over_when_it_says_so() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::dev(&[&node]).await;
    let events = "data: {\"content\":\"let\",\"stop\":false}\n\ndata: {\"content\":\" x\",\"stop\":false}\n\n\
                  data: {\"content\":\"\",\"stop\":true,\"tokens_predicted\":2,\"timings\":{\"prompt_n\":4,\"predicted_n\":2}}\n\n";
    node.fail_next(Fault::Events(events.to_owned()));
    let body = json!({"model": "m", "input_prefix": "a", "input_suffix": "b", "stream": true});
    assert_eq!(daemon.post("/infill", &body).await.expect(200).text(), events);
    node.fail_next(Fault::Events(events.replace("\"stop\":true", "\"stop\":false")));
    assert!(daemon.post("/infill", &body).await.expect(200).text().contains("\"error\""));
}

#[tokio::test]
async fn a_gateway_says_whether_third_parties_are_asked() {
    let daemon = Daemon::dev(&[]).await;
    let status = daemon.get("/api/status").await.expect(200).json();
    assert!(status["cloud"]["disabled"].is_boolean() && status["cloud"]["source"].is_string(), "{status}");
}

#[tokio::test]
async fn lists_of_models_come_in_pages_to_those_who_ask_for_them() {
    let node = FakeNode::start(Kind::Openai, &["a", "b", "c", "d"]).await;
    let daemon = Daemon::dev(&[&node]).await;
    let list = async |query: &str| {
        let path = format!("/v1/models{query}");
        let answer =
            daemon.ask(&Request::get(&path).field("anthropic-version", "2023-06-01")).await.expect(200);
        let list = answer.json();
        let ids: String =
            list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        (ids, list["has_more"].as_bool().unwrap(), list["last_id"].as_str().map(str::to_owned))
    };
    for (query, ids, more) in [
        ("", "abcd", false),
        ("?limit=3", "abc", true),
        ("?limit=4", "abcd", false),
        ("?limit=2&after_id=b", "cd", false),
        ("?after_id=a&limit=1", "b", true),
        ("?before_id=d&limit=2", "bc", true),
        ("?beta=true", "abcd", false),
    ] {
        let last = ids.chars().last().map(String::from);
        assert_eq!(list(query).await, (ids.to_owned(), more, last), "{query}");
    }
    for query in ["?limit=0", "?limit=x", "?limit=1001"] {
        let request = Request::get(&format!("/v1/models{query}")).field("anthropic-version", "2023-06-01");
        daemon.ask(&request).await.expect(400);
    }
}

#[tokio::test]
async fn a_stream_to_a_client_of_http_1_0_ends_with_its_connection_and_says_so() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let body = json!({"model": "m", "prompt": "x"}).to_string();
    let mut client = daemon.client().await;
    let head = format!(
        "POST /api/generate HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send_raw("POST", (head + &body).as_bytes()).await;
    let answer = client.answer().await.expect(200);
    assert_eq!(answer.field("connection"), Some("close"));
    client.closed().await;
    // What has a length leaves the connection open.
    let mut client = daemon.client().await;
    let request = b"GET /api/version HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        client.send_raw("GET", request).await;
        assert_ne!(client.answer().await.expect(200).field("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_key_in_azures_field_is_a_key() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::builder().config("").mode("required").node(&node).start().await;
    let key = daemon.tenant("acme").await;
    daemon.ask(&Request::get("/v1/models").field("api-key", &key)).await.expect(200);
    daemon.ask(&Request::get("/v1/models").field("api-key", "wrong")).await.expect(401);
}
