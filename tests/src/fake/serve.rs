//! Connections of a fake node: reading requests, and sending answers as the fault of the moment wants.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{
    Kind,
    fault::{Fault, OnHealth},
    ollama, openai,
    reply::{Body, Reply, Step, Then},
    state::{End, Recorded, Shared},
};
use crate::wire::{Framing, Wire};

/// Listens so that the same port can be taken again at once.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.change(|s| {
        s.connections += 1;
        s.open += 1;
        s.connections
    });
    let mut resets = shared.resets.subscribe();
    let mut wire = Wire::new(stream);
    let reset = tokio::select! {
        reset = requests(&mut wire, &shared, number) => reset,
        _ = resets.changed() => true,
    };
    if reset {
        wire.reset();
    }
    shared.change(|s| s.open -= 1);
}

/// Serves requests until the connection is over; true if it is to be reset.
async fn requests(wire: &mut Wire, shared: &Shared, connection: u64) -> bool {
    let mut nth = 0;
    while let Ok(Some(head)) = wire.head().await {
        nth += 1;
        if head.get("expect").is_some() && wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return false;
        }
        if let Some(Fault::Early(status)) = shared.look(|s| s.always.clone())
            && head.method() == "POST"
        {
            let recorded = Recorded { connection, nth, head, body: Bytes::new(), end: Some(End::Complete) };
            shared.change(|s| s.recorded.push(recorded));
            let answer = format!("HTTP/1.1 {status} Early\r\nContent-Length: 5\r\n\r\nearly");
            wire.send(answer.as_bytes()).await.ok();
            return false;
        }
        let Ok(body) = wire.body(Framing::of_request(&head)).await else { return false };
        let recorded = Recorded { connection, nth, head, body, end: None };
        let (place, reply, fault, kind) = shared.change(|s| {
            s.recorded.push(recorded.clone());
            let fault = if recorded.is_health() {
                match &s.health {
                    OnHealth::Well => None,
                    OnHealth::Fail(fault) => Some(fault.clone()),
                }
            } else {
                s.faults.pop_front().or_else(|| s.always.clone())
            };
            (s.recorded.len() - 1, answer(s, &recorded), fault, s.kind)
        });
        let head_only = recorded.head.method() == "HEAD";
        let mut sender = Sender { wire, shared, head_only, at_once: recorded.is_health(), kind };
        let went = sender.send(&reply, fault.filter(|f| *f != Fault::CloseIfReused || nth > 1)).await;
        shared.change(|s| {
            if let (Went::Well, Some(Then::Pulled(name))) = (&went, &reply.then)
                && s.model(name).is_none()
            {
                s.models.push(super::Model::new(name));
            }
            s.recorded[place].end =
                Some(if matches!(went, Went::Left) { End::ClientGone } else { End::Complete });
        });
        match went {
            Went::Well => {}
            Went::Left | Went::Close => return false,
            Went::Reset => return true,
        }
    }
    false
}

