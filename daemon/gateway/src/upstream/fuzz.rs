//! The way to what is private here, for the fuzzer.

use aivonx_fleet::Endpoint;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Version};

use super::{
    Outgoing,
    head::{self, Interim},
};
use crate::fields::Fields;

pub(crate) fn head(
    client: &Fields<'_>,
    endpoint: &Endpoint,
    request_id: &HeaderValue,
    method: Method,
    received: Version,
    body: &[Bytes],
) -> Vec<u8> {
    let mut out = Vec::new();
    let connect_within = std::time::Duration::ZERO;
    let path = "/api/chat";
    let request = Outgoing {
        method,
        path,
        client,
        received,
        request_id,
        form: false,
        body,
        heir: None,
        socket: None,
        connect_within,
    };
    head::write(&request, endpoint, &mut out);
    out
}

/// Reads an answer; returns how many bytes of its body there were.
pub(crate) fn answer(bytes: &[u8]) -> usize {
    let (mut buffer, mut interim) = (BytesMut::from(bytes), Interim::default());
    let Ok(Some(head)) = head::read(&mut buffer, &mut interim) else { return 0 };
    let (mut framing, mut taken) = (head.framing, 0);
    // Each turn takes something, or there is nothing more.
    while !framing.is_over()
        && let Ok(Some(piece)) = framing.take(&mut buffer)
    {
        taken += piece.len();
    }
    taken
}
