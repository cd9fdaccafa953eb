//! Where the body of an answer ends. Pure: bytes in, chunks out.

use bytes::{Buf, Bytes, BytesMut};

/// Largest chunk header or trailer section; longer ones are an attack or a fault.
const LONGEST_LINE: usize = 4096;

/// How a body is framed, and how far it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunked.
    Chunked(Chunked),
    /// Ends with the connection.
    UntilClose,
}

/// Progress within the chunked coding (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before a chunk's size.
    Size,
    /// Within a chunk's data.
    Data(u64),
    /// Before the line end after a chunk's data.
    DataEnd,
    /// Within the trailer section; bytes of it read.
    Trailer(usize),
    /// Done.
    Over,
}

impl Framing {
    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunked::Size)
    }

    /// Whether the body has been read to its end.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Over))
    }

    /// Takes what `buffer` has of the body. None if more bytes are needed first.
    ///
    /// Chunks that lie in the buffer together come out together: it makes no difference to a client, and each piece
    /// passed on costs more than its copying.
    ///
    /// # Errors
    /// What is malformed.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
        match self {
            Self::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= n as u64;
                Ok((n > 0).then(|| buffer.split_to(n).freeze()))
            }
            Self::UntilClose => Ok((!buffer.is_empty()).then(|| buffer.split().freeze())),
            Self::Chunked(state) => state.take(buffer),
        }
    }
}

impl Chunked {
    fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
        let mut first: Option<Bytes> = None;
        let mut joined = BytesMut::new();
        loop {
            let data = match self.step(buffer) {
                Ok(Some(data)) if data.is_empty() => continue,
                Ok(Some(data)) => data,
                // What came before is good; what is wrong is found again by the next call.
                Err(_) if first.is_some() => break,
                Err(what) => return Err(what),
                Ok(None) => break,
            };
            match &first {
                None => first = Some(data),
                Some(one) => {
                    if joined.is_empty() {
                        joined.reserve(one.len() + data.len() + buffer.len());
                        joined.extend_from_slice(one);
                    }
                    joined.extend_from_slice(&data);
                }
            }
        }
        Ok(if joined.is_empty() { first } else { Some(joined.freeze()) })
    }

    /// One step; an empty piece is progress without data, None a want of bytes (or the end).
    fn step(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
        match *self {
            Self::Size => {
                let Some(line) = line_length(buffer, LONGEST_LINE)? else { return Ok(None) };
                let size = chunk_size(&buffer[..line - 2])?;
                buffer.advance(line);
                *self = if size == 0 { Self::Trailer(0) } else { Self::Data(size) };
            }
            Self::Data(left) => {
                if buffer.is_empty() {
                    return Ok(None);
                }
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let left = left - n as u64;
                *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                return Ok(Some(buffer.split_to(n).freeze()));
            }
            Self::DataEnd => {
                if buffer.len() < 2 {
                    return Ok(None);
                }
                if &buffer[..2] != b"\r\n" {
                    return Err("a chunk is longer than it says");
                }
                buffer.advance(2);
                *self = Self::Size;
            }
            Self::Trailer(seen) => {
                let Some(line) = line_length(buffer, LONGEST_LINE - seen)? else { return Ok(None) };
                buffer.advance(line);
                *self = if line == 2 { Self::Over } else { Self::Trailer(seen + line) };
            }
            Self::Over => return Ok(None),
        }
        Ok(Some(Bytes::new()))
    }
}

/// Length of the line at the beginning of `buffer`, CR LF included; None if it is not complete.
fn line_length(buffer: &[u8], most: usize) -> Result<Option<usize>, &'static str> {
    match memchr::memchr(b'\n', buffer) {
        Some(at) if at < most => match buffer[..at].last() {
            Some(b'\r') => Ok(Some(at + 1)),
            _ => Err("a chunk's line does not end with CR LF"),
        },
        None if buffer.len() < most => Ok(None),
        _ => Err("a chunk's line is too long"),
    }
}

/// The size of a chunk; extensions are passed over.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let rest = line[digits..].trim_ascii_start();
    if digits == 0 || digits > 15 || !(rest.is_empty() || rest[0] == b';') {
        return Err("a chunk's size is malformed");
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| "a chunk's size is malformed")?;
    u64::from_str_radix(text, 16).map_err(|_| "a chunk's size is malformed")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::Framing;

    /// Feeds `wire` cut at `cuts`; the body, whether it ended, and what was left over.
    fn run(
        mut framing: Framing,
        wire: &[u8],
        cuts: &[usize],
    ) -> Result<(Vec<u8>, bool, usize), &'static str> {
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        let mut start = 0;
        for cut in cuts.iter().copied().chain([wire.len()]) {
            if cut > start {
                buffer.extend_from_slice(&wire[start..cut]);
                start = cut;
                while let Some(data) = framing.take(&mut buffer)? {
                    body.extend_from_slice(&data);
                }
            }
        }
        Ok((body, framing.is_over(), buffer.len()))
    }

    #[test]
    fn chunks_come_out_wherever_they_are_cut() {
        let wire = b"5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nnext";
        for cut in 0..wire.len() {
            let got = run(Framing::chunked(), wire, &[cut]).unwrap();
            assert_eq!(got, (b"hello 0123456789".to_vec(), true, 4), "cut at {cut}");
        }
    }

    #[test]
    fn chunks_in_one_buffer_come_out_together() {
        let mut buffer = BytesMut::from(&b"2\r\nab\r\n2\r\ncd\r\n3\r\ne"[..]);
        let mut framing = Framing::chunked();
        assert_eq!(framing.take(&mut buffer).unwrap().unwrap(), "abcde");
        assert_eq!(framing.take(&mut buffer).unwrap(), None);
    }

    #[test]
    fn what_came_before_a_malformed_chunk_comes_out() {
        let mut buffer = BytesMut::from(&b"2\r\nab\r\nzz\r\n"[..]);
        let mut framing = Framing::chunked();
        assert_eq!(framing.take(&mut buffer).unwrap().unwrap(), "ab");
        assert!(framing.take(&mut buffer).is_err() && framing.take(&mut buffer).is_err());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in [
            &b"x\r\n"[..],
            b"-1\r\n",
            b"\r\n",
            b"5\nhello",
            b"3\r\nabcd\r\n",
            b"1 1\r\na\r\n",
            b"fffffffffffffffff\r\n",
            &[b'1'; 5000],
        ] {
            assert!(run(Framing::chunked(), wire, &[]).is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn lengths_end_where_they_say() {
        assert_eq!(run(Framing::Length(3), b"abcdef", &[1]).unwrap(), (b"abc".to_vec(), true, 3));
        assert_eq!(run(Framing::Length(9), b"abc", &[]).unwrap(), (b"abc".to_vec(), false, 0));
        assert_eq!(run(Framing::UntilClose, b"abc", &[1]).unwrap(), (b"abc".to_vec(), false, 0));
    }

    proptest! {
        #[test]
        fn what_is_chunked_is_unchunked(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(0usize..400, 0..6)) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c < wire.len()).collect();
            cuts.sort_unstable();
            prop_assert_eq!(run(Framing::chunked(), &wire, &cuts), Ok((chunks.concat(), true, 0)));
        }

        #[test]
        fn never_panics(wire in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = run(Framing::chunked(), &wire, &[]);
        }
    }
}
