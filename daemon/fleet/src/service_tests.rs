//! Tests of the service: real store, small nodes, checks driven by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aivonx_config::{Config, Health};
use aivonx_domain::TenantScope;
use aivonx_protocol::{
    Event, Fault, FaultKind, WireSecret,
    node::{AdminState, Credential, NewNode, NodeChange, NodeKind, Pool},
    strategy::Strategy,
};
use aivonx_store::{
    Store,
    secrets::{MasterKey, Vault},
};
use tempfile::TempDir;

use super::Fleet;
use crate::{Contexts, FleetError, Lease, RoutingRules, Want, testing::FakeNode};

/// What a superadmin reaches.
pub(crate) const ALL: &TenantScope = &TenantScope::All;

/// Checks by themselves come at the start alone: the rest is driven by the tests.
pub(crate) const HEALTH: Health = Health {
    interval: Duration::from_secs(3600),
    timeout: Duration::from_secs(20),
    failures: 3,
    successes: 2,
};

/// A fleet on a store of its own.
pub(crate) struct Rig {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) store: Store,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    async fn on(dir: TempDir) -> Self {
        let store = Store::open(dir.path(), &Config::default().store).await.unwrap();
        let key = MasterKey::load_or_generate(&dir.path().join("master.key")).unwrap();
        let vault = Vault::open(key, &store).await.unwrap();
        let fleet = Fleet::start(store.clone(), vault, HEALTH, Duration::from_secs(20), Contexts::default())
            .await
            .unwrap();
        Self { fleet, store, dir }
    }

    pub(crate) async fn restart(self) -> Self {
        self.fleet.stop().await;
        self.reopened().await
    }

    /// As after a restart; the fleet has stopped.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await.unwrap();
        Self::on(self.dir).await
    }

    pub(crate) async fn add(&self, name: &str, node: &FakeNode) {
        let probe = self.fleet.add(ALL, new(name, &node.url())).await.unwrap();
        assert!(probe.healthy, "{}", probe.finding);
    }

    pub(crate) fn pool(&self, name: &str) -> Pool {
        self.fleet.show(ALL, name).unwrap().pool
    }
}

pub(crate) fn new(name: &str, url: &str) -> NewNode {
    NewNode {
        name: name.into(),
        url: url.into(),
        kind: None,
        credential: Credential::None,
        ca_pem: None,
        server_name: None,
        max_parallel: 0,
        labels: BTreeMap::new(),
        force: false,
        organization: None,
    }
}

fn fault(result: Result<impl std::fmt::Debug, FleetError>) -> (FaultKind, String, String) {
    let fault = Fault::from(result.unwrap_err());
    (fault.kind, fault.field.clone().unwrap_or_default(), fault.to_string())
}

/// An address at which nothing listens.
pub(crate) async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_url_is_that_of_one_node() {
    let rig = Rig::new().await;
    let (node, other) = (FakeNode::ollama(&["m:latest"]).await, FakeNode::ollama(&["m:latest"]).await);
    rig.add("gpu1", &node).await;
    rig.add("gpu2", &other).await;
    let told = fault(rig.fleet.add(ALL, new("again", &format!("{}/", node.url()))).await);
    assert_eq!((told.0, &*told.1), (FaultKind::Conflict, "url"));
    assert!(told.2.contains(&format!("url '{}' is node gpu1 already", node.url())), "{}", told.2);
    let change = |url: String| NodeChange { url: Some(url), ..NodeChange::default() };
    let told = fault(rig.fleet.set(ALL, "gpu2", None, change(node.url())).await);
    assert!(told.2.contains("is node gpu1 already"), "{}", told.2);
    // Its own, and another path on the same server, are fine.
    rig.fleet.set(ALL, "gpu1", None, change(node.url())).await.unwrap();
    let kind = Some(NodeKind::Ollama);
    let apart = NewNode { kind, ..new("path", &format!("{}/v2", node.url())) };
    rig.fleet.add(ALL, apart).await.unwrap();
}

