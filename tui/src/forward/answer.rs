//! Bodies on their way back, and the answers that the forwarder gives itself.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use serde_json::json;

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

/// An error as the clients show it that ask for this `path`.
pub(super) fn error(path: &str, status: StatusCode, message: &str) -> Response<Answer> {
    let kind = if status == StatusCode::FORBIDDEN { "permission_error" } else { "api_error" };
    let body = match path.strip_prefix("/v1/") {
        None => json!({ "error": message }),
        Some(rest) if rest.starts_with("messages") => {
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        Some(_) => json!({"error": {"message": message, "type": kind, "param": null, "code": null}}),
    };
    let mut response = Response::new(Answer::Own(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn an_error_has_the_form_of_its_path() {
        for (path, place) in [
            ("/api/chat", "/error"),
            ("/v1/chat/completions", "/error/message"),
            ("/v1/messages", "/error/message"),
        ] {
            let body = error(path, StatusCode::BAD_GATEWAY, "gone").into_body().collect().await.unwrap();
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            assert_eq!(body.pointer(place), Some(&json!("gone")), "{body}");
            assert_eq!(body["type"] == "error", path == "/v1/messages", "{body}");
        }
    }
}
