//! Websockets between a client and a node: agreed on as a request is answered, then passed on message by message for as
//! long as both sides, the credential and its limits allow.

mod end;
mod half;
mod handshake;
mod session;

pub(super) use handshake::{Handshake, HandshakeError, keys_of_protocols};
pub(super) use session::{Names, Opening, Session};
