//! Tests of where people bound to an organization may have the gateway look for nodes.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Fault, FaultKind, WireSecret,
    node::{AdminState, Credential, NewNode, NodeChange, Pool},
    organization::NodeAccess,
};
use aivonx_store::OrganizationRecord;

use super::{
    FleetError,
    service::tests::{ALL, Rig, new},
    testing::FakeNode,
};

const LOOPBACK: &[&str] = &["127.0.0.0/8"];

async fn organization(rig: &Rig, slug: &str) -> TenantScope {
    let record = OrganizationRecord {
        nodes: NodeAccess::Exclusive,
        cloud_models: true,
        ..OrganizationRecord::new(slug)
    };
    TenantScope::Organization(rig.store.organizations().insert(record).await.unwrap().id)
}

async fn allow(rig: &Rig, reach: &TenantScope, networks: &[&str]) {
    let networks = networks.iter().map(ToString::to_string).collect();
    rig.store.placements().set_networks(reach.organization().unwrap(), networks).await.unwrap();
}

fn fault<T: std::fmt::Debug>(result: Result<T, FleetError>) -> Fault {
    Fault::from(result.unwrap_err())
}

fn to(url: &str) -> NodeChange {
    NodeChange { url: Some(url.into()), ..NodeChange::default() }
}

#[tokio::test]
async fn without_a_network_nothing_is_asked_and_nothing_told() {
    let rig = Rig::new().await;
    let acme = organization(&rig, "acme").await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("shared", &node).await;
    let own = FakeNode::ollama(&["m"]).await;
    let of_acme = NewNode { organization: Some("acme".into()), ..new("own", &own.url()) };
    rig.fleet.add(ALL, of_acme).await.unwrap();
    let (asked, strange) = (node.asked("GET /api/version").len(), FakeNode::ollama(&["m"]).await);
    let mut said = Vec::new();
    for url in [
        node.url(),
        node.url().replace("127.0.0.1", "localhost"),
        node.url().replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        node.url().replace("127.0.0.1", "0.0.0.0") + "/prefix",
        strange.url(),
        "http://127.0.0.1:1".into(),
        "http://10.255.255.1".into(),
        "http://no-such-name.invalid".into(),
    ] {
        let added = fault(rig.fleet.add(&acme, new("mine", &url)).await);
        let probed = fault(rig.fleet.probe(&acme, &new("mine", &url)).await);
        let tried = fault(rig.fleet.probe_change(&acme, "own", &to(&url)).await);
        let set = fault(rig.fleet.set(&acme, "own", None, to(&url)).await);
        for fault in [added, probed, tried, set] {
            assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some("url")), "{url}");
            let text = fault.to_string();
            let (before, rest) = text.split_once('\'').unwrap();
            said.push(format!("{before}{}", rest.split_once('\'').unwrap().1));
        }
    }
    said.dedup();
    assert_eq!(said.len(), 1, "the same whatever is there: {said:?}");
    assert_eq!(node.asked("GET /api/version").len(), asked);
    assert!(strange.asked("GET /api/version").is_empty());
    // What a superadmin placed serves, and what is not about its address can be changed.
    assert!(rig.fleet.check(&acme, "own").await.unwrap().healthy);
    let change = NodeChange { max_parallel: Some(3), url: Some(own.url()), ..NodeChange::default() };
    assert_eq!(rig.fleet.set(&acme, "own", None, change).await.unwrap().max_parallel, 3);
    assert!(rig.fleet.check(&acme, "own").await.unwrap().healthy);
}