#[tokio::test]
async fn adding_a_node_says_what_was_found_and_puts_it_to_work() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m:latest"]).await;
    let mut events = rig.fleet.changes();
    let probe = rig.fleet.add(ALL, new("gpu1", &format!("{}/", node.url()))).await.unwrap();
    assert!(probe.finding.starts_with("Ollama 0.14.0 with 1 model, 0 in memory"), "{}", probe.finding);
    assert_eq!(
        (probe.node.pool, probe.node.kind, probe.node.url),
        (Pool::Active, NodeKind::Ollama, node.url())
    );
    assert!(
        matches!(events.recv().await.unwrap().event, Event::Node(n) if n.name == "gpu1" && n.pool == Pool::Active)
    );
    let want = Want {
        overflow: crate::Overflow { after: 0.0, otherwise: None },
        model: Some("m"),
        granted: false,
        ollama: Some((0, 0, 0)),
        openai: false,
        api: 0,
        eligible: &RoutingRules::ALL,
    };
    assert!(rig.fleet.hot().load().choose(want, &[]).is_ok());

    let openai = FakeNode::openai(&["M"]).await;
    let probe = rig.fleet.add(ALL, new("vllm", &openai.url())).await.unwrap();
    assert_eq!(probe.node.kind, NodeKind::Openai);
    assert_eq!(rig.fleet.model(ALL, "M").unwrap().nodes[0].node, "vllm");
    assert_eq!(rig.fleet.model(ALL, "m").unwrap().name, "m:latest");
    let (kind, _, text) = fault(rig.fleet.model(ALL, "mm"));
    assert!(kind == FaultKind::NotFound && text.contains("did you mean"), "{text}");
}

#[tokio::test]
async fn a_node_that_was_away_when_added_is_taken_for_what_it_turns_out_to_be() {
    let rig = Rig::new().await;
    let address = nobody().await;
    let probe = rig.fleet.add(ALL, new("later", &format!("http://{address}"))).await.unwrap();
    assert_eq!((probe.node.kind, probe.node.pool), (NodeKind::Ollama, Pool::Standby));
    let mut events = rig.fleet.changes();
    let node = FakeNode::at(&address).await;
    node.become_openai(&["M"]);
    assert!(rig.fleet.check(ALL, "later").await.unwrap().healthy);
    // The kind comes back from the store, and with it a check of the node as what it is.
    loop {
        let Event::Node(node) = events.recv().await.unwrap().event else { continue };
        if node.pool == Pool::Active {
            assert_eq!(node.kind, NodeKind::Openai);
            break;
        }
    }
    let rig = rig.restart().await;
    assert_eq!(rig.fleet.show(ALL, "later").unwrap().kind, NodeKind::Openai);
}

