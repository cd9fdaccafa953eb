//! Sessions over socket pairs, with a stand-in for the services whose answers the tests hold back.

mod bounds;
mod calls;
mod logins;
mod services;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aivonx_identity::Actor;
use aivonx_protocol::{
    Client, ClientFrame, Event, Reply, Request, ServerFrame,
    frame::{self, FrameReader, MAX_IN, MAX_OUT},
    handshake, wire,
};
use futures_util::{StreamExt as _, stream};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use super::{
    Answer, Backend, Changes,
    access::{AccessRule, Mode, Peer, Permitted, Standing},
    connection::Connection,
    session::{self, Common, SessionError},
};

const OWN: u32 = 4242;

/// Answers `daemon.status` and `account.login` at once; `node.show`, `node.check` and `account.redeem` when a place in
/// `gate` is free;
/// `node.list` with more than a frame holds; `model.show` with a panic; `log.follow` without end;
/// `job.follow` with three events and the end.
struct Fake {
    gate: Semaphore,
    /// Requests that have come as far as the gate.
    arrived: Semaphore,
    /// Requests that got through it.
    passed: Semaphore,
    /// Streams that were let go.
    dropped: Arc<Semaphore>,
    /// Events taken out of streams.
    produced: Arc<AtomicUsize>,
    /// Who has logged in, wherever there is a session; None: there is no administrator.
    standing: watch::Sender<Option<Standing>>,
    /// Bumped when that changes.
    changes: watch::Sender<u64>,
    /// What users were refused.
    refused: Mutex<Vec<&'static str>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            gate: Semaphore::new(0),
            arrived: Semaphore::new(0),
            passed: Semaphore::new(0),
            dropped: Arc::new(Semaphore::new(0)),
            produced: Arc::default(),
            standing: watch::Sender::new(None),
            changes: watch::Sender::new(0),
            refused: Mutex::default(),
        }
    }
}

struct OnDrop(Arc<Semaphore>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

fn sample(name: &str) -> Reply {
    Reply::samples().into_iter().find(|r| r.name() == name).unwrap()
}

impl Backend for Fake {
    fn is_set_up(&self) -> bool {
        self.standing.borrow().is_some()
    }

    fn standing(&self, _: &Peer, session: Option<[u8; 32]>) -> Standing {
        match (&*self.standing.borrow(), session) {
            (Some(standing), Some(_)) => standing.clone(),
            _ => Standing::Stranger,
        }
    }

    fn stands(&self, peer: &Peer, session: &[u8; 32]) -> bool {
        matches!(self.standing(peer, Some(*session)), Standing::User(..))
    }

    fn changes(&self) -> Changes {
        Changes([self.changes.subscribe(), self.changes.subscribe()])
    }

    fn refused(&self, _: &Actor, name: &'static str) {
        self.refused.lock().unwrap().push(name);
    }

    async fn handle(self: Arc<Self>, permitted: Permitted) -> Answer {
        match permitted.request().name() {
            "daemon.status" => Answer::Reply(Ok(sample("status"))),
            "account.login" => {
                permitted.by().connection().log_in([7; 32]);
                Answer::Reply(Ok(sample("logged_in")))
            }
            "node.show" | "node.check" | "account.redeem" => {
                self.arrived.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                self.passed.add_permits(1);
                let change = permitted.request().name() == "node.check";
                Answer::Reply(Ok(sample(if change { "probe" } else { "node" })))
            }
            "node.list" => {
                let Reply::Node(mut node) = sample("node") else { unreachable!() };
                node.last_error = Some("x".repeat(MAX_OUT));
                Answer::Reply(Ok(Reply::Nodes(vec![*node])))
            }
            "model.show" => panic!("a mistake, on purpose"),
            "log.follow" => {
                let (guard, produced) = (OnDrop(self.dropped.clone()), self.produced.clone());
                let events = stream::iter(0..).map(move |n| {
                    let _held = &guard;
                    produced.fetch_add(1, Ordering::Relaxed);
                    Ok(Event::LogMissed(n))
                });
                Answer::Stream(events.boxed())
            }
            "job.follow" => Answer::Stream(stream::iter((0..3).map(|n| Ok(Event::LogMissed(n)))).boxed()),
            other => panic!("{other} is not expected here"),
        }
    }
}

/// A session and the peer's end of its connection.
struct Rig {
    fake: Arc<Fake>,
    stop: watch::Sender<bool>,
    session: JoinHandle<Result<(), SessionError>>,
    stream: UnixStream,
}

impl Rig {
    fn of(uid: u32) -> Self {
        let (ours, stream) = UnixStream::pair().unwrap();
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = watch::channel(false);
        let common = Common {
            serve: fake.clone(),
            rule: AccessRule { mode: Mode::Dev, daemon_uid: OWN, login_required: true },
            daemon_id: "0190-daemon".into(),
            stop: stopped,
            throttle: Arc::default(),
        };
        let peer = Peer { uid, gid: uid, pid: Some(1) };
        let (reader, writer) = ours.into_split();
        let connection = Connection::new(peer, None);
        let session = tokio::spawn(session::run(common, connection, reader, writer));
        Self { fake, stop, session, stream }
    }

    /// Shakes hands and leaves the frames to the test.
    async fn raw(self) -> (Raw, Rest) {
        let (reader, mut writer) = self.stream.into_split();
        let mut reader = FrameReader::new(reader, MAX_OUT, None);
        handshake::greet(&mut reader, &mut writer, "raw 1").await.unwrap();
        (Raw { reader, writer }, Rest { fake: self.fake, stop: self.stop, session: self.session })
    }

    async fn client(self) -> (Client, Rest) {
        let (reader, writer) = self.stream.into_split();
        let client = Client::over(reader, writer, "test 1").await.unwrap();
        (client, Rest { fake: self.fake, stop: self.stop, session: self.session })
    }
}

/// The daemon's side of a connected rig.
struct Rest {
    fake: Arc<Fake>,
    stop: watch::Sender<bool>,
    session: JoinHandle<Result<(), SessionError>>,
}

impl Rest {
    async fn arrived(&self) {
        self.fake.arrived.acquire().await.unwrap().forget();
    }

    async fn ended(self) -> Result<(), SessionError> {
        self.session.await.unwrap()
    }
}

/// The peer's side, frame by frame.
struct Raw {
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Raw {
    async fn send(&mut self, frame: &ClientFrame) {
        frame::write(&mut self.writer, &frame::seal(frame, MAX_IN).unwrap()).await.unwrap();
    }

    async fn call(&mut self, id: u64, name: &str) {
        let request = Request::samples().into_iter().find(|r| r.name() == name).unwrap();
        self.send(&ClientFrame::Call { id, request }).await;
    }

    async fn send_payload(&mut self, payload: &[u8]) {
        frame::write(&mut self.writer, &frame::seal_bytes(payload).unwrap()).await.unwrap();
    }

    async fn next(&mut self) -> Option<ServerFrame> {
        let payload = self.reader.next().await.unwrap()?;
        Some(wire::decode::<ServerFrame, MAX_OUT>(&payload).unwrap())
    }
}
