//! Websockets as far as a gateway reads them (RFC 6455): whole messages come out of what either side sends, and what of
//! them matters here is read. Nothing is written anew but a close.

mod events;
mod frames;

use aivonx_protocol::Untrusted;
use bytes::{BufMut as _, Bytes, BytesMut};

pub use self::{
    events::{Event, Said, check_models},
    frames::{Frames, Part, Piece},
};
use super::json::JsonError;

/// Most bytes of a message, with what its frames add. OpenAI takes 15 MiB of sound at once.
pub const LARGEST: usize = 16 << 20;

/// Most bytes of a reason for a close, beside its code (RFC 6455, 5.5).
const LONGEST_REASON: usize = 123;

/// Why a session cannot go on as one side has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// What was sent is not RFC 6455, or uses an extension that was not agreed on.
    #[error("a websocket frame is malformed: {0}")]
    Frame(&'static str),
    /// A message is longer than [`LARGEST`].
    #[error("a websocket message is larger than {LARGEST} bytes")]
    TooLarge,
    /// A message of text is not UTF-8, or JSON comes in an encoding that a node may know and is not read here.
    #[error("a websocket message is not UTF-8")]
    Encoding,
    /// What looks like JSON is none, so that a node may read of it what was not checked.
    #[error("a websocket message is not JSON as it should be: {0}")]
    Json(#[from] JsonError),
    /// A message asks for a model that its sender may not use.
    #[error("a websocket message names the model '{}', which this session may not use", Untrusted::new(.0).max(80))]
    Model(String),
    /// A message has the node fetch what only it can reach.
    #[error("a websocket message names {} as '{what}', which is not fetched from here", Untrusted::new(.wrong).max(80))]
    Address {
        /// Where it is named.
        what: &'static str,
        /// What is wrong with it.
        wrong: String,
    },
}

impl SocketError {
    /// The code that a close says it with (RFC 6455, 7.4.1).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Frame(_) => 1002,
            Self::Encoding | Self::Json(_) => 1007,
            Self::Model(_) | Self::Address { .. } => 1008,
            Self::TooLarge => 1009,
        }
    }
}

/// A close with its code and a reason, which is cut where there is no room for more of it. A client's are `masked`; the
/// mask is there to keep scripts of web pages from choosing what a proxy reads, and these words are not theirs.
#[must_use]
pub fn close(code: u16, reason: &str, masked: bool) -> Bytes {
    let ends = (0..=reason.len().min(LONGEST_REASON)).rev().find(|at| reason.is_char_boundary(*at));
    let reason = &reason[..ends.unwrap_or(0)];
    let mut frame = BytesMut::with_capacity(8 + reason.len());
    // A control frame holds 125 bytes at most, and so does this one.
    let length = (2 + reason.len()) as u8;
    frame.put_u8(frames::FIN | frames::CLOSE);
    if masked {
        frame.put_u8(frames::MASKED | length);
        frame.put_bytes(0, frames::MASK);
    } else {
        frame.put_u8(length);
    }
    frame.put_u16(code);
    frame.put_slice(reason.as_bytes());
    frame.freeze()
}
