//! Streams that begin before their answer does, for clients that give up on silence: while such a request waits for a
//! place on a node or for a load, its client gets the head and now and then a piece that means nothing to it. What fails
//! later is the stream's own error.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use aivonx_wire::api::{Dialect, failure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Frame;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    answer::{Answer, AnswerBody},
    conn::ConnContext,
    stack,
};

/// How much of an error is read for its words.
const ERROR_MOST: usize = 64 << 10;

/// Where a request says that its stream may begin while it waits.
#[derive(Default)]
pub(super) struct Hold(RefCell<Option<Begins>>);

/// How such a stream begins.
pub(super) struct Begins {
    /// Head fields of the answer, but for its type.
    pub(super) headers: HeaderMap,
    pub(super) dialect: Dialect,
    /// Our id of the request.
    pub(super) id: HeaderValue,
    /// Silence after which it does, and between the pieces that follow.
    pub(super) after: Duration,
}

impl Hold {
    /// From now on the request may wait.
    pub(super) fn begin(&self, begins: Begins) {
        *self.0.borrow_mut() = Some(begins);
    }
}

type Work = Pin<Box<dyn Future<Output = Answer>>>;

/// Answers a request, whose stream begins in time if it is one that asks for it.
pub(super) async fn handle(cx: Rc<ConnContext>, request: Request<Incoming>) -> Answer {
    // Chunked uploads are a connection's last, and so are streams before HTTP/1.1; see `stack`.
    let version = request.version();
    let last = version == Version::HTTP_10 || request.headers().contains_key(header::TRANSFER_ENCODING);
    let hold = Rc::<Hold>::default();
    let cx = Rc::new(ConnContext { hold: Some(hold.clone()), ..ConnContext::clone(&cx) });
    let mut work: Work = Box::pin(stack::answer(cx, request));
    let mut patience: Option<(Begins, Pin<Box<Sleep>>)> = None;
    let first = std::future::poll_fn(|task| {
        if let Poll::Ready(answer) = work.as_mut().poll(task) {
            return Poll::Ready(Some(answer));
        }
        if patience.is_none() {
            // What was said just now, in the work.
            patience = hold.0.take().map(|begins| {
                let pause = Box::pin(sleep(begins.after));
                (begins, pause)
            });
        }
        match &mut patience {
            Some((_, pause)) => pause.as_mut().poll(task).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await;
    match (first, patience) {
        (Some(answer), _) => answer,
        (None, Some((begins, pause))) => held(work, begins, pause, version, last),
        // Only patience ends without an answer.
        (None, None) => work.await,
    }
}

fn held(work: Work, begins: Begins, mut pause: Pin<Box<Sleep>>, version: Version, last: bool) -> Answer {
    let Begins { headers, dialect, id, after } = begins;
    pause.as_mut().reset(Instant::now() + after);
    let held = Held { state: State::Waiting(work), dialect, id, after, pause, due: true };
    let mut answer = Response::new(AnswerBody::Held(Box::new(held)));
    *answer.headers_mut() = headers;
    let kind = if dialect == Dialect::Ollama { "application/x-ndjson" } else { "text/event-stream" };
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if version == Version::HTTP_10 {
        *answer.version_mut() = version;
    }
    if last {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// A stream that began before its answer did.
pub(super) struct Held {
    state: State,
    dialect: Dialect,
    id: HeaderValue,
    after: Duration,
    pause: Pin<Box<Sleep>>,
    /// A piece is due that says no more than that it still waits.
    due: bool,
}

enum State {
    Waiting(Work),
    /// The answer is passed on.
    Answers(AnswerBody),
    /// What has come of an answer that is an error, or none that a stream can go on with; and what is said if it does not
    /// say it itself.
    Fails(AnswerBody, Vec<u8>, &'static str),
    Over,
}

impl Held {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            match &mut self.state {
                State::Waiting(work) => match work.as_mut().poll(cx) {
                    Poll::Ready(answer) => self.state = self.begun(answer),
                    Poll::Pending if self.due => {
                        self.due = false;
                        return Poll::Ready(Some(Ok(Frame::data(self.filler()))));
                    }
                    Poll::Pending => {
                        ready!(self.pause.as_mut().poll(cx));
                        self.pause.as_mut().reset(Instant::now() + self.after);
                        self.due = true;
                    }
                },
                State::Answers(body) => return body.poll_frame(cx, most),
                State::Fails(body, text, otherwise) => match ready!(body.poll_frame(cx, most)) {
                    Some(Ok(frame)) if text.len() < ERROR_MOST => {
                        text.extend_from_slice(frame.data_ref().map_or(&[], |data| &**data));
                    }
                    _ => {
                        let words = failure::words(text);
                        let words = words.as_deref().unwrap_or(otherwise);
                        let error = self.dialect.stream_error(words, self.id.to_str().unwrap_or_default());
                        self.state = State::Over;
                        return Poll::Ready(Some(Ok(Frame::data(error))));
                    }
                },
                State::Over => return Poll::Ready(None),
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Waiting(_) | State::Fails(..) => false,
            State::Answers(body) => body.is_end_stream(),
            State::Over => true,
        }
    }

    /// What becomes of the answer, whose head is no longer wanted.
    fn begun(&self, answer: Answer) -> State {
        // A node answers a request for a load alone with one line, whatever it is asked for.
        let fits = answer.body().streams() || self.dialect == Dialect::Ollama;
        let otherwise = match answer.status() {
            StatusCode::OK if fits => return State::Answers(answer.into_body()),
            StatusCode::OK => {
                "the node answered in one piece where a stream was asked for; without keep_waiting the key gets it as it is"
            }
            _ => "the request failed while it waited",
        };
        State::Fails(answer.into_body(), Vec::new(), otherwise)
    }

    /// A piece that no client takes for a part of the answer. Of a line of JSON it is the white space before it: stock
    /// clients fail on empty lines. Of events it is a comment, without the empty line that ends an event.
    fn filler(&self) -> Bytes {
        Bytes::from_static(if self.dialect == Dialect::Ollama { b" " } else { b": waiting\n" })
    }
}
