//! The client's side of a websocket.

use std::net::SocketAddr;

use super::Request;
use crate::{
    fake::socket::{CLOSE, FIN, TEXT, frame, read},
    wire::{Head, Wire},
    within,
};

/// A websocket that was agreed on.
#[derive(Debug)]
pub struct Socket {
    wire: Wire,
    /// The head that agreed to it.
    pub head: Head,
}

impl Socket {
    /// A request for one at `target`.
    #[must_use]
    pub fn request(target: &str, key: &str) -> Request {
        let request = Request::get(target)
            .field("Connection", "keep-alive, Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Version", "13")
            .field("Sec-WebSocket-Extensions", "permessage-deflate")
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        if key.is_empty() { request } else { request.field("Authorization", &format!("Bearer {key}")) }
    }

    /// Asks for one. `first` is sent with the request.
    pub async fn open(address: SocketAddr, request: &Request, first: &[u8]) -> Self {
        let mut wire = within("connecting", Wire::connect(address)).await.expect("a listener");
        let bytes = [&request.bytes(address)[..], first].concat();
        within("sending", wire.send(&bytes)).await.unwrap();
        let head = within("an answer's head", wire.head()).await.unwrap().expect("an answer");
        assert_eq!(head.status(), 101, "{head:?}");
        Self { wire, head }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        within("sending", self.wire.send(bytes)).await.unwrap();
    }

    /// Sends a message.
    pub async fn say(&mut self, text: &str) {
        self.send(&frame(TEXT, text.as_bytes(), true)).await;
    }

    /// The next frame: its kind and what it carries.
    pub async fn hear(&mut self) -> (u8, String) {
        let (first, payload) = within("a frame", read(&mut self.wire)).await.unwrap();
        (first & !FIN, String::from_utf8_lossy(&payload).into_owned())
    }

    /// What the other side's close says, once what was said before it was passed over, and the connection has ended.
    pub async fn closed(mut self) -> (u16, String) {
        loop {
            let (first, payload) = within("a close", read(&mut self.wire)).await.unwrap();
            if first == FIN | CLOSE {
                within("the connection's end", self.wire.gone()).await;
                let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                return (code, String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned());
            }
        }
    }

    /// Leaves without a word.
    pub fn reset(self) {
        self.wire.reset();
    }
}
