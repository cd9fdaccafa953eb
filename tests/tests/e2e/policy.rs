//! Model policy: what the nodes receive for what the clients ask.

mod organizations;

use std::collections::HashMap;

use aivonx_protocol::{
    Client as Control,
    node::{self, AdminState},
    policy::{self, ContextSize, KeepAlive, PolicyChange},
};
use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Answer, Daemon, Request},
    within,
};
use serde_json::{Value, json};

const PASSWORD: &str = "nine slow herons over salt";
const PATIENT: &str = "[health]\ninterval = \"1s\"\nfailures = 100\n";

fn keep(value: &str, force: bool) -> PolicyChange {
    let keep_alive = KeepAlive { value: value.into(), force };
    PolicyChange { keep_alive: Some(Some(keep_alive)), ..PolicyChange::default() }
}

fn ctx(tokens: u32, force: bool) -> PolicyChange {
    PolicyChange { num_ctx: Some(Some(ContextSize { tokens, force })), ..PolicyChange::default() }
}

fn most(tokens: u32) -> PolicyChange {
    PolicyChange { output_max: Some(Some(tokens)), ..PolicyChange::default() }
}

async fn policy(control: &Control, model: &str, change: PolicyChange) {
    control
        .ask(policy::Set {
            organization: None,
            model: model.to_owned(),
            revision: None,
            change: Box::new(change),
        })
        .await
        .unwrap();
}

async fn alias(control: &Control, organization: Option<&str>, alias: &str, models: &[&str]) {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    control
        .ask(policy::SetAlias {
            organization: organization.map(str::to_owned),
            alias: alias.to_owned(),
            models,
            revision: None,
        })
        .await
        .unwrap();
}

/// What the node gets when a client sends `body`.
async fn sent(daemon: &Daemon, node: &FakeNode, path: &str, body: &Value) -> Value {
    daemon.post(path, body).await.expect(200);
    node.requests().pop().unwrap().json()
}

#[tokio::test]
async fn nodes_are_asked_as_policy_says_in_every_dialect() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let control = daemon.control().await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let base = json!({"model": "m", "messages": messages, "prompt": "x", "input": "x", "stream": false});
    let with = |more: &Value| {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let routes = [
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
    ];
    // Nothing is configured, nothing is changed.
    for path in routes {
        assert_eq!(sent(&daemon, &node, path, &base).await, base, "{path}");
    }
    policy(&control, "*", keep("1h", false)).await;
    policy(&control, "m*", ctx(8192, false)).await;
    policy(&control, "m:latest", most(7)).await;
    for (path, more) in [
        ("/api/chat", json!({"keep_alive": "1h", "options": {"num_ctx": 8192, "num_predict": 7}})),
        ("/api/generate", json!({"keep_alive": "1h", "options": {"num_ctx": 8192, "num_predict": 7}})),
        ("/api/embed", json!({"keep_alive": "1h", "options": {"num_ctx": 8192}})),
        ("/api/embeddings", json!({"keep_alive": "1h", "options": {"num_ctx": 8192}})),
        ("/v1/chat/completions", json!({"max_tokens": 7})),
        ("/v1/completions", json!({"max_tokens": 7})),
        ("/v1/embeddings", json!({})),
        ("/v1/responses", json!({"max_output_tokens": 7})),
        ("/v1/messages", json!({"max_tokens": 7})),
    ] {
        assert_eq!(sent(&daemon, &node, path, &base).await, with(&more), "{path}");
    }
    // What a client sets itself is its own, up to the bound.
    let own = json!({"keep_alive": 0, "options": {"num_ctx": 1, "num_predict": 5}, "max_tokens": 5});
    assert_eq!(sent(&daemon, &node, "/api/chat", &with(&own)).await, with(&own));
    assert_eq!(sent(&daemon, &node, "/v1/messages", &with(&own)).await, with(&own));
    let much = json!({"max_tokens": 1000, "max_completion_tokens": null});
    let bound = json!({"max_tokens": 7, "max_completion_tokens": 7});
    assert_eq!(sent(&daemon, &node, "/v1/chat/completions", &with(&much)).await, with(&bound));
    // Under every name that an engine has for it.
    let much = json!({"max_tokens": 5, "n_predict": 200, "min_tokens": 90});
    let bound = json!({"max_tokens": 5, "n_predict": 7, "min_tokens": 7});
    assert_eq!(sent(&daemon, &node, "/v1/chat/completions", &with(&much)).await, with(&bound));
    // Unless it is forced; and that holds for the next request.
    policy(&control, "m*", ctx(4096, true)).await;
    policy(&control, "*", keep("-1", true)).await;
    let forced = json!({"keep_alive": -1, "options": {"num_ctx": 4096, "num_predict": 5}, "max_tokens": 5});
    assert_eq!(sent(&daemon, &node, "/api/chat", &with(&own)).await, with(&forced));
    // With the other options for which a node would load the model anew.
    let anew =
        json!({"options": {"num_gpu": 0, "num_ctx": 1, "use_mmap": false, "num_predict": 5, "num_batch": 1}});
    let kept = json!({"keep_alive": -1, "options": {"num_ctx": 4096, "num_predict": 5}});
    assert_eq!(sent(&daemon, &node, "/api/chat", &with(&anew)).await, with(&kept));
    for pattern in ["*", "m*", "m:latest"] {
        control.ask(policy::Remove { organization: None, model: pattern.to_owned() }).await.unwrap();
    }
    assert_eq!(sent(&daemon, &node, "/api/chat", &base).await, base);
    daemon.until_idle().await;
}