#[tokio::test]
async fn what_only_starts_or_is_wanted_whatever_it_is_waits_in_standby() {
    let rig = Rig::new().await;
    let node = FakeNode::bare().await;
    let (_, field, _) = fault(rig.fleet.add(ALL, new("odd", &node.url())).await);
    assert_eq!(field, "url");
    let odd = rig.fleet.add_whatever(ALL, new("odd", &node.url())).await.unwrap().node;
    assert_eq!(odd.pool, Pool::Standby);
    let node = FakeNode::bare().await;
    node.answer("GET /v1/models", 503, r#"{"error":{"message":"Loading model"}}"#);
    let probe = rig.fleet.add(ALL, new("loading", &node.url())).await.unwrap();
    assert_eq!((probe.healthy, probe.node.pool), (false, Pool::Standby), "{}", probe.finding);
    let mut events = rig.fleet.changes();
    node.become_openai(&["M"]);
    assert!(rig.fleet.check(ALL, "loading").await.unwrap().healthy);
    loop {
        let Event::Node(node) = events.recv().await.unwrap().event else { continue };
        if node.name == "loading" && node.pool == Pool::Active {
            assert_eq!(node.kind, NodeKind::Openai);
            break;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_node_is_refused_with_the_field_and_the_fix() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&[]).await;
    let refused = async |change: fn(&mut NewNode)| {
        let mut new = new("gpu1", &node.url());
        change(&mut new);
        fault(rig.fleet.add(ALL, new).await)
    };
    type Change = fn(&mut NewNode);
    let cases: [(Change, &str, &str); 6] = [
        (|n| n.name = "GPU 1".into(), "name", "lower-case"),
        (|n| n.url = "gpu1:11434".into(), "url", "write http://gpu1:11434"),
        (|n| n.url = "http://169.254.169.254".into(), "url", "--force"),
        (|n| n.ca_pem = Some("x".into()), "ca", "https"),
        (|n| n.labels = [("a b".to_owned(), String::new())].into(), "label", "letters"),
        (|n| n.credential = Credential::Bearer(WireSecret::new("a\nb".into())), "credential", "one line"),
    ];
    for (change, field, hint) in cases {
        let (kind, at, text) = refused(change).await;
        assert_eq!((kind, &*at), (FaultKind::Invalid, field), "{text}");
        assert!(text.contains(hint), "{text}");
    }
    let (_, field, text) = fault(rig.fleet.add(ALL, new("web", &FakeNode::bare().await.url())).await);
    assert!(field == "url" && text.contains("answered 404"), "{text}");
    node.answer("GET /api/version", 401, "");
    node.answer("GET /v1/models", 401, "");
    let (_, field, text) = fault(rig.fleet.add(ALL, new("locked", &node.url())).await);
    assert!(field == "credential" && text.contains("401"), "{text}");

    node.become_ollama(&[]);
    rig.add("gpu1", &node).await;
    let other = FakeNode::ollama(&[]).await;
    let (kind, field, _) = fault(rig.fleet.add(ALL, new("gpu1", &other.url())).await);
    assert_eq!((kind, &*field), (FaultKind::Conflict, "name"));
    let (kind, _, text) = fault(rig.fleet.show(ALL, "gpu2"));
    assert!(kind == FaultKind::NotFound && text.contains("did you mean gpu1"), "{text}");
    assert_eq!(rig.fleet.list(ALL).len(), 1);
}

#[tokio::test]
async fn changes_keep_the_endpoint_unless_it_moves() {
    let rig = Rig::new().await;
    let (node, other) = (FakeNode::ollama(&["m"]).await, FakeNode::ollama(&["n"]).await);
    let secret = Credential::Bearer(WireSecret::new("s3cret".into()));
    rig.fleet.add(ALL, NewNode { credential: secret, ..new("gpu1", &node.url()) }).await.unwrap();
    let hot = rig.fleet.hot();
    let endpoint = || hot.load().nodes[0].endpoint.clone();
    let first = endpoint();
    let change = NodeChange {
        name: Some("gpu-a".into()),
        max_parallel: Some(4),
        labels: [("rack".to_owned(), Some("4".to_owned()))].into(),
        ..NodeChange::default()
    };
    let set = rig.fleet.set(ALL, "gpu1", Some(1), change.clone()).await.unwrap();
    assert_eq!((set.revision, set.max_parallel, &*set.name, &*set.credential), (2, 4, "gpu-a", "bearer"));
    assert!(Arc::ptr_eq(&first, &endpoint()));
    assert_eq!(rig.pool("gpu-a"), Pool::Active, "and it went on serving");

    let (kind, ..) = fault(rig.fleet.set(ALL, "gpu-a", Some(1), change).await);
    assert_eq!(kind, FaultKind::Conflict, "the caller saw an older revision");

    let secret = || Some(Credential::Bearer(WireSecret::new("s3cret".into())));
    let change = NodeChange { url: Some(other.url()), credential: secret(), ..NodeChange::default() };
    let set = rig.fleet.set(ALL, "gpu-a", None, change).await.unwrap();
    assert_eq!((set.pool, &*set.models), (Pool::Active, &["n".to_owned()][..]));
    assert!(!Arc::ptr_eq(&first, &endpoint()));
    assert_eq!(other.asked("GET /api/version")[0].headers["authorization"], "Bearer s3cret");

    let nobody = format!("http://{}", nobody().await);
    let change = NodeChange { url: Some(nobody), credential: secret(), ..NodeChange::default() };
    let set = rig.fleet.set(ALL, "gpu-a", None, change).await.unwrap();
    assert_eq!((set.pool, set.models.len()), (Pool::Standby, 0));
    let bad = NodeChange { url: Some("http://[fe80::1]:11434".into()), ..NodeChange::default() };
    assert_eq!(fault(rig.fleet.set(ALL, "gpu-a", None, bad).await).1, "url");
}

#[tokio::test]
async fn a_client_certificate_is_kept_and_goes_to_its_own_address_alone() {
    let rig = Rig::new().await;
    let (node, ca_pem) = FakeNode::tls("gpu.example").await;
    let url = format!("https://{}", node.address);
    let certificate = |name: &str, header| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2199, 12, 31);
        let chain_pem = params.self_signed(&key).unwrap().pem();
        Credential::Certificate { chain_pem, key_pem: WireSecret::new(key.serialize_pem()), header }
    };
    let mut adds = NewNode {
        credential: certificate("one", None),
        ca_pem: Some(ca_pem),
        server_name: Some("gpu.example".into()),
        ..new("gpu1", &url)
    };
    let probe = rig.fleet.add(ALL, adds.clone()).await.unwrap();
    assert!(probe.healthy, "{}", probe.finding);
    assert_eq!(probe.node.credential, "certificate until 2199-12-31");
    let hot = rig.fleet.hot();
    let config = || hot.load().nodes[0].endpoint.tls.as_ref().unwrap().config.clone();
    let before = config();
    let change = NodeChange { max_parallel: Some(2), ..NodeChange::default() };
    rig.fleet.set(ALL, "gpu1", None, change).await.unwrap();
    assert!(Arc::ptr_eq(&before, &config()));
    let header = Some(("X-Key".to_owned(), WireSecret::new("k".into())));
    let change = NodeChange { credential: Some(certificate("two", header)), ..NodeChange::default() };
    let set = rig.fleet.set(ALL, "gpu1", None, change).await.unwrap();
    assert_eq!(set.credential, "certificate until 2199-12-31 and header X-Key");
    assert!(!Arc::ptr_eq(&before, &config()), "the other one is shown from now on");

    let change = |url: &str| NodeChange { url: Some(url.into()), ..NodeChange::default() };
    let (_, field, text) = fault(rig.fleet.set(ALL, "gpu1", None, change("https://127.0.0.1:9")).await);
    assert!(field == "credential" && text.contains("its own address alone"), "{text}");
    let rig = rig.reopened().await;
    assert_eq!(rig.fleet.show(ALL, "gpu1").unwrap().credential, set.credential);
    let (_, field, text) = fault(
        rig.fleet
            .add(ALL, NewNode { credential: certificate("a", None), ..new("b", "http://127.0.0.1:9") })
            .await,
    );
    assert!(field == "client-cert" && text.contains("not https"), "{text}");
    if let Credential::Certificate { key_pem, .. } = &mut adds.credential {
        *key_pem = WireSecret::new("-----BEGIN PRIVATE KEY-----".into());
    }
    let (_, field, text) = fault(rig.fleet.probe(ALL, &adds).await);
    assert!(field == "client-key" && text.contains("openssl"), "{text}");
}

