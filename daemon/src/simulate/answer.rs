//! Answers of a simulated node, whole or piece by piece, and the JSON in them.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::Value;

/// A body.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How Ollama's own API calls its answers.
pub(super) const JSON: &str = "application/json; charset=utf-8";
/// How `/v1` does.
pub(super) const V1: &str = "application/json";
/// Lines of JSON.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Server-sent events.
pub(super) const SSE: &str = "text/event-stream";

/// An answer whose length is known.
pub(super) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    if !content_type.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// An answer in pieces, each sent as soon as it is there.
pub(super) fn pieces(
    content_type: &'static str,
    stream: impl Stream<Item = String> + Send + 'static,
) -> Response<Body> {
    let frames = stream.map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A JSON answer of Ollama's own API.
pub(super) fn json(body: impl Into<Bytes>) -> Response<Body> {
    whole(StatusCode::OK, JSON, body)
}

/// A refusal of Ollama's own API.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    whole(status, JSON, format!(r#"{{"error":{}}}"#, quote(message)))
}

/// What the router says to what it does not know, and to a wrong method.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", text)
}

/// `text` as a JSON string, with `<`, `>` and `&` escaped as Go's encoder does.
pub(super) fn quote(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A string field, or nothing.
pub(super) fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A boolean field with its default.
pub(super) fn flag(body: &Value, key: &str, default: bool) -> bool {
    body.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// Tokens of a prompt, or of whatever holds texts: three in four words are one token.
pub(super) fn tokens(value: &Value) -> u64 {
    fn words(value: &Value) -> u64 {
        match value {
            Value::String(text) => text.split_whitespace().count() as u64,
            Value::Array(items) => items.iter().map(words).sum(),
            Value::Object(fields) => fields.values().map(words).sum(),
            _ => 0,
        }
    }
    match words(value) {
        0 => 0,
        words => words * 4 / 3 + 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_go_writes_them() {
        assert_eq!(quote("a<b> & \"c\"\n"), r#""a\u003cb\u003e \u0026 \"c\"\n""#);
    }

    #[test]
    fn tokens_follow_from_words() {
        let messages = serde_json::json!([{"role": "user", "content": "one two three"}]);
        assert_eq!(tokens(&messages), 11);
        assert_eq!(tokens(&Value::Null), 0);
    }
}
