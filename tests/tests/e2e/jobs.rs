//! Pull as a job, and delete, over HTTP and from the command line.

use aivonx_protocol::audit::{self, Action, AuditFilter, Outcome};
use aivonx_tests::{
    fake::{End, FakeNode, Fault},
    harness::{Daemon, Request},
    within,
};
use serde_json::{Value, json};

const QUICK: &str = "[health]\ninterval = \"1s\"\n";

#[tokio::test]
async fn a_pull_over_http_shows_progress_as_ollama_does() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], QUICK).await;
    // White space around a name says nothing.
    let answer = daemon.post("/api/pull", &json!({"model": " new\n"})).await.expect(200);
    assert_eq!(answer.field("content-type"), Some("application/x-ndjson"));
    let lines = answer.lines();
    assert_eq!(lines.last().unwrap(), &json!({"status": "success"}));
    assert!(lines.iter().all(|l| l["status"].is_string() && l.get("error").is_none()), "{lines:?}");
    let mut done: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    for line in lines.iter().filter(|l| l["digest"].is_string()) {
        let (digest, completed) = (line["digest"].as_str().unwrap(), line["completed"].as_u64().unwrap_or(0));
        let before = done.insert(digest.to_owned(), completed).unwrap_or(0);
        assert!(completed >= before, "progress never goes back: {lines:?}");
        assert!(completed <= line["total"].as_u64().unwrap(), "{line}");
    }
    assert_eq!(done.values().sum::<u64>(), 3_001_200, "{lines:?}");
    for node in [&a, &b] {
        assert_eq!(node.only_request().head.target(), "/api/pull");
    }
    // It is there at once, not after the next health check.
    daemon.post("/api/show", &json!({"model": "new"})).await.expect(200);
    let whole = daemon.post("/api/pull", &json!({"name": "other", "stream": false})).await.expect(200);
    assert_eq!(whole.json(), json!({"status": "success"}));
}

#[tokio::test]
async fn pulls_and_deletes_go_through_a_chain_of_gateways_but_not_round_a_circle() {
    let node = FakeNode::ollama().await;
    let back = Daemon::run(&[&node], QUICK).await;
    let front = Daemon::run(&[], QUICK).await;
    let url = |daemon: &Daemon| format!("http://{}", daemon.address());
    front.aivonx().ok(&["node", "add", "back", &url(&back)]).await;
    let new = json!({"model": "new", "stream": false});
    let delete = |model| Request::json("/api/delete", &json!({"model": model})).method("DELETE");
    front.post("/api/pull", &new).await.expect(200);
    let asked = node.only_request();
    assert_eq!((asked.head.target(), asked.head.all("via").len()), ("/api/pull", 2));
    front.ask(&delete("new")).await.expect(200);
    assert_eq!(node.requests().len(), 2);

    // Each is a node of the other.
    back.aivonx().ok(&["node", "add", "front", &url(&front)]).await;
    let told = front.post("/api/pull", &new).await;
    assert!(told.text().contains("through this gateway already"), "{} {}", told.status, told.text());
    // What a gateway has from the other is not asked of that one.
    front.ask(&delete("m")).await.expect(200);
    // Once by each way that leads there.
    assert_eq!(node.requests().len(), 4);
}

#[tokio::test]
async fn progress_is_the_slowest_nodes_and_errors_are_told() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], QUICK).await;
    b.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/pull", &json!({"model": "new"}))).await;
    b.release(3);
    a.until("the quick node's end", |s| s.recorded.iter().any(|r| !r.is_health() && r.end.is_some())).await;
    let head = client.head().await;
    // a has all of it, b a third of the first layer: more than that must not be claimed.
    b.open_gate();
    let answer = client.rest(head).await;
    let first = answer.lines().iter().find_map(|l| l["completed"].as_u64().filter(|c| *c > 0));
    assert!(first.is_some_and(|c| c <= 3_000_000), "{}", answer.text());
    assert_eq!(answer.lines().last().unwrap()["status"], "success");
    let missing = daemon.post("/api/pull", &json!({"model": "missing"})).await;
    let text = missing.text();
    assert!(text.contains("file does not exist"), "{text}");
    assert!(missing.status != 200 || missing.lines().last().unwrap()["error"].is_string(), "{text}");
    let whole = daemon.post("/api/pull", &json!({"model": "missing", "stream": false})).await;
    assert!(whole.status >= 400 && whole.json()["error"].is_string(), "{} {}", whole.status, whole.text());
}