#[tokio::test]
async fn a_node_behind_tls_is_trusted_by_its_own_ca_and_name() {
    let rig = Rig::new().await;
    let (node, ca_pem) = FakeNode::tls("gpu.example").await;
    let url = format!("https://{}", node.address);
    let unknown = rig.fleet.add(ALL, new("unknown", &url)).await.unwrap();
    assert!(unknown.finding.contains("TLS handshake failed"), "{}", unknown.finding);
    rig.fleet.remove(ALL, "unknown", None).await.unwrap();
    let ca_pem = Some(ca_pem);
    let misnamed =
        rig.fleet.add(ALL, NewNode { ca_pem: ca_pem.clone(), ..new("misnamed", &url) }).await.unwrap();
    assert!(misnamed.finding.contains("TLS handshake failed"), "{}", misnamed.finding);
    rig.fleet.remove(ALL, "misnamed", None).await.unwrap();

    let server_name = Some("gpu.example".to_owned());
    let right = NewNode { ca_pem, server_name, ..new("gpu1", &url) };
    let probe = rig.fleet.add(ALL, right).await.unwrap();
    assert!(probe.healthy && probe.node.custom_ca, "{}", probe.finding);
    let hot = rig.fleet.hot();
    let endpoint = || hot.load().nodes.iter().find(|n| n.pool == Pool::Active).unwrap().endpoint.clone();
    let before = endpoint();
    let change = NodeChange { max_parallel: Some(2), ..NodeChange::default() };
    rig.fleet.set(ALL, "gpu1", None, change).await.unwrap();
    assert!(Arc::ptr_eq(&before, &endpoint()), "the same CA is the same TLS set-up");

    let change = NodeChange { server_name: Some(None), ..NodeChange::default() };
    assert_eq!(rig.fleet.set(ALL, "gpu1", None, change).await.unwrap().pool, Pool::Standby);
}

