//! The body of an answer to a client.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use aivonx_wire::api::Dialect;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::{
    body::VerdictError, conn::OpenAnswer, keep_waiting::Held, socket::Opening, stream::Relay, worker::Watched,
};

/// What the server sends. Not boxed as a trait object: this is the hot path.
pub(super) enum AnswerBody {
    /// Made by the gateway.
    Full(Bytes),
    /// Sent.
    Sent,
    /// A node's answer.
    Relay(Box<Relay>),
    /// A job's progress.
    Lines(Lines),
    /// A stream that began before its answer did.
    Held(Box<Held>),
    /// None, but a websocket, until its connection has taken it over.
    Socket(Option<Box<Opening>>),
}

/// A job's progress, for as long as the credential it was asked for with is worth something. The job goes on.
pub(super) struct Lines {
    lines: mpsc::Receiver<Bytes>,
    flight: Option<Watched>,
}

impl Lines {
    pub(super) fn new(lines: mpsc::Receiver<Bytes>, flight: Watched) -> Self {
        Self { lines, flight: Some(flight) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(flight) = &self.flight else { return Poll::Ready(None) };
        // At shutdown the job itself has the last word.
        if let Some(verdict) = flight.verdict().filter(|verdict| verdict.is_withdrawn()) {
            self.flight = None;
            let error = VerdictError(verdict).to_string();
            return Poll::Ready(Some(Dialect::Ollama.stream_error(&error, "")));
        }
        flight.register(cx);
        self.lines.poll_recv(cx)
    }
}

pub(super) type Answer = Response<AnswerBody>;

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: Bytes) -> Answer {
    typed(status, HeaderValue::from_static("application/json; charset=utf-8"), body)
}

/// An answer with a body of the given type.
pub(super) fn typed(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::Full(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// An answer with a text body.
pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    typed(status, HeaderValue::from_static("text/plain; charset=utf-8"), Bytes::from_static(body.as_bytes()))
}

impl AnswerBody {
    /// Whether it comes piece by piece.
    pub(super) fn streams(&self) -> bool {
        match self {
            Self::Full(_) | Self::Sent | Self::Socket(_) => false,
            Self::Relay(relay) => relay.streams(),
            Self::Lines(_) | Self::Held(_) => true,
        }
    }

    /// The next frame, of at most `most` bytes where it might be long.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self {
            Self::Full(bytes) => {
                let next = bytes.split_to(bytes.len().min(most));
                if bytes.is_empty() {
                    *self = Self::Sent;
                }
                Poll::Ready((!next.is_empty()).then(|| Ok(Frame::data(next))))
            }
            Self::Sent | Self::Socket(_) => Poll::Ready(None),
            Self::Relay(relay) => relay.poll_frame(cx, most),
            Self::Lines(lines) => lines.poll(cx).map(|line| line.map(|l| Ok(Frame::data(l)))),
            Self::Held(held) => held.poll_frame(cx, most),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Sent | Self::Socket(_) => true,
            Self::Relay(relay) => relay.is_over(),
            Self::Lines(_) => false,
            Self::Held(held) => held.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Sent | Self::Socket(_) => SizeHint::with_exact(0),
            Self::Relay(relay) => relay.size_hint(),
            Self::Lines(_) | Self::Held(_) => SizeHint::default(),
        }
    }

    /// Whether it comes bit by bit from elsewhere.
    pub(super) fn is_relayed(&self) -> bool {
        matches!(self, Self::Relay(_) | Self::Lines(_) | Self::Held(_))
    }
}

/// A body that counts as a request in flight of its connection until it is sent or dropped.
pub(super) struct Tracked {
    body: AnswerBody,
    in_flight: OpenAnswer,
    /// Most bytes of a frame.
    most: usize,
}

impl Tracked {
    pub(super) fn new(body: AnswerBody, in_flight: OpenAnswer) -> Self {
        let most = in_flight.frame(body.is_relayed());
        Self { body, in_flight, most }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let polled = this.body.poll_frame(cx, this.most);
        this.in_flight.polled(matches!(polled, Poll::Ready(Some(_))), this.body.is_relayed());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
