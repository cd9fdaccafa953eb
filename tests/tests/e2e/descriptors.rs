//! Few file descriptors: what clients take leaves some for everything else, and a shortage passes.

use std::time::Instant;

use aivonx_protocol::organization::{self, NewOrganization, NodeAccess};
use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Client, Daemon, H2Client, Request},
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::task::JoinSet;

/// Descriptors of the daemon, of which it needs some thirty for itself.
const FEW: u64 = 300;
/// A quarter of them is for connections to nodes.
const TO_NODES: usize = 75;

fn generate() -> String {
    json!({"model": "step", "prompt": "x", "options": {"num_predict": 3}}).to_string()
}

/// How many descriptors the daemon holds.
fn held(daemon: &Daemon) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count() as u64
}

/// From now on the daemon may hold no more than so many.
fn allow(daemon: &Daemon, current: u64) {
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(current), maximum: Some(FEW) }).unwrap();
}

#[tokio::test]
async fn streams_and_connections_leave_descriptors_for_the_store_and_the_control_socket() {
    let step = FakeNode::start(Kind::Ollama, &["step"]).await;
    step.gate();
    // Else they would wait until it is.
    step.with(|s| s.models[0].load());
    let daemon = Daemon::builder().config("").node(&step).open_files(FEW).start().await;

    let mut client = H2Client::connect(daemon.address()).await;
    let mut streams = JoinSet::new();
    for _ in 0..2 * TO_NODES {
        let mut client = client.clone();
        streams.spawn(async move { client.ask("POST", "/api/generate", &[], generate()).await });
    }
    let mut idle = Vec::new();
    for _ in 0..FEW {
        idle.push(Client::connect(daemon.address()).await);
    }
    // Requests for which there is no connection to the node are refused at once.
    for _ in 0..TO_NODES {
        let refused = streams.join_next().await.unwrap().unwrap();
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.fields.contains_key("retry-after"), "{refused:?}");
    }
    daemon.aivonx().ok(&["org", "add", "meanwhile"]).await;
    assert!(daemon.aivonx().ok(&["org", "list"]).await.contains("meanwhile"));
    daemon.aivonx().ok(&["status"]).await;
    assert!(held(&daemon) < FEW - 50, "{}", held(&daemon));
    let last = idle.last_mut().unwrap();
    assert_eq!(last.answer().await.status, 503, "one too many is told so");

    step.open_gate();
    let served = streams.join_all().await;
    assert!(served.iter().all(|answer| (answer.status.as_u16(), &answer.cut) == (200, &None)));
    assert_eq!(client.ask("GET", "/health", &[], "").await.status, 200);
    assert!(!daemon.stderr().text().contains("cannot be accepted"));
}

#[tokio::test]
async fn a_shortage_of_descriptors_passes_and_is_said_once_a_second() {
    let daemon = Daemon::builder().config("").open_files(FEW).start().await;
    let control = daemon.control().await;
    allow(&daemon, 1);
    let begin = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = daemon.client().await;
        client.send(&Request::get("/health")).await;
        waiting.push(client);
    }
    let adding = tokio::spawn(async move { control.ask(organization::Add(Box::new(acme()))).await });
    daemon.stderr().until(r"(?s)(cannot be accepted.*){3}").await;
    let lines = daemon.stderr().text().matches("cannot be accepted").count();
    assert!(lines as u64 <= begin.elapsed().as_secs() + 1, "{lines} in {:?}", begin.elapsed());

    allow(&daemon, FEW);
    adding.await.unwrap().expect("what could not be written at once is written");
    for mut client in waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    daemon.aivonx().ok(&["org", "set", "acme", "--name", "Acme"]).await;
}

fn acme() -> NewOrganization {
    NewOrganization {
        slug: "acme".into(),
        name: None,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: None,
        limit_profile: None,
    }
}
