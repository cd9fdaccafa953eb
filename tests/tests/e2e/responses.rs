//! Responses that a node keeps: what follows one goes to the node that made it, and to nobody else's.

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Answer, Daemon, H2Client, Request},
};
use serde_json::{Value, json};

async fn ask(daemon: &Daemon, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let mut request = Request::new(method, path).field("authorization", &format!("Bearer {key}"));
    if let Some(body) = body {
        request = request.field("content-type", "application/json").body(body.to_string());
    }
    daemon.ask(&request).await
}

fn made(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"response","status":"completed","output":[{{"id":"msg_1"}}]}}"#)
}

#[tokio::test]
async fn a_response_is_asked_of_the_node_that_made_it() {
    let nodes = [FakeNode::openai().await, FakeNode::openai().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], "").await;
    let (acme, globex) = (daemon.tenant("acme").await, daemon.tenant("globex").await);
    let first = made("resp_whole");
    let events = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_stream\"}}\n\n\
                  event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_stream\"}}\n\n";
    for (id, fault, stream) in [
        ("resp_whole", Fault::Body(first.leak()), false),
        ("resp_stream", Fault::Events(events.to_owned()), true),
    ] {
        nodes.iter().for_each(|node| node.fail_next(fault.clone()));
        let body = json!({"model": "m", "input": "x", "stream": stream});
        let answer = ask(&daemon, &acme, "POST", "/v1/responses", Some(body)).await.expect(200);
        let at = usize::from(answer.field("x-aivonx-node") == Some("n1"));
        nodes.iter().for_each(|node| node.with(|state| state.faults.clear()));
        for (method, path, status) in [
            ("GET", format!("/v1/responses/{id}"), 200),
            ("GET", format!("/v1/responses/{id}?include[]=x"), 200),
            (
                "GET",
                format!("/v1/responses/{id}?stream=true&starting_after=3&include_obfuscation=false"),
                200,
            ),
            ("GET", format!("/v1/responses/{id}/input_items"), 200),
            ("GET", format!("/v1/responses/{id}/input_items?after=msg_1&limit=20"), 200),
            ("POST", format!("/v1/responses/{id}/cancel"), 200),
            ("DELETE", format!("/v1/responses/{id}"), 200),
        ] {
            nodes[at].fail_next(Fault::Body(r#"{"object":"x"}"#));
            let answer = ask(&daemon, &acme, method, &path, None).await.expect(status);
            assert_eq!(answer.text(), r#"{"object":"x"}"#, "{method} {path}");
            let sent = nodes[at].requests().pop().unwrap();
            // A name with brackets is written out.
            let target = path.replace("[]", "%5B%5D");
            assert_eq!((sent.head.method(), sent.head.target()), (method, &*target));
            let path = path.split('?').next().unwrap();
            let foreign = ask(&daemon, &globex, method, path, None).await.expect(404);
            assert_eq!(foreign.json()["error"]["type"], "not_found_error", "{method} {path}");
        }
        // What goes on from it, too; and from another's nothing does.
        nodes[at].fail_next(Fault::Body(made("resp_next").leak()));
        let next = json!({"model": "m", "input": "y", "previous_response_id": id});
        let answer = ask(&daemon, &acme, "POST", "/v1/responses", Some(next.clone())).await.expect(200);
        assert_eq!(answer.field("x-aivonx-node"), Some(["n0", "n1"][at]));
        ask(&daemon, &globex, "POST", "/v1/responses", Some(next)).await.expect(404);
    }
    for (method, path, status) in [
        ("GET", "/v1/responses/resp_none", 404),
        ("GET", "/v1/responses/resp_none/../x", 404),
        ("GET", "/v1/responses/resp_whole/secrets", 404),
        ("POST", "/v1/responses/resp_whole", 405),
        ("DELETE", "/v1/responses/resp_whole/cancel", 405),
        ("GET", "/v1/responses/resp_whole?background=true", 400),
    ] {
        ask(&daemon, &acme, method, path, None).await.expect(status);
    }
    daemon.until_idle().await;
}

#[tokio::test]
async fn what_a_node_has_of_others_is_named_by_nobody() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let acme = daemon.tenant("acme").await;
    let before = node.requests().len();
    let user = |part: Value| json!([{"role": "user", "content": [part]}]);
    for (path, name, value, says) in [
        ("/v1/responses", "conversation", json!("conv_1"), "no conversation 'conv_1'"),
        ("/v1/responses", "prompt", json!({"id": "pmpt_1"}), "no prompt.id 'pmpt_1'"),
        ("/v1/responses", "input", json!([{"type": "item_reference", "id": "msg_1"}]), "'msg_1'"),
        ("/v1/responses", "input", user(json!({"type": "input_file", "file_id": "file-1"})), "'file-1'"),
        ("/v1/responses", "tools", json!([{"type": "file_search", "vector_store_ids": ["vs_1"]}]), "'vs_1'"),
        ("/v1/responses", "tools", json!([{"type": "code_interpreter", "container": "cntr_1"}]), "'cntr_1'"),
        ("/v1/responses", "previous_response_id", json!("resp_other"), "'resp_other'"),
        ("/v1/chat/completions", "messages", user(json!({"type": "file", "file": {"file_id": "f"}})), "'f'"),
        ("/v1/chat/completions", "previous_response_id", json!("resp_other"), "'resp_other'"),
        ("/v1/messages", "container", json!("cntr_1"), "'cntr_1'"),
        ("/infill", "previous_response_id", json!("resp_other"), "'resp_other'"),
        ("/tokenize", "messages", user(json!({"type": "file", "file": {"file_id": "f"}})), "'f'"),
    ] {
        let mut body = json!({"model": "m", "input": "x", "max_tokens": 5, "messages": user(json!({"type": "text", "text": "x"}))});
        body[name] = value;
        let refused = ask(&daemon, &acme, "POST", path, Some(body)).await.expect(404).json();
        assert_eq!(refused["error"]["type"], "not_found_error", "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{refused}");
    }
    let image_of = |address: &str| json!({"type": "image_url", "image_url": {"url": address}});
    for (path, name, value, says) in [
        (
            "/v1/responses",
            "tools",
            json!([{"type": "mcp", "server_url": "http://10.0.0.1/mcp"}]),
            "'server_url' is 10.0.0.1, a private",
        ),
        (
            "/v1/responses",
            "input",
            user(json!({"type": "input_image", "image_url": "http://169.254.169.254/x"})),
            "metadata",
        ),
        (
            "/v1/responses",
            "input",
            user(json!({"type": "input_file", "file_url": "file:///etc/passwd"})),
            "a file: address",
        ),
        ("/v1/chat/completions", "messages", user(image_of("http://localhost/x")), "'localhost'"),
        ("/score", "text_1", json!({"content": [image_of("http://10.0.0.1/x")]}), "a private"),
        ("/rerank", "documents", json!({"content": [image_of("http://10.0.0.1/x")]}), "a private"),
        ("/reranking", "documents", json!({"content": [image_of("http://10.0.0.1/x")]}), "a private"),
        ("/v2/rerank", "documents", json!({"content": [image_of("http://10.0.0.1/x")]}), "a private"),
        ("/tokenize", "messages", user(image_of("http://10.0.0.1/x")), "a private"),
    ] {
        let mut body = json!({"model": "m", "input": "x"});
        body[name] = value;
        let refused = ask(&daemon, &acme, "POST", path, Some(body)).await.expect(400).json();
        assert!(refused["error"]["message"].as_str().unwrap().contains(says), "{refused}");
    }
    assert_eq!(node.requests().len(), before, "none of it came to the node");
    let image = user(image_of("https://example.org/a.png"));
    let body = json!({"model": "m", "messages": image});
    ask(&daemon, &acme, "POST", "/v1/chat/completions", Some(body)).await.expect(200);
}

#[tokio::test]
async fn addresses_of_private_networks_go_to_the_node_where_that_is_allowed() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::builder().config("").node(&node).access("private_addresses = true").start().await;
    let acme = daemon.tenant("acme").await;
    let image = json!([{"type": "image_url", "image_url": {"url": "http://10.0.0.1/a.png"}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": image}]});
    ask(&daemon, &acme, "POST", "/v1/chat/completions", Some(body)).await.expect(200);
}

#[tokio::test]
async fn a_kept_response_is_known_after_a_restart_to_those_who_may_use_its_model() {
    let node = FakeNode::openai().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().config("").folder(folder.path()).node(&node).start().await;
    let acme = daemon.tenant("acme").await;
    let other = daemon.aivonx().json(&["key", "create", "other", "--org", "acme", "--model", "n"]).await;
    let other = other["secret"].as_str().unwrap().to_owned();
    node.fail_next(Fault::Body(made("resp_1").leak()));
    let plain = json!({"model": "m", "input": "x"});
    ask(&daemon, &acme, "POST", "/v1/responses", Some(plain)).await.expect(200);
    daemon.stop().await;
    let daemon = Daemon::builder().config("").folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    for method in ["GET", "DELETE"] {
        ask(&daemon, &other, method, "/v1/responses/resp_1", None).await.expect(404);
    }
    let next = json!({"model": "n", "input": "y", "previous_response_id": "resp_1"});
    ask(&daemon, &other, "POST", "/v1/responses", Some(next)).await.expect(404);
    node.fail_next(Fault::Body(r#"{"object":"x"}"#));
    ask(&daemon, &acme, "GET", "/v1/responses/resp_1", None).await.expect(200);
}

#[tokio::test]
async fn a_node_that_has_forgotten_a_response_still_serves_responses() {
    let node = FakeNode::openai().await;
    let daemon = Daemon::run(&[&node], "").await;
    let acme = daemon.tenant("acme").await;
    let plain = json!({"model": "m", "input": "x"});
    node.fail_next(Fault::Body(made("resp_1").leak()));
    ask(&daemon, &acme, "POST", "/v1/responses", Some(plain.clone())).await.expect(200);
    // As vLLM says it, which keeps none by default.
    let forgotten = r#"{"error":{"message":"Response with id 'resp_1' not found."}}"#;
    node.fail_next(Fault::Status(404, forgotten));
    let next = json!({"model": "m", "input": "y", "previous_response_id": "resp_1"});
    let answer = ask(&daemon, &acme, "POST", "/v1/responses", Some(next)).await.expect(404);
    assert!(answer.text().contains("'resp_1' not found"), "{}", answer.text());
    let answer = ask(&daemon, &acme, "POST", "/v1/responses", Some(plain)).await.expect(200);
    assert_eq!(answer.field("x-aivonx-translated"), None);
    let mut client = H2Client::connect(daemon.address()).await;
    node.fail_next(Fault::Body("{}"));
    let key = format!("Bearer {acme}");
    let head = client.begin("HEAD", "/v1/responses/resp_1", &[("authorization", &key)], "").await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(hyper::body::Body::is_end_stream(head.body()), "what follows is a protocol error");
}
