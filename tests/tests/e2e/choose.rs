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
