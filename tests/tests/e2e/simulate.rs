//! `aivonxd dev --simulate`: nodes of the daemon's own, through the gateway like any other.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request},
};
use serde_json::{Value, json};

fn names(nodes: &[Value]) -> Vec<(&str, bool)> {
    nodes.iter().map(|n| (n["name"].as_str().unwrap(), n["simulated"].as_bool().unwrap())).collect()
}

#[tokio::test]
async fn every_dialect_is_served_by_nodes_that_answer_nobody_else() {
    let daemon = Daemon::builder().arg("--simulate").arg("3").start_any().await;
    daemon.until_active(3).await;
    let nodes = daemon.nodes().await;
    assert_eq!(names(&nodes), [("sim1", true), ("sim2", true), ("sim3", true)]);
    assert!(daemon.stdout().text().contains("simulated"), "{}", daemon.stdout().text());

    let tags = daemon.get("/api/tags").await.expect(200).json();
    assert!(tags["models"].as_array().unwrap().len() > 6, "{tags}");
    let chat = json!({"model": "llama3.2:3b", "messages": [{"role": "user", "content": "hello there"}],
                      "options": {"num_predict": 4}});
    let lines = daemon.post("/api/chat", &chat).await.expect(200).lines();
    let last = lines.last().unwrap();
    assert_eq!((lines.len(), &last["done"], &last["eval_count"]), (5, &json!(true), &json!(4)));
    let openai = json!({"model": "llama3.2:3b", "messages": [{"role": "user", "content": "hello there"}],
                        "max_tokens": 4, "stream": true});
    let answer = daemon.post("/v1/chat/completions", &openai).await.expect(200);
    let events = answer.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(!answer.text().contains("usage"), "counted for the gateway, not for the client");
    let messages = daemon.post("/v1/messages", &openai).await.expect(200).events();
    assert!(messages.last().is_some_and(|event| event.contains("message_stop")), "{messages:?}");
    let embed = json!({"model": "nomic-embed-text", "input": ["a", "b"]});
    let embedded = daemon.post("/api/embed", &embed).await.expect(200).json();
    assert_eq!(embedded["embeddings"].as_array().map(Vec::len), Some(2));
    assert_eq!(daemon.get("/v1/models/qwen3:8b").await.expect(200).json()["id"], "qwen3:8b");

    // Pulled as everything else is: through the gateway, as a job.
    daemon.aivonx().ok(&["model", "pull", "all-minilm", "--node", "sim2"]).await;
    let shown = daemon.aivonx().json(&["node", "show", "sim2"]).await;
    let models = shown["models"].as_array().unwrap();
    assert!(models.contains(&json!("all-minilm:latest")), "{models:?}");

    // Whoever finds the port is refused.
    let address = nodes[0]["url"].as_str().and_then(|url| url.strip_prefix("http://")).unwrap();
    let mut stranger = Client::connect(address.parse().unwrap()).await;
    for path in ["/", "/api/tags", "/v1/models"] {
        stranger.ask(&Request::get(path)).await.expect(401);
    }
    // A node of the daemon's own cannot be pointed elsewhere, and is managed like others.
    let moved = daemon.aivonx().run(&["node", "set", "sim1", "--url", "http://127.0.0.1:9"]).await;
    assert!(moved.code == 1 && moved.stderr.contains("simulated"), "{moved:?}");
    daemon.aivonx().ok(&["node", "drain", "sim1"]).await;
    daemon.aivonx().ok(&["node", "remove", "sim3", "--yes"]).await;
    assert_eq!(names(&daemon.nodes().await), [("sim1", true), ("sim2", true)]);
}

#[tokio::test]
async fn simulated_nodes_stand_beside_real_ones_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let real = FakeNode::ollama().await;
    let mut daemon =
        Daemon::builder().folder(folder.path()).node(&real).arg("--simulate").arg("2").start_any().await;
    daemon.until_active(3).await;
    let both = daemon.nodes().await;
    assert_eq!(names(&both), [("node1", false), ("sim1", true), ("sim2", true)]);
    assert!(daemon.stop().await.success());

    // Even a daemon that could not clean up leaves none that the next would take for real.
    let mut daemon = Daemon::builder().folder(folder.path()).arg("--simulate").arg("1").start_any().await;
    daemon.until_active(2).await;
    assert_eq!(names(&daemon.nodes().await), [("node1", false), ("sim1", true)]);
    daemon.kill().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    assert_eq!(names(&daemon.nodes().await), [("node1", false)]);
    let kept = daemon.nodes().await;
    assert_eq!(kept[0]["url"], both[0]["url"]);
}
