//! Frames, put together to messages (RFC 6455, 5).

use bytes::{Buf as _, Bytes, BytesMut};

use super::{LARGEST, SocketError};

pub(super) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
pub(super) const MASKED: u8 = 0x80;

/// Bytes of a mask.
pub(super) const MASK: usize = 4;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Most bytes in a control frame.
const CONTROL_MOST: usize = 125;

/// What is to be passed on next.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// As it came.
    pub raw: Bytes,
    /// What it is.
    pub part: Part,
}

/// What was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A whole message, without its masks.
    Message(Bytes),
    /// A ping or pong.
    Control,
    /// The sender's last words.
    Close,
}

/// What one side sends. A message is held until it is whole, for only then somebody acts on it; a control frame in the
/// midst of one goes before it.
#[derive(Debug)]
pub struct Frames {
    /// Whether every frame must be masked, or none.
    masked: bool,
    buffer: BytesMut,
    /// Frames of a message that is not whole.
    message: BytesMut,
    /// What they carry; None between messages.
    payload: Option<BytesMut>,
    /// That message is text.
    text: bool,
}

/// The head of a frame.
struct Head {
    fin: bool,
    kind: u8,
    /// Where the mask begins, or without one the payload.
    at: usize,
    /// Bytes of the payload.
    length: usize,
}

