//! The seam to a node: send a head and a body, get a head and a stream of chunks. Behind it are an HTTP/1.1
//! client of our own, without a task or a buffer per connection, and a pool per thread and node, last in
//! first out. hyper's client costs a task switch per chunk and 16 KiB per idle stream (`tests/benches`).

mod connection;
mod framing;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzz;
mod head;
mod heir;
mod pool;

use std::{io, time::Duration};

use aivonx_fleet::DialError;
use http::Method;

pub(super) use connection::{NodeBody, READ_BUFFER, Switched};
pub(super) use heir::Heir;
pub(super) use pool::{Incoming, Upstream};

use super::{fields::Fields, socket::Handshake};

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the node closed the connection before it answered")]
    Closed {
        /// The connection had served a request before.
        reused: bool,
    },
    #[error("the connection to the node failed: {source}")]
    Died {
        /// The connection had served a request before, and no byte of an answer had come.
        reused: bool,
        source: io::Error,
    },
    #[error("the node's answer is not HTTP: {0}")]
    Garbage(&'static str),
    #[error("the node's answer has no body")]
    Empty,
    #[error("the node's answer broke off before its first byte: {0}")]
    Broke(io::Error),
    #[error("the gateway has no room for another connection to a node; try again")]
    NoRoom,
}

impl SendError {
    /// Whether the same node deserves another try on a fresh connection: a kept connection may have been
    /// closed by the node while the request was on its way.
    pub(super) fn stale(&self) -> bool {
        matches!(self, Self::Died { reused: true, .. } | Self::Closed { reused: true })
    }
}

/// A request to a node: everything but the body's bytes.
pub(super) struct Outgoing<'a> {
    pub(super) method: Method,
    /// The route's own path; what stands in a parameter of it was checked.
    pub(super) path: &'a str,
    /// Head fields of the client's request.
    pub(super) client: &'a Fields<'a>,
    /// The protocol the client's request came by.
    pub(super) received: http::Version,
    /// Our id of the request.
    pub(super) request_id: &'a http::HeaderValue,
    /// The body is a form, and no JSON.
    pub(super) form: bool,
    /// The body's segments.
    pub(super) body: &'a [bytes::Bytes],
    /// Who gets the connection if the request is dropped before its answer begins; nobody: it is closed.
    pub(super) heir: Option<&'a Heir>,
    /// The websocket that is asked for, which has no body.
    pub(super) socket: Option<&'a Handshake<'a>>,
    /// Time to connect, TLS included.
    pub(super) connect_within: Duration,
}
