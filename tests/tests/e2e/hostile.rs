//! Clients that mean harm, at the real listeners. Beside each of them runs a stream that must not notice, memory stays
//! bounded, and what was done about them is counted.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request, TlsClient, binary},
    within,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Most that an attack may have the daemon hold on to, bytes. Debug builds and the allocator's own pages are in it.
const GROWTH: u64 = 48 << 20;

/// A gateway with a stream under way.
struct Attacked {
    daemon: Daemon,
    node: FakeNode,
    stream: Client,
    before: u64,
}

impl Attacked {
    async fn begin(config: &str) -> Self {
        let node = FakeNode::ollama().await;
        node.with(|s| s.models[0].load());
        let daemon = Daemon::run(&[&node], config).await;
        node.gate();
        let mut stream = daemon.client().await;
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        stream.send(&Request::json("/api/chat", &body)).await;
        node.release(1);
        let head = stream.head().await;
        assert_eq!(head.status(), 200);
        stream.piece().await.unwrap().unwrap();
        let before = resident(&daemon);
        Self { daemon, node, stream, before }
    }

    /// Connections that the gateway closed for this reason.
    async fn closed_for(&self, reason: &str) -> u64 {
        let metrics = self.daemon.get("/metrics").await.expect(200).text();
        let line = format!("aivonx_connections_closed_total{{reason=\"{reason}\"}} ");
        let value = metrics.lines().find_map(|found| found.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse().unwrap()
    }

    /// Waits until so many were.
    async fn until_closed_for(&self, reason: &str, count: u64) {
        within(&format!("{count} closed for {reason}"), async {
            while self.closed_for(reason).await < count {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// The stream goes on to its end, others are served, and the memory is that of before.
    async fn end(mut self, what: &str) {
        self.daemon.get("/health").await.expect(200);
        self.node.release(1000);
        let mut last = Vec::new();
        while let Some(piece) = self.stream.piece().await.unwrap_or_else(|e| panic!("{what}: {e}")) {
            last = piece.to_vec();
        }
        let last = String::from_utf8_lossy(&last).into_owned();
        assert!(last.contains("\"done\":true"), "{what}: {last}");
        let grown = resident(&self.daemon).saturating_sub(self.before);
        assert!(grown < GROWTH, "{what}: {} MiB more", grown >> 20);
    }
}

/// Bytes of memory that the daemon holds.
fn resident(daemon: &Daemon) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", daemon.pid())).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A field that is not indexed (RFC 7541, 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        // Lengths below 127 take one byte (5.1).
        let length = text.len();
        assert!(length < 127, "{text}");
        [&[u8::try_from(length).unwrap()], text.as_bytes()].concat()
    };
    [&[0_u8][..], &text(name), &text(value)].concat()
}

fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

fn asks(method: &str, path: &str) -> Vec<u8> {
    fields(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")])
}

/// A connection with HTTP/2 on which nothing was asked yet.
async fn http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begin = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&begin).await.unwrap();
    stream
}

/// Reads until all of these streams are over, or the connection is; what came in all frames until then.
async fn until_over(what: &str, stream: &mut TcpStream, ids: &[u32]) -> String {
    let (mut open, mut came) = (ids.to_vec(), Vec::new());
    within(what, async {
        let mut head = [0; 9];
        while !open.is_empty() && stream.read_exact(&mut head).await.is_ok() {
            let [a, b, c, kind, flags, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if kind == GOAWAY || stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            came.extend_from_slice(&payload);
            if kind == RESET || matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                open.retain(|open| *open != u32::from_be_bytes(id));
            }
        }
    })
    .await;
    String::from_utf8_lossy(&came).into_owned()
}

/// Sends until the gateway closes the connection; how many times that were.
async fn send_until_closed(what: &str, stream: TcpStream, most: u32, mut next: impl FnMut(u32) -> Vec<u8>) {
    let (mut read, mut write) = stream.into_split();
    // What is sent back is taken, or the gateway would wait for that.
    let drained = tokio::spawn(async move {
        let mut some = vec![0; 16 << 10];
        while matches!(read.read(&mut some).await, Ok(1..)) {}
    });
    let sent = async {
        for turn in 0..most {
            if write.write_all(&next(turn)).await.is_err() {
                return;
            }
        }
    };
    within(what, sent).await;
    within(&format!("the end of {what}"), drained).await.unwrap();
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let attacked = Attacked::begin("").await;
    let stream = http2(attacked.daemon.address()).await;
    send_until_closed("a rapid reset", stream, 200_000, |turn| {
        let id = turn * 2 + 1;
        let begin = frame(HEADERS, END_HEADERS | END_STREAM, id, &asks("GET", "/health"));
        [begin, frame(RESET, 0, id, &8_u32.to_be_bytes())].concat()
    })
    .await;
    attacked.until_closed_for("malformed", 1).await;
    attacked.end("a rapid reset").await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let attacked = Attacked::begin("").await;
    let stream = http2(attacked.daemon.address()).await;
    let more = literal("x-more", &"x".repeat(100)).repeat(100);
    send_until_closed("a flood of CONTINUATION", stream, 20_000, |turn| match turn {
        0 => frame(HEADERS, 0, 1, &asks("GET", "/health")),
        _ => frame(CONTINUATION, 0, 1, &more),
    })
    .await;
    attacked.until_closed_for("malformed", 1).await;
    attacked.end("a flood of CONTINUATION").await;
}

#[tokio::test]
async fn a_head_that_grows_when_it_is_unpacked_is_refused() {
    let attacked = Attacked::begin("").await;
    let mut small = http2(attacked.daemon.address()).await;
    small.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &asks("GET", "/health"))).await.unwrap();
    let answered = until_over("the answer", &mut small, &[1]).await;
    assert!(answered.contains("\"status\""), "{answered}");
    let mut stream = http2(attacked.daemon.address()).await;
    // An entry of 4 KiB for the table (RFC 7541, 6.2.1), then as often as a frame has room.
    let value = "x".repeat(3900);
    let length = [0x7f, 0xbd, 0x1d];
    let entry = [&[0x40, 1, b'a'][..], &length, value.as_bytes()].concat();
    for id in [1, 3, 5, 7] {
        let head = [asks("GET", "/health"), entry.clone(), vec![0xbe; 12_000]].concat();
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, &head)).await.unwrap();
    }
    // Nothing that was asked so is answered as if it were small.
    let answered = until_over("the refusals", &mut stream, &[1, 3, 5, 7]).await;
    assert!(!answered.contains("\"status\""), "it was served: {answered}");
    attacked.end("a bomb of HPACK").await;
}