#[tokio::test]
async fn an_alias_is_served_by_the_first_model_that_can_be() {
    let big = FakeNode::start(Kind::Ollama, &["big:70b"]).await;
    let small = FakeNode::start(Kind::Ollama, &["small:8b"]).await;
    let daemon = Daemon::run(&[&big, &small], PATIENT).await;
    let control = daemon.control().await;
    let body = json!({"model": "GPT-4o", "messages": [{"role": "user", "content": "hi"}], "prompt": "x",
        "input": "x", "max_tokens": 9, "stream": false});
    daemon.post("/api/chat", &body).await.expect(404);
    alias(&control, None, "gpt-4o", &["big:70b", "small:8b"]).await;
    policy(&control, "small*", ctx(2048, true)).await;

    for path in
        ["/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/embed", "/api/show"]
    {
        let answer = daemon.post(path, &body).await.expect(200);
        assert_eq!(answer.field("x-aivonx-model"), Some("big:70b"), "{path}");
        let got = big.requests().pop().unwrap().json();
        assert_eq!((&got["model"], &got["options"]), (&json!("big:70b"), &Value::Null), "{path}");
    }
    // The answer to a request for the model by its own name has no field about it.
    let direct = json!({"model": "small:8b", "prompt": "x"});
    assert_eq!(daemon.post("/api/generate", &direct).await.expect(200).field("x-aivonx-model"), None);
    assert!(small.requests().len() == 1);

    // It is listed like the model it stands for.
    let tags = daemon.get("/api/tags").await.expect(200).json();
    let listed = tags["models"].as_array().unwrap();
    let of = |name: &str| listed.iter().find(|model| model["name"] == name).cloned().unwrap();
    assert_eq!((&of("gpt-4o")["digest"], listed.len()), (&of("big:70b")["digest"], 3));
    for field in ["", "anthropic-version"] {
        let ask = |path: &str| {
            let request = Request::get(path);
            if field.is_empty() { request } else { request.field(field, "2023-06-01") }
        };
        let models = daemon.ask(&ask("/v1/models")).await.expect(200).json();
        assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "gpt-4o"), "{models}");
        let model = daemon.ask(&ask("/v1/models/gpt-4o")).await.expect(200).json();
        assert_eq!(model["id"], "gpt-4o");
    }

    // The nodes of the first fail before the first byte.
    for fault in [Fault::ResetBeforeHead, Fault::Status(503, r#"{"error":"busy"}"#)] {
        big.fail_always(Some(fault.clone()));
        let answer = daemon.post("/api/chat", &body).await.expect(200);
        assert_eq!(answer.field("x-aivonx-model"), Some("small:8b"), "{fault:?}");
        let got = small.requests().pop().unwrap().json();
        assert_eq!(got["model"], "small:8b");
        assert_eq!(got["options"]["num_ctx"], 2048, "the policy of the model that is served");
    }
    big.fail_always(None);
    // There is no node for the first any more.
    control
        .ask(node::SetState { node: "n0".into(), revision: None, state: AdminState::Disabled })
        .await
        .unwrap();
    let tried = big.requests().len();
    let answer = daemon.post("/api/chat", &body).await.expect(200);
    assert_eq!((answer.field("x-aivonx-model"), big.requests().len()), (Some("small:8b"), tried));
    control
        .ask(node::SetState { node: "n1".into(), revision: None, state: AdminState::Disabled })
        .await
        .unwrap();
    daemon.post("/api/chat", &body).await.expect(503);
    control.ask(policy::RemoveAlias { organization: None, alias: "gpt-4o".into() }).await.unwrap();
    daemon.post("/api/chat", &body).await.expect(404);
}

