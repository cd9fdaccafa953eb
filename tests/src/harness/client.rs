//! An HTTP/1.1 client that sends given bytes and shows each piece of the answer as it arrives.

use std::{io, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::{
    wire::{Framing, Head, Wire},
    within,
};

/// A request, byte for byte.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Bytes,
    host: bool,
    length: bool,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: Bytes::new(),
            host: true,
            length: true,
        }
    }

    /// `GET target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target` with a JSON value.
    #[must_use]
    pub fn json(target: &str, body: &Value) -> Self {
        Self::post(target, body.to_string())
    }

    /// `POST target` with these bytes, called JSON.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Bytes>) -> Self {
        Self::new("POST", target).field("Content-Type", "application/json").body(body)
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// The same to another target.
    #[must_use]
    pub fn at(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// With one more field; `Host` replaces the one sent otherwise.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.host &= !name.eq_ignore_ascii_case("host");
        self.length &= !matches!(name.to_ascii_lowercase().as_str(), "content-length" | "transfer-encoding");
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without `Host`.
    #[must_use]
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// What goes over the wire to `address`.
    #[must_use]
    pub fn bytes(&self, address: SocketAddr) -> Bytes {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if self.host {
            out += &format!("Host: {address}\r\n");
        }
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        if self.length && (!self.body.is_empty() || self.method == "POST") {
            out += &format!("Content-Length: {}\r\n", self.body.len());
        }
        let mut out = BytesMut::from((out + "\r\n").as_bytes());
        out.extend_from_slice(&self.body);
        out.freeze()
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// The head.
    pub head: Head,
    /// The body, as far as it came.
    pub body: Bytes,
    /// The body's pieces: chunks as framed.
    pub pieces: Vec<Bytes>,
    /// Why the body did not come to its end as framed, if so.
    pub cut: Option<String>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, which it must be.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in the {} answer {:?}", self.status, self.text()))
    }

    /// The body's lines, each as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e} in line {l:?}")))
            .collect()
    }

    /// The `data` of each server-sent event.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.text()
            .split("\n\n")
            .filter_map(|event| event.lines().find_map(|l| l.strip_prefix("data: ")).map(str::to_owned))
            .collect()
    }

    /// A field of the head.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Demands a status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head.start, self.text());
        self
    }
}

/// A connection to the daemon, or to a node.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    address: SocketAddr,
    method: String,
    framing: Framing,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let wire = within("connecting", Wire::connect(address)).await.expect("a listener");
        Self { wire, address, method: String::new(), framing: Framing::Done }
    }

    /// Sends bytes as they are; the next answer is read as one to `method`.
    pub async fn send_raw(&mut self, method: &str, bytes: &[u8]) {
        method.clone_into(&mut self.method);
        // The peer may answer and close before it has read everything.
        within("sending", self.wire.send(bytes)).await.ok();
    }

    /// Sends a request.
    pub async fn send(&mut self, request: &Request) {
        let bytes = request.bytes(self.address);
        self.send_raw(&request.method, &bytes).await;
    }

    /// The head of the next answer; None if the connection ends instead.
    pub async fn try_head(&mut self) -> Option<Head> {
        let head = within("an answer's head", self.wire.head()).await.ok().flatten()?;
        self.framing = Framing::of_response(&head, &self.method);
        Some(head)
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("an answer")
    }

    /// The next piece of the body; None at its end.
    ///
    /// # Errors
    /// If the connection ends first.
    pub async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        within("a piece of the body", self.wire.piece(&mut self.framing)).await
    }

    /// What is left of the answer with this head.
    pub async fn rest(&mut self, head: Head) -> Answer {
        let mut pieces = Vec::new();
        let cut = loop {
            match self.piece().await {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => break None,
                Err(e) => break Some(e.to_string()),
            }
        };
        Answer { status: head.status(), body: pieces.concat().into(), head, pieces, cut }
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        self.rest(head).await
    }

    /// Sends a request and reads the answer.
    pub async fn ask(&mut self, request: &Request) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    /// Waits until the peer closes.
    pub async fn closed(&mut self) {
        within("the connection's end", self.wire.gone()).await;
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        self.wire.reset();
    }
}
