//! The three dialects and the shape of their errors.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

/// What engines with OpenAI's API serve outside `/v1`.
const ENGINES: [&str; 7] =
    ["/rerank", "/v2/rerank", "/reranking", "/score", "/tokenize", "/detokenize", "/infill"];

/// Whose API a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `/api/*` and everything outside `/v1`.
    Ollama,
    /// `/v1/*`, and what engines serve beside it.
    Openai,
    /// `/v1/messages`, and any `/v1` path asked with `anthropic-version`.
    Anthropic,
}

impl Dialect {
    /// The dialect of a path that matched no route, or that several dialects share.
    #[must_use]
    pub fn of_path(path: &str, anthropic_version: bool) -> Self {
        match path.strip_prefix("/v1") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                if anthropic_version || rest.starts_with("/messages") {
                    Self::Anthropic
                } else {
                    Self::Openai
                }
            }
            _ if ENGINES.contains(&path) => Self::Openai,
            _ => Self::Ollama,
        }
    }

    /// Its name, as headers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The body of an error answer.
    #[must_use]
    pub fn error_body(self, status: StatusCode, message: &str, request_id: &str) -> Bytes {
        Bytes::from(self.error_value(status, message, request_id).to_string())
    }

    /// The same before it is written, for those who have more to say: always an object.
    #[must_use]
    pub fn error_value(self, status: StatusCode, message: &str, request_id: &str) -> Value {
        match self {
            Self::Ollama => json!({ "error": message }),
            Self::Openai => json!({ "error": {
                "message": message, "type": openai_type(status), "param": null, "code": null
            }}),
            Self::Anthropic => json!({
                "type": "error",
                "error": { "type": anthropic_type(status), "message": message },
                "request_id": request_id
            }),
        }
    }

    /// What ends a stream that broke after its first byte: one line or event, in the form the stock clients
    /// raise as an error.
    #[must_use]
    pub fn stream_error(self, message: &str, request_id: &str) -> Bytes {
        let body = self.error_body(StatusCode::BAD_GATEWAY, message, request_id);
        let mut out = Vec::with_capacity(body.len() + 24);
        match self {
            Self::Ollama => {
                out.extend_from_slice(&body);
                out.push(b'\n');
            }
            Self::Openai => {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(&body);
                out.extend_from_slice(b"\n\n");
            }
            Self::Anthropic => {
                out.extend_from_slice(b"event: error\ndata: ");
                out.extend_from_slice(&body);
                out.extend_from_slice(b"\n\n");
            }
        }
        Bytes::from(out)
    }
}

/// OpenAI's `error.type`, as Ollama's own `/v1` gives it.
fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 405 | 413 | 415 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        _ => "api_error",
    }
}

/// Anthropic's `error.type`.
fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 405 | 415 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Dialect;

    #[test]
    fn shared_paths_follow_the_version_header() {
        assert_eq!(Dialect::of_path("/v1/models", false), Dialect::Openai);
        assert_eq!(Dialect::of_path("/v1/models", true), Dialect::Anthropic);
        assert_eq!(Dialect::of_path("/v1/messages/x", false), Dialect::Anthropic);
        assert_eq!(Dialect::of_path("/v1x", true), Dialect::Ollama);
        assert_eq!(Dialect::of_path("/nowhere", true), Dialect::Ollama);
        assert_eq!(Dialect::of_path("/v1/messages/count_tokens", false), Dialect::Anthropic);
        assert_eq!(Dialect::of_path("/rerank", false), Dialect::Openai);
    }

    #[test]
    fn each_dialect_has_its_shape() {
        let status = StatusCode::NOT_FOUND;
        assert_eq!(&Dialect::Ollama.error_body(status, "a \"b\"", "r")[..], br#"{"error":"a \"b\""}"#);
        let openai: serde_json::Value =
            serde_json::from_slice(&Dialect::Openai.error_body(status, "m", "r")).unwrap();
        assert_eq!(openai["error"]["type"], "not_found_error");
        let anthropic: serde_json::Value =
            serde_json::from_slice(&Dialect::Anthropic.error_body(status, "m", "r")).unwrap();
        assert_eq!(anthropic["request_id"], "r");
        assert_eq!(anthropic["type"], "error");
    }
}
