//! What the gateway answers for the whole fleet, and its diagnostics.

use aivonx_tests::{
    fake::{FakeNode, Fault, Kind, OnHealth},
    harness::{Daemon, Request},
};
use serde_json::{Value, json};

const QUICK: &str = "[health]\ninterval = \"1s\"\ntimeout = \"1s\"\nfailures = 1\nsuccesses = 1\n";

fn names(list: &Value, key: &str, name: &str) -> Vec<String> {
    let mut names: Vec<String> =
        list[key].as_array().unwrap().iter().map(|m| m[name].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn tags_models_ps_and_version_speak_for_all_nodes() {
    let a = FakeNode::start(Kind::Ollama, &["both:latest", "only-a:7b"]).await;
    let b = FakeNode::start(Kind::Ollama, &["both:latest", "only-b:7b"]).await;
    let c = FakeNode::start(Kind::Openai, &["Exact-Name"]).await;
    a.with(|s| {
        s.version = "0.12.9".to_owned();
        s.models[0].modified_at = "2025-01-01T00:00:00Z".parse().unwrap();
        s.models[1].load();
    });
    b.with(|s| {
        s.models[0].modified_at = "2026-01-01T00:00:00Z".parse().unwrap();
        s.models[0].load();
    });
    let daemon = Daemon::run(&[&a, &b, &c], QUICK).await;
    let tags = daemon.get("/api/tags").await.expect(200);
    assert_eq!(tags.field("content-type"), Some("application/json; charset=utf-8"));
    let tags = tags.json();
    for name in ["both:latest", "only-a:7b", "only-b:7b"] {
        assert!(names(&tags, "models", "name").contains(&name.to_owned()), "{name}: {tags}");
    }
    let both: Vec<&Value> =
        tags["models"].as_array().unwrap().iter().filter(|m| m["name"] == "both:latest").collect();
    assert_eq!(both.len(), 1, "once per name: {tags}");
    assert!(both[0]["modified_at"].as_str().unwrap().starts_with("2026-01-01"), "the newest counts: {tags}");
    for key in ["model", "size", "digest", "details"] {
        assert!(both[0].get(key).is_some(), "{key}: {tags}");
    }
    let models = daemon.get("/v1/models").await.expect(200).json();
    assert_eq!(models["object"], "list");
    let ids = names(&models, "data", "id");
    assert_eq!(ids, ["Exact-Name", "both:latest", "only-a:7b", "only-b:7b"]);
    let one = daemon.get("/v1/models/both:latest").await.expect(200).json();
    assert_eq!((&one["id"], &one["object"]), (&json!("both:latest"), &json!("model")));
    daemon.get("/v1/models/Exact-Name").await.expect(200);
    let missing = daemon.get("/v1/models/exact-name").await.expect(404).json();
    assert!(missing["error"]["message"].is_string(), "names of openai nodes are compared exactly");
    let anthropic = Request::get("/v1/models").field("anthropic-version", "2023-06-01");
    let list = daemon.ask(&anthropic).await.expect(200).json();
    assert!(
        list["data"].as_array().unwrap().iter().all(|m| m["type"] == "model" && m["id"].is_string()),
        "{list}"
    );
    let ps = daemon.get("/api/ps").await.expect(200).json();
    assert_eq!(names(&ps, "models", "name"), ["both:latest", "only-a:7b"]);
    for row in ps["models"].as_array().unwrap() {
        let node = if row["name"] == "both:latest" { "n1" } else { "n0" };
        assert_eq!(row["node"], node, "{ps}");
        for key in ["model", "size", "digest", "details", "expires_at", "size_vram", "context_length"] {
            assert!(row.get(key).is_some(), "{key}: {row}");
        }
    }
    assert_eq!(daemon.get("/api/version").await.expect(200).json()["version"], "0.12.9");
    // None of this is asked of the nodes while clients wait.
    let before = a.everything().len();
    for _ in 0..50 {
        daemon.get("/api/tags").await.expect(200);
    }
    assert!(a.everything().len() < before + 30);
    // A node that leaves takes its models with it.
    b.refuse().await;
    daemon.until_active(2).await;
    let tags = daemon.get("/api/tags").await.json();
    assert!(!names(&tags, "models", "name").contains(&"only-b:7b".to_owned()), "{tags}");
}

#[tokio::test]
async fn what_a_client_asks_first_is_answered_whatever_the_fleet_does() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], QUICK).await;
    for active in [true, false] {
        for path in ["/", "/api/version"] {
            for method in ["GET", "HEAD"] {
                let answer = daemon.ask(&Request::new(method, path)).await.expect(200);
                assert_eq!(answer.body.is_empty(), method == "HEAD", "{method} {path}");
            }
        }
        assert_eq!(daemon.get("/").await.text(), "Ollama is running");
        for path in ["/health", "/api/health"] {
            daemon.get(path).await.expect(200);
        }
        let ready = daemon.get("/ready").await;
        let proxy = daemon.get("/api/proxy").await;
        if active {
            assert_eq!((ready.status, proxy.status), (200, 200));
            assert!(proxy.text().contains("Ollama is running"));
            node.on_health(OnHealth::Fail(Fault::Status(500, "{}")));
            daemon.until_active(0).await;
        } else {
            assert_eq!(ready.status, 503);
            assert!(!proxy.text().contains("Ollama is running"), "{}", proxy.text());
        }
    }
}

