//! What moves a node between active and standby.

use std::{sync::Arc, time::Duration};

use aivonx_config::Health;
use aivonx_protocol::{
    Event,
    node::{NewNode, NodeKind, Pool},
};

use super::{
    Caller, Traffic,
    service::tests::{ALL, HEALTH, Rig, new, nobody},
    testing::FakeNode,
};

#[tokio::test]
async fn a_node_that_does_not_answer_waits_in_standby_and_enters_when_it_does() {
    let rig = Rig::new().await;
    let address = nobody().await;
    let probe = rig.fleet.add(ALL, new("gpu1", &format!("http://{address}"))).await.unwrap();
    assert!(!probe.healthy && probe.finding.contains("added as standby"), "{}", probe.finding);
    assert_eq!((probe.node.pool, probe.node.kind), (Pool::Standby, NodeKind::Ollama));
    assert!(probe.node.last_error.unwrap().contains("cannot connect"));

    let node = FakeNode::at(&address).await;
    assert!(!rig.fleet.check(ALL, "gpu1").await.unwrap().healthy, "404 is not healthy");
    assert_eq!(rig.pool("gpu1"), Pool::Standby);
    node.become_ollama(&["m"]);
    assert!(rig.fleet.check(ALL, "gpu1").await.unwrap().healthy);
    assert_eq!(rig.pool("gpu1"), Pool::Active, "one good check is enough for a new node");

    let forced = NewNode { force: true, ..new("odd", &FakeNode::bare().await.url()) };
    assert_eq!(rig.fleet.add(ALL, forced).await.unwrap().node.pool, Pool::Standby);
    let given = NewNode { kind: Some(NodeKind::Openai), ..new("odd2", &FakeNode::bare().await.url()) };
    assert_eq!(rig.fleet.add(ALL, given).await.unwrap().node.kind, NodeKind::Openai);
}

#[tokio::test]
async fn nodes_are_checked_by_themselves_at_the_pace_set() {
    let rig = Rig::new().await;
    let address = nobody().await;
    rig.fleet.add(ALL, new("gpu1", &format!("http://{address}"))).await.unwrap();
    let node = FakeNode::at(&address).await;
    node.become_ollama(&["m"]);
    let mut events = rig.fleet.changes();
    rig.fleet.set_health(Health { interval: Duration::from_millis(5), ..HEALTH });
    let mut until = async |pool| {
        while !matches!(events.recv().await.unwrap().event, Event::Node(node) if node.pool == pool) {}
    };
    until(Pool::Active).await;
    node.answer("GET /api/version", 503, "");
    until(Pool::Standby).await;
    node.become_ollama(&["m"]);
    until(Pool::Active).await;
}

#[tokio::test]
async fn failures_and_successes_in_a_row_move_a_node() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("gpu1", &node).await;
    let check = async || rig.fleet.check(ALL, "gpu1").await.unwrap();
    node.answer("GET /api/tags", 500, "");
    for _ in 0..2 {
        assert!(!check().await.healthy);
        assert_eq!(rig.pool("gpu1"), Pool::Active);
    }
    node.become_ollama(&["m"]);
    check().await;
    assert_eq!(rig.fleet.show(ALL, "gpu1").unwrap().last_error, None, "a success clears it");
    node.answer("GET /api/tags", 500, "");
    for _ in 0..3 {
        check().await;
    }
    assert_eq!(rig.pool("gpu1"), Pool::Standby);
    assert!(rig.fleet.show(ALL, "gpu1").unwrap().last_error.unwrap().contains("/api/tags answered 500"));
    assert_eq!(rig.fleet.models(ALL).len(), 1, "what it had is remembered");
    node.become_ollama(&["m", "n"]);
    check().await;
    assert_eq!(rig.pool("gpu1"), Pool::Standby);
    check().await;
    assert_eq!(rig.pool("gpu1"), Pool::Active);
    assert_eq!(rig.fleet.show(ALL, "gpu1").unwrap().models, ["m", "n"]);
}

