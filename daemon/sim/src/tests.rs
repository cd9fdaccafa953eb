//! A simulated node over the wire, as Ollama's clients meet it.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    Simulation,
    wire::{Framing, Wire},
};

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The data of each event but `[DONE]`.
    fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

async fn ask_as(simulation: &Simulation, token: &str, line: &str, body: &Value) -> Answer {
    let mut wire = Wire::connect(simulation.nodes[0].1.address()).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n");
    wire.send((head + &body).as_bytes()).await.unwrap();
    let head = wire.head().await.unwrap().unwrap();
    let body: Bytes = wire.body(Framing::of_response(&head, "")).await.unwrap();
    Answer {
        status: head.status(),
        content_type: head.get("content-type").unwrap_or_default().to_owned(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn ask(simulation: &Simulation, line: &str, body: Value) -> Answer {
    ask_as(simulation, &simulation.token, line, &body).await
}

fn one() -> Simulation {
    Simulation::start(1, 7).unwrap()
}

const PROMPT: &str = "why is the sky blue";

#[tokio::test]
async fn nobody_but_the_gateway_is_answered() {
    let simulation = one();
    for (token, line) in [("", "GET / "), ("x", "GET /api/tags"), ("", "POST /api/chat")] {
        let refused = ask_as(&simulation, token, line.trim(), &Value::Null).await;
        assert_eq!((refused.status, &*refused.body), (401, r#"{"error":"unauthorized"}"#), "{line}");
    }
    assert!(simulation.nodes[0].1.address().ip().is_loopback());
    let known = ask(&simulation, "GET /", Value::Null).await;
    assert_eq!((known.status, &*known.body), (200, "Ollama is running"));
    assert_ne!(one().token, simulation.token, "each start has a token of its own");
}

#[tokio::test]
async fn it_lists_what_it_has_and_what_is_in_memory() {
    let simulation = one();
    let version = ask(&simulation, "GET /api/version", Value::Null).await;
    assert_eq!(version.json()["version"], "0.14.2");
    let tags = ask(&simulation, "GET /api/tags", Value::Null).await;
    assert_eq!(tags.content_type, "application/json; charset=utf-8");
    let tags = tags.json();
    let first = &tags["models"][0];
    assert_eq!((tags["models"].as_array().unwrap().len(), &first["name"]), (5, &first["model"]));
    assert_eq!(first["digest"].as_str().map(str::len), Some(64));
    assert!(first["size"].as_u64() > Some(100_000_000) && first["modified_at"].is_string());
    assert_eq!(first["details"]["parameter_size"], "3.2B");
    let ps = ask(&simulation, "GET /api/ps", Value::Null).await.json();
    let loaded = &ps["models"][0];
    assert_eq!((ps["models"].as_array().unwrap().len(), &loaded["context_length"]), (3, &json!(8192)));
    assert!(loaded["size_vram"].as_u64() > Some(0) && loaded["expires_at"].is_string(), "{loaded}");
    let show = ask(&simulation, "POST /api/show", json!({"name": "qwen3:8b"})).await.json();
    assert_eq!(show["capabilities"], json!(["completion"]));
    assert_eq!(show["model_info"]["qwen3.context_length"], 40_960);
    let models = ask(&simulation, "GET /v1/models", Value::Null).await.json();
    assert_eq!((&models["object"], &models["data"][0]["object"]), (&json!("list"), &json!("model")));
    let one = ask(&simulation, "GET /v1/models/qwen3:8b", Value::Null).await.json();
    assert_eq!(one["id"], "qwen3:8b");
}

#[tokio::test]
async fn ollama_streams_lines_and_ends_with_counts() {
    let simulation = one();
    let asked = json!({"model": "llama3.2:3b", "prompt": PROMPT, "options": {"num_predict": 5, "seed": 3}});
    let answer = ask(&simulation, "POST /api/generate", asked.clone()).await;
    assert_eq!((answer.status, &*answer.content_type), (200, "application/x-ndjson"));
    let lines = answer.lines();
    assert_eq!(lines.len(), 6);
    let text: String = lines.iter().map(|line| line["response"].as_str().unwrap()).collect();
    let last = &lines[5];
    assert_eq!(
        (&last["done"], &last["done_reason"], &last["eval_count"]),
        (&json!(true), &json!("length"), &json!(5))
    );
    assert!(
        last["prompt_eval_count"].as_u64() > Some(4) && last["total_duration"].as_u64() > Some(1_000_000)
    );
    assert!(lines[..5].iter().all(|line| line["done"] == false && line["created_at"].is_string()));

    let mut at_once = asked;
    at_once["stream"] = false.into();
    let whole = ask(&simulation, "POST /api/generate", at_once).await;
    assert_eq!(whole.content_type, "application/json; charset=utf-8");
    assert_eq!(whole.json()["response"], text, "the same seed gives the same text");

    let chat = json!({"model": "llama3.2:3b", "messages": [{"role": "user", "content": PROMPT}],
                      "options": {"num_predict": 3}});
    let lines = ask(&simulation, "POST /api/chat", chat).await.lines();
    assert_eq!((lines.len(), &lines[0]["message"]["role"]), (4, &json!("assistant")));
    assert!(lines[3].get("context").is_none() && lines[3]["eval_count"] == 3, "{}", lines[3]);
}

#[tokio::test]
async fn openai_and_anthropic_streams_end_as_theirs_do() {
    let simulation = one();
    let asked = |extra: Value| {
        let mut body = json!({"model": "llama3.2:3b", "messages": [{"role": "user", "content": PROMPT}],
                              "max_tokens": 4, "stream": true});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let counted = asked(json!({"stream_options": {"include_usage": true}}));
    let answer = ask(&simulation, "POST /v1/chat/completions", counted).await;
    assert!(answer.content_type == "text/event-stream" && answer.body.ends_with("data: [DONE]\n\n"));
    let events = answer.events();
    assert_eq!((events.len(), &events[0]["object"]), (6, &json!("chat.completion.chunk")));
    assert_eq!(events[4]["choices"][0]["finish_reason"], "length");
    assert_eq!((&events[5]["choices"], &events[5]["usage"]["completion_tokens"]), (&json!([]), &json!(4)));
    assert_eq!(ask(&simulation, "POST /v1/chat/completions", asked(json!({}))).await.events().len(), 5);

    let whole = ask(&simulation, "POST /v1/chat/completions", asked(json!({"stream": false}))).await.json();
    assert_eq!(
        (&whole["object"], &whole["usage"]["completion_tokens"]),
        (&json!("chat.completion"), &json!(4))
    );
    let completion = json!({"model": "llama3.2:3b", "prompt": PROMPT, "max_tokens": 2});
    let completion = ask(&simulation, "POST /v1/completions", completion).await.json();
    assert!(completion["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()));

    let messages = ask(&simulation, "POST /v1/messages", asked(json!({}))).await.events();
    let kinds: Vec<&str> = messages.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let deltas = ["content_block_delta"; 4];
    let expected = [
        &["message_start", "content_block_start"][..],
        &deltas,
        &["content_block_stop", "message_delta", "message_stop"],
    ];
    assert_eq!(kinds, expected.concat());
    assert_eq!(messages[7]["usage"]["output_tokens"], 4);
    assert_eq!(messages[7]["delta"]["stop_reason"], "max_tokens");

    let responses = json!({"model": "llama3.2:3b", "input": PROMPT, "max_output_tokens": 2, "stream": true});
    let responses = ask(&simulation, "POST /v1/responses", responses).await.events();
    assert!(responses.iter().enumerate().all(|(n, event)| event["sequence_number"] == n));
    let last = responses.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["usage"]["output_tokens"]),
        (&json!("response.completed"), &json!(2))
    );
}

#[tokio::test]
async fn embeddings_are_vectors_in_each_form() {
    let simulation = one();
    let body = json!({"model": "nomic-embed-text", "input": ["one", "two", "one"]});
    let answer = ask(&simulation, "POST /api/embed", body.clone()).await.json();
    let rows = answer["embeddings"].as_array().unwrap();
    assert_eq!((rows.len(), rows[0].as_array().unwrap().len()), (3, 384));
    assert!(rows[0] == rows[2] && rows[0] != rows[1], "the same text has the same vector");
    assert!(answer["prompt_eval_count"].as_u64() > Some(0));
    let older =
        ask(&simulation, "POST /api/embeddings", json!({"model": "nomic-embed-text", "prompt": "one"})).await;
    assert_eq!(older.json(), json!({ "embedding": rows[0] }));
    let openai = ask(&simulation, "POST /v1/embeddings", body).await.json();
    assert_eq!((&openai["data"][2]["index"], &openai["data"][0]["embedding"]), (&json!(2), &rows[0]));
    let base64 = json!({"model": "nomic-embed-text", "input": "one", "encoding_format": "base64"});
    let base64 = ask(&simulation, "POST /v1/embeddings", base64).await.json();
    assert!(base64["data"][0]["embedding"].is_string());
}

#[tokio::test]
async fn models_are_loaded_unloaded_pulled_and_deleted() {
    let simulation = one();
    let in_memory = async |name: &str| {
        let ps = ask(&simulation, "GET /api/ps", Value::Null).await.json();
        ps["models"].as_array().unwrap().iter().any(|model| model["name"] == name)
    };
    let unload = json!({"model": "qwen3:8b", "keep_alive": 0});
    let answer = ask(&simulation, "POST /api/generate", unload).await.json();
    assert_eq!((&answer["done_reason"], &answer["response"]), (&json!("unload"), &json!("")));
    assert!(!in_memory("qwen3:8b").await);
    let load = json!({"model": "qwen3:8b", "messages": [], "keep_alive": -1, "options": {"num_ctx": 2048}});
    let answer = ask(&simulation, "POST /api/chat", load).await.json();
    assert_eq!((&answer["done_reason"], &answer["message"]["content"]), (&json!("load"), &json!("")));
    assert!(in_memory("qwen3:8b").await);

    let pulled = ask(&simulation, "POST /api/pull", json!({"model": "all-minilm"})).await;
    assert_eq!(pulled.content_type, "application/x-ndjson");
    let lines = pulled.lines();
    assert_eq!(
        (&lines[0]["status"], &lines.last().unwrap()["status"]),
        (&json!("pulling manifest"), &json!("success"))
    );
    assert!(lines.iter().any(|line| line["total"].is_u64() && line["completed"] == line["total"]));
    let show = ask(&simulation, "POST /api/show", json!({"model": "all-minilm:latest"})).await;
    assert_eq!(show.status, 200);
    assert_eq!(ask(&simulation, "DELETE /api/delete", json!({"model": "all-minilm"})).await.status, 200);
    assert_eq!(ask(&simulation, "DELETE /api/delete", json!({"model": "all-minilm"})).await.status, 404);

    let missing = ask(&simulation, "POST /api/pull", json!({"model": "missing", "stream": false})).await;
    assert_eq!(
        (missing.status, missing.json()),
        (500, json!({"error": "pull model manifest: file does not exist"}))
    );
    let missing = ask(&simulation, "POST /api/pull", json!({"model": "missing"})).await.lines();
    assert!(missing[1]["error"].is_string() && missing.len() == 2, "{missing:?}");
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_ollama_does() {
    let simulation = one();
    for (line, body, status, said) in [
        ("GET /api/absent", json!(null), 404, "404 page not found"),
        ("GET /api/chat", json!(null), 405, "405 method not allowed"),
        ("GET /v1/chat/completions", json!(null), 405, "405 method not allowed"),
        ("POST /api/chat", json!(null), 400, r#"{"error":"invalid character in request body"}"#),
        ("POST /api/chat", json!({"model": "x"}), 404, r#"{"error":"model 'x' not found"}"#),
        ("POST /v1/chat/completions", json!({"model": "x"}), 404, r#""type":"not_found_error","param":null"#),
        (
            "POST /v1/messages",
            json!({"model": "x"}),
            404,
            r#"{"type":"error","error":{"type":"not_found_error""#,
        ),
        ("POST /api/embed", json!({"model": "nomic-embed-text", "input": 7}), 400, "invalid input type"),
    ] {
        let answer = ask(&simulation, line, body).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        assert!(answer.body.contains(said), "{line}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_node_that_is_down_ends_connections_and_comes_back() {
    let simulation = one();
    let node = &simulation.nodes[0].1;
    node.set_up(false);
    let mut wire = Wire::connect(node.address()).await.unwrap();
    assert!(matches!(wire.fill().await, Ok(0) | Err(_)));
    node.set_up(true);
    assert_eq!(ask(&simulation, "GET /api/version", Value::Null).await.status, 200);
    let ps = ask(&simulation, "GET /api/ps", Value::Null).await.json();
    assert_eq!(ps["models"], json!([]), "what was in memory is not any more");
}