#[tokio::test]
async fn states_decide_who_is_chosen_and_checked() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("gpu1", &node).await;
    let want = Want {
        overflow: crate::Overflow { after: 0.0, otherwise: None },
        model: Some("m"),
        granted: false,
        ollama: Some((0, 0, 0)),
        openai: false,
        api: 0,
        eligible: &RoutingRules::ALL,
    };
    let choose = || rig.fleet.hot().load().choose(want, &[]);
    let lease: Lease = choose().unwrap();
    let drained = rig.fleet.set_state(ALL, "gpu1", None, AdminState::Draining).await.unwrap();
    assert_eq!((drained.active_requests, drained.pool), (1, Pool::Active));
    assert!(choose().is_err());
    drop(lease);
    assert_eq!(rig.fleet.show(ALL, "gpu1").unwrap().active_requests, 0);

    let disabled =
        rig.fleet.set_state(ALL, "gpu1", Some(drained.revision), AdminState::Disabled).await.unwrap();
    assert_eq!(disabled.pool, Pool::Standby);
    let probe = rig.fleet.check(ALL, "gpu1").await.unwrap();
    assert!(probe.healthy && probe.node.pool == Pool::Standby, "asked by hand, it answers, but stays out");
    let enabled = rig.fleet.set_state(ALL, "gpu1", None, AdminState::Enabled).await.unwrap();
    assert_eq!(enabled.pool, Pool::Active, "checked at once, and one good check is enough");
    assert!(choose().is_ok());
}

#[tokio::test]
async fn removing_a_node_ends_what_runs_on_it() {
    let rig = Rig::new().await;
    rig.add("gpu1", &FakeNode::ollama(&["m"]).await).await;
    let mut events = rig.fleet.changes();
    let node = rig.fleet.hot().load().nodes[0].clone();
    assert!(!node.live.retired());
    let (kind, ..) = fault(rig.fleet.remove(ALL, "gpu1", Some(7)).await);
    assert_eq!(kind, FaultKind::Conflict);
    rig.fleet.remove(ALL, "gpu1", Some(1)).await.unwrap();
    assert!(node.live.retired());
    node.live.until_retired().await;
    assert!(rig.fleet.list(ALL).is_empty() && rig.fleet.hot().load().nodes.is_empty());
    assert!(matches!(events.recv().await.unwrap().event, Event::NodeRemoved(id) if *id == *node.id));
}

