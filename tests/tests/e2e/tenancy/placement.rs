//! Where an organization's operators may have the gateway look for nodes.

use aivonx_protocol::{
    Client as Control, Event,
    client::ClientError,
    node::{self, Pool},
    organization,
};
use aivonx_tests::{
    fake::{FakeNode, Kind},
    within,
};

use super::world::{World, new_node};

/// What adding a node at `url` is refused with, without the URL.
async fn refused(operator: &Control, url: &str) -> String {
    match operator.ask(node::Add(Box::new(new_node("mine", url, None)))).await {
        Err(ClientError::Fault(fault)) => fault.to_string().replace(url, "URL"),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn operators_bring_in_nodes_where_a_superadmin_lets_them_and_nobody_else_has_one() {
    let world = World::new().await;
    let operator = world.log_in("acme-operator").await;
    let own = FakeNode::start(Kind::Ollama, &["mine:latest"]).await;
    let spelled = |url: String, host: &str| url.replace("127.0.0.1", host);
    let said = refused(&operator, &own.url()).await;
    assert!(said.contains("not where your organization may have nodes"), "{said}");
    let taken = [
        world.osprey.url(),
        spelled(world.osprey.url(), "localhost"),
        spelled(world.commons.url(), "[::ffff:127.0.0.1]"),
        spelled(world.commons.url(), "0.0.0.0"),
    ];
    for url in taken.iter().map(String::as_str).chain(["http://127.0.0.1:1", "http://nowhere.invalid"]) {
        assert_eq!(refused(&operator, url).await, said, "{url}");
    }
    assert!(own.everything().is_empty(), "nothing was connected to");
    // It is not for operators to say where they may.
    assert!(
        operator
            .ask(organization::SetNetworks {
                organization: "acme".into(),
                networks: vec!["0.0.0.0/0".into()]
            })
            .await
            .is_err()
    );

    world
        .root
        .ask(organization::SetNetworks { organization: "acme".into(), networks: vec!["127.0.0.0/8".into()] })
        .await
        .unwrap();
    let known = operator.ask(organization::Networks { organization: None }).await.unwrap();
    assert_eq!(known.len(), 1, "only of its own");
    assert_eq!(known[0].networks, ["127.0.0.0/8"]);
    assert!(operator.ask(node::Add(Box::new(new_node("mine", &own.url(), None)))).await.unwrap().healthy);
    for url in &taken {
        assert_eq!(refused(&operator, url).await, said, "{url}");
    }
    let me = world.daemon.url();
    assert!(refused(&operator, &me).await.contains("is this gateway itself"));
    assert!(world.root.ask(node::Add(Box::new(new_node("me", &me, None)))).await.is_err());

    // Withdrawn, it holds at once, and for what is there already.
    let mut nodes = operator.follow(node::Watch).await.unwrap();
    world
        .root
        .ask(organization::SetNetworks { organization: "acme".into(), networks: Vec::new() })
        .await
        .unwrap();
    loop {
        match within("the node to leave", nodes.next()).await.unwrap().unwrap() {
            Event::Node(node) if node.name == "acme.mine" && node.pool == Pool::Standby => break,
            _ => {}
        }
    }
    assert!(!operator.ask(node::Check { node: "mine".into() }).await.unwrap().healthy);
    assert!(
        operator.ask(node::Check { node: "anvil".into() }).await.unwrap().healthy,
        "a superadmin placed that one"
    );
}
