//! A client of the gateway's own listener, like any other.

use std::{net::SocketAddr, time::Duration};

use aivonx_protocol::WireSecret;
use serde_json::Value;
use tokio::time::timeout;

use crate::wire::{Framing, Wire};

/// Longest time for one request: then the client gives up, as people do.
const GIVES_UP_AFTER: Duration = Duration::from_secs(90);

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask {
    /// Path.
    pub(super) path: &'static str,
    /// Body.
    pub(super) body: Value,
    /// What the client calls itself.
    pub(super) agent: &'static str,
    /// Pieces of the answer after which the client leaves.
    pub(super) leaves_after: Option<usize>,
}

/// Asks with this key, and reads the answer to its end, or as far as the client wants it. Returns the status; None if
/// there is no answer.
pub(super) async fn ask(gateway: SocketAddr, key: Option<&WireSecret>, ask: Ask) -> Option<u16> {
    timeout(GIVES_UP_AFTER, exchange(gateway, key, ask)).await.ok().flatten()
}

async fn exchange(gateway: SocketAddr, key: Option<&WireSecret>, ask: Ask) -> Option<u16> {
    let Ask { path, agent, leaves_after, body } = ask;
    let body = body.to_string();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {gateway}\r\nUser-Agent: {agent}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n",
        body.len()
    );
    if let Some(key) = key {
        request += &format!("Authorization: Bearer {}\r\n", key.expose());
    }
    if path.ends_with("/messages") {
        request += "anthropic-version: 2023-06-01\r\n";
    }
    let mut wire = Wire::connect(gateway).await.ok()?;
    wire.send((request + "\r\n" + &body).as_bytes()).await.ok()?;
    let head = wire.head().await.ok()??;
    let mut framing = Framing::of_response(&head, "POST");
    let mut pieces = 0;
    while leaves_after.is_none_or(|most| pieces < most)
        && matches!(wire.piece(&mut framing).await, Ok(Some(_)))
    {
        pieces += 1;
    }
    Some(head.status())
}
