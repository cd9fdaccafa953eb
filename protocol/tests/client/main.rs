//! The typed client against a fake daemon: every method, and everything that can go wrong on the way.

#![allow(clippy::unwrap_used, reason = "tests")]

mod connecting;
#[path = "../identity/mod.rs"]
mod identity;
mod streams;

use std::{collections::BTreeSet, path::Path};

use aivonx_protocol::{
    Client, ClientError, ClientFrame, Event, Fault, FaultKind, Reply, Request, ServerFrame,
    audit::{AuditFilter, ExportFormat},
    frame::{self, FrameReader, MAX_IN, MAX_OUT},
    handshake::{self, Answer, Login, MAGIC, MAX_HANDSHAKE},
    job::JobRequest,
    log::LogFilter,
    node::{AdminState, NodeChange, NodeRequest},
    policy::PolicyChange,
    request::{MAX_IN_FLIGHT, STREAM_WINDOW},
    strategy::Strategy,
    usage::{UsageBy, UsageFilter, UsageRank},
    wire,
};
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};

const DAEMON: &str = "aivonxd 0.1.0";

/// The daemon's end of a connection, driven by the test frame by frame.
struct Fake {
    reader: FrameReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Fake {
    async fn next(&mut self) -> Option<ClientFrame> {
        let payload = self.reader.next().await.unwrap()?;
        Some(wire::decode::<ClientFrame, MAX_IN>(&payload).unwrap())
    }

    async fn call(&mut self) -> (u64, Request) {
        match self.next().await {
            Some(ClientFrame::Call { id, request }) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    async fn send(&mut self, frame: &ServerFrame) {
        frame::write(&mut self.writer, &frame::seal(frame, MAX_OUT).unwrap()).await.unwrap();
    }

    async fn send_raw(&mut self, payload: &[u8]) {
        frame::write(&mut self.writer, &frame::seal_bytes(payload).unwrap()).await.unwrap();
    }

    async fn event(&mut self, id: u64, n: u64) {
        self.send(&ServerFrame::Event { id, event: Event::LogMissed(n) }).await;
    }
}

async fn pair() -> (Client, Fake) {
    let (ours, theirs) = duplex(64 << 10);
    let (r, w) = split(ours);
    let (r2, w2) = split(theirs);
    let mut fake = Fake { reader: FrameReader::new(r2, MAX_IN, None), writer: w2 };
    let server = async {
        let hello = handshake::receive(&mut fake.reader, DAEMON).await.unwrap();
        assert_eq!(hello.client, "test 1");
        let ready = Answer::Ready { daemon_id: "d".into(), login: Login::NotNeeded };
        handshake::answer(&mut fake.writer, DAEMON, &ready).await.unwrap();
    };
    let (client, ()) = tokio::join!(Client::over(r, w, "test 1"), server);
    let client = client.unwrap();
    assert_eq!(client.daemon().version, DAEMON);
    assert_eq!(client.daemon().id, "d");
    (client, fake)
}

/// The reply a request is documented to be answered with. Exhaustive: a new request says so here.
fn reply_to(request: &Request) -> Option<&'static str> {
    Some(match request.name() {
        "daemon.status" => "status",
        "daemon.pulse" => "pulse",
        "node.list" => "nodes",
        "node.show" | "node.set" | "node.set_state" => "node",
        "node.add" | "node.check" => "probe",
        "node.probe" | "node.probe_change" => "probed",
        "node.remove" => "done",
        "model.list" => "models",
        "model.show" => "model",
        "model.pull" | "model.load" | "model.unload" | "job.show" | "job.cancel" => "job",
        "model.remove" => "model_removed",
        "strategy.show" | "strategy.set" => "strategy",
        "job.list" => "jobs",
        "log.recent" => "logs",
        "config.show" => "config",
        "config.reload" => "reloaded",
        "account.setup" | "account.login" => "logged_in",
        "account.resume" | "account.whoami" => "identity",
        "account.totp_begin" => "totp_offer",
        "account.totp_confirm" | "account.backup_codes" => "backup_codes",
        "account.logout" | "account.password" | "account.totp_disable" => "done",
        "account.verify" | "account.redeem" => "done",
        "user.remove" | "token.revoke" => "done",
        "organization.list" => "organizations",
        "organization.show" | "organization.add" | "organization.set" => "organization",
        "organization.remove" => "organization_removed",
        "organization.networks" | "organization.set_networks" => "node_networks",
        "user.list" => "users",
        "user.show" | "user.add" | "user.set" | "user.set_enabled" | "user.reset_totp" => "user",
        "user.reset_password" => "reset_code",
        "user.sessions" | "token.list" => "sessions",
        "user.logout" => "sessions_ended",
        "key.list" => "keys",
        "key.show" | "key.set" | "key.revoke" => "key",
        "key.create" | "key.rotate" => "new_key",
        "token.create" => "new_session",
        "lockout.list" => "lockouts",
        "lockout.clear" => "lockouts_cleared",
        "audit.list" | "audit.list_from" => "audit_page",
        "audit.show" => "audit_entry",
        "audit.verify" => "audit_verdict",
        "audit.keys" => "audit_keys",
        "audit.checkpoint" => "audit_checkpoint",
        "secrets.status" => "secrets",
        "secrets.validate" => "checks",
        "secrets.rotate" => "job",
        "snapshot.list" => "snapshots",
        "snapshot.create" => "snapshot",
        "snapshot.newest" => "newest_snapshot",
        "usage.losses" | "audit.losses" => "losses",
        "running.list" => "running",
        "running.cancel" => "done",
        "limit.show" | "limit.set" | "limit.unset" | "limit.set_profile" => "limits",
        "limit.profiles" => "limit_profiles",
        "limit.unpriced" => "unpriced",
        "price.list" => "prices",
        "price.set" => "price",
        "price.remove" => "done",
        "node.watch" | "job.follow" | "log.follow" | "audit.follow" | "audit.export" | "audit.walk"
        | "audit.follow_from" | "audit.export_from" | "usage.watch" | "usage.watch_from" | "usage.export"
        | "usage.export_from" => return None,
        "usage.report" | "usage.report_from" | "usage.top" | "usage.top_from" => "usage",
        "policy.list" => "policies",
        "policy.set" => "policy",
        "policy.remove" | "policy.remove_alias" => "done",
        "policy.aliases" => "aliases",
        "policy.set_alias" => "alias",
        "privacy.show" | "privacy.set" => "privacy",
        "privacy.test" => "privacy_report",
        other => panic!("say here what {other} is answered with"),
    })
}

#[tokio::test]
async fn every_method_sends_its_request_and_takes_its_reply() {
    let (client, mut fake) = pair().await;
    let server = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        while let Some(frame) = fake.next().await {
            let ClientFrame::Call { id, request } = frame else { continue };
            seen.insert(request.name());
            let frame = match reply_to(&request) {
                Some(name) => {
                    let reply = Reply::samples().into_iter().find(|r| r.name() == name).unwrap();
                    ServerFrame::Reply { id, result: Ok(reply) }
                }
                None => {
                    fake.event(id, 5).await;
                    ServerFrame::End { id, result: Ok(()) }
                }
            };
            fake.send(&frame).await;
        }
        seen
    });

