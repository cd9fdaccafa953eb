//! Websockets (RFC 6455), as far as tests speak them: frames by hand, and what a scripted node says over one.

use std::io;

use bytes::Bytes;

use crate::{state::Shared, wire::Wire};

/// Kinds of frames.
pub const TEXT: u8 = 1;
/// The last one of a side.
pub const CLOSE: u8 = 8;

/// A frame that is a whole message, or a control frame. Those of clients are `masked`.
#[must_use]
pub fn frame(kind: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut out = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => out.push(bit | length as u8),
        length @ 126..65_536 => {
            out.push(bit | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(bit | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    let mask: &[u8] = if masked { &[7, 0, 77, 200] } else { &[] };
    out.extend(mask);
    match masked {
        true => out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask)),
        false => out.extend(payload),
    }
    out
}

/// Set in the first byte of a message's last frame.
pub const FIN: u8 = 0x80;

/// Reads a frame: its first byte, which is the kind and [`FIN`], and its payload, without the mask that a client's has.
///
/// # Errors
/// The connection ended.
pub async fn read(wire: &mut Wire) -> io::Result<(u8, Bytes)> {
    let head = wire.exactly(2).await?;
    let length = match head[1] & 0x7f {
        126 => wire.exactly(2).await?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        127 => wire.exactly(8).await?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    let mask = if head[1] & 0x80 != 0 { wire.exactly(4).await? } else { Bytes::from_static(&[0; 4]) };
    let payload = wire.exactly(length).await?;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok((head[0], payload))
}

/// Serves one: `response.create` is answered in three pieces of a token each, with usage at the end; `fall` is a node that
/// falls over; everything else comes back as it is.
pub(crate) async fn serve(
    wire: &mut Wire,
    shared: &Shared,
    key: &str,
    protocols: Option<&str>,
) -> io::Result<()> {
    let protocol = protocols.and_then(|all| all.split(',').next());
    let protocol =
        protocol.map_or_else(String::new, |one| format!("Sec-WebSocket-Protocol: {}\r\n", one.trim()));
    // Who tests the tests' own client needs no proof.
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: of {key}\r\n{protocol}\r\n"
    );
    wire.send(head.as_bytes()).await?;
    let mut parts = Vec::new();
    loop {
        let (first, payload) = read(wire).await?;
        let kind = first & !FIN;
        let payload = if kind < CLOSE {
            [std::mem::take(&mut parts), payload.to_vec()].concat()
        } else {
            payload.to_vec()
        };
        if first & FIN == 0 {
            parts = payload;
            continue;
        }
        let kind = if kind == 0 { TEXT } else { kind };
        shared.change(|s| s.said.push(String::from_utf8_lossy(&payload).into_owned()));
        let text = String::from_utf8_lossy(&payload);
        if text.contains("response.create") {
            for piece in ["a", "b", "c"] {
                let event = format!(r#"{{"type":"response.output_text.delta","delta":"{piece}"}}"#);
                wire.send(&frame(TEXT, event.as_bytes(), false)).await?;
            }
            let done = br#"{"type":"response.done","response":{"output":[],"usage":{"total_tokens":90,"input_tokens":40,"output_tokens":50}}}"#;
            wire.send(&frame(TEXT, done, false)).await?;
        } else if text == "fall" {
            return Err(io::ErrorKind::ConnectionReset.into());
        } else {
            wire.send(&frame(kind, &payload, false)).await?;
            if kind == CLOSE {
                return Ok(());
            }
        }
    }
}
