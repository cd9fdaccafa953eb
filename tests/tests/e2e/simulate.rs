//! `aivonxd dev --simulate`: nodes of a process of the daemon's own, through the gateway like any other.

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

    // Other clients that find the port are refused.
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
    let nodes = daemon.nodes().await;
    assert_eq!(names(&nodes), [("node1", false), ("sim1", true)]);
    daemon.kill().await;
    let address = nodes[1]["url"].as_str().and_then(|url| url.strip_prefix("http://")).unwrap().to_owned();
    until("the end of the simulated nodes", async || tokio::net::TcpStream::connect(&address).await.is_err())
        .await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    assert_eq!(names(&daemon.nodes().await), [("node1", false)]);
    let kept = daemon.nodes().await;
    assert_eq!(kept[0]["url"], both[0]["url"]);
}

#[tokio::test]
async fn traffic_gives_every_screen_something_to_show() {
    let daemon = Daemon::builder().arg("--simulate").arg("3").arg("--traffic").arg("busy").start_any().await;
    let aivonx = daemon.aivonx();
    let organizations = ["acme", "research", "retail"];
    until("organizations, users and keys", async || {
        let keys = aivonx.json(&["key", "list"]).await;
        keys.as_array().map(Vec::len) == Some(8)
    })
    .await;
    let listed = aivonx.json(&["org", "list"]).await;
    for (organization, slug) in listed.as_array().unwrap().iter().zip(organizations) {
        assert_eq!(organization["slug"], slug);
        assert!(organization["name"].as_str().is_some_and(|name| name.ends_with("(simulated)")));
    }
    until("running requests of organizations", async || {
        let running = aivonx.json(&["running", "list"]).await;
        running.as_array().unwrap().iter().any(|request| !request["organization"].is_null())
    })
    .await;
    until("somebody locked out", async || {
        aivonx.json(&["lockout", "list"]).await.as_array().is_some_and(|all| !all.is_empty())
    })
    .await;
    until("a model being pulled", async || {
        aivonx.json(&["job", "list"]).await.as_array().is_some_and(|all| !all.is_empty())
    })
    .await;
    let limits = aivonx.json(&["limit", "show", "--org", "acme"]).await.to_string();
    assert!(limits.contains("1500"), "{limits}");
}

#[tokio::test]
async fn traffic_stays_out_of_directories_with_people_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).arg("--simulate").arg("1").start_any().await;
    daemon.aivonx().ok(&["org", "add", "own"]).await;
    assert!(daemon.stop().await.success());
    let data = daemon.data().to_owned();
    let output = tokio::process::Command::new(aivonx_tests::harness::binary("aivonxd"))
        .args(["dev", "--listen", "127.0.0.1:0", "--simulate", "1", "--traffic", "light", "--dir"])
        .arg(data)
        .output();
    let output = aivonx_tests::within("the refusal", output).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("there are others already"), "{said}");
}

#[tokio::test]
async fn without_the_program_that_simulates_it_says_where_it_looked() {
    let daemon = aivonx_tests::harness::binary("aivonxd");
    // Under another path, on the same file system.
    let folder = tempfile::tempdir_in(daemon.parent().unwrap()).unwrap();
    let alone = folder.path().join("aivonxd");
    std::fs::hard_link(&daemon, &alone).unwrap();
    let output = tokio::process::Command::new(&alone)
        .args(["dev", "--listen", "127.0.0.1:0", "--simulate", "1", "--dir"])
        .arg(folder.path().join("data"))
        .env("PATH", "/nonexistent")
        .output();
    let output = aivonx_tests::within("the failure", output).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot simulate nodes: aivonx-sim is neither in"), "{said}");
    assert!(said.contains(folder.path().to_str().unwrap()) && said.contains("cargo build"), "{said}");
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    aivonx_tests::within(what, async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}