#[tokio::test]
async fn the_fleet_comes_back_after_a_restart_and_serves_at_once() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    let credential = Credential::Basic { user: "u".into(), password: WireSecret::new("s3cret".into()) };
    rig.fleet.add(ALL, NewNode { credential, ..new("gpu1", &node.url()) }).await.unwrap();
    rig.fleet.set_strategy(ALL, Strategy::LowestLatency).await.unwrap();
    let gone = rig.fleet.add(ALL, new("gpu2", &format!("http://{}", nobody().await))).await.unwrap();
    rig.fleet.set_state(ALL, &gone.node.id, None, AdminState::Disabled).await.unwrap();

    let rig = rig.restart().await;
    assert_eq!(rig.fleet.strategy(), Strategy::LowestLatency);
    let nodes = rig.fleet.list(ALL);
    assert_eq!(nodes.iter().map(|n| &*n.name).collect::<Vec<_>>(), ["gpu1", "gpu2"]);
    assert_eq!((nodes[0].pool, nodes[0].models.len(), &*nodes[0].credential), (Pool::Active, 1, "basic"));
    assert_eq!((nodes[1].admin_state, nodes[1].last_check), (AdminState::Disabled, None));
    let asked = node.asked("GET /api/version");
    assert_eq!(asked.last().unwrap().headers["authorization"], "Basic dTpzM2NyZXQ=");
}

#[tokio::test]
async fn changes_made_past_the_fleet_reach_it_through_the_feed() {
    let rig = Rig::new().await;
    let node = FakeNode::ollama(&["m"]).await;
    rig.add("gpu1", &node).await;
    let id = rig.fleet.show(ALL, "gpu1").unwrap().id;
    let mut events = rig.fleet.changes();
    rig.store.nodes().update(&id, None, |record| record.max_parallel = 9).await.unwrap();
    assert!(matches!(events.recv().await.unwrap().event, Event::Node(node) if node.max_parallel == 9));
    rig.store.nodes().remove(&id, None).await.unwrap();
    assert!(matches!(events.recv().await.unwrap().event, Event::NodeRemoved(removed) if removed == id));
    assert!(rig.fleet.list(ALL).is_empty());
}

#[tokio::test]
async fn removing_a_model_says_what_came_of_it_on_each_node() {
    let rig = Rig::new().await;
    let (a, b) = (FakeNode::ollama(&["m:latest", "n:8b"]).await, FakeNode::ollama(&["m:latest"]).await);
    rig.add("a", &a).await;
    rig.add("b", &b).await;
    rig.add("vllm", &FakeNode::openai(&["m"]).await).await;
    a.answer("DELETE /api/delete", 200, "");
    b.answer("DELETE /api/delete", 500, r#"{"error":"disk on fire, Bearer hush-hush"}"#);
    a.answer("GET /api/tags", 200, r#"{"models":[{"name":"n:8b"}]}"#);
    let done = rig.fleet.remove_model(ALL, "M", None).await.unwrap();
    assert_eq!(done.removed, ["a"]);
    assert_eq!(done.failed, [("b".to_owned(), "disk on fire, Bearer [REDACTED]".to_owned())]);
    let asked = &a.asked("DELETE /api/delete")[0];
    assert!(std::str::from_utf8(&asked.body).unwrap().contains(r#""model":"m:latest""#));
    assert_eq!(rig.fleet.show(ALL, "a").unwrap().models, ["n:8b"], "the catalogue knows at once");

    assert_eq!(fault(rig.fleet.remove_model(ALL, "zzz", None).await).0, FaultKind::NotFound);
    assert_eq!(fault(rig.fleet.remove_model(ALL, "m", Some("vllm")).await).0, FaultKind::Invalid);
    assert_eq!(fault(rig.fleet.remove_model(ALL, "a b", None).await).1, "model");
}
