//! Streams deliver the events of one's own organization alone, both past and live.

use aivonx_protocol::{
    Event,
    audit::{self, AuditFilter},
    client::EventStream,
    daemon,
    log::{self, Level, LogFilter},
    node::{self, AdminState, NodeChange},
    running,
};
use aivonx_tests::{harness::Request, within};
use serde_json::json;

use super::world::World;

/// The events of `stream` up to and with the one that contains `marker`.
async fn until(stream: &mut EventStream, marker: &str) -> String {
    let mut told = String::new();
    loop {
        let event = within(marker, stream.next()).await.expect("it goes on").expect("no fault");
        let text = format!("{event:?}");
        told.push_str(&text);
        if text.contains(marker) {
            return told;
        }
    }
}

#[tokio::test]
async fn nobody_follows_anothers_nodes_log_or_audit() {
    let world = World::new().await;
    let (operator, auditor) = (world.log_in("acme-operator").await, world.log_in("acme-auditor").await);
    let all = LogFilter { level: Some(Level::Trace), ..LogFilter::default() };
    let mut nodes = operator.follow(node::Watch).await.unwrap();
    let mut log = auditor.follow(log::Follow { filter: all, lines: 10_000 }).await.unwrap();
    let mut audit =
        auditor.follow(audit::Follow { filter: AuditFilter::default(), lines: 1000 }).await.unwrap();
    assert!(until(&mut nodes, "anvil").await.contains("acme-model"));

    // Things happen elsewhere, then at home.
    let theirs = world.log_in("other-operator").await;
    theirs
        .ask(node::SetState { node: "osprey".into(), revision: None, state: AdminState::Draining })
        .await
        .unwrap();
    world
        .root
        .ask(node::SetState { node: "commons".into(), revision: None, state: AdminState::Draining })
        .await
        .unwrap();
    let show = |model: &str| Request::json("/api/show", &json!({"model": model}));
    world.ask("other", "work", show("other-model")).await;
    world.ask("acme", "work", show("acme-model:latest")).await.expect(200);
    let change = NodeChange { max_parallel: Some(77), ..NodeChange::default() };
    operator.ask(node::Set { node: "anvil".into(), revision: None, change: Box::new(change) }).await.unwrap();

    let told = [
        until(&mut nodes, "max_parallel: 77").await,
        until(&mut log, "node_changed").await,
        until(&mut audit, "node.set\"").await,
    ];
    for told in &told {
        for foreign in world.foreign_words() {
            assert!(!told.contains(&foreign), "{foreign} in {told}");
        }
    }
    assert!(told[1].contains("acme-model"), "its own requests are there: {}", told[1]);

    // A node assigned elsewhere is gone, and says no more.
    let id = operator.ask(node::Show { node: "anvil".into() }).await.unwrap().id;
    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    world
        .root
        .ask(node::Set { node: "anvil".into(), revision: None, change: Box::new(to_other) })
        .await
        .unwrap();
    loop {
        match within("the removal", nodes.next()).await.unwrap().unwrap() {
            Event::NodeRemoved(gone) => {
                assert_eq!(gone, id);
                break;
            }
            Event::Node(node) => assert_eq!(node.organization.as_deref(), Some("acme")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_sees_or_ends_what_runs_for_another() {
    let world = World::new().await;
    world.osprey.gate();
    world.anvil.gate();
    let body = json!({"model": "everywhere", "messages": [{"role": "user", "content": "hi"}]});
    let mut clients = Vec::new();
    for organization in ["acme", "other"] {
        let mut client = world.daemon.client().await;
        let secret = &world.secrets[&(organization, "work")];
        let request = Request::json("/api/chat", &body).field("authorization", &format!("Bearer {secret}"));
        client.send(&request).await;
        clients.push(client);
    }
    world.osprey.until("their request", |s| s.recorded.iter().any(|r| r.head.target() == "/api/chat")).await;
    world.anvil.until("its request", |s| s.recorded.iter().any(|r| r.head.target() == "/api/chat")).await;
    let all = world.root.ask(running::List).await.unwrap();
    let theirs = all.iter().find(|r| r.organization.as_deref() == Some("other")).unwrap();
    for role in ["operator", "auditor", "admin"] {
        let member = world.log_in(&format!("acme-{role}")).await;
        let own = member.ask(running::List).await.unwrap();
        assert_eq!(own.len(), 1, "{role}");
        assert_eq!(own[0].organization.as_deref(), Some("acme"), "{role}");
        if role != "auditor" {
            let foreign =
                member.ask(running::Cancel { id: theirs.id.clone() }).await.unwrap_err().to_string();
            let nothing = member.ask(running::Cancel { id: "0".into() }).await.unwrap_err().to_string();
            assert_eq!(foreign.replace(&theirs.id, "X"), nothing.replace("'0'", "'X'"), "{role}");
        }
    }
    assert_eq!(world.root.ask(running::List).await.unwrap().len(), 2, "both still run");
}

#[tokio::test]
async fn one_organizations_log_is_picked_out_for_the_fleets_people() {
    let world = World::new().await;
    let show = |model: &str| Request::json("/api/show", &json!({"model": model}));
    for organization in ["other", "acme"] {
        world.ask(organization, "work", show("everywhere")).await.expect(200);
    }
    for org in ["acme", &world.acme_id] {
        let filter = LogFilter { organization: Some(org.to_owned()), ..LogFilter::default() };
        let mut follow =
            world.root.follow(log::Follow { filter: filter.clone(), lines: 10_000 }).await.unwrap();
        until(&mut follow, "everywhere").await;
        let page = world.root.ask(log::Recent { filter, lines: 10_000 }).await.unwrap();
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(page.events.iter().all(|e| e.fields.contains(&of("organization", &world.acme_id))));
        assert!(page.events.iter().any(|e| e.fields.contains(&of("org", "acme"))));
    }
    let text = world.daemon.aivonx().ok(&["logs", "--org", "acme"]).await;
    assert!(text.contains("acme-model") && !text.contains("osprey") && !text.contains("other-"), "{text}");
}

#[tokio::test]
async fn nobody_is_told_how_another_does() {
    let world = World::new().await;
    let chat = || {
        let body = json!({"model": "everywhere", "messages": [{"role": "user", "content": "hi"}]});
        Request::json("/api/chat", &body)
    };
    for (organization, times) in [("acme", 1), ("other", 3)] {
        for _ in 0..times {
            world.ask(organization, "work", chat()).await.expect(200);
        }
    }
    // What both did, with what each showed itself at first, is known before it is looked for.
    let all = loop {
        let pulse = world.root.ask(daemon::Pulse { since: None }).await.unwrap();
        if pulse.organizations.iter().map(|one| one.requests).sum::<u64>() >= 6 {
            break pulse;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(all.organization, None);
    let slugs: Vec<&str> = all.organizations.iter().map(|one| &*one.name).collect();
    assert!(slugs.contains(&"acme") && slugs.contains(&"other"), "{slugs:?}");
    // A node of each goes down.
    world.anvil.refuse().await;
    world.osprey.refuse().await;
    world.daemon.until_active(1).await;
    let operator = world.log_in("acme-operator").await;
    let own = operator.ask(daemon::Pulse { since: None }).await.unwrap();
    assert_eq!(own.organization.as_deref(), Some("acme"));
    assert_eq!(own.seconds.iter().map(|one| one.requests).sum::<u32>(), 2, "{own:?}");
    assert_eq!(own.organizations.iter().map(|one| one.requests).collect::<Vec<_>>(), [2], "{own:?}");
    let told = format!("{own:?}");
    assert!(told.contains("anvil does not answer"), "{told}");
    for foreign in ["osprey", "other", "commons", &world.other_id] {
        assert!(!told.contains(foreign), "{foreign}: {told}");
    }
}
