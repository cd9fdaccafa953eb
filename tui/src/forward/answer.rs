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

/// An error as the clients show it that ask for this `path`; `is_anthropic` is whether they say so of themselves by the
/// field `anthropic-version`, which counts on any `/v1` path.
pub(super) fn error(path: &str, is_anthropic: bool, status: StatusCode, message: &str) -> Response<Answer> {
    let kind = if status == StatusCode::FORBIDDEN { "permission_error" } else { "api_error" };
    let body = match path.strip_prefix("/v1/") {
        None => json!({ "error": message }),
        Some(rest) if is_anthropic || rest.split('/').next() == Some("messages") => {
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
        for (path, asks, place, anthropic) in [
            ("/api/chat", false, "/error", false),
            ("/api/chat", true, "/error", false),
            ("/v1/chat/completions", false, "/error/message", false),
            ("/v1/messages", false, "/error/message", true),
            ("/v1/messages/count_tokens", false, "/error/message", true),
            ("/v1/messages-of-mine", false, "/error/message", false),
            ("/v1/models", false, "/error/message", false),
            ("/v1/models", true, "/error/message", true),
        ] {
            let answer = error(path, asks, StatusCode::BAD_GATEWAY, "gone");
            let body = answer.into_body().collect().await.unwrap();
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            assert_eq!(body.pointer(place), Some(&json!("gone")), "{body}");
            assert_eq!(body["type"] == "error", anthropic, "{path} {body}");
        }
    }
}
