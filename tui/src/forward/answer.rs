//! Bodies on their way back, and the answers that the forwarder gives itself.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The gateway's body as it comes, or one of our own.
pub(super) enum Answer {
    Gateway(Incoming),
    Own(Full<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Gateway(body) => Pin::new(body).poll_frame(cx),
            Self::Own(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                // Its error is no error at all.
                Poll::Ready(frame.map(|frame| Ok(frame.unwrap_or_else(|never| match never {}))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Gateway(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Gateway(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}

/// `{"error":"..."}`, as Ollama's clients show it.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Answer> {
    let body = serde_json::json!({ "error": message }).to_string();
    let mut response = Response::new(Answer::Own(Full::new(Bytes::from(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
