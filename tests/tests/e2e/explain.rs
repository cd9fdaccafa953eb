//! The scheduler's mind: where a request would go and why, what waits, what was predicted.

use aivonx_tests::{
    fake::{FakeNode, Kind, Model},
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};

/// A chat as clients write it, without blanks.
fn chat(prompt: &str) -> Request {
    let prompt = Value::from(prompt);
    Request::post(
        "/api/chat",
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":{prompt}}}]}}"#),
    )
}

#[tokio::test]
async fn the_node_that_knows_the_prompt_wins_and_the_others_say_why_not() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::ollama().await];
    nodes.iter().for_each(|node| node.with(|s| s.models[0].load()));
    let daemon = Daemon::dev(&[&nodes[0], &nodes[1], &nodes[2]]).await;
    let names: Vec<Value> = daemon.nodes().await.into_iter().map(|node| node["name"].clone()).collect();
    let out = names[2].as_str().unwrap();
    daemon.aivonx().ok(&["node", "drain", out]).await;

    let prompt = "The quick brown fox said: \"no\".\n".repeat(1000);
    daemon.ask(&chat(&prompt)).await.expect(200);
    let served =
        nodes.iter().position(|node| !node.requests().is_empty()).map(|at| names[at].clone()).unwrap();

    let file = daemon.folder().join("prompt.txt");
    std::fs::write(&file, &prompt).unwrap();
    let explain = ["explain", "m", "--prompt-file", file.to_str().unwrap()];
    let explained = daemon.aivonx().json(&explain).await;
    let first = &explained["nodes"][0];
    assert_eq!((&first["node"], &first["chosen"]), (&served, &json!(true)), "{explained}");
    assert!(first["cost"]["cached_tokens"].as_u64().unwrap() > 7000, "{explained}");
    let second = &explained["nodes"][1]["cost"];
    assert_eq!(second["cached_tokens"], 0, "{explained}");
    assert!(
        second["total_ms"].as_i64().unwrap() > first["cost"]["total_ms"].as_i64().unwrap(),
        "{explained}"
    );
    assert!(explained["why"].as_str().unwrap().contains(", above all because it "), "{explained}");
    let third = &explained["nodes"][2];
    assert_eq!((&third["reason"], &third["cost"]), (&json!("draining"), &Value::Null), "{explained}");
    let table = daemon.aivonx().ok(&explain).await;
    assert!(table.contains("draining") && table.contains("PREFILL"), "{table}");

    let unknown = daemon.aivonx().run(&["explain", "nothing-like-it"]).await;
    assert_eq!(unknown.code, 1, "{}", unknown.stdout);
    assert!(unknown.stderr.contains("not found"), "{}", unknown.stderr);

    let shown = daemon.aivonx().json(&["node", "show", first["node"].as_str().unwrap()]).await;
    assert_eq!(shown["learned"]["parallel"], Value::Null, "{shown}");
    assert!(shown["learned"]["models"].is_array(), "{shown}");
}

#[tokio::test]
async fn a_model_can_have_a_strategy_of_its_own() {
    let nodes = [
        FakeNode::start(Kind::Ollama, &["m", "embed:small"]).await,
        FakeNode::start(Kind::Ollama, &["m", "embed:small"]).await,
    ];
    nodes.iter().for_each(|node| node.with(|s| s.models.iter_mut().for_each(Model::load)));
    let folder = tempfile::tempdir().unwrap();
    let start = || Daemon::builder().folder(folder.path()).node(&nodes[0]).node(&nodes[1]).start();
    let mut daemon = start().await;
    let set = ["strategy", "set", "round_robin", "--model", "EMBED*"];
    let models = json!([{"model": "EMBED*", "strategy": "round_robin"}]);
    assert_eq!(daemon.aivonx().json(&set).await, models);
    assert_eq!(daemon.aivonx().json(&["strategy", "show"]).await, json!("cost"));
    let shown = daemon.aivonx().ok(&["strategy", "show"]).await;
    assert!(shown.contains("EMBED*  round_robin"), "{shown}");

    // The same prompt goes where it is cached, unless nodes take turns.
    let ask = async |daemon: &Daemon, model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x".repeat(40_000)}]});
        let answer = daemon.post("/api/chat", &body).await.expect(200);
        answer.field("x-aivonx-node").unwrap().to_owned()
    };
    let first = ask(&daemon, "embed:small").await;
    let second = ask(&daemon, "embed:small").await;
    assert_ne!(first, second);
    let cached = ask(&daemon, "m").await;
    assert_eq!(ask(&daemon, "m").await, cached);
    let explained = daemon.aivonx().json(&["explain", "embed:small"]).await;
    assert_eq!(explained["strategy"], "round_robin", "{explained}");
    assert_eq!(daemon.aivonx().json(&["explain", "m"]).await["strategy"], "cost");

    // It outlives the daemon, and can be given up.
    daemon.stop().await;
    let daemon = start().await;
    assert_eq!(daemon.aivonx().json(&["strategy", "models"]).await, models);
    let reset = ["strategy", "set", "--default", "--model", "embed*"];
    assert_eq!(daemon.aivonx().json(&reset).await, json!([]));
    assert_eq!(daemon.aivonx().json(&["explain", "embed:small"]).await["strategy"], "cost");
    let again = daemon.aivonx().run(&reset).await;
    assert!(again.code != 0 && again.stderr.contains("has no strategy of its own"), "{}", again.stderr);
}

#[tokio::test]
async fn what_waits_is_listed_and_counted_and_its_answer_was_predicted() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.models[0].load());
    let daemon = Daemon::dev(&[]).await;
    daemon.aivonx().ok(&["node", "add", "gpu1", &node.url(), "--max-parallel", "1"]).await;
    daemon.until_active(1).await;
    node.gate();
    let (mut at_work, mut waits) = (daemon.client().await, daemon.client().await);
    at_work.send(&chat("first")).await;
    node.until_requests(1).await;
    waits.send(&chat("second")).await;
    let listed = loop {
        let list = daemon.aivonx().json(&["running", "list"]).await;
        let waiting = |one: &&Value| !one["position"].is_null();
        if let Some(one) = list.as_array().unwrap().iter().find(waiting) {
            break one.clone();
        }
    };
    assert_eq!(
        (&listed["position"], &listed["phase"], &listed["node"]),
        (&json!(1), &json!("waiting"), &Value::Null)
    );
    assert!(listed["expected_ms"].is_u64(), "{listed}");
    let table = daemon.aivonx().ok(&["running", "list"]).await;
    assert!(table.contains("WAITS FOR A PLACE"), "{table}");
    assert_eq!(daemon.aivonx().json(&["pulse"]).await["waiting"], 1);
    let shown = daemon.aivonx().json(&["node", "show", "gpu1"]).await;
    assert_eq!(
        (&shown["learned"]["parallel"], &shown["learned"]["parallel_stated"]),
        (&json!(1), &json!(true))
    );
    let metrics = daemon.get("/metrics").await.text();
    assert!(metrics.contains("\naivonx_queue_waiting 1\n"), "{metrics}");

    node.open_gate();
    at_work.answer().await.expect(200);
    waits.answer().await.expect(200);
    daemon.stderr().until(r"predicted_ms=\d+ first_byte_ms=\d+").await;
    within("the errors of both predictions", async {
        let counted = "aivonx_prediction_error_seconds_count{route=\"/api/chat\"} 2\n";
        while !daemon.get("/metrics").await.text().contains(counted) {}
    })
    .await;
    assert!(daemon.get("/metrics").await.text().contains("\naivonx_queue_waiting 0\n"));
}
