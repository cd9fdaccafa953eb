//! What the gateway reads of a JSON request body: the governed keys of the outermost object and of `options`, and
//! nothing else.
//!
//! Nodes match keys without regard to case (with Unicode folding) and take the last of duplicates. So that
//! what is checked here is what they act on, a body that spells a governed key otherwise, or twice, is refused.

mod change;
mod count;
mod keys;
mod number;
mod reader;
mod usage_option;

use std::ops::Range;

use bytes::Bytes;

pub use change::Changes;
pub use count::{PromptSize, prompt_size};
use keys::Inner;
use number::{Named, Number};
use reader::Reader;
use smallvec::SmallVec;
use usage_option::UsageOption;

use super::json::{JsonError, Scanner};

/// Longest model name accepted, in bytes as sent.
const LONGEST_NAME: usize = 512;

/// Most answers to one prompt, as in OpenAI's own API. A number beyond all reason would keep an engine busy without
/// limit.
const MOST_ANSWERS: u64 = 128;

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

/// What was read. Positions are in the body as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peek {
    /// `model`, if it is there and a string.
    pub model: Option<String>,
    /// `name`, the older spelling of some Ollama routes.
    pub name: Option<String>,
    /// `stream`; null counts as absent.
    pub stream: Option<bool>,
    /// `insecure` of a pull.
    pub insecure: bool,
    usage: UsageOption,
    model_at: Range<usize>,
    name_at: Range<usize>,
    keep_alive: Value,
    options: Options,
    num_ctx: Number,
    /// Options for which a node loads a model anew that stand in the outermost object itself, and their values.
    beside: SmallVec<[(Inner, Range<usize>); 1]>,
    /// The values that bound the tokens of an answer, under any name.
    bounds: SmallVec<[Named; 2]>,
    /// The value of `thinking`, if it is there.
    thinking: Option<Range<usize>>,
    /// The values that say how many answers are made, under any name.
    multiples: SmallVec<[Named; 1]>,
    /// Why it is refused on any route, if it is.
    refused: Option<PeekError>,
    /// Elements of `prompt` that are not numbers, if it is an array.
    prompts: u64,
    prompt_at_most: u64,
    /// Byte after the outermost `{`.
    inside: usize,
    /// Whether the outermost object is empty.
    empty: bool,
}

/// A governed value that is only ever replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Value {
    #[default]
    Absent,
    /// Null, which nodes take as absent.
    Null(Range<usize>),
    /// Anything else.
    Given(Range<usize>),
}

/// `options`, and where to write into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Options {
    #[default]
    Absent,
    /// Null, which nodes take as absent.
    Null(Range<usize>),
    Object {
        /// Byte after its `{`.
        inside: usize,
        empty: bool,
        /// Members for which a node loads the model anew, each from the end of the one before it.
        runner: SmallVec<[Range<usize>; 1]>,
    },
    /// Neither.
    Other,
}

impl Peek {
    /// Reads a body that lies in `segments`.
    ///
    /// # Errors
    /// [`PeekError`]: what is wrong with the first thing that is.
    pub fn read(segments: &[Bytes]) -> Result<Self, PeekError> {
        if segments.iter().flatten().all(u8::is_ascii_whitespace) {
            return Err(PeekError::Empty);
        }
        let mut reader = Reader::default();
        let mut scanner = Scanner::new(&mut reader);
        for segment in segments {
            scanner.feed(segment)?;
        }
        let quoted = scanner.quoted();
        scanner.finish()?;
        reader.peek.prompt_at_most += quoted;
        Ok(reader.peek)
    }

    /// The model asked for: `model`, or where `legacy` the older `name` if `model` is absent or empty.
    #[must_use]
    pub fn model(&self, legacy: bool) -> Option<&str> {
        let name = if legacy { self.name.as_deref() } else { None };
        self.model.as_deref().filter(|m| !m.is_empty()).or(name).filter(|m| !m.is_empty())
    }

    /// Whether the client asked for usage in its stream.
    #[must_use]
    pub fn asks_usage(&self) -> bool {
        self.usage == UsageOption::On
    }

    /// More characters than the prompt has: the bytes of all strings, keys and numbers of the body, as sent, images too.
    /// It costs nothing. [`prompt_size`] counts exactly, and is never more.
    #[must_use]
    pub fn prompt_at_most(&self) -> u64 {
        self.prompt_at_most
    }
}

#[cfg(test)]
mod tests;