#[tokio::test]
async fn what_http2_says_and_http1_would_read_otherwise_reaches_no_node() {
    let attacked = Attacked::begin("").await;
    let sent = attacked.node.requests().len();
    let body = br#"{"model":"m","prompt":"x","stream":false}"#;
    let length = body.len().to_string();
    let ask = async |more: &[(&str, &str)]| {
        let mut stream = http2(attacked.daemon.address()).await;
        let head = [asks("POST", "/api/generate"), fields(more)].concat();
        let asked = [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, body)];
        // It may be closed on half way.
        let _ = stream.write_all(&asked.concat()).await;
        stream
    };
    for (what, more) in [
        ("a coding", &[("transfer-encoding", "chunked")][..]),
        ("a connection", &[("connection", "keep-alive")]),
        ("a shorter length", &[("content-length", "5")]),
        ("a longer length", &[("content-length", "500")]),
        ("two lengths", &[("content-length", &length), ("content-length", "5")]),
        ("a line end in a value", &[("x-a", "b\r\nTransfer-Encoding: chunked")]),
        ("a null in a value", &[("x-a", "b\0c")]),
        ("a line end in a name", &[("x-a: b\r\nx-c", "d")]),
        ("an upper case name", &[("X-Large", "b")]),
        ("an upgrade", &[("upgrade", "h2c"), ("proxy-connection", "close")]),
        ("a late pseudo-field", &[("x-a", "b"), (":path", "/api/tags")]),
    ] {
        let mut stream = ask(more).await;
        until_over(what, &mut stream, &[1]).await;
        assert_eq!(attacked.node.requests().len(), sent, "{what}: the node heard of it");
    }
    // The same frames without any of that are a request.
    let _stream = ask(&[("content-length", &length), ("x-a", "b")]).await;
    attacked.node.until_requests(sent + 1).await;
    attacked.end("a smuggler over HTTP/2").await;
}

#[tokio::test]
async fn thousands_that_say_nothing_are_let_go() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(4096);
    let count = usize::try_from(limit / 4).unwrap().min(2000);
    let attacked = Attacked::begin("[timeouts]\nhead = \"2s\"\n").await;
    let mut idle = Vec::with_capacity(count);
    for at in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        // No address may take all of the connections.
        let from = [127, 0, 1, u8::try_from(at % 200).unwrap() + 1];
        socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
        let mut stream = socket.connect(attacked.daemon.address()).await.unwrap();
        // Half of them begin a head.
        if at % 2 == 0 {
            let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: loc").await;
        }
        idle.push(stream);
    }
    attacked.daemon.get("/health").await.expect(200);
    let mut byte = [0];
    for mut stream in idle {
        let end = within("the end of an idle connection", stream.read(&mut byte)).await;
        assert!(matches!(end, Ok(0) | Err(_)), "it was answered");
    }
    attacked.until_closed_for("head", u64::try_from(count).unwrap() / 2).await;
    attacked.end("thousands of idle connections").await;
}

