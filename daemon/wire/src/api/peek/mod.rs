//! What the gateway reads of a JSON request body: the governed keys of the outermost object and of `options`, and
//! nothing else.
//!
//! Nodes match keys without regard to case (with Unicode folding) and take the last of duplicates. So that
//! what is checked here is what they act on, a body that spells a governed key otherwise, or twice, is refused.

mod change;
mod count;
mod error;
mod form;
mod keys;
mod memory;
mod number;
mod reader;
mod usage_option;

use std::{
    hash::{BuildHasher as _, Hasher as _},
    ops::Range,
};

use bytes::Bytes;
pub use change::Changes;
pub use count::{PromptSize, prompt_size};
pub use error::PeekError;
pub(crate) use form::governed_field;
use keys::Inner;
pub(crate) use memory::is_no_time;
use number::{Named, Number};
use smallvec::SmallVec;
use usage_option::UsageOption;

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
    /// `previous_response_id`, if it is there and a string.
    pub previous: Option<String>,
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
    /// Values that the prompt is made of, and their order in it.
    prompt_parts: SmallVec<[(u8, Range<usize>); 3]>,
    /// Byte after the outermost `{`.
    inside: usize,
    /// Whether the outermost object is empty.
    empty: bool,
    /// It is a form: its values are not quoted.
    is_form: bool,
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
    /// The model asked for: `model`, or where `legacy` the older `name` if `model` is absent or empty.
    #[must_use]
    pub fn model(&self, legacy: bool) -> Option<&str> {
        let name = if legacy { self.name.as_deref() } else { None };
        self.model.as_deref().filter(|m| !m.is_empty()).or(name).filter(|m| !m.is_empty())
    }

    /// Where in the body the values lie that the prompt is made of, in the order in which nodes put it together.
    #[must_use]
    pub fn prompt_parts(&self) -> SmallVec<[Range<usize>; 3]> {
        let mut parts = self.prompt_parts.clone();
        parts.sort_by_key(|(order, _)| *order);
        parts.into_iter().map(|(_, range)| range).collect()
    }

    /// The options for which a node loads the model anew, as one number; 0 if there are none.
    #[must_use]
    pub fn runner(&self, segments: &[Bytes]) -> u64 {
        let Options::Object { runner, .. } = &self.options else { return 0 };
        if runner.is_empty() {
            return 0;
        }
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        for range in runner {
            for part in within(segments, range.clone()) {
                hasher.write(part);
            }
        }
        hasher.finish() | 1
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

/// The pieces of a range of the body.
pub fn within(segments: &[Bytes], range: Range<usize>) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    segments.iter().filter_map(move |segment| {
        let begin = range.start.saturating_sub(start).min(segment.len());
        let end = range.end.saturating_sub(start).min(segment.len());
        start += segment.len();
        segment.get(begin..end).filter(|part| !part.is_empty())
    })
}

#[cfg(test)]
mod tests;
