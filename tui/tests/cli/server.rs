//! A scripted control server, and the real `aivonx` against it.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use aivonx_protocol::{
    ClientFrame, Event, Fault, Reply, Request, ServerFrame,
    frame::{self, FrameReader, MAX_IN, MAX_OUT},
    handshake::{self, Answer, Login, MAX_HANDSHAKE},
    wire,
};
use tokio::{
    io::BufReader,
    net::{UnixListener, UnixStream},
};

/// What the server does with a request.
pub(crate) enum Does {
    /// Answers it.
    Replies(Reply),
    /// Refuses it.
    Refuses(Fault),
    /// Sends these events and ends the stream in order.
    Streams(Vec<Event>),
    /// Sends these events and leaves the stream open.
    Hangs(Vec<Event>),
    /// Closes the connection.
    Leaves,
}

type Rule = dyn FnMut(&Request) -> Does + Send;

/// The server. It ends with the test's process.
pub(crate) struct Fake {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Starts one that does with every request what `rule` says.
    pub(crate) fn start(rule: impl FnMut(&Request) -> Does + Send + 'static) -> Self {
        Self::wanting(Login::NotNeeded, "test", rule)
    }

    /// One that wants a login and has this identity.
    pub(crate) fn wanting(
        login: Login,
        id: &'static str,
        rule: impl FnMut(&Request) -> Does + Send + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        // Bound before anyone gets the path.
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let rule: Arc<Mutex<Box<Rule>>> = Arc::new(Mutex::new(Box::new(rule)));
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, (login, id), rule.clone(), log.clone()));
                }
            });
        });
        Self { dir, asked }
    }

    /// One that gives every request a sample of its answer, or hangs.
    pub(crate) fn samples() -> Self {
        Self::start(sample)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// What it has been asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// The real binary, with the server's socket and nothing else in its environment.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = aivonx(line);
        command.env("AIVONX_SOCKET", self.socket());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        run(self.command(line), "")
    }
}

/// The real binary with a clean environment. `line` is split at blanks.
pub(crate) fn aivonx(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aivonx"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("COLUMNS", "80")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(mut command: Command, stdin: &str) -> Ran {
    if !stdin.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).unwrap();
    }
    ran(child.wait_with_output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The sample of the answer to `request`.
pub(crate) fn sample(request: &Request) -> Does {
    let events = |names: &[&str]| {
        let events = Event::samples().into_iter().filter(|event| names.contains(&event.name()));
        Does::Streams(events.collect())
    };
    match request.name() {
        "audit.walk" => events(&["audit_walked", "audit_verdict"]),
        "usage.export" | "usage.export_from" => events(&["usage_requests"]),
        // Else every answer about a ledger came with a warning.
        "usage.losses" | "audit.losses" => Does::Replies(Reply::Losses(Vec::new())),
        _ => request.sample_reply().map_or(Does::Hangs(Vec::new()), Does::Replies),
    }
}

async fn serve(
    stream: UnixStream,
    (login, id): (Login, &str),
    rule: Arc<Mutex<Box<Rule>>>,
    log: Arc<Mutex<Vec<Request>>>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = FrameReader::new(BufReader::new(reader), MAX_HANDSHAKE, None);
    handshake::receive(&mut reader, "aivonxd test").await.unwrap();
    let ready = Answer::Ready { daemon_id: id.into(), login };
    handshake::answer(&mut writer, "aivonxd test", &ready).await.unwrap();
    reader.set_cap(MAX_IN);
    while let Ok(Some(payload)) = reader.next().await {
        let ClientFrame::Call { id, request } = wire::decode::<ClientFrame, MAX_IN>(&payload).unwrap() else {
            continue;
        };
        log.lock().unwrap().push(request.clone());
        let does = (rule.lock().unwrap())(&request);
        let (events, last) = match does {
            Does::Replies(reply) => (Vec::new(), Some(ServerFrame::Reply { id, result: Ok(reply) })),
            Does::Refuses(fault) => (Vec::new(), Some(ServerFrame::Reply { id, result: Err(fault) })),
            Does::Streams(events) => (events, Some(ServerFrame::End { id, result: Ok(()) })),
            Does::Hangs(events) => (events, None),
            Does::Leaves => return,
        };
        let events = events.into_iter().map(|event| ServerFrame::Event { id, event });
        for frame in events.chain(last) {
            let sealed = frame::seal(&frame, MAX_OUT).unwrap();
            if frame::write(&mut writer, &sealed).await.is_err() {
                return;
            }
        }
    }
}