    let change = NodeChange { max_parallel: Some(2), ..NodeChange::default() };
    let new_node = Request::samples().into_iter().find_map(|r| match r {
        Request::Node(NodeRequest::Add(node)) => Some(*node),
        _ => None,
    });
    assert_eq!(client.status().await.unwrap().pid, 4711);
    assert_eq!(client.pulse(Some(1_700_000_000)).await.unwrap().minute.requests, 4);
    assert_eq!(client.node_list().await.unwrap().len(), 1);
    assert_eq!(client.node_show("gpu1").await.unwrap().name, "gpu1");
    let new_node = new_node.unwrap();
    assert!(client.node_probe(new_node.clone()).await.unwrap().healthy);
    assert!(client.node_probe_change("gpu1", change.clone()).await.unwrap().healthy);
    assert!(client.node_add(new_node).await.unwrap().healthy);
    assert_eq!(client.node_set("gpu1", Some(1), change).await.unwrap().revision, 3);
    assert_eq!(client.node_set_state("gpu1", None, AdminState::Enabled).await.unwrap().revision, 3);
    client.node_remove("gpu1", None).await.unwrap();
    assert!(client.node_check("gpu1").await.unwrap().healthy);
    assert_eq!(client.model_list().await.unwrap().len(), 1);
    assert_eq!(client.model_show("llama3:8b").await.unwrap().name, "llama3:8b");
    assert_eq!(client.model_pull("llama3:8b", vec![], false).await.unwrap().id, "j1");
    assert_eq!(client.model_load("llama3:8b", None, Some("1h".into())).await.unwrap().id, "j1");
    assert_eq!(client.model_unload("llama3:8b", Some("gpu1".into())).await.unwrap().id, "j1");
    assert_eq!(client.model_remove("llama3:8b", None).await.unwrap().removed, ["gpu1"]);
    assert_eq!(client.strategy_show().await.unwrap(), Strategy::LeastActive);
    assert_eq!(client.strategy_set(Strategy::LeastActive).await.unwrap(), Strategy::LeastActive);
    assert_eq!(client.job_list().await.unwrap().len(), 1);
    assert_eq!(client.job_show("j1").await.unwrap().id, "j1");
    assert_eq!(client.job_cancel("j1").await.unwrap().id, "j1");
    assert_eq!(client.log_recent(LogFilter::default(), 5).await.unwrap().sink, "journald");
    assert_eq!(client.config_show().await.unwrap().len(), 1);
    assert_eq!(client.config_reload().await.unwrap().applied, ["log.level"]);
    let network = Some("192.0.2.0/24".parse().unwrap());
    let audit_from = AuditFilter { network, ..AuditFilter::default() };
    let usage_from = UsageFilter { network, ..UsageFilter::default() };
    let streams = [
        client.node_watch().await.unwrap(),
        client.job_follow("j1").await.unwrap(),
        client.log_follow(LogFilter::default(), 5).await.unwrap(),
        client.audit_follow(AuditFilter::default(), 5).await.unwrap(),
        client.audit_export(AuditFilter::default(), ExportFormat::Csv).await.unwrap(),
        client.audit_walk(Vec::new()).await.unwrap(),
        client.usage_watch(UsageFilter::default()).await.unwrap(),
        client.usage_export(UsageFilter::default()).await.unwrap(),
        client.audit_follow(audit_from.clone(), 5).await.unwrap(),
        client.audit_export(audit_from.clone(), ExportFormat::Csv).await.unwrap(),
    ];
    for mut stream in streams {
        assert_eq!(stream.next().await.unwrap().unwrap(), Event::LogMissed(5));
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
    }
    assert_eq!(client.audit_list(AuditFilter::default(), None, 5, false).await.unwrap().next, Some(6));
    assert_eq!(client.audit_list(audit_from, None, 5, false).await.unwrap().next, Some(6));
    assert_eq!(client.audit_show(7).await.unwrap().seq, 7);
    assert_eq!(client.audit_verify(Vec::new()).await.unwrap().last, 300);
    assert_eq!(client.audit_keys().await.unwrap().len(), 1);
    assert_eq!(client.audit_checkpoint().await.unwrap().seq, 7);
    assert_eq!(client.usage_report(UsageFilter::default(), None, None).await.unwrap().rows.len(), 1);
    assert_eq!(client.usage_report(usage_from.clone(), None, None).await.unwrap().rows.len(), 1);
    for filter in [UsageFilter::default(), usage_from] {
        let top = client.usage_top(filter, UsageBy::Key, UsageRank::Spend, 5);
        assert_eq!(top.await.unwrap().total.requests, 7);
    }
    assert_eq!(client.usage_losses().await.unwrap().len(), 1);
    assert_eq!(client.audit_losses().await.unwrap().len(), 1);
    assert_eq!(client.running_list().await.unwrap()[0].tokens, 321);
    client.running_cancel("0190-request").await.unwrap();
    identity::call_every_method(&client).await;
    assert_eq!(client.snapshot_list().await.unwrap().len(), 2);
    assert_eq!(client.snapshot_create().await.unwrap().0.change, Some(9));
    assert_eq!(client.snapshot_newest().await.unwrap().unwrap().behind, 2);
    assert!(client.secrets_status().await.unwrap().unfinished);
    assert_eq!(client.secrets_validate().await.unwrap().len(), 1);
    assert_eq!(client.secrets_rotate(true, false, None).await.unwrap().id, "j1");
    assert_eq!(client.policy_list(None).await.unwrap().len(), 1);
    let change = PolicyChange::default();
    assert_eq!(client.policy_set(None, "llama3*", None, change).await.unwrap().model, "llama3*");
    client.policy_remove(None, "llama3*").await.unwrap();
    assert_eq!(client.alias_list(Some("acme".into())).await.unwrap().len(), 1);
    let models = vec!["llama3.3:70b".to_owned()];
    assert_eq!(client.alias_set(None, "gpt-4o", models, None).await.unwrap().alias, "gpt-4o");
    client.alias_remove(None, "gpt-4o").await.unwrap();
    drop(client);

