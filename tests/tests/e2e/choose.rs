//! `X-Aivonx-Node`: clients that say which node is to serve a request.

use aivonx_protocol::{
    key::{self, KeyScope},
    organization::{self, NodeAccess, OrganizationChange},
};
use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Answer, Daemon, Request, new_key},
};
use serde_json::json;

/// A key of acme's with these scopes.
async fn key_with(daemon: &Daemon, name: &str, scopes: &[KeyScope]) -> String {
    let new = new_key(name, Some("acme"), scopes);
    let made = daemon.control().await.ask(key::Create(Box::new(new))).await.unwrap();
    made.secret.expose().to_owned()
}

async fn chat(daemon: &Daemon, key: &str, model: &str, node: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}], "stream": false});
    let request = Request::json("/api/chat", &body).field("x-api-key", key).field("x-aivonx-node", node);
    daemon.ask(&request).await
}

#[tokio::test]
async fn a_key_that_may_choose_gets_the_node_it_names() {
    let nodes =
        [FakeNode::ollama().await, FakeNode::ollama().await, FakeNode::start(Kind::Ollama, &["o"]).await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1], &nodes[2]], "").await;
    let plain = daemon.tenant("acme").await;
    let key = key_with(&daemon, "picky", &[KeyScope::Infer, KeyScope::NodesChoose]).await;
    for name in ["n1", "n0", "n1"] {
        let answer = chat(&daemon, &key, "m", name).await.expect(200);
        assert_eq!(answer.field("x-aivonx-node"), Some(name));
    }
    // What the node does not have is not looked for elsewhere.
    let missing = chat(&daemon, &key, "m", "n2").await.expect(404).json();
    let said = missing["error"].as_str().unwrap();
    assert!(said.contains("not found") && said.contains("X-Aivonx-Node names the only node"), "{missing}");
    let unknown = chat(&daemon, &key, "m", "gpu9").await.expect(404).json();
    let said = unknown["error"].as_str().unwrap();
    assert!(said.contains("no node 'gpu9'") && said.ends_with("name one of n0, n1, n2"), "{unknown}");
    let refused = chat(&daemon, &plain, "m", "n0").await.expect(403).json();
    assert!(refused["error"].as_str().unwrap().contains("nodes:choose"), "{refused}");
    // An alias is for the same node, and neither is a node that is out of service asked, nor another in its place.
    daemon.aivonx().ok(&["model", "alias", "set", "fast", "o", "m"]).await;
    assert_eq!(chat(&daemon, &key, "fast", "n0").await.expect(200).field("x-aivonx-model"), Some("m"));
    daemon.aivonx().ok(&["node", "disable", "n0"]).await;
    chat(&daemon, &key, "m", "n0").await.expect(503);
    daemon.until_idle().await;
}

#[tokio::test]
async fn models_are_managed_and_listed_on_the_chosen_node_alone() {
    let nodes = [
        FakeNode::start(Kind::Ollama, &["m:latest", "a:latest"]).await,
        FakeNode::start(Kind::Ollama, &["m:latest", "b:latest"]).await,
    ];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], "").await;
    let make = async |name: &str, scopes: &[KeyScope]| {
        let made = daemon.control().await.ask(key::Create(Box::new(new_key(name, None, scopes)))).await;
        made.unwrap().secret.expose().to_owned()
    };
    let manages = [KeyScope::Infer, KeyScope::ModelsRead, KeyScope::ModelsWrite];
    let plain = make("plain", &manages).await;
    let key = make("picky", &[&manages[..], &[KeyScope::NodesChoose]].concat()).await;
    let ask = async |key: &str, method: &str, path: &str, body: Option<serde_json::Value>, node: &str| {
        let request = match body {
            Some(body) => Request::json(path, &body).method(method),
            None => Request::new(method, path),
        };
        daemon.ask(&request.field("x-api-key", key).field("x-aivonx-node", node)).await
    };
    let listed = async |path: &str, node: &str| ask(&key, "GET", path, None, node).await.expect(200).text();
    for (node, has, lacks) in [("n0", "a:latest", "b:latest"), ("n1", "b:latest", "a:latest")] {
        for path in ["/api/tags", "/v1/models"] {
            let list = listed(path, node).await;
            let (has, lacks) = (has.trim_end_matches(":latest"), lacks.trim_end_matches(":latest"));
            assert!(list.contains(&format!("\"{has}")) && !list.contains(&format!("\"{lacks}")), "{list}");
        }
    }
    nodes[0].with(|s| s.models[0].load());
    daemon.aivonx().ok(&["node", "check", "n0"]).await;
    assert!(listed("/api/ps", "n0").await.contains("m:latest"));
    assert!(!listed("/api/ps", "n1").await.contains("m:latest"));
    ask(&key, "POST", "/api/show", Some(json!({"model": "b"})), "n0").await.expect(404);

    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (method, path, body) in [
        ("DELETE", "/api/delete", json!({"model": "m"})),
        ("POST", "/api/pull", json!({"model": "new", "stream": false})),
        ("POST", "/api/copy", json!({"source": "b", "destination": "c"})),
        ("POST", "/api/create", json!({"model": "d", "from": "b", "stream": false})),
        ("POST", "/api/push", json!({"model": "b", "stream": false})),
        ("HEAD", &format!("/api/blobs/{digest}"), json!(null)),
    ] {
        let body = Some(body).filter(|body| !body.is_null());
        let before = nodes[0].requests().len();
        ask(&plain, method, path, body.clone(), "n1").await.expect(403);
        let asked = nodes[1].requests().len();
        let answer = ask(&key, method, path, body, "n1").await;
        assert!(answer.status == 200 || method == "HEAD", "{method} {path}: {}", answer.text());
        assert_eq!(nodes[0].requests().len(), before, "{method} {path}");
        assert!(nodes[1].requests().len() > asked, "{method} {path}");
    }
    let has = |node: &FakeNode, name: &str| node.with(|s| s.models.iter().any(|model| model.name == name));
    assert!(has(&nodes[0], "m:latest") && !has(&nodes[1], "m:latest"));
    // Where a node is chosen, it is one.
    let twice = Request::get("/api/tags").field("x-api-key", &key).field("x-aivonx-node", "n0");
    daemon.ask(&twice.field("x-aivonx-node", "n1")).await.expect(400);
    ask(&plain, "GET", "/api/tags", None, "n0").await.expect(403);
}

#[tokio::test]
async fn only_nodes_that_the_organization_may_use_can_be_chosen() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::run(&[&nodes[0], &nodes[1]], "").await;
    daemon.tenant("acme").await;
    daemon.tenant("globex").await;
    let key = key_with(&daemon, "picky", &[KeyScope::Infer, KeyScope::NodesChoose]).await;
    let control = daemon.control().await;
    let exclusive =
        OrganizationChange { nodes: Some(NodeAccess::Exclusive), ..OrganizationChange::default() };
    let set =
        organization::Set { organization: "globex".into(), revision: None, change: Box::new(exclusive) };
    control.ask(set).await.unwrap();
    daemon.aivonx().ok(&["node", "set", "n1", "--org", "globex"]).await;
    let (foreign, unknown) = (chat(&daemon, &key, "m", "n1").await, chat(&daemon, &key, "m", "n9").await);
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.text().replace("n1", "n9"), unknown.text(), "a foreign node is as good as none");
    chat(&daemon, &key, "m", "n0").await.expect(200);
    assert!(nodes[1].requests().is_empty());
}
