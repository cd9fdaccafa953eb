//! Collecting a request body: as the segments it came in, uncopied, under the cap and the process's budget,
//! decoded if it is compressed.

use std::{io::Read, sync::Arc};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use smallvec::SmallVec;

use super::{
    clock::{Flight, Verdict, Waiting},
    exchange::Exchange,
    fields::{Field, Fields},
    shared::{Held, Shared},
};

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is larger than the limit of {0} bytes")]
    TooLarge(u64),
    #[error("the gateway holds as many request bodies as it may; try again")]
    Budget,
    #[error("Content-Encoding '{0}' is not supported; send gzip, deflate or none")]
    Encoding(String),
    #[error("Transfer-Encoding is not 'chunked' alone, and nothing else is supported")]
    Coding,
    #[error("the request body is not valid {0}")]
    Corrupt(&'static str),
    #[error("the request body broke off: {0}")]
    Broken(hyper::Error),
    #[error(transparent)]
    Verdict(#[from] VerdictError),
}

/// A verdict as an error.
#[derive(Debug, thiserror::Error)]
#[error("{}", verdict_text(*.0))]
pub(super) struct VerdictError(pub(super) Verdict);

pub(super) fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::TimedOut(Waiting::Body) => "the request body did not arrive in time",
        Verdict::TimedOut(Waiting::Head) => "the node did not begin to answer in time",
        Verdict::TimedOut(Waiting::Chunk) => "the node stopped sending in the middle of its answer",
        Verdict::TimedOut(Waiting::Client) => "the client stopped reading the answer",
        Verdict::TimedOut(Waiting::Total) => "the answer took longer than the gateway allows",
        Verdict::Stopping => "the gateway is shutting down",
        Verdict::Revoked => "the credential was revoked",
        Verdict::Retired => "the node was removed from the gateway",
        Verdict::Cancelled => "an administrator ended the request",
    }
}

/// The pieces a body came in: mostly one.
pub(super) type Segments = SmallVec<[Bytes; 1]>;

/// A collected body.
pub(super) struct Collected {
    pub(super) segments: Segments,
    pub(super) bytes: u64,
    /// Gives the budget back when the body is no longer needed.
    held: Held,
}

impl Collected {
    /// The body, and nothing in its place.
    pub(super) fn take(&mut self) -> Self {
        let (segments, bytes) = (std::mem::take(&mut self.segments), std::mem::take(&mut self.bytes));
        Self { segments, bytes, held: self.held.take() }
    }

    /// The body in one piece; it lies in one from then on.
    ///
    /// # Errors
    /// [`BodyError::Budget`]: for a moment it is there twice.
    pub(super) fn whole(&mut self) -> Result<Bytes, BodyError> {
        if let [whole] = &self.segments[..] {
            return Ok(whole.clone());
        }
        if !self.held.grow(self.bytes) {
            return Err(BodyError::Budget);
        }
        let mut whole = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or_default());
        self.segments.drain(..).for_each(|segment| whole.extend_from_slice(&segment));
        let whole = Bytes::from(whole);
        self.segments.push(whole.clone());
        self.held.shrink(self.bytes);
        Ok(whole)
    }
}

/// Takes the whole body.
pub(super) async fn collect(
    exchange: &Exchange,
    flight: &Flight,
    fields: &Fields<'_>,
    incoming: Incoming,
) -> Result<Collected, BodyError> {
    let cap = exchange.settings.body_bytes;
    collect_within(exchange, flight, fields, incoming, cap).await
}

/// Takes the whole body, of at most `cap` bytes.
pub(super) async fn collect_within(
    exchange: &Exchange,
    flight: &Flight,
    fields: &Fields<'_>,
    mut incoming: Incoming,
    cap: u64,
) -> Result<Collected, BodyError> {
    let (worker, idle) = (&exchange.worker, exchange.settings.body_idle);
    let encoding = encoding(fields)?;
    if fields.all(Field::TransferEncoding).any(|v| !v.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(BodyError::Coding);
    }
    if incoming.size_hint().lower() > cap {
        return Err(BodyError::TooLarge(cap));
    }
    let mut held = Held::none(&worker.shared);
    let mut segments = Segments::new();
    let mut bytes = 0u64;
    while !incoming.is_end_stream() {
        flight.allow(Waiting::Body, worker.now(), idle);
        let frame = flight.watch(incoming.frame()).await.map_err(VerdictError)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        bytes += data.len() as u64;
        if bytes > cap {
            return Err(BodyError::TooLarge(cap));
        }
        if !held.grow(data.len() as u64) {
            return Err(BodyError::Budget);
        }
        if !data.is_empty() {
            segments.push(data);
        }
    }
    let collected = Collected { segments, bytes, held };
    match encoding {
        None => Ok(collected),
        Some(encoding) => {
            let shared = worker.shared.clone();
            // Decompressing megabytes would stall every stream of this thread.
            let decoded = tokio::task::spawn_blocking(move || decode(&shared, collected, encoding, cap));
            decoded.await.unwrap_or(Err(BodyError::Corrupt("data")))
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Gzip,
    Deflate,
}

fn encoding(fields: &Fields<'_>) -> Result<Option<Encoding>, BodyError> {
    let mut values = fields.all(Field::ContentEncoding);
    let Some(first) = values.next() else { return Ok(None) };
    let name = first.to_str().unwrap_or("unreadable").trim().to_ascii_lowercase();
    match (name.as_str(), values.next()) {
        ("identity" | "", None) => Ok(None),
        ("gzip" | "x-gzip", None) => Ok(Some(Encoding::Gzip)),
        ("deflate", None) => Ok(Some(Encoding::Deflate)),
        (_, None) => Err(BodyError::Encoding(name)),
        (_, Some(_)) => Err(BodyError::Encoding(format!("{name}, ..."))),
    }
}

fn decode(
    shared: &Arc<Shared>,
    body: Collected,
    encoding: Encoding,
    cap: u64,
) -> Result<Collected, BodyError> {
    let source = SegmentReader { segments: body.segments.into_iter(), current: Bytes::new() };
    let (mut reader, name): (Box<dyn Read>, _) = match encoding {
        Encoding::Gzip => (Box::new(MultiGzDecoder::new(source)), "gzip"),
        Encoding::Deflate => (Box::new(ZlibDecoder::new(source)), "deflate (zlib)"),
    };
    let mut held = Held::none(shared);
    let mut segments = Segments::new();
    let mut bytes = 0u64;
    loop {
        let mut segment = vec![0; 64 << 10];
        let mut filled = 0;
        while filled < segment.len() {
            match reader.read(&mut segment[filled..]).map_err(|_| BodyError::Corrupt(name))? {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return Ok(Collected { segments, bytes, held });
        }
        segment.truncate(filled);
        bytes += filled as u64;
        if bytes > cap {
            return Err(BodyError::TooLarge(cap));
        }
        if !held.grow(filled as u64) {
            return Err(BodyError::Budget);
        }
        segments.push(Bytes::from(segment));
    }
}

struct SegmentReader {
    segments: smallvec::IntoIter<[Bytes; 1]>,
    current: Bytes,
}

impl Read for SegmentReader {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
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