#[tokio::test]
async fn within_its_networks_an_organization_places_nodes_where_there_is_none() {
    let rig = Rig::new().await;
    let (acme, beta) = (organization(&rig, "acme").await, organization(&rig, "beta").await);
    allow(&rig, &acme, LOOPBACK).await;
    allow(&rig, &beta, LOOPBACK).await;
    let (one, two) = (FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m"]).await);
    assert!(rig.fleet.add(&acme, new("a1", &one.url())).await.unwrap().healthy);
    assert!(rig.fleet.add(&beta, new("b1", &two.url())).await.unwrap().healthy);
    for url in [one.url(), one.url().replace("127.0.0.1", "localhost"), format!("{}/path", one.url())] {
        assert!(
            matches!(rig.fleet.add(&beta, new("b2", &url)).await, Err(FleetError::Closed { .. })),
            "{url}"
        );
        let moved = rig.fleet.set(&beta, "b1", None, to(&url)).await;
        assert!(matches!(moved, Err(FleetError::Closed { .. })), "{url}: {moved:?}");
    }
    // One of the whole fleet may, under another path.
    let other = NewNode { force: true, ..new("fleet", &format!("{}/path", two.url())) };
    rig.fleet.add(ALL, other).await.unwrap();
    // And from then on it is not beta's alone.
    assert!(!rig.fleet.check(&beta, "b1").await.unwrap().healthy);
}

#[tokio::test]
async fn names_are_each_organizations_own() {
    let rig = Rig::new().await;
    let (acme, beta) = (organization(&rig, "acme").await, organization(&rig, "beta").await);
    allow(&rig, &acme, LOOPBACK).await;
    allow(&rig, &beta, LOOPBACK).await;
    let nodes =
        [FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m"]).await];
    rig.fleet.add(ALL, new("gpu", &nodes[0].url())).await.unwrap();
    for (reach, node, full) in [(&acme, &nodes[1], "acme.gpu"), (&beta, &nodes[2], "beta.gpu")] {
        assert_eq!(rig.fleet.add(reach, new("gpu", &node.url())).await.unwrap().node.name, full);
        for name in ["gpu", full] {
            assert_eq!(rig.fleet.show(reach, name).unwrap().name, full);
        }
        let rename = |name: &str| NodeChange { name: Some(name.into()), ..NodeChange::default() };
        assert_eq!(rig.fleet.set(reach, "gpu", None, rename(full)).await.unwrap().name, full);
        assert_eq!(
            rig.fleet.set(reach, "gpu", None, rename("big")).await.unwrap().name,
            full.replace("gpu", "big")
        );
        assert_eq!(rig.fleet.set(reach, "big", None, rename("gpu")).await.unwrap().name, full);
    }
    assert_eq!(rig.fleet.show(ALL, "gpu").unwrap().name, "gpu");
    assert!(rig.fleet.show(&acme, "beta.gpu").is_err());
}

#[tokio::test]
async fn networks_hold_from_the_moment_they_change() {
    let rig = Rig::new().await;
    let acme = organization(&rig, "acme").await;
    allow(&rig, &acme, LOOPBACK).await;
    let (placed, given) = (FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m"]).await);
    rig.fleet.add(&acme, new("placed", &placed.url())).await.unwrap();
    let of_acme = NewNode { organization: Some("acme".into()), ..new("given", &given.url()) };
    rig.fleet.add(ALL, of_acme).await.unwrap();
    let mut events = rig.fleet.changes();
    let mut until = async |pool: Pool| {
        loop {
            let aivonx_protocol::Event::Node(node) = events.recv().await.unwrap().event else { continue };
            assert_eq!(node.name, "acme.placed");
            if node.pool == pool {
                break;
            }
        }
    };
    allow(&rig, &acme, &["10.0.0.0/8"]).await;
    until(Pool::Standby).await;
    let checked = rig.fleet.check(&acme, "placed").await.unwrap();
    assert!(!checked.healthy && checked.finding.contains("not one where"), "{}", checked.finding);
    allow(&rig, &acme, LOOPBACK).await;
    until(Pool::Active).await;
    // After a restart too.
    allow(&rig, &acme, &[]).await;
    until(Pool::Standby).await;
    let rig = rig.restart().await;
    assert_eq!(rig.fleet.show(ALL, "acme.placed").unwrap().pool, Pool::Standby);
    assert_eq!(rig.fleet.show(ALL, "given").unwrap().pool, Pool::Active);
    // What a superadmin moves is where a superadmin wants it.
    rig.fleet.set(ALL, "acme.placed", None, to(&format!("{}/x", placed.url()))).await.unwrap();
    placed.become_ollama(&["m"]);
    rig.fleet.set(ALL, "acme.placed", None, to(&placed.url())).await.unwrap();
    assert_eq!(rig.fleet.show(ALL, "acme.placed").unwrap().pool, Pool::Active);
}

#[tokio::test]
async fn a_credential_does_not_go_along_to_another_server() {
    let rig = Rig::new().await;
    let (node, other) = (FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["m"]).await);
    let bearer = || Credential::Bearer(WireSecret::new("sesame".into()));
    rig.fleet.add(ALL, NewNode { credential: bearer(), ..new("gpu1", &node.url()) }).await.unwrap();
    for url in
        [other.url(), node.url().replace("http:", "https:"), node.url().replace("127.0.0.1", "localhost")]
    {
        for result in [
            rig.fleet.set(ALL, "gpu1", None, to(&url)).await.map(drop),
            rig.fleet.probe_change(ALL, "gpu1", &to(&url)).await.map(drop),
        ] {
            let fault = fault(result);
            assert_eq!(fault.field.as_deref(), Some("credential"), "{fault}");
            assert!(fault.to_string().contains("sent to its own address alone"), "{fault}");
        }
    }
    // Not even while nothing is sent to it.
    rig.fleet.set_state(ALL, "gpu1", None, AdminState::Disabled).await.unwrap();
    assert!(rig.fleet.set(ALL, "gpu1", None, to(&other.url())).await.is_err());
    assert!(other.asked("GET /api/version").is_empty());
    let cleared = NodeChange { credential: Some(Credential::None), ..to(&other.url()) };
    assert_eq!(rig.fleet.set(ALL, "gpu1", None, cleared).await.unwrap().credential, "none");
    let again = NodeChange { credential: Some(bearer()), ..to(&node.url()) };
    rig.fleet.set(ALL, "gpu1", None, again).await.unwrap();
    rig.fleet.set(ALL, "gpu1", None, to(&format!("{}/path", node.url()))).await.unwrap();
}

#[tokio::test]
async fn the_gateway_is_no_node_of_its_own() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.fleet.listens_on(&[node.address]);
    for url in
        [node.url(), node.url().replace("127.0.0.1", "localhost"), node.url().replace("127.0.0.1", "0.0.0.0")]
    {
        let fault = fault(rig.fleet.add(ALL, NewNode { force: true, ..new("me", &url) }).await);
        assert!(fault.to_string().contains("is this gateway itself"), "{fault}");
        assert!(matches!(rig.fleet.probe(ALL, &new("me", &url)).await, Err(FleetError::Own { .. })));
    }
    assert!(rig.fleet.list(ALL).is_empty() && node.asked("GET /api/version").is_empty());
}
