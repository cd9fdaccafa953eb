//! The fake Ollama node: one thread, answers without thinking.

use super::wire::{self, Reader, Side, Wish};
use std::{
    io::{self, Write as _},
    sync::LazyLock,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior},
};

const VERSION: &str = r#"{"version":"0.12.6"}"#;
const TAGS: &str = concat!(
    r#"{"models":[{"name":"bench:latest","model":"bench:latest","modified_at":"2026-11-01T08:00:00Z","#,
    r#""size":4661224676,"digest":"365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1","#,
    r#""details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],"#,
    r#""parameter_size":"8.0B","quantization_level":"Q4_0"}}]}"#
);
const PS: &str = concat!(
    r#"{"models":[{"name":"bench:latest","model":"bench:latest","size":5137025024,"#,
    r#""digest":"365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1","#,
    r#""details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],"#,
    r#""parameter_size":"8.0B","quantization_level":"Q4_0"},"#,
    r#""expires_at":"2318-01-01T00:00:00Z","size_vram":5137025024,"context_length":4096}]}"#
);

static UNARY: LazyLock<Vec<u8>> =
    LazyLock::new(|| sized("200 OK", "application/json; charset=utf-8", wire::ANSWER));
static CHUNK: LazyLock<Vec<u8>> = LazyLock::new(|| chunk(wire::LINE));
static LAST_CHUNK: LazyLock<Vec<u8>> = LazyLock::new(|| chunk(wire::LAST_LINE));
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\
    Date: Sun, 22 Nov 2026 09:41:07 GMT\r\nTransfer-Encoding: chunked\r\n\r\n";

fn sized(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nDate: Sun, 22 Nov 2026 09:41:07 GMT\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn chunk(line: &str) -> Vec<u8> {
    format!("{:x}\r\n{line}\r\n", line.len()).into_bytes()
}

/// The role `node`: prints its port, then serves until it is ended.
pub(crate) fn role(_: &[String]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            // A peer that breaks off ends its connection and nothing else.
            tokio::task::spawn_local(async move {
                let _ = serve(socket).await;
            });
        }
    })
}

async fn serve(mut socket: TcpStream) -> anyhow::Result<()> {
    let mut reader = Reader::new(Side::Node);
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if !reader.feed(&buffer[..length])? {
            // A long body is on its way: read it in large pieces from here on.
            if length == buffer.len() && length < 256 << 10 {
                buffer = vec![0; 256 << 10];
            }
            continue;
        }
        answer(&mut socket, &reader).await?;
        reader.reset();
    }
}

async fn answer(socket: &mut TcpStream, request: &Reader) -> io::Result<()> {
    let head = request.head();
    if head.starts_with(b"POST /api/chat ") {
        let wish = Wish::read(&request.start);
        return if wish.stream { stream(socket, wish).await } else { socket.write_all(&UNARY).await };
    }
    let json = "application/json; charset=utf-8";
    let answer = match head {
        _ if head.starts_with(b"GET /api/version ") => sized("200 OK", json, VERSION),
        _ if head.starts_with(b"GET /api/tags ") => sized("200 OK", json, TAGS),
        _ if head.starts_with(b"GET /api/ps ") => sized("200 OK", json, PS),
        _ if head.starts_with(b"GET / ") => sized("200 OK", "text/plain", "Ollama is running"),
        _ if head.starts_with(b"HEAD / ") => b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n".to_vec(),
        _ => sized("404 Not Found", "text/plain", "404 page not found"),
    };
    socket.write_all(&answer).await
}

/// Writes line by line, each flushed by itself, and the end of the body apart from the last line, as
/// Ollama's server does.
async fn stream(socket: &mut TcpStream, wish: Wish) -> io::Result<()> {
    let pace = Duration::from_millis(wish.pace_ms.max(1));
    let mut ticks = tokio::time::interval_at(Instant::now() + pace, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    socket.write_all(&[STREAM_HEAD, &CHUNK].concat()).await?;
    for _ in 1..wish.lines {
        if wish.pace_ms == 0 {
            // Streams take turns, as they do on a node that decodes in batches.
            tokio::task::yield_now().await;
        } else {
            ticks.tick().await;
        }
        socket.write_all(&CHUNK).await?;
    }
    if wish.hold {
        // The client sends nothing more before the end of its answer: what wakes this is the end of the connection.
        socket.readable().await?;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    socket.write_all(&LAST_CHUNK).await?;
    socket.write_all(b"0\r\n\r\n").await
}
