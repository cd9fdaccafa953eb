//! Why a body is refused.

use crate::api::json::JsonError;

/// Longest model name accepted, in bytes as sent.
pub(super) const LONGEST_NAME: usize = 512;

/// Most answers to one prompt, as in OpenAI's own API. A number beyond all reason would keep an engine busy without
/// limit.
pub(super) const MOST_ANSWERS: u64 = 128;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeekError {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but not an object.
    #[error("the request body must be a JSON object")]
    NotAnObject,
    /// Nothing was sent.
    #[error("missing request body")]
    Empty,
    /// A governed key stands twice.
    #[error("the key '{0}' is repeated in the request body; send it once")]
    Repeated(&'static str),
    /// A governed key in another spelling.
    #[error("the key '{0}' is miscased in the request body; write it as '{1}'")]
    Miscased(String, &'static str),
    /// A governed key with a value of the wrong type.
    #[error("'{0}' must be {1}")]
    Type(&'static str, &'static str),
    /// A key whose value may take the place of what was checked.
    #[error("'{0}' is not passed on, because it may replace the rest of the request; leave it out")]
    Replaced(&'static str),
    /// What is made when nobody counts it any more.
    #[error(
        "'background' is not served: what is made after the request is over cannot be fetched; leave it out"
    )]
    Background,
    /// More answers than are made for one request.
    #[error("'{0}' asks for {1} answers; at most {MOST_ANSWERS} are made at once, so ask for fewer")]
    Many(&'static str, u64),
    /// A model name beyond 512 bytes.
    #[error("'{0}' is longer than {LONGEST_NAME} bytes")]
    Long(&'static str),
}