    let mut all: BTreeSet<_> = Request::samples().iter().map(Request::name).collect();
    // What former clients ask, whose requests come without addresses.
    for former in ["usage.watch", "usage.export"] {
        assert!(all.remove(former));
    }
    assert_eq!(server.await.unwrap(), all, "a request without a client method, or one without a test");
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let (client, mut fake) = pair().await;
    let server = async {
        let (first, _) = fake.call().await;
        let (second, _) = fake.call().await;
        let fault = Fault::new(FaultKind::NotFound, "no node b");
        fake.send(&ServerFrame::Reply { id: second, result: Err(fault) }).await;
        fake.send(&ServerFrame::Reply { id: first, result: Ok(Reply::Done) }).await;
    };
    let (a, b, ()) = tokio::join!(client.node_remove("a", None), client.node_remove("b", None), server);
    a.unwrap();
    assert!(matches!(b, Err(ClientError::Fault(Fault { kind: FaultKind::NotFound, .. }))));
}

#[tokio::test]
async fn a_lost_connection_ends_everything_and_says_so() {
    let (client, mut fake) = pair().await;
    let mut stream = client.node_watch().await.unwrap();
    fake.call().await;
    let (answer, ()) = tokio::join!(client.status(), async {
        fake.call().await;
        drop(fake);
    });
    assert!(matches!(answer, Err(ClientError::Closed(_))), "{answer:?}");
    assert!(matches!(stream.next().await, Some(Err(ClientError::Closed(_)))));
    assert!(matches!(client.status().await, Err(ClientError::Closed(_))));
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection() {
    let (client, mut fake) = pair().await;
    let clone = client.clone();
    drop(client);
    let mut stream = clone.node_watch().await.unwrap();
    let (id, _) = fake.call().await;
    drop(clone);
    // The stream alone keeps the connection.
    fake.event(id, 1).await;
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    assert_eq!(fake.next().await, Some(ClientFrame::Cancel { id }));
    assert!(fake.next().await.is_none());
}

#[tokio::test]
async fn a_frame_of_a_later_version_costs_one_request_only() {
    let (client, mut fake) = pair().await;
    let server = async {
        let (id, _) = fake.call().await;
        let mut bytes =
            wire::encode(&ServerFrame::Reply { id, result: Ok(Reply::Done) }, 0, MAX_OUT).unwrap().to_vec();
        *bytes.last_mut().unwrap() = 200;
        fake.send_raw(&bytes).await;
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done) }).await;
    };
    let client = async {
        assert!(matches!(client.node_remove("a", None).await, Err(ClientError::Protocol(_))));
        client.node_remove("a", None).await.unwrap();
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn a_reply_of_the_wrong_kind_is_an_error() {
    let (client, mut fake) = pair().await;
    let (answer, ()) = tokio::join!(client.status(), async {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done) }).await;
    });
    let text = answer.unwrap_err().to_string();
    assert!(text.contains("daemon.status was answered with done"), "{text}");
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    let (client, mut fake) = pair().await;
    let calls: Vec<_> = (0..=MAX_IN_FLIGHT)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.node_remove("a", None).await })
        })
        .collect();
    let mut ids = Vec::new();
    for _ in 0..MAX_IN_FLIGHT {
        ids.push(fake.call().await.0);
    }
    // The one beyond the bound is sent only when another is done.
    fake.send(&ServerFrame::Reply { id: ids[0], result: Ok(Reply::Done) }).await;
    let (last, _) = fake.call().await;
    for id in ids.into_iter().skip(1).chain([last]) {
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done) }).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_beyond_the_cap_is_not_sent() {
    let (client, _fake) = pair().await;
    let node = "x".repeat(MAX_IN + 1);
    assert!(matches!(client.node_show(&node).await, Err(ClientError::Protocol(_))));
}

#[test]
fn faults_reach_a_terminal_escaped_line_by_line() {
    let fault = Fault::new(FaultKind::Invalid, "line 1\nline \u{1b}[2J").hint("fix it");
    assert_eq!(ClientError::Fault(fault).to_string(), "line 1\nline \\u{1b}[2J\nfix it");
}

/// Both ends of the connection could be written to at once without either being read: no deadlock.
#[tokio::test]
async fn writing_and_reading_do_not_wait_for_each_other() {
    let (client, mut fake) = pair().await;
    let mut stream = client.log_follow(LogFilter::default(), 0).await.unwrap();
    let (id, _) = fake.call().await;
    let big = "x".repeat(60 << 10);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (client, big) = (client.clone(), big.clone());
            tokio::spawn(async move { client.call(Request::Job(JobRequest::Show { job: big })).await })
        })
        .collect();
    let text = "y".repeat(60 << 10);
    for _ in 0..8 {
        fake.send(&ServerFrame::Event { id, event: Event::NodeRemoved(text.clone()) }).await;
    }
    for _ in 0..8 {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done) }).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for _ in 0..8 {
        stream.next().await.unwrap().unwrap();
    }
    fake.writer.shutdown().await.unwrap();
}
