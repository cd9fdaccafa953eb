//! Decoding of compressed request bodies, within the cap and the budget.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder, errors::FrameDecoderError};

use super::{
    body::{BodyError, Collected},
    fields::{Field, Fields},
    gather::Gather,
};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// What the request says of its body; None if it lies as it is.
    ///
    /// # Errors
    /// [`BodyError::Encoding`].
    pub(super) fn of(fields: &Fields<'_>) -> Result<Option<Self>, BodyError> {
        let mut values = fields.all(Field::ContentEncoding);
        let Some(first) = values.next() else { return Ok(None) };
        let name = first.to_str().unwrap_or("unreadable").trim().to_ascii_lowercase();
        match (name.as_str(), values.next()) {
            ("identity" | "", None) => Ok(None),
            ("gzip" | "x-gzip", None) => Ok(Some(Self::Gzip)),
            ("deflate", None) => Ok(Some(Self::Deflate)),
            ("zstd", None) => Ok(Some(Self::Zstd)),
            (_, None) => Err(BodyError::Encoding(name)),
            (_, Some(_)) => Err(BodyError::Encoding(format!("{name}, ..."))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate (zlib)",
            Self::Zstd => "zstd",
        }
    }
}

/// The body without its compression, of at most `cap` bytes.
///
/// # Errors
/// It is too large, the budget is used up, or this is not what was said.
pub(super) fn decode(mut body: Collected, encoding: Encoding, cap: u64) -> Result<Collected, BodyError> {
    let mut gather = Gather::new(body.held.another(), cap, usize::MAX);
    let window = body.held.another();
    let source =
        SegmentReader { segments: std::mem::take(&mut body.segments).into_iter(), current: Bytes::new() };
    let mut reader: Box<dyn Read> = match encoding {
        Encoding::Gzip => Box::new(MultiGzDecoder::new(source)),
        Encoding::Deflate => Box::new(ZlibDecoder::new(source)),
        Encoding::Zstd => Box::new(Frames { source: Some(source), frame: None, most: cap.max(LEAST_WINDOW) }),
    };
    // What zstd holds back to refer to is as long as the body at most, and counts as that.
    let mut window = (encoding == Encoding::Zstd).then_some(window);
    let mut some = vec![0; 32 << 10];
    loop {
        match reader.read(&mut some).map_err(|error| refused(&error, encoding, cap))? {
            0 => return Ok(gather.into()),
            n => {
                gather.copy(&some[..n])?;
                if window.as_mut().is_some_and(|window| !window.grow(n as u64)) {
                    return Err(BodyError::Budget);
                }
            }
        }
    }
}

fn refused(error: &io::Error, encoding: Encoding, cap: u64) -> BodyError {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    match error {
        // That of a frame in one segment is as large as what is in it.
        Some(FrameDecoderError::WindowSizeTooBig { .. }) => BodyError::TooLarge(cap),
        _ => BodyError::Corrupt(encoding.name()),
    }
}

/// The window that every decoder has to support (RFC 8878, 3.1.1.1.2).
const LEAST_WINDOW: u64 = 8 << 20;

/// The frames of a zstd body, one after the other.
struct Frames {
    /// What comes before the first.
    source: Option<SegmentReader>,
    frame: Option<Box<StreamingDecoder<SegmentReader, FrameDecoder>>>,
    /// Largest window, which is memory that is taken before a byte of it is given out.
    most: u64,
}

impl Read for Frames {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buf)?;
                if read > 0 {
                    return Ok(read);
                }
            }
            let rest = self.frame.take().map(|frame| frame.into_inner()).or_else(|| self.source.take());
            let Some(source) = rest.filter(|rest| !rest.is_empty()) else { return Ok(0) };
            let frame = StreamingDecoder::new_with_max_window_size(source, self.most);
            self.frame = Some(Box::new(frame.map_err(io::Error::other)?));
        }
    }
}

struct SegmentReader {
    segments: smallvec::IntoIter<[Bytes; 1]>,
    current: Bytes,
}

impl SegmentReader {
    /// Whether nothing is left.
    fn is_empty(&self) -> bool {
        self.current.is_empty() && self.segments.as_slice().iter().all(Bytes::is_empty)
    }
}

impl Read for SegmentReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.segments.next() {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
        let n = buf.len().min(self.current.len());
        buf[..n].copy_from_slice(&self.current.split_to(n));
        Ok(n)
    }
}
