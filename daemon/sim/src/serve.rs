//! Connections of a fake node: requests are read, and answered as the state wants.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{
    Fault, Kind, OnHealth, face, ollama, openai,
    reply::Reply,
    send::{Sender, Went},
    socket,
    state::{End, NodeState, Recorded, Shared},
    wire::{Framing, Head, Wire},
};

/// Listens so that the same port can be taken again at once.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, shared.clone()))),
            // Out of descriptors: those there are will end.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let number = shared.change(|s| {
        s.connections += u64::from(s.up);
        s.open += u64::from(s.up);
        s.up.then_some(s.connections)
    });
    let Some(number) = number else { return };
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
        let mut recorded = Recorded { connection, nth, head, body: Bytes::new(), end: None };
        let framing = Framing::of_request(&recorded.head);
        if let Some(refusal) = shared.change(|s| refusal(s, &mut recorded)) {
            if wire.send(refusal.as_bytes()).await.is_err() || framing != Framing::Done {
                return false;
            }
            continue;
        }
        if recorded.head.get("expect").is_some() && wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err()
        {
            return false;
        }
        let Ok(body) = wire.body(framing).await else { return false };
        recorded.body = body;
        let is_health = recorded.is_health();
        let _place = match &shared.places {
            Some(places) if is_work(recorded.head.target()) => tokio::select! {
                place = places.acquire() => place.ok(),
                () = wire.gone() => return false,
            },
            _ => None,
        };
        let free = shared.places.as_ref().map(tokio::sync::Semaphore::available_permits);
        let head_only = recorded.head.method() == "HEAD";
        let socket = asked_socket(shared, &recorded.head);
        let (place, reply, fault, kind) = shared.change(|s| {
            s.at_work = s.machine.zip(free).map_or(0, |(machine, free)| machine.parallel as usize - free);
            let fault = match &s.health {
                OnHealth::Well if is_health => None,
                OnHealth::Fail(fault) if is_health => Some(fault.clone()),
                _ => s.faults.pop_front().or_else(|| s.always.clone()),
            };
            let reply = match &fault {
                // What is refused is not done.
                Some(Fault::Status(status, body)) => Reply::json(*status, (*body).to_owned()),
                Some(Fault::Bytes(status, body)) => Reply::json(*status, *body),
                _ => answer(s, &recorded),
            };
            (record(s, recorded), reply, fault, s.kind)
        });
        if let Some((key, protocols)) = &socket
            && fault.is_none()
        {
            return socket::serve(wire, shared, key, protocols.as_deref()).await.is_err();
        }
        let mut sender = Sender { wire, shared, head_only, at_once: is_health, kind };
        let went = sender.send(&reply, fault.filter(|f| *f != Fault::CloseIfReused || nth > 1)).await;
        shared.change(|s| {
            if let Some(recorded) = place.and_then(|place| s.recorded.get_mut(place)) {
                recorded.end = Some(if matches!(went, Went::Left) { End::ClientGone } else { End::Complete });
            }
        });
        match went {
            Went::Well => {}
            Went::Left | Went::Close => return false,
            Went::Reset => return true,
        }
    }
    false
}

/// The route of websockets.
const REALTIME: &str = "/v1/realtime";

/// The key and the protocols of a request for a websocket that the node has.
fn asked_socket(shared: &Shared, head: &Head) -> Option<(String, Option<String>)> {
    let is_there = head.target().split('?').next().is_some_and(|path| path.ends_with(REALTIME))
        && shared.look(|s| s.machine.is_none() && !s.lacks.iter().any(|path| path == REALTIME));
    let key = head.get("sec-websocket-key").filter(|_| is_there)?;
    Some((key.to_owned(), head.get("sec-websocket-protocol").map(str::to_owned)))
}

/// Whether a request takes one of the machine's places.
fn is_work(target: &str) -> bool {
    target.starts_with("/v1/")
        || matches!(target, "/api/generate" | "/api/chat" | "/api/embed" | "/api/embeddings")
}

/// Where it is kept. A machine that is simulated for days keeps none.
fn record(state: &mut NodeState, recorded: Recorded) -> Option<usize> {
    state.machine.is_none().then(|| {
        state.recorded.push(recorded);
        state.recorded.len() - 1
    })
}

/// The whole answer to a request that is refused before its body is read.
fn refusal(state: &mut NodeState, recorded: &mut Recorded) -> Option<String> {
    let (status, body) = match &state.always {
        Some(Fault::Early(status)) if recorded.head.method() == "POST" => (*status, "early"),
        _ if is_stranger(state, &recorded.head) => (401, r#"{"error":"unauthorized"}"#),
        _ => return None,
    };
    recorded.end = Some(End::Complete);
    record(state, recorded.clone());
    Some(format!(
        "HTTP/1.1 {status} Early\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn is_stranger(state: &NodeState, head: &Head) -> bool {
    state.wants.as_ref().is_some_and(|(name, value)| {
        let given = head.get(name).unwrap_or_default();
        !bool::from(given.as_bytes().ct_eq(value.as_bytes()))
    })
}

fn answer(state: &mut NodeState, request: &Recorded) -> Reply {
    state.expire();
    let path = request.head.target().split('?').next().unwrap_or_default();
    let Some(path) = path.strip_prefix(state.prefix.as_str()) else {
        return Reply::text(404, "404 page not found");
    };
    if state.lacks.iter().any(|lacking| lacking == path) {
        return Reply::json(404, r#"{"detail":"Not Found"}"#);
    }
    let method = request.head.method();
    let target = request.head.target().strip_prefix(state.prefix.as_str()).unwrap_or_default();
    if let Some(face) = state.face
        && let Some(reply) = face::answer(state, face, method, target, &request.body)
    {
        return reply;
    }
    match path {
        "/__fake/requests" if state.machine.is_none() => Reply::json(200, told(state)),
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
fn told(state: &NodeState) -> String {
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