#[tokio::test]
async fn the_older_systems_diagnostics_keep_their_shapes() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], QUICK).await;
    b.refuse().await;
    daemon.until_active(1).await;
    a.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/proxy/generate", &json!({"model": "m", "prompt": "x"}))).await;
    a.until_requests(1).await;
    assert_eq!(a.only_request().head.target(), "/api/generate");
    let nodes = daemon.nodes().await;
    let ids: Vec<&str> = nodes.iter().map(|n| n["id"].as_str().unwrap()).collect();
    let state = daemon.get("/api/proxy/state").await.expect(200).json();
    assert_eq!((&state["active"], &state["standby"]), (&json!([a.url()]), &json!([b.url()])), "{state}");
    assert_eq!(state["node_id_map"][ids[0]], a.url(), "{state}");
    assert_eq!(state["node_id_map"][ids[1]], b.url(), "{state}");
    assert!(state["latencies"][a.url()].as_f64().is_some_and(|s| s > 0.0 && s < 10.0), "{state}");
    assert_eq!(state["active_counts"][a.url()], 1, "{state}");
    assert_eq!(state["models"][a.url()], json!(["m:latest"]), "{state}");
    let active = daemon.get("/api/proxy/active-requests").await.expect(200).json();
    assert_eq!(active["total_active_requests"], 1, "{active}");
    let row = active["nodes"].as_array().unwrap().iter().find(|n| n["id"] == ids[0]).unwrap();
    assert_eq!(
        (&row["name"], &row["address"], &row["active_requests"]),
        (&json!("n0"), &json!(a.url()), &json!(1))
    );
    assert!(row.get("status").is_some() && row.get("latency").is_some() && row["models"].is_array(), "{row}");
    let one = daemon.get(&format!("/api/proxy/active-requests?node_id={}", ids[1])).await.expect(200).json();
    assert_eq!(one["nodes"].as_array().map(Vec::len), Some(1), "{one}");
    assert_eq!(one["nodes"][0]["id"], ids[1], "{one}");
}

#[tokio::test]
async fn metrics_have_catalogue_models_only_and_diagnostics_need_their_listener() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], QUICK).await;
    daemon.post("/api/generate", &json!({"model": "M", "prompt": "x"})).await.expect(200);
    daemon.post("/api/generate", &json!({"model": "made-up-by-a-client", "prompt": "x"})).await.expect(404);
    daemon.get("/made/up/path").await.expect(404);
    let text = loop {
        let text = daemon.get("/metrics").await.expect(200).text();
        if text.contains("m:latest") && text.contains("route=\"unknown\"") {
            break text;
        }
    };
    for part in ["m:latest", "n0", "aivonx_build_info", "# EOF"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("made-up") && !text.contains("/made/up"), "{text}");
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    let closed = Daemon::builder().config("").plain_listener().node(&node).start().await;
    for path in ["/metrics", "/api/proxy/state", "/api/proxy/active-requests"] {
        let answer = closed.get(path).await;
        assert!(matches!(answer.status, 403 | 404), "{path}: {}", answer.status);
    }
    closed.get("/api/proxy").await.expect(200);
}

#[tokio::test]
async fn without_an_ollama_the_node_waits_in_standby() {
    let node = FakeNode::ollama().await;
    node.refuse().await;
    let daemon = Daemon::builder().env("OLLAMA_HOST", &node.address().to_string()).start_any().await;
    let greeting = daemon.stdout().until("(?s)(standby.*)").await;
    assert!(!greeting.is_empty());
    let nodes = daemon.nodes().await;
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_eq!((&nodes[0]["url"], &nodes[0]["pool"]), (&json!(node.url()), &json!("standby")));
    assert!(nodes[0]["last_error"].as_str().is_some_and(|e| !e.is_empty()), "with the reason: {nodes:?}");
    let answer = daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await;
    assert!(matches!(answer.status, 404 | 503), "{}", answer.text());
    node.accept().await;
    daemon.until_active(1).await;
    daemon.post("/api/generate", &json!({"model": "m", "prompt": "x"})).await.expect(200);
}

#[tokio::test]
async fn a_node_under_a_path_prefix_is_reached_there() {
    let node = FakeNode::ollama().await;
    node.with(|s| s.prefix = "/fake-prefix".to_owned());
    let daemon = Daemon::builder().node_url(&format!("{}/fake-prefix/", node.url())).start().await;
    daemon
        .post("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
        .await
        .expect(200);
    assert_eq!(node.only_request().head.target(), "/fake-prefix/api/chat");
}
