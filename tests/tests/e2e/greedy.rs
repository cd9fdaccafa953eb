//! Clients that take more than their part: of memory, of connections, of time. Others are served all the same.

use std::net::{IpAddr, SocketAddr};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Bytes of memory that the daemon holds.
fn resident(daemon: &Daemon) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", daemon.pid())).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

async fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// From another address of this machine.
async fn connect_from(daemon: &Daemon, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    socket.connect(daemon.address()).await.unwrap()
}

fn head(path: &str, fields: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{fields}\r\n\r\n")
        .into_bytes()
}

/// Everything that comes until the connection is closed in order.
async fn everything(stream: &mut TcpStream, what: &str) -> String {
    let mut all = Vec::new();
    within(what, stream.read_to_end(&mut all)).await.unwrap_or_else(|e| {
        panic!("{what}: {e} after {:?}", String::from_utf8_lossy(&all));
    });
    String::from_utf8(all).unwrap()
}

async fn health(mut stream: TcpStream) -> String {
    // It may have been refused already.
    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let mut all = Vec::new();
    let _ = within("an answer", stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_body_in_single_bytes_takes_no_more_memory_than_a_body() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    daemon.post("/api/chat", &json!({"model": "m", "messages": [], "stream": false})).await.expect(200);
    let before = resident(&daemon);
    let begin = br#"{"model":"m","stream":false,"messages":[{"role":"user","content":""#;
    let end = br#""}]}"#;

    // In segments of their own.
    let text = 30_000;
    let mut segments = connect(&daemon).await;
    let length = begin.len() + text + end.len();
    segments.write_all(&head("/api/chat", &format!("Content-Length: {length}"))).await.unwrap();
    segments.write_all(begin).await.unwrap();
    for _ in 0..text {
        segments.write_all(b"a").await.unwrap();
    }
    // In chunks of their own.
    let many = 500_000;
    let mut chunks = connect(&daemon).await;
    chunks.write_all(&head("/api/chat", "Transfer-Encoding: chunked")).await.unwrap();
    chunks.write_all(format!("{:x}\r\n", begin.len()).as_bytes()).await.unwrap();
    chunks.write_all(begin).await.unwrap();
    chunks.write_all(b"\r\n").await.unwrap();
    let thousand = b"1\r\na\r\n".repeat(1000);
    for _ in 0..many / 1000 {
        chunks.write_all(&thousand).await.unwrap();
    }
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 10 << 20, "{grown} bytes for a body of {text} and one of {many}");

    segments.write_all(end).await.unwrap();
    chunks.write_all(format!("{:x}\r\n", end.len()).as_bytes()).await.unwrap();
    chunks.write_all(end).await.unwrap();
    chunks.write_all(b"\r\n0\r\n\r\n").await.unwrap();
    let answer = everything(&mut chunks, "the chunked body's answer").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    node.until_requests(3).await;
    let mut lengths: Vec<_> = node.requests().iter().map(|request| request.body.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths[1..], [length, begin.len() + many + end.len()]);
}