#[tokio::test]
async fn failed_requests_have_a_node_checked_and_only_checks_move_it() {
    let rig = Rig::new().await;
    rig.add("gpu1", &FakeNode::ollama(&["m"]).await).await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("gpu2", &node).await;
    let id: Arc<str> = rig.fleet.show(ALL, "gpu2").unwrap().id.into();
    let mut events = rig.fleet.changes();
    let failed = |why: &str, by: &str| {
        let by = Some(Caller::Subject(by.into()));
        rig.fleet.report(id.clone(), Traffic::Failed { why: why.into(), by });
    };
    // However many callers there are and however often they ask: the node is well when it is looked at.
    for n in 0..50 {
        failed("reset", &format!("caller {}", n % 5));
    }
    failed("marker", "caller 0");
    loop {
        let Event::Node(node) = events.recv().await.unwrap().event else { continue };
        assert_eq!(node.pool, Pool::Active);
        if node.last_error.as_deref() == Some("marker") {
            break;
        }
    }
    rig.fleet.report(id.clone(), Traffic::Served);
    // One that is gone leaves at the pace of its checks, without waiting for the next ones that are due; and comes
    // back in the same way.
    node.answer("GET /api/tags", 500, "");
    failed("reset", "caller 0");
    let mut until = async |pool| {
        loop {
            let Event::Node(node) = events.recv().await.unwrap().event else { continue };
            if node.name == "gpu2" && node.pool == pool {
                break node;
            }
        }
    };
    let gone = until(Pool::Standby).await;
    assert!(gone.last_error.is_some_and(|why| why.contains("/api/tags answered 500")));
    assert_eq!(rig.pool("gpu1"), Pool::Active);
    node.become_ollama(&["m"]);
    until(Pool::Active).await;
}

#[tokio::test]
async fn a_node_is_looked_at_for_what_it_answers_with_and_was_not_seen_to_hold() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m", "n"]).await;
    rig.add("gpu1", &node).await;
    let id: Arc<str> = rig.fleet.show(ALL, "gpu1").unwrap().id.into();
    let looks = || node.asked("GET /api/ps").len();
    let hot = rig.fleet.hot();
    let until = async |held: &[&str]| {
        let mut events = rig.fleet.changes();
        loop {
            let seen = hot.load().nodes[0].seen.clone();
            if seen.loaded.len() == held.len() && held.iter().all(|name| seen.loaded.contains(*name)) {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(20), events.recv()).await;
        }
    };
    let before = looks();
    for held in [&["m:latest"][..], &["m:latest", "n:latest"]] {
        let rows: Vec<String> = held.iter().map(|name| format!(r#"{{"name":"{name}"}}"#)).collect();
        node.answer("GET /api/ps", 200, &format!(r#"{{"models":[{}]}}"#, rows.join(",")));
        for _ in 0..5 {
            rig.fleet.report(id.clone(), Traffic::Loaded(held[held.len() - 1].into()));
        }
        until(held).await;
    }
    assert_eq!(looks(), before + 2, "what was seen is no news");
    // One that it does not list is not asked for with each request.
    for _ in 0..5 {
        rig.fleet.report(id.clone(), Traffic::Loaded("odd:latest".into()));
    }
    let mut events = rig.fleet.changes();
    while looks() == before + 2 {
        let _ = tokio::time::timeout(Duration::from_millis(20), events.recv()).await;
    }
    // What is seen from here on is seen because of what is reported.
    node.answer("GET /api/ps", 200, r#"{"models":[{"name":"n:latest"}]}"#);
    rig.fleet.report(id.clone(), Traffic::Unloads("m:latest".into()));
    until(&["n:latest"]).await;
    assert_eq!(looks(), before + 4, "one for what is not told of, one for what left");
}

#[tokio::test]
async fn the_last_node_of_a_model_stays_at_the_pace_of_its_checks() {
    let rig = Rig::new().await;
    let (other, last) = (FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m", "n"]).await);
    rig.add("gpu1", &other).await;
    rig.add("gpu2", &last).await;
    let registry = &rig.fleet.checker.registry;
    for (name, node, again) in [("gpu1", &other, true), ("gpu2", &last, false)] {
        let id = rig.fleet.show(ALL, name).unwrap().id;
        assert!(!registry.is_in_doubt(&id), "it is well");
        node.answer("GET /api/tags", 500, "");
        rig.fleet.check(ALL, name).await.unwrap();
        assert_eq!((registry.is_in_doubt(&id), rig.pool(name)), (again, Pool::Active), "{name}");
        node.become_ollama(&["m", "n"][..if again { 1 } else { 2 }]);
        rig.fleet.check(ALL, name).await.unwrap();
    }
}

#[tokio::test]
async fn an_unchanged_node_makes_no_new_snapshot() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("gpu1", &node).await;
    let before = arc_swap::Guard::into_inner(rig.fleet.hot().load());
    rig.fleet.check(ALL, "gpu1").await.unwrap();
    assert!(Arc::ptr_eq(&before, &rig.fleet.hot().load()));
    node.answer("GET /api/ps", 200, r#"{"models":[{"name":"m:latest"}]}"#);
    rig.fleet.check(ALL, "gpu1").await.unwrap();
    let after = arc_swap::Guard::into_inner(rig.fleet.hot().load());
    assert!(after.nodes[0].seen.loaded.contains("m:latest"));
    assert!(Arc::ptr_eq(&before.nodes[0].endpoint, &after.nodes[0].endpoint));
    assert!(Arc::ptr_eq(&before.nodes[0].live, &after.nodes[0].live));
}