fn answer(state: &mut super::State, request: &Recorded) -> Reply {
    if let Some((name, value)) = &state.wants
        && request.head.get(name) != Some(value)
    {
        return Reply::json(401, r#"{"error":"unauthorized"}"#);
    }
    let path = request.head.target().split('?').next().unwrap_or_default();
    let Some(path) = path.strip_prefix(state.prefix.as_str()) else {
        return Reply::text(404, "404 page not found");
    };
    let method = request.head.method();
    match path {
        "/__fake/requests" => Reply::json(200, told(state)),
        "/" if state.kind == Kind::Ollama => Reply::text(200, "Ollama is running"),
        "/health" if state.kind == Kind::Openai => Reply::json(200, r#"{"status":"ok"}"#),
        p if p.starts_with("/v1/") => openai::answer(state, method, path, &request.body),
        p if p.starts_with("/api/") && state.kind == Kind::Ollama => {
            ollama::answer(state, method, path, &request.body)
        }
        _ => Reply::text(404, "404 page not found"),
    }
}

/// What this node was sent, for tests in other languages.
fn told(state: &super::State) -> String {
    let rows: Vec<serde_json::Value> = state
        .recorded
        .iter()
        .map(|r| {
            let end = r.end.map(|e| if e == End::Complete { "complete" } else { "gone" });
            let body = String::from_utf8_lossy(&r.body);
            serde_json::json!({"method": r.head.method(), "target": r.head.target(), "body": body, "end": end})
        })
        .collect();
    serde_json::Value::from(rows).to_string()
}

/// How sending went.
enum Went {
    /// To the end; the connection can be used again.
    Well,
    /// The client left.
    Left,
    /// The fault wants the connection closed.
    Close,
    /// The fault wants the connection reset.
    Reset,
}

struct Sender<'a> {
    wire: &'a mut Wire,
    shared: &'a Shared,
    head_only: bool,
    /// Health checks wait for no gate.
    at_once: bool,
    kind: Kind,
}

impl Sender<'_> {
    async fn send(&mut self, reply: &Reply, fault: Option<Fault>) -> Went {
        match self.attempt(reply, fault).await {
            Ok(went) => went,
            Err(_) => Went::Left,
        }
    }

    async fn attempt(&mut self, reply: &Reply, fault: Option<Fault>) -> io::Result<Went> {
        match &fault {
            Some(Fault::ResetBeforeHead) => return Ok(Went::Reset),
            Some(Fault::CloseBeforeHead | Fault::CloseIfReused) => return Ok(Went::Close),
            Some(Fault::Silence) => {
                self.wire.gone().await;
                return Ok(Went::Left);
            }
            Some(Fault::Garbage) => {
                self.wire.send(b"\x15\x03\x01\x00\x02\x02\x46 this is no answer\r\n\r\n").await?;
                return Ok(Went::Close);
            }
            Some(Fault::HugeHead(size)) => {
                let head = format!("HTTP/1.1 200 OK\r\nX-Padding: {}\r\n", "x".repeat(*size));
                self.wire.send(head.as_bytes()).await?;
                return Ok(Went::Close);
            }
            Some(Fault::Status(status, body)) => {
                return self
                    .whole(&Reply::json(*status, *body), &Bytes::from_static(body.as_bytes()), None)
                    .await;
            }
            Some(Fault::Body(body)) => {
                return self
                    .whole(&Reply::json(200, *body), &Bytes::from_static(body.as_bytes()), None)
                    .await;
            }
            Some(Fault::Events(events)) => {
                let events = Bytes::from(events.clone());
                let reply = Reply { content_type: "text/event-stream", ..Reply::json(200, events.clone()) };
                return self.whole(&reply, &events, None).await;
            }
            Some(Fault::Redirect(to)) => {
                let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
                self.wire.send(head.as_bytes()).await?;
                return Ok(Went::Well);
            }
            Some(Fault::EndlessInterim) => loop {
                self.wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await?;
            },
            Some(Fault::Interim) => {
                self.wire
                    .send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
                    .await?;
            }
            _ => {}
        }
        match &reply.body {
            Body::Whole(body) => self.whole(reply, body, fault).await,
            Body::Steps(steps) => self.steps(reply, steps, fault).await,
        }
    }

    fn head(&self, reply: &Reply, framing: &str) -> Vec<u8> {
        let reason = match reply.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            _ => "Status",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", reply.status);
        if !reply.content_type.is_empty() {
            head += &format!("Content-Type: {}\r\n", reply.content_type);
        }
        for (name, value) in self.shared.look(|s| s.extra_fields.clone()) {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n{framing}\r\n\r\n");
        head.into_bytes()
    }

    async fn whole(&mut self, reply: &Reply, body: &Bytes, fault: Option<Fault>) -> io::Result<Went> {
        if !self.turn().await {
            return Ok(Went::Left);
        }
        let length = match fault {
            Some(Fault::LengthTooLong(by)) => body.len() + by,
            Some(Fault::LengthTooShort(by)) => body.len().saturating_sub(by),
            _ => body.len(),
        };
        let head = self.head(reply, &format!("Content-Length: {length}"));
        if fault == Some(Fault::SlowHead) {
            for byte in head {
                self.wire.send(&[byte]).await?;
                tokio::task::yield_now().await;
            }
        } else {
            self.wire.send(&head).await?;
        }
        let cut = match fault {
            Some(Fault::ResetAfter(_) | Fault::CloseAfter(_) | Fault::StallAfter(_)) => body.len() / 2,
            _ => body.len(),
        };
        if !self.head_only {
            self.wire.send(&body[..cut]).await?;
        }
        Ok(match fault {
            Some(Fault::ResetAfter(_)) => Went::Reset,
            Some(Fault::StallAfter(_)) => {
                self.wire.gone().await;
                Went::Left
            }
            Some(Fault::LengthTooLong(_) | Fault::LengthTooShort(_) | Fault::CloseAfter(_)) => Went::Close,
            _ => Went::Well,
        })
    }

    async fn steps(&mut self, reply: &Reply, steps: &[Step], fault: Option<Fault>) -> io::Result<Went> {
        let mut head = self.head(reply, "Transfer-Encoding: chunked");
        if fault == Some(Fault::SlowHead) {
            for byte in std::mem::take(&mut head) {
                self.wire.send(&[byte]).await?;
                tokio::task::yield_now().await;
            }
        } else if self.kind == Kind::Openai {
            // llama.cpp sends the head at once, Ollama with the first token.
            self.wire.send(&std::mem::take(&mut head)).await?;
        }
        for (n, step) in steps.iter().enumerate() {
            if let Some(went) = self.fail_at(n, &mut head, reply, fault.as_ref()).await? {
                return Ok(went);
            }
            if !self.turn().await {
                return Ok(Went::Left);
            }
            if n == 1 && fault == Some(Fault::BadChunk) {
                self.wire.send(b"zz\r\nbroken\r\n").await?;
                return Ok(Went::Close);
            }
            let mut out = std::mem::take(&mut head);
            if n == 0
                && let Some(Fault::LongLine(size)) = fault
            {
                out.extend(chunk(&vec![b'x'; size]));
            }
            out.extend(chunk(&step.0));
            self.wire.send(&out).await?;
        }
        // After its terminator no node reports an error.
        let fault = fault.filter(|f| !matches!(f, Fault::ErrorAfter(_)));
        if let Some(went) = self.fail_at(steps.len(), &mut head, reply, fault.as_ref()).await? {
            return Ok(went);
        }
        self.wire.send(b"0\r\n\r\n").await?;
        Ok(Went::Well)
    }

    /// What the fault wants before step `n`.
    async fn fail_at(
        &mut self,
        n: usize,
        head: &mut Vec<u8>,
        reply: &Reply,
        fault: Option<&Fault>,
    ) -> io::Result<Option<Went>> {
        let went = match fault {
            Some(Fault::ResetAfter(at)) if *at == n => Went::Reset,
            Some(Fault::CloseAfter(at)) if *at == n => Went::Close,
            Some(Fault::EndAfter(at)) if *at == n => Went::Well,
            Some(Fault::ErrorAfter(at)) if *at == n => Went::Well,
            Some(Fault::StallAfter(at)) if *at == n => Went::Left,
            _ => return Ok(None),
        };
        let mut out = std::mem::take(head);
        if let Some(Fault::ErrorAfter(_)) = fault {
            out.extend(chunk(&reply.broken));
        }
        if matches!(went, Went::Well) {
            out.extend(b"0\r\n\r\n");
        }
        self.wire.send(&out).await?;
        if matches!(went, Went::Left) {
            self.wire.gone().await;
        }
        Ok(Some(went))
    }

    /// Waits for this step's turn (gate and delay); false if the client left meanwhile.
    async fn turn(&mut self) -> bool {
        if self.at_once {
            return true;
        }
        let (gated, delay) = self.shared.look(|s| (s.gated, s.delay));
        let shared = self.shared;
        let wait = async {
            if gated && let Ok(permit) = shared.gate.acquire().await {
                permit.forget();
            }
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        };
        tokio::select! {
            biased;
            () = wait => true,
            () = self.wire.gone() => false,
        }
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}
