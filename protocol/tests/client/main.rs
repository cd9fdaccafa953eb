//! The typed client against a fake daemon: every operation, and everything that can go wrong on the way.

#![allow(clippy::unwrap_used, reason = "tests")]

mod connecting;
mod streams;

use std::path::Path;

use aivonx_protocol::{
    Client, ClientError, ClientFrame, Event, Fault, FaultKind, Reply, Request, ServerFrame,
    audit::{self, AuditFilter, ExportFormat},
    daemon,
    frame::{self, FrameReader, MAX_IN, MAX_OUT},
    handshake::{self, Login, MAGIC, MAX_HANDSHAKE},
    job,
    log::{self, LogFilter},
    node,
    operation::{Answer, Operation, Serve, Server},
    request::{MAX_IN_FLIGHT, STREAM_WINDOW},
    usage::{self, UsageBy, UsageFilter, UsageRank},
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
        let ready = handshake::Answer::Ready { daemon_id: "d".into(), login: Login::NotNeeded };
        handshake::answer(&mut fake.writer, DAEMON, &ready).await.unwrap();
    };
    let (client, ()) = tokio::join!(Client::over(r, w, "test 1"), server);
    let client = client.unwrap();
    assert_eq!(client.daemon().version, DAEMON);
    assert_eq!(client.daemon().id, "d");
    (client, fake)
}

/// A server that has everything done by another, and takes the answers for what the operations say they are.
struct Relay(Client);

impl Server for Relay {
    type Proof = ();
    type By<O> = ();
    type Events = ();

    fn by<O>((): ()) {}
}

impl<O: Operation> Serve<O> for Relay {
    async fn serve(&self, (): (), operation: O) -> Result<O::Answer<()>, Fault> {
        let unexpected = |reply: Reply| panic!("{} was answered with {}", O::NAME, reply.name());
        Ok(O::take(self.0.call(operation.into()).await.unwrap()).unwrap_or_else(unexpected))
    }
}

#[tokio::test]
async fn every_operation_is_sent_and_takes_its_answer() {
    let (client, mut fake) = pair().await;
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(frame) = fake.next().await {
            let ClientFrame::Call { id, request } = frame else { continue };
            let frame = match request.sample_reply() {
                Some(reply) => ServerFrame::Reply { id, result: Ok(reply) },
                None => {
                    fake.event(id, 5).await;
                    ServerFrame::End { id, result: Ok(()) }
                }
            };
            seen.push(request);
            fake.send(&frame).await;
        }
        seen
    });
    let relay = Relay(client);
    for request in Request::samples() {
        let Some(expected) = request.sample_reply() else {
            let mut stream = relay.0.stream(request).await.unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap(), Event::LogMissed(5));
            assert!(stream.next().await.is_none());
            assert!(stream.next().await.is_none());
            continue;
        };
        let Answer::Reply(Ok(reply)) = request.serve(&relay, ()).await else { panic!("{expected:?}") };
        assert_eq!(reply, expected);
    }
    assert_eq!(relay.0.ask(daemon::GetStatus).await.unwrap().pid, 4711);
    drop(relay);
    let mut seen = server.await.unwrap();
    assert_eq!(seen.pop(), Some(daemon::GetStatus.into()));
    assert_eq!(seen, Request::samples());
}