#[tokio::test]
async fn a_pull_that_fails_is_recorded_as_failed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    daemon.post("/api/pull", &json!({"model": "missing"})).await;
    assert_ne!(daemon.aivonx().run(&["model", "pull", "missing"]).await.code, 0);
    let control = daemon.control().await;
    let pulls = AuditFilter { actions: vec![Action::ModelPull], ..AuditFilter::default() };
    within("the entries of how they ended", async {
        loop {
            let page = control
                .ask(audit::List { filter: pulls.clone(), cursor: None, limit: 10, oldest_first: false })
                .await
                .unwrap();
            let failed: Vec<_> = page.entries.iter().filter(|one| one.outcome == Outcome::Failed).collect();
            if failed.len() < 2 {
                tokio::task::yield_now().await;
                continue;
            }
            assert_eq!((failed.len(), page.entries.len()), (2, 4), "each began well");
            assert!(failed.iter().all(|one| one.details["why"].contains("n0: ")), "{failed:?}");
            let mut ways: Vec<_> = failed.iter().filter_map(|one| one.via.as_deref()).collect();
            ways.sort_unstable();
            return assert_eq!(ways, ["POST /api/pull", "model.pull"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_pull_goes_on_without_the_client_and_ends_when_cancelled() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], QUICK).await;
    node.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/pull", &json!({"model": "one"}))).await;
    node.release(2);
    client.head().await;
    client.piece().await.unwrap().unwrap();
    client.reset();
    let jobs = daemon.aivonx().json(&["job", "list"]).await;
    assert_eq!((&jobs[0]["state"], &jobs[0]["subject"]), (&json!("running"), &json!("one")), "{jobs}");
    node.open_gate();
    node.until("the pull's end", |s| {
        s.recorded.iter().any(|r| !r.is_health() && r.end == Some(End::Complete))
    })
    .await;
    let id = jobs[0]["id"].as_str().unwrap().to_owned();
    let steps = daemon.aivonx().ok(&["job", "show", &id, "--follow", "--output", "json"]).await;
    let last: Value = serde_json::from_str(steps.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "done", "{steps}");
    // Another one, ended from the command line.
    node.gate();
    let started = daemon.aivonx().json(&["model", "pull", "two", "--node", "n0", "--detach"]).await;
    let id = started["id"].as_str().unwrap();
    node.until_requests(2).await;
    daemon.aivonx().ok(&["job", "cancel", id]).await;
    node.until_gone(1).await;
    let job = daemon.aivonx().json(&["job", "show", id]).await;
    assert_eq!(job["state"], "cancelled", "{job}");
    let gone = daemon.aivonx().run(&["job", "show", "nowhere"]).await;
    assert_eq!(gone.code, 1, "{}", gone.stderr);
}

#[tokio::test]
async fn a_model_is_deleted_from_every_node_that_has_it() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    b.with(|s| s.models.push(aivonx_tests::fake::Model::new("only-b:latest")));
    let daemon = Daemon::run(&[&a, &b], QUICK).await;
    let delete = |body: Value| Request::json("/api/delete", &body).method("DELETE");
    daemon.ask(&delete(json!({"model": "m"}))).await.expect(200);
    for node in [&a, &b] {
        let sent = node.only_request();
        assert_eq!((sent.head.method(), sent.head.target()), ("DELETE", "/api/delete"));
    }
    daemon.post("/api/chat", &json!({"model": "m", "messages": []})).await.expect(404);
    daemon.ask(&delete(json!({"name": "only-b"}))).await.expect(200);
    assert_eq!((a.requests().len(), b.requests().len()), (1, 2));
    let missing = daemon.ask(&delete(json!({"model": "only-b"}))).await.expect(404);
    assert!(missing.json()["error"].is_string());
    daemon.ask(&delete(json!({}))).await.expect(400);
    daemon.ask(&delete(json!({"model": "x", "Model": "y"}))).await.expect(400);
}

#[tokio::test]
async fn what_a_node_refuses_is_no_success_in_the_audit_log() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], QUICK).await;
    node.fail_always(Some(Fault::Status(500, r#"{"error":"the disk is gone"}"#)));
    daemon.ask(&Request::json("/api/delete", &json!({"model": "m"})).method("DELETE")).await.expect(502);
    for verb in [["remove", "m", "--yes"].as_slice(), &["load", "m"]] {
        let told = daemon.aivonx().run(&[["model"].as_slice(), verb].concat()).await;
        assert_ne!(told.code, 0, "{verb:?}: {}", told.stdout);
    }
    let control = daemon.control().await;
    let filter = AuditFilter { outcome: Some(Outcome::Failed), ..AuditFilter::default() };
    within("the entries of how they ended", async {
        loop {
            let page = control
                .ask(audit::List { filter: filter.clone(), cursor: None, limit: 10, oldest_first: false })
                .await
                .unwrap();
            let why = |via: &str| page.entries.iter().find(|one| one.via.as_deref() == Some(via));
            let entries = ["DELETE /api/delete", "model.remove", "model.load"].map(why);
            if let [Some(a), Some(b), Some(c)] = entries {
                assert!([a, b, c].iter().all(|one| one.details["why"].contains("n0: ")), "{entries:?}");
                assert!(a.details["why"].contains("the disk is gone"), "{a:?}");
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn managing_models_over_http_needs_the_files_permission() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().config("").access("").node(&node).start().await;
    for request in [
        Request::json("/api/pull", &json!({"model": "new"})),
        Request::json("/api/delete", &json!({"model": "m"})).method("DELETE"),
    ] {
        let answer = daemon.ask(&request).await.expect(403);
        assert!(answer.text().contains("allow_model_management"), "{}", answer.text());
    }
    assert!(node.requests().is_empty());
    // The control socket is another matter.
    daemon.aivonx().ok(&["model", "pull", "new"]).await;
    let removed = daemon.aivonx().json(&["model", "remove", "new", "--yes"]).await;
    assert_eq!(removed["removed"], json!(["n0"]));
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_from_the_command_line() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let daemon = Daemon::run(&[&a, &b], QUICK).await;
    let aivonx = daemon.aivonx();
    let job = aivonx.json(&["model", "load", "m", "--keep-alive", "30m"]).await;
    assert_eq!((&job["kind"], &job["state"], &job["completed"]), (&json!("load"), &json!("done"), &json!(2)));
    for node in [&a, &b] {
        assert_eq!(node.only_request().json(), json!({"model": "m", "stream": false, "keep_alive": "30m"}));
    }
    let model = aivonx.json(&["model", "show", "m"]).await;
    assert!(model["nodes"].as_array().unwrap().iter().all(|place| place["loaded"] == true), "{model}");
    let node = aivonx.json(&["node", "list"]).await[0].clone();
    assert_eq!(node["vram_bytes"], 1_234_567_890, "{node}");
    let name = node["name"].as_str().unwrap().to_owned();
    aivonx.ok(&["model", "unload", "m", "--node", &name]).await;
    let model = aivonx.json(&["model", "show", "m"]).await;
    let loaded = |place: &&Value| place["loaded"] == true;
    assert_eq!(model["nodes"].as_array().unwrap().iter().filter(loaded).count(), 1, "{model}");
    // What a node refuses is said in its words, and what is nothing at all before it is asked.
    for node in [&a, &b] {
        node.fail_always(Some(Fault::Status(500, r#"{"error":"more system memory is needed"}"#)));
    }
    for (line, said) in [
        (&["model", "load", "m"][..], "more system memory"),
        (&["model", "load", "m", "--keep-alive", "soon"], "30m"),
        (&["model", "load", "m", "--keep-alive", "0s"], "unload"),
        (&["model", "unload", "missing"], "no node has the model"),
    ] {
        let ran = aivonx.run(line).await;
        assert!(ran.code != 0 && ran.stderr.contains(said), "{line:?}: {ran:?}");
    }
}