/// The fields of the request's event in the log, once it is there.
async fn logged(daemon: &Daemon, answer: &Answer) -> HashMap<String, String> {
    let id = answer.field("x-request-id").unwrap();
    within("the request's event", async {
        loop {
            let lines = daemon.aivonx().ok(&["logs", "-n", "1000", "--grep", id, "--output", "json"]).await;
            let mut events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            if let Some(event) = events.rfind(|event| event["target"] == "access") {
                let fields: Vec<(String, String)> = serde_json::from_value(event["fields"].clone()).unwrap();
                return fields.into_iter().collect();
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_log_has_what_was_asked_for_and_what_was_served() {
    let big = FakeNode::start(Kind::Ollama, &["big:70b"]).await;
    let small = FakeNode::start(Kind::Ollama, &["small:8b"]).await;
    let daemon = Daemon::run(&[&big, &small], PATIENT).await;
    alias(&daemon.control().await, None, "gpt-4o", &["big:70b", "small:8b"]).await;
    let ask = async |model: &str| {
        let body = json!({"model": model, "prompt": "x", "stream": false});
        let answer = daemon.post("/api/generate", &body).await.expect(200);
        let fields = logged(&daemon, &answer).await;
        ["model", "served", "node", "retries"].map(|name| fields.get(name).cloned().unwrap_or_default())
    };
    assert_eq!(ask("GPT-4o").await, ["gpt-4o", "big:70b", "n0", "0"]);
    assert_eq!(ask("big:70b").await, ["big:70b", "", "n0", "0"], "only where it is another");
    big.fail_always(Some(Fault::ResetBeforeHead));
    let [model, served, node, retries] = ask("gpt-4o").await;
    assert_eq!([&*model, &*served, &*node], ["gpt-4o", "small:8b", "n1"]);
    assert_ne!(retries, "0");
}

#[tokio::test]
async fn an_alias_is_shown_like_its_model_and_neither_pulled_nor_deleted() {
    let node = FakeNode::start(Kind::Ollama, &["big:70b", "both"]).await;
    let daemon = Daemon::run(&[&node], PATIENT).await;
    let control = daemon.control().await;
    alias(&control, None, "gpt-4o", &["big:70b", "small:8b"]).await;
    let shown = daemon.post("/api/show", &json!({"model": "gpt-4o"})).await.expect(200);
    assert_eq!(shown.json(), daemon.post("/api/show", &json!({"model": "big:70b"})).await.expect(200).json());
    let asked = node.requests().len();
    for request in [
        Request::json("/api/pull", &json!({"model": "GPT-4o", "stream": false})),
        Request::json("/api/delete", &json!({"name": "gpt-4o:latest"})).method("DELETE"),
    ] {
        let told = daemon.ask(&request).await.expect(400);
        assert_eq!(
            told.json()["error"],
            "'gpt-4o' is an alias of big:70b, small:8b, not a model: name the model itself"
        );
    }
    assert_eq!(node.requests().len(), asked);
    // A model that has the name as well is meant, and so is one that the alias itself falls back on.
    alias(&control, None, "both", &["big:70b"]).await;
    alias(&control, None, "new", &["big:70b", "new"]).await;
    daemon.post("/api/pull", &json!({"model": "new", "stream": false})).await.expect(200);
    daemon.post("/api/pull", &json!({"model": "both", "stream": false})).await.expect(200);
    let delete = Request::json("/api/delete", &json!({"model": "both"})).method("DELETE");
    daemon.ask(&delete).await.expect(200);
    assert_eq!(node.requests().pop().unwrap().json()["model"], "both");
}

#[tokio::test]
async fn what_is_set_survives_a_restart_and_can_be_set_from_the_command_line() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let aivonx = daemon.aivonx();
    let set = ["--output", "json", "model", "policy", "set", "m*", "--force-num-ctx", "8192"];
    let set: Value = serde_json::from_str(&aivonx.ok(&set).await).unwrap();
    assert_eq!(set["num_ctx"], json!({"tokens": 8192, "force": true}));
    aivonx.ok(&["model", "alias", "set", "other", "m"]).await;
    assert!(aivonx.ok(&["model", "policy", "list"]).await.contains("8 192!"));
    let wrong = aivonx.run(&["model", "policy", "set", "m", "--keep-alive", "soon"]).await;
    assert_eq!(wrong.code, 1);
    daemon.stop().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    let got = sent(&daemon, &node, "/api/generate", &json!({"model": "other", "prompt": "x"})).await;
    assert_eq!(got, json!({"model": "m", "prompt": "x", "options": {"num_ctx": 8192}}));
    assert!(daemon.aivonx().ok(&["model", "alias", "list"]).await.contains("other"));
}