/// A filter does not carry its network across the wire: the operation beside it does.
#[test]
fn a_filter_by_network_is_sent_beside_the_filter() {
    let network = Some("192.0.2.0/24".parse().unwrap());
    let audit = AuditFilter { network, ..AuditFilter::default() };
    let usage = UsageFilter { network, ..UsageFilter::default() };
    let names = |requests: [Request; 5]| requests.map(|request| request.sent().name());
    let all = |audit: AuditFilter, usage: UsageFilter| {
        names([
            audit::List { filter: audit.clone(), cursor: None, limit: 5, oldest_first: false }.into(),
            audit::Follow { filter: audit.clone(), lines: 5 }.into(),
            audit::Export { filter: audit, format: ExportFormat::Csv }.into(),
            usage::Report { filter: usage.clone(), by: None, per: None }.into(),
            usage::Top { filter: usage, of: UsageBy::Key, rank: UsageRank::Spend, limit: 5 }.into(),
        ])
    };
    let plain = ["audit.list", "audit.follow", "audit.export", "usage.report", "usage.top"];
    assert_eq!(all(AuditFilter::default(), UsageFilter::default()), plain);
    assert_eq!(all(audit, usage).map(str::to_owned), plain.map(|name| format!("{name}_from")));
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let (client, mut fake) = pair().await;
    let server = async {
        let (first, _) = fake.call().await;
        let (second, _) = fake.call().await;
        let fault = Fault::new(FaultKind::NotFound, "no node b");
        fake.send(&ServerFrame::Reply { id: second, result: Err(fault) }).await;
        fake.send(&ServerFrame::Reply { id: first, result: Ok(Reply::Done(())) }).await;
    };
    let (a, b, ()) = tokio::join!(
        client.ask(node::Remove { node: "a".into(), revision: None }),
        client.ask(node::Remove { node: "b".into(), revision: None }),
        server
    );
    a.unwrap();
    assert!(matches!(b, Err(ClientError::Fault(Fault { kind: FaultKind::NotFound, .. }))));
}

#[tokio::test]
async fn a_lost_connection_ends_everything_and_says_so() {
    let (client, mut fake) = pair().await;
    let mut stream = client.follow(node::Watch).await.unwrap();
    fake.call().await;
    let (answer, ()) = tokio::join!(client.ask(daemon::GetStatus), async {
        fake.call().await;
        drop(fake);
    });
    assert!(matches!(answer, Err(ClientError::Closed(_))), "{answer:?}");
    assert!(matches!(stream.next().await, Some(Err(ClientError::Closed(_)))));
    assert!(matches!(client.ask(daemon::GetStatus).await, Err(ClientError::Closed(_))));
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection() {
    let (client, mut fake) = pair().await;
    let clone = client.clone();
    drop(client);
    let mut stream = clone.follow(node::Watch).await.unwrap();
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
        let mut bytes = wire::encode(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }, 0, MAX_OUT)
            .unwrap()
            .to_vec();
        *bytes.last_mut().unwrap() = 200;
        fake.send_raw(&bytes).await;
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
    };
    let client = async {
        assert!(matches!(
            client.ask(node::Remove { node: "a".into(), revision: None }).await,
            Err(ClientError::Protocol(_))
        ));
        client.ask(node::Remove { node: "a".into(), revision: None }).await.unwrap();
    };
    tokio::join!(client, server);
}

#[tokio::test]
async fn a_reply_of_the_wrong_kind_is_an_error() {
    let (client, mut fake) = pair().await;
    let (answer, ()) = tokio::join!(client.ask(daemon::GetStatus), async {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
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
            tokio::spawn(async move { client.ask(node::Remove { node: "a".into(), revision: None }).await })
        })
        .collect();
    let mut ids = Vec::new();
    for _ in 0..MAX_IN_FLIGHT {
        ids.push(fake.call().await.0);
    }
    // The one beyond the bound is sent only when another is done.
    fake.send(&ServerFrame::Reply { id: ids[0], result: Ok(Reply::Done(())) }).await;
    let (last, _) = fake.call().await;
    for id in ids.into_iter().skip(1).chain([last]) {
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_beyond_the_cap_is_not_sent() {
    let (client, _fake) = pair().await;
    let node = "x".repeat(MAX_IN + 1);
    assert!(matches!(client.ask(node::Show { node: node.clone() }).await, Err(ClientError::Protocol(_))));
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
    let mut stream = client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.unwrap();
    let (id, _) = fake.call().await;
    let big = "x".repeat(60 << 10);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (client, big) = (client.clone(), big.clone());
            tokio::spawn(async move { client.call(Request::from(job::Show { job: big })).await })
        })
        .collect();
    let text = "y".repeat(60 << 10);
    for _ in 0..8 {
        fake.send(&ServerFrame::Event { id, event: Event::NodeRemoved(text.clone()) }).await;
    }
    for _ in 0..8 {
        let (id, _) = fake.call().await;
        fake.send(&ServerFrame::Reply { id, result: Ok(Reply::Done(())) }).await;
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for _ in 0..8 {
        stream.next().await.unwrap().unwrap();
    }
    fake.writer.shutdown().await.unwrap();
}