impl Frames {
    /// Of a client, whose frames are masked, or of a server.
    #[must_use]
    pub fn new(masked: bool) -> Self {
        Self { masked, buffer: BytesMut::new(), message: BytesMut::new(), payload: None, text: false }
    }

    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() + self.message.len() + self.payload.as_ref().map_or(0, BytesMut::len)
    }

    /// The next piece that is whole; None if more bytes are needed first.
    ///
    /// # Errors
    /// [`SocketError::Frame`], [`SocketError::TooLarge`], [`SocketError::Encoding`].
    pub fn take(&mut self) -> Result<Option<Piece>, SocketError> {
        loop {
            let Some(head) = self.head()? else { return Ok(None) };
            let mask = if self.masked { MASK } else { 0 };
            let begins = head.at + mask;
            if self.message.len() + begins + head.length > LARGEST {
                return Err(SocketError::TooLarge);
            }
            if self.buffer.len() < begins + head.length {
                return Ok(None);
            }
            let raw = self.buffer.split_to(begins + head.length).freeze();
            if self.buffer.is_empty() {
                // Between messages a session holds no memory.
                self.buffer = BytesMut::new();
            }
            match head.kind {
                CLOSE => return Ok(Some(Piece { raw, part: Part::Close })),
                PING | PONG => return Ok(Some(Piece { raw, part: Part::Control })),
                CONTINUATION if self.payload.is_none() => {
                    return Err(SocketError::Frame("nothing is there to be continued"));
                }
                TEXT | BINARY if self.payload.is_some() => {
                    return Err(SocketError::Frame("a message begins within another"));
                }
                CONTINUATION => {}
                _ => self.text = head.kind == TEXT,
            }
            if head.fin && self.payload.is_none() && !self.masked {
                // Most messages of nodes are one frame.
                let payload = raw.slice(begins..);
                return self.whole(raw, payload).map(Some);
            }
            let payload = self.payload.get_or_insert_default();
            let from = payload.len();
            payload.extend_from_slice(&raw[begins..]);
            let mask = &raw[head.at..begins];
            if !mask.is_empty() {
                payload[from..].iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            }
            if !head.fin {
                self.message.extend_from_slice(&raw);
                continue;
            }
            let raw = if self.message.is_empty() {
                raw
            } else {
                let mut message = std::mem::take(&mut self.message);
                message.extend_from_slice(&raw);
                message.freeze()
            };
            let payload = self.payload.take().unwrap_or_default().freeze();
            return self.whole(raw, payload).map(Some);
        }
    }

    /// A whole message. What its receiver would have to break off over ends here, where it is known whose fault it is.
    fn whole(&self, raw: Bytes, payload: Bytes) -> Result<Piece, SocketError> {
        if self.text && str::from_utf8(&payload).is_err() {
            return Err(SocketError::Encoding);
        }
        Ok(Piece { raw, part: Part::Message(payload) })
    }

    /// The head of the frame at the beginning of the buffer, once it is whole.
    fn head(&self) -> Result<Option<Head>, SocketError> {
        let &[first, second, ref rest @ ..] = &self.buffer[..] else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(SocketError::Frame("it uses an extension"));
        }
        if (second & MASKED != 0) != self.masked {
            return Err(SocketError::Frame(if self.masked { "it is not masked" } else { "it is masked" }));
        }
        let (fin, kind) = (first & FIN != 0, first & 0x0f);
        let mut rest = rest;
        let (at, length) = match second & !MASKED {
            126 if rest.len() < 2 => return Ok(None),
            126 => (4, u64::from(rest.get_u16())),
            127 if rest.len() < 8 => return Ok(None),
            127 => (10, rest.get_u64()),
            short => (2, u64::from(short)),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST);
        let length = length.ok_or(SocketError::TooLarge)?;
        match kind {
            CONTINUATION | TEXT | BINARY => {}
            CLOSE | PING | PONG if fin && length <= CONTROL_MOST => {}
            CLOSE | PING | PONG => return Err(SocketError::Frame("a control frame is long, or in parts")),
            _ => return Err(SocketError::Frame("its kind is not known")),
        }
        Ok(Some(Head { fin, kind, at, length }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{SocketError, close},
        *,
    };

    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut out = vec![first];
        let bit = if mask.is_some() { MASKED } else { 0 };
        match payload.len() {
            n @ 0..126 => out.push(bit | n as u8),
            n @ 126..65536 => {
                out.push(bit | 126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(bit | 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        match mask {
            None => out.extend(payload),
            Some(mask) => {
                out.extend(mask);
                out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            }
        }
        out
    }

    fn all(frames: &mut Frames) -> Result<Vec<Piece>, SocketError> {
        std::iter::from_fn(|| frames.take().transpose()).collect()
    }

    #[test]
    fn a_message_in_parts_comes_out_whole_and_a_ping_before_it() {
        let mask = Some([1, 2, 3, 4]);
        let parts = [
            frame(TEXT, b"one ", mask),
            frame(FIN | PING, b"?", mask),
            frame(CONTINUATION, b"two ", mask),
            frame(FIN | CONTINUATION, b"three", mask),
            frame(FIN | CLOSE, b"", mask),
        ];
        let mut frames = Frames::new(true);
        frames.push(&parts.concat());
        let pieces = all(&mut frames).unwrap();
        let message = [&parts[0][..], &parts[2], &parts[3]].concat();
        assert_eq!(
            pieces,
            [
                Piece { raw: parts[1].clone().into(), part: Part::Control },
                Piece { raw: message.into(), part: Part::Message(Bytes::from_static(b"one two three")) },
                Piece { raw: parts[4].clone().into(), part: Part::Close },
            ]
        );
        assert_eq!(frames.held(), 0);
    }

    #[test]
    fn what_is_malformed_or_too_large_is_refused() {
        let refused = |masked, bytes: &[u8]| {
            let mut frames = Frames::new(masked);
            frames.push(bytes);
            all(&mut frames).unwrap_err().code()
        };
        let long = [FIN | TEXT, 127, 0, 0, 0, 0, 0xff, 0, 0, 0];
        for (masked, bytes, code) in [
            (true, frame(FIN | TEXT, b"x", None), 1002),
            (false, frame(FIN | TEXT, b"x", Some([0; 4])), 1002),
            (false, frame(FIN | 0x40 | TEXT, b"x", None), 1002),
            (false, frame(FIN | 3, b"x", None), 1002),
            (false, frame(PING, b"x", None), 1002),
            (false, frame(FIN | CLOSE, &[0; 126], None), 1002),
            (false, frame(FIN | CONTINUATION, b"x", None), 1002),
            (false, [frame(TEXT, b"x", None), frame(FIN | TEXT, b"x", None)].concat(), 1002),
            (true, frame(FIN | TEXT, b"\xff", Some([1, 2, 3, 4])), 1007),
            (false, [frame(TEXT, b"\xc3", None), frame(FIN | CONTINUATION, b"x", None)].concat(), 1007),
            (false, long.to_vec(), 1009),
            (false, [0x7f; 10].to_vec(), 1002),
        ] {
            assert_eq!(refused(masked, &bytes), code, "{bytes:?}");
        }
        let mut frames = Frames::new(false);
        let part = frame(TEXT, &vec![b'x'; LARGEST / 2], None);
        frames.push(&part);
        frames.push(&frame(FIN | CONTINUATION, &vec![b'x'; LARGEST / 2], None));
        assert_eq!(all(&mut frames), Err(SocketError::TooLarge));
    }

    #[test]
    fn text_may_be_cut_within_a_letter_and_what_is_not_text_is_anything() {
        let mut frames = Frames::new(false);
        let parts = [frame(TEXT, b"\xc3", None), frame(FIN | CONTINUATION, b"\xbc", None)];
        frames.push(&parts.concat());
        frames.push(&frame(FIN | BINARY, b"\xff", None));
        let messages: Vec<Part> = all(&mut frames).unwrap().into_iter().map(|piece| piece.part).collect();
        assert_eq!(messages, ["ü".as_bytes(), b"\xff"].map(|m| Part::Message(Bytes::from_static(m))));
    }

    #[test]
    fn a_close_says_why_as_far_as_there_is_room() {
        for masked in [false, true] {
            let mut frames = Frames::new(masked);
            frames.push(&close(1008, &"ä".repeat(100), masked));
            let pieces = all(&mut frames).unwrap();
            assert_eq!(pieces.len(), 1);
            let reason = &pieces[0].raw[if masked { 8 } else { 4 }..];
            assert_eq!(str::from_utf8(reason).unwrap(), "ä".repeat(61));
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_wherever_they_are_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cuts in prop::collection::vec(0usize..1000, 0..6),
            mask in proptest::option::of(any::<[u8; 4]>()),
        ) {
            let sent: Vec<Vec<u8>> = payloads.iter().map(|p| frame(FIN | BINARY, p, mask)).collect();
            let wire = sent.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.sort_unstable();
            cuts.push(wire.len());
            let mut frames = Frames::new(mask.is_some());
            let (mut from, mut came) = (0, Vec::new());
            for cut in cuts {
                frames.push(&wire[from..cut]);
                from = cut;
                came.extend(all(&mut frames).unwrap());
            }
            let whole: Vec<Piece> = sent.into_iter().zip(payloads)
                .map(|(raw, payload)| Piece { raw: raw.into(), part: Part::Message(payload.into()) })
                .collect();
            prop_assert_eq!(came, whole);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), masked in any::<bool>()) {
            let mut frames = Frames::new(masked);
            frames.push(&bytes);
            let _ = all(&mut frames);
        }
    }
}
