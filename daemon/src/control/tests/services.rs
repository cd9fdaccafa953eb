//! Every request through a real client to the real services, with a small node behind them.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use aivonx_backup::Backups;
use aivonx_config::{AccessMode, Asked, Config, Live};
use aivonx_fleet::{Contexts, Fleet, testing::FakeNode};
use aivonx_gateway::policy::Policies;
use aivonx_identity::{Identity, password::Hasher};
use aivonx_ledgers::{
    audit::Audit,
    usage::{Bounds, Keep, Usage},
};
use aivonx_limits::{Clock, Limits, pricing::PriceList};
use aivonx_protocol::{
    Client, ClientError, Event, Fault, FaultKind, Reply, Request, WireSecret, config, daemon,
    job::{self, JobState},
    log::{self, LogFilter},
    model,
    node::{self, AdminState, Credential, NewNode, NodeChange, NodeRequest},
    strategy::{self, Strategy},
};
use aivonx_store::{
    Store,
    secrets::{MasterKey, Secrets, Vault},
    usage::Calendar,
};
use aivonx_telemetry::Hub;
use tokio::{net::UnixStream, sync::watch};

use super::{
    super::{
        Services,
        access::{AccessRule, Mode, Peer},
        connection::Connection,
        session::{self, Common},
    },
    OWN, sample,
};

/// A client of a daemon's control side; the sender keeps the session alive.
async fn daemon(dir: &Path, config: Live) -> (Client, watch::Sender<bool>) {
    let store = Store::open(&dir.join("store"), &Config::default().store).await.unwrap();
    let master = MasterKey::load_or_generate(&dir.join("master.key")).unwrap();
    let vault = Vault::open(master, &store).await.unwrap();
    let health = Config::default().health;
    let secrets = Secrets::new(store.clone(), vault.clone());
    let opened = Identity::open(store.clone(), vault.clone(), Audit::memory(), Hasher::weak()).await;
    let identity = opened.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let policies = Policies::open(store.clone(), identity.clone()).await.unwrap();
    let clock = Clock::system(Duration::ZERO);
    let limits = Limits::open(store.clone(), identity.accounts().clone(), clock).await.unwrap();
    identity.count_with(&limits);
    let prices = PriceList::open(&store, &limits).await.unwrap();
    let fleet = Fleet::start(store.clone(), vault, health, Duration::from_secs(5), Contexts::default())
        .await
        .unwrap();
    let Reply::Status(status) = sample("status") else { unreachable!() };
    let rule = AccessRule { mode: Mode::Dev, daemon_uid: OWN, login_required: false };
    let master = dir.join("master.key");
    let backups = Backups::new(store.clone(), Audit::memory(), master, Config::default().backup).unwrap();
    let blocks = aivonx_identity::Blocks::open(&store, &identity).await.unwrap();
    let services = Arc::new_cyclic(|weak| Services {
        isolation: crate::control::isolation::runner(weak.clone()),
        fleet,
        blocks,
        identity,
        policies,
        secrets,
        store,
        backups,
        usage,
        prices,
        running: Arc::default(),
        pulse: aivonx_gateway::pulse::Pulse::new(),
        hub: Hub::default(),
        config,
        certificates: crate::certificates::Certificates::default(),
        status: Arc::new(move || (*status).clone()),
        rule,
    });
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (stop, stopped) = watch::channel(false);
    let common = Common {
        serve: services,
        rule,
        daemon_id: "0190-daemon".into(),
        stop: stopped,
        throttle: Arc::default(),
    };
    let (reader, writer) = ours.into_split();
    let peer = Peer { uid: OWN, gid: OWN, pid: None };
    tokio::spawn(session::run(common, Connection::new(peer, None), reader, writer));
    let (reader, writer) = theirs.into_split();
    (Client::over(reader, writer, "test 1").await.unwrap(), stop)
}

fn dev(dir: &Path) -> Live {
    Live::dev(dir, SocketAddr::from(([127, 0, 0, 1], 0)), AccessMode::Open, Asked::default())
}

