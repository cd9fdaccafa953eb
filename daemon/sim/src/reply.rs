//! An answer before it is sent.

use std::time::Duration;

use bytes::Bytes;

use crate::{Model, model::Keep};

/// One flush of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplyStep {
    pub(crate) bytes: Bytes,
    /// Pause before it.
    pub(crate) after: Duration,
}

impl ReplyStep {
    pub(crate) fn now(text: impl Into<Bytes>) -> Self {
        Self { bytes: text.into(), after: Duration::ZERO }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Value of `Content-Type`; empty for none.
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
    /// Line or event that reports a failure once the answer has begun.
    pub(crate) broken: Bytes,
    /// What it changes as its last bytes go out.
    pub(crate) then: Option<Then>,
}

/// What a finished answer changes.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    /// A model has been pulled.
    Pulled(Box<Model>),
    /// A model is kept in memory for so long from then on.
    Used(String, Keep),
}

/// A body.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// With its length.
    Whole(ReplyStep),
    /// In chunks.
    Steps(Vec<ReplyStep>),
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: "application/json; charset=utf-8",
            body: Body::Whole(ReplyStep::now(body)),
            broken: Bytes::new(),
            then: None,
        }
    }

    /// The same as the `/v1` routes write it: no charset, and a line end.
    pub(crate) fn v1(status: u16, body: String) -> Self {
        Self { content_type: "application/json", ..Self::json(status, body + "\n") }
    }

    /// A refusal of Ollama's own API.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(status, format!(r#"{{"error":{}}}"#, crate::json::quote(message)))
    }

    /// Plain text, as the router itself answers.
    pub(crate) fn text(status: u16, text: &'static str) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::json(status, text) }
    }

    /// Success without a body.
    pub(crate) fn empty() -> Self {
        Self { content_type: "", ..Self::json(200, "") }
    }

    /// A stream of lines, each with its line end.
    pub(crate) fn ndjson(lines: Vec<ReplyStep>) -> Self {
        Self {
            content_type: "application/x-ndjson",
            body: Body::Steps(lines),
            broken: Bytes::from_static(
                b"{\"error\":\"an error was encountered while running the model: unexpected EOF\"}\n",
            ),
            ..Self::empty()
        }
    }

    /// A stream of server-sent events; each is complete, with its blank line.
    pub(crate) fn sse(events: Vec<ReplyStep>, broken: &'static str) -> Self {
        Self {
            content_type: "text/event-stream",
            body: Body::Steps(events),
            broken: Bytes::from_static(broken.as_bytes()),
            ..Self::empty()
        }
    }

    /// The same after `wait`, where it is answered at once as a whole.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        if let Body::Whole(step) = &mut self.body {
            step.after = wait;
        }
        self
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then: Some(then), ..self }
    }
}