#[tokio::test]
async fn connections_that_end_within_their_first_bytes_are_let_go() {
    let extra = "[limits]\nconnections = 20\n[timeouts]\nhead = \"1h\"\n";
    let daemon = Daemon::run(&[], extra).await;
    for first in ["P", "PRI * HTTP/2.", "G"] {
        for _ in 0..40 {
            let mut stream = connect(&daemon).await;
            // Those that find no place are closed, perhaps before this.
            let _ = stream.write_all(first.as_bytes()).await;
        }
        within(first, async { while !health(connect(&daemon).await).await.contains(" 200 ") {} }).await;
    }
    // The bytes read to detect the HTTP version are part of the request.
    let mut slow = connect(&daemon).await;
    for piece in ["P", "O", "ST /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"] {
        slow.write_all(piece.as_bytes()).await.unwrap();
        slow.flush().await.unwrap();
        health(connect(&daemon).await).await;
    }
    let answer = everything(&mut slow, "the slow request").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn a_refusal_reaches_the_client_that_still_sends() {
    let node = FakeNode::ollama().await;
    let extra = "[limits]\nbody_bytes = 1048576\n";
    let daemon = Daemon::builder().node(&node).mode("required").config(extra).start().await;
    let body = vec![b'a'; 2 << 20];
    let sized = format!("Content-Length: {}", body.len());
    let chunked = "Transfer-Encoding: chunked".to_owned();
    for (path, status, fields) in [
        ("/api/chat", "401", &sized),
        ("/api/chat", "401", &chunked),
        ("/nowhere", "404", &sized),
        ("/api/account/login", "413", &sized),
    ] {
        let mut stream = connect(&daemon).await;
        stream.write_all(&head(path, fields)).await.unwrap();
        // The refusal is there before the body is sent.
        stream.readable().await.unwrap();
        if fields == &chunked {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
        }
        stream.write_all(&body).await.unwrap_or_else(|e| panic!("{path}: the body is not taken: {e}"));
        stream.shutdown().await.unwrap();
        let answer = everything(&mut stream, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    // A short body is no reason to lose the connection.
    let mut client = daemon.client().await;
    for _ in 0..3 {
        let answer = client.ask(&Request::json("/api/chat", &json!({"model": "m"}))).await.expect(401);
        assert_eq!(answer.field("connection"), None);
    }
}

#[tokio::test]
async fn one_address_leaves_connections_to_others() {
    let daemon = Daemon::run(&[], "[limits]\nconnections = 8\n").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(connect_from(&daemon, [127, 0, 0, 2]).await);
    }
    let from = |last| connect_from(&daemon, [127, 0, 0, last]);
    within("a refusal", async { while !health(from(2).await).await.contains(" 503 ") {} }).await;
    assert!(health(from(3).await).await.contains(" 200 "));
    drop(held);
    within("room", async { while !health(from(2).await).await.contains(" 200 ") {} }).await;
}

#[tokio::test]
async fn a_request_that_is_still_coming_in_counts() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).start().await;
    let acme = daemon.tenant("acme").await;
    daemon.aivonx().ok(&["limit", "set", "--org", "acme", "concurrent=1"]).await;
    let authorization = format!("Authorization: Bearer {acme}");
    let chat = Request::json("/api/chat", &json!({"model": "m", "messages": [], "stream": false}));
    let chat = chat.field("Authorization", &format!("Bearer {acme}"));
    daemon.ask(&chat).await.expect(200);
    let mut held = connect(&daemon).await;
    held.write_all(&head("/api/chat", &format!("{authorization}\r\nContent-Length: 100000"))).await.unwrap();
    // Not before it holds the one place: else it would be the one that is refused.
    let aivonx = daemon.aivonx();
    within("the place", async {
        while aivonx.json(&["running", "list"]).await == serde_json::json!([]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    daemon.ask(&chat).await.expect(429);
    drop(held);
    within("room", async { while daemon.ask(&chat).await.status != 200 {} }).await;
}

#[tokio::test]
async fn one_organization_leaves_room_for_the_bodies_of_others() {
    let node = FakeNode::ollama().await;
    let limits = "[limits]\nbody_bytes = 1048576\nbody_budget_bytes = 8388608\n";
    let daemon = Daemon::builder().node(&node).config(limits).start().await;
    let (acme, beta) = (daemon.tenant("acme").await, daemon.tenant("beta").await);
    let large = format!("{{\"model\":\"m\",\"stream\":false,\"prompt\":\"{}\"}}", "x".repeat(1_000_000));
    let large = |key: &str| {
        Request::post("/api/generate", large.clone()).field("Authorization", &format!("Bearer {key}"))
    };
    let mut held = Vec::new();
    let fields = format!("Authorization: Bearer {acme}\r\nContent-Length: 1048576");
    let refused = async {
        while daemon.ask(&large(&acme)).await.status != 503 {
            let mut stream = connect(&daemon).await;
            stream.write_all(&head("/api/chat", &fields)).await.unwrap();
            // One that is refused in the middle of it is no failure.
            let _ = stream.write_all(&vec![b' '; 1_048_000]).await;
            held.push(stream);
        }
    };
    within("a refusal", refused).await;
    daemon.ask(&large(&beta)).await.expect(200);
    drop(held);
    within("room", async { while daemon.ask(&large(&acme)).await.status != 200 {} }).await;
}

#[tokio::test]
async fn where_nobody_needs_a_key_one_address_leaves_room_for_the_bodies_of_others() {
    let node = FakeNode::ollama().await;
    let limits = "[limits]\nbody_bytes = 1048576\nbody_budget_bytes = 8388608\n";
    let daemon = Daemon::run(&[&node], limits).await;
    let part = head("/api/chat", "Content-Length: 1048576");
    let large = format!("{{\"model\":\"m\",\"stream\":false,\"prompt\":\"{}\"}}", "x".repeat(1_000_000));
    let large = async |last: u8| {
        let mut stream = connect_from(&daemon, [127, 0, 0, last]).await;
        let fields = format!("Connection: close\r\nContent-Length: {}", large.len());
        stream.write_all(&head("/api/generate", &fields)).await.unwrap();
        let _ = stream.write_all(large.as_bytes()).await;
        everything(&mut stream, "an answer").await
    };
    let mut held = Vec::new();
    let refused = async {
        while !large(2).await.contains(" 503 ") {
            let mut stream = connect_from(&daemon, [127, 0, 0, 2]).await;
            stream.write_all(&part).await.unwrap();
            // One that is refused in the middle of it is no failure.
            let _ = stream.write_all(&vec![b' '; 1_048_000]).await;
            held.push(stream);
        }
    };
    within("a refusal", refused).await;
    assert!(large(3).await.starts_with("HTTP/1.1 200"));
    drop(held);
    within("room", async { while !large(2).await.contains(" 200 ") {} }).await;
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let timeouts = "[timeouts]\nbody_idle = \"1s\"\nbody_rate = \"1KiB\"\n";
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], timeouts).await;
    let mut stream = connect(&daemon).await;
    stream.write_all(&head("/api/chat", "Content-Length: 1000000")).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let drip = async {
        // Until it is refused.
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = drip => panic!("the answer was lost"),
        read = within("a refusal", read.read_to_end(&mut answer)) => drop(read.unwrap()),
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
