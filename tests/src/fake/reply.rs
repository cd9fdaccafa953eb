//! An answer before it is sent.

use bytes::Bytes;

/// One flush of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step(pub Bytes);

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Value of `Content-Type`; empty for none.
    pub content_type: &'static str,
    /// The body.
    pub body: Body,
    /// Line or event that reports a failure once the answer has begun.
    pub broken: Bytes,
    /// Model to add (`true`) or to load when the answer has gone out.
    pub then: Option<Then>,
}

/// What a finished answer changes.
#[derive(Debug, Clone)]
pub enum Then {
    /// A model has been pulled.
    Pulled(String),
}

/// A body.
#[derive(Debug, Clone)]
pub enum Body {
    /// With its length.
    Whole(Bytes),
    /// In chunks.
    Steps(Vec<Step>),
}

impl Reply {
    /// A JSON answer.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: "application/json; charset=utf-8",
            body: Body::Whole(body.into()),
            broken: Bytes::new(),
            then: None,
        }
    }

    /// The same as the `/v1` routes write it: no charset, and a line end.
    #[must_use]
    pub fn v1(status: u16, body: String) -> Self {
        Self { content_type: "application/json", ..Self::json(status, body + "\n") }
    }

    /// A stream of lines.
    #[must_use]
    pub fn ndjson(lines: Vec<String>) -> Self {
        Self {
            status: 200,
            content_type: "application/x-ndjson",
            body: Body::Steps(lines.into_iter().map(|l| Step(Bytes::from(l + "\n"))).collect()),
            broken: Bytes::from_static(b"{\"error\":\"an error was encountered while running the model\"}\n"),
            then: None,
        }
    }

    /// A stream of server-sent events; each item is complete, with its blank line.
    #[must_use]
    pub fn sse(events: Vec<String>, broken: &'static str) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream",
            body: Body::Steps(events.into_iter().map(|e| Step(Bytes::from(e))).collect()),
            broken: Bytes::from_static(broken.as_bytes()),
            then: None,
        }
    }

    /// Plain text, as the router itself answers.
    #[must_use]
    pub fn text(status: u16, text: &'static str) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::json(status, text) }
    }
}