fn new_node(name: &str, url: String) -> NewNode {
    NewNode {
        name: name.into(),
        url,
        kind: None,
        credential: Credential::Bearer(WireSecret::new("marked-secret".into())),
        ca_pem: None,
        server_name: None,
        max_parallel: 0,
        labels: std::collections::BTreeMap::default(),
        force: false,
        organization: None,
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, ClientError>) -> FaultKind {
    match result {
        Err(ClientError::Fault(Fault { kind, .. })) => kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_are_managed_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _stop) = daemon(dir.path(), dev(dir.path())).await;
    let fake = FakeNode::ollama(&["llama3:8b"]).await;
    let mut changes = client.follow(node::Watch).await.unwrap();
    let probe = client.ask(node::Add(Box::new(new_node("gpu1", fake.url())))).await.unwrap();
    assert!(probe.healthy, "{}", probe.finding);
    match changes.next().await {
        Some(Ok(Event::Node(node))) => assert_eq!(node.id, probe.node.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.ask(node::List).await.unwrap().len(), 1);
    let seen = client.ask(node::Show { node: "gpu1".into() }).await.unwrap();
    assert_eq!(seen.credential, "bearer");
    assert!(client.ask(node::Check { node: seen.id.clone() }).await.unwrap().healthy);

    let change = NodeChange { max_parallel: Some(3), ..NodeChange::default() };
    let changed = client
        .ask(node::Set {
            node: "gpu1".into(),
            revision: Some(seen.revision),
            change: Box::new(change.clone()),
        })
        .await
        .unwrap();
    assert_eq!((changed.max_parallel, changed.revision), (3, seen.revision + 1));
    assert_eq!(
        kind(
            client
                .ask(node::Set {
                    node: "gpu1".into(),
                    revision: Some(seen.revision),
                    change: Box::new(change)
                })
                .await
        ),
        FaultKind::Conflict
    );
    let name = client.ask(node::Rename { node: "gpu1".into(), name: "gpu7".into() }).await.unwrap().name;
    assert_eq!(name, "gpu7");
    let back = node::Rename { node: changed.id, name: "gpu1".into() };
    assert_eq!(client.ask(back).await.unwrap().revision, changed.revision + 2);
    let drained = client
        .ask(node::SetState { node: "gpu1".into(), revision: None, state: AdminState::Draining })
        .await
        .unwrap();
    assert_eq!(drained.admin_state, AdminState::Draining);
    assert_eq!(
        kind(client.ask(node::Add(Box::new(new_node("gpu1", fake.url())))).await),
        FaultKind::Conflict
    );
    assert_eq!(kind(client.ask(node::Show { node: "gpu2".into() }).await), FaultKind::NotFound);

    client.ask(node::Remove { node: "gpu1".into(), revision: None }).await.unwrap();
    loop {
        match changes.next().await {
            Some(Ok(Event::NodeRemoved(id))) => break assert_eq!(id, probe.node.id),
            Some(Ok(Event::Node(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(client.ask(node::List).await.unwrap().is_empty());
}

#[tokio::test]
async fn models_are_pulled_as_jobs_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _stop) = daemon(dir.path(), dev(dir.path())).await;
    let fake = FakeNode::ollama(&["llama3:8b"]).await;
    client.ask(node::Add(Box::new(new_node("gpu1", fake.url())))).await.unwrap();
    assert_eq!(client.ask(model::List).await.unwrap().len(), 1);
    assert_eq!(client.ask(model::Show { model: "llama3:8b".into() }).await.unwrap().nodes[0].node, "gpu1");
    assert_eq!(kind(client.ask(model::Show { model: "none".into() }).await), FaultKind::NotFound);

    let pull = fake.next_pull();
    let job = client
        .ask(model::Pull { model: "qwen3:4b".into(), nodes: vec!["gpu1".into()], insecure: false })
        .await
        .unwrap();
    let mut steps = client.follow(job::Follow { job: job.id.clone() }).await.unwrap();
    assert_eq!(client.ask(job::Show { job: job.id.clone() }).await.unwrap().id, job.id);
    assert_eq!(client.ask(job::List).await.unwrap().len(), 1);
    pull.send(r#"{"status":"success"}"#.into()).unwrap();
    drop(pull);
    let mut last = None;
    while let Some(step) = steps.next().await {
        match step.unwrap() {
            Event::Job(job) => last = Some(job.state),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, Some(JobState::Done));
    assert_eq!(client.ask(job::Cancel { job: job.id.clone() }).await.unwrap().state, JobState::Done);
    assert_eq!(kind(client.ask(job::Cancel { job: "none".into() }).await), FaultKind::NotFound);
    let mut nothing = client.follow(job::Follow { job: "none".into() }).await.unwrap();
    assert_eq!(kind(nothing.next().await.unwrap()), FaultKind::NotFound);

    fake.answer("DELETE /api/delete", 200, "");
    let removed = client.ask(model::Remove { model: "llama3:8b".into(), node: None }).await.unwrap();
    assert_eq!(removed.removed, ["gpu1"]);
}

#[tokio::test]
async fn the_rest_answers_too() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _stop) = daemon(dir.path(), dev(dir.path())).await;
    assert_eq!(client.ask(daemon::GetStatus).await.unwrap().pid, 4711);
    assert_eq!(client.ask(strategy::Show).await.unwrap(), Strategy::Cost);
    client.ask(strategy::Set(Strategy::LowestLatency)).await.unwrap();
    assert_eq!(client.ask(strategy::Show).await.unwrap(), Strategy::LowestLatency);
    assert!(client.ask(config::Show).await.unwrap().iter().any(|s| s.key == "data_dir"));
    assert!(client.ask(config::Reload).await.unwrap().applied.is_empty());
    assert!(
        client.ask(log::Recent { filter: LogFilter::default(), lines: 10 }).await.unwrap().events.is_empty()
    );
    let bad = LogFilter { grep: Some("(".into()), ..LogFilter::default() };
    assert_eq!(kind(client.ask(log::Recent { filter: bad.clone(), lines: 1 }).await), FaultKind::Invalid);
    let mut refused = client.follow(log::Follow { filter: bad, lines: 1 }).await.unwrap();
    assert_eq!(kind(refused.next().await.unwrap()), FaultKind::Invalid);
}

#[tokio::test]
async fn a_mistake_in_the_file_changes_nothing_and_is_shown_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("aivonxd.toml");
    std::fs::write(&file, "[health]\ninterval = \"20s\"\n").unwrap();
    let (client, _stop) = daemon(dir.path(), Live::from_file(&file).unwrap()).await;
    std::fs::write(&file, "[health]\nintervall = \"20s\"\n").unwrap();
    let fault = client.ask(config::Reload).await.unwrap_err().to_string();
    assert!(fault.contains("aivonxd.toml:2:1") && fault.contains('^'), "{fault}");
    let setting = client.ask(config::Show).await.unwrap().into_iter().find(|s| s.key == "health.interval");
    assert!(setting.unwrap().value.contains("20"));
    std::fs::write(&file, "[health]\ninterval = \"30s\"\n").unwrap();
    assert_eq!(client.ask(config::Reload).await.unwrap().applied, ["health.interval"]);
}

/// Every request of the protocol has a handler.
#[tokio::test]
async fn every_request_has_a_handler() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _stop) = daemon(dir.path(), dev(dir.path())).await;
    for request in Request::samples() {
        let name = request.name();
        // It would leave the loopback.
        if matches!(request, Request::Node(NodeRequest::Add(_))) {
            continue;
        }
        if matches!(name, "node.watch" | "log.follow" | "job.follow") {
            drop(client.stream(request).await.unwrap());
            continue;
        }
        match client.call(request).await {
            Ok(_) => {}
            Err(ClientError::Fault(fault)) => {
                let bad = matches!(fault.kind, FaultKind::Internal | FaultKind::Unsupported);
                assert!(!bad, "{name}: {fault}");
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}