#[tokio::test]
async fn a_later_head_has_no_more_time_than_the_first() {
    let attacked = Attacked::begin("[timeouts]\nhead = \"1s\"\nkeep_alive = \"1h\"\n").await;
    let mut stream = TcpStream::connect(attacked.daemon.address()).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 4096];
    let came = within("an answer", stream.read(&mut answer)).await.unwrap();
    assert!(answer[..came].starts_with(b"HTTP/1.1 200"));
    send_until_closed("a head that dribbles", stream, 10_000, |at| match at {
        0 => b"GET /health HTTP/1.1\r\nX: ".to_vec(),
        _ => b"a".to_vec(),
    })
    .await;
    attacked.until_closed_for("head", 1).await;
    attacked.end("a slow second head").await;
}

#[tokio::test]
async fn heads_above_their_size_are_refused() {
    let daemon = Daemon::run(&[], "[limits]\nhead_bytes = \"64KiB\"\n").await;
    let field = |long: usize| Request::get("/health").field("x-long", &"a".repeat(long));
    daemon.ask(&field(63 << 10)).await.expect(200);
    // The last of them come with the read that goes over it.
    for long in [65, 70, 80, 100, 120, 200] {
        assert_eq!(daemon.ask(&field(long << 10)).await.status, 431, "{long} KiB");
    }
    let several =
        Request::get(&format!("/health?{}", "a".repeat(40 << 10))).field("x-long", &"a".repeat(30 << 10));
    assert_eq!(daemon.ask(&several).await.status, 431);
    let mut client = aivonx_tests::harness::H2Client::connect(daemon.address()).await;
    let long = "a".repeat(80 << 10);
    let answer = client.ask("GET", "/health", &[("x-long", &long)], String::new()).await;
    assert_eq!(answer.status, 431);
    assert_eq!(answer.fields["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_connection_is_over_after_its_last_request() {
    let daemon = Daemon::run(&[], "[limits]\nconnection_requests = 3\n").await;
    let mut client = daemon.client().await;
    for at in 1..=3 {
        let answer = client.ask(&Request::get("/health")).await.expect(200);
        assert_eq!(answer.field("connection"), (at == 3).then_some("close"), "{at}");
    }
    client.closed().await;
    let mut stream = http2(daemon.address()).await;
    for id in [1, 3, 5] {
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, id, &asks("GET", "/health"));
        stream.write_all(&asked).await.unwrap();
    }
    // Who does not answer the ping that follows is not waited for: the word has been given.
    within("that no more are taken", async {
        let mut head = [0; 9];
        loop {
            stream.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if kind == GOAWAY {
                break;
            }
        }
    })
    .await;
}

/// Makes an authority and a certificate for `localhost` in `dir`.
async fn gen_cert(dir: &Path) {
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    command.args(["gen-cert", "--dir", dir.to_str().unwrap(), "localhost"]);
    let made = within("gen-cert", command.output()).await.unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test]
async fn handshakes_that_do_not_go_on_are_let_go() {
    let lab = TempDir::new().unwrap();
    gen_cert(lab.path()).await;
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| lab.path().join(name));
    let listener = format!("[[listen]]\naddress = \"127.0.0.1:0\"\ntls_cert = {cert:?}\ntls_key = {key:?}\n");
    let config = format!("[limits]\nhandshakes = 64\n[timeouts]\nhandshake = \"1s\"\n{listener}");
    let attacked = Attacked::begin(&config).await;
    let status = attacked.daemon.control().await.ask(aivonx_protocol::daemon::GetStatus).await.unwrap();
    let address: SocketAddr = status.listen[1].parse().unwrap();
    // A record that announces more than ever comes; garbage; and nothing at all.
    for begin in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\x16\x03\x01\xff\xffgarbage", b""] {
        let mut all = Vec::new();
        for _ in 0..30 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin).await.unwrap();
            all.push(stream);
        }
        for mut stream in all {
            let mut rest = Vec::new();
            // An alert may be said first.
            let _ = within("the end of a handshake", stream.read_to_end(&mut rest)).await;
            assert!(rest.len() < 64, "{rest:?}");
        }
    }
    attacked.until_closed_for("handshake", 60).await;
    // Whoever means it gets through.
    let client = TlsClient::trusting(&lab.path().join("ca.pem"), &[]);
    let tunnel = client.tunnel(address, "localhost").await;
    Client::connect(tunnel).await.ask(&Request::get("/health")).await.expect(200);
    attacked.end("half a handshake").await;
}

#[tokio::test]
async fn bodies_that_never_end_and_heads_that_are_no_http_are_counted() {
    let attacked = Attacked::begin("[limits]\nbody_bytes = \"1MiB\"\n").await;
    let head = b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = TcpStream::connect(attacked.daemon.address()).await.unwrap();
    stream.write_all(head).await.unwrap();
    let chunk = [&b"4000\r\n"[..], &[b' '; 0x4000], b"\r\n"].concat();
    send_until_closed("a body without end", stream, 100_000, |_| chunk.clone()).await;
    for bytes in ["\0\0\0\0\r\n\r\n", "GET /\0 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nA\n\n"] {
        let mut client = attacked.daemon.client().await;
        client.send_raw("GET", bytes.as_bytes()).await;
        client.closed().await;
    }
    attacked.until_closed_for("malformed", 3).await;
    attacked.end("a body without end").await;
}
