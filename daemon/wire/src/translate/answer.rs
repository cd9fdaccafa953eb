//! An answer in no dialect: what happens in its stream, and what it comes to.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, value::RawValue};

use crate::api::meter::Amount;

/// What an answer is about, which no node says in the client's words.
#[derive(Debug, Clone)]
pub struct About {
    /// The gateway's id of the request.
    pub id: Box<str>,
    /// The model that was asked for.
    pub model: Box<str>,
    /// When it began, in seconds since 1970.
    pub created: i64,
    /// The same as RFC 3339 has it.
    pub created_at: Box<str>,
    /// From when on its time is taken, if it is.
    pub begun: Option<Instant>,
    /// Tokens of the prompt as estimated, told where the node does not count.
    pub prompt: u64,
    /// Members of the request that the answer repeats.
    pub asked: Option<Arc<Repeated>>,
}

/// Members of a request, each as JSON text.
pub type Repeated = [(&'static str, Box<str>)];

/// What a piece of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event<'a> {
    Thinking(&'a str),
    Text(&'a str),
    /// The call of this number begins.
    Call {
        at: usize,
        id: &'a str,
        name: &'a str,
    },
    /// A piece of the JSON that the call of this number takes.
    Arguments {
        at: usize,
        text: &'a str,
    },
    Stop(Stop),
    /// It ended at this text, one of those that the client named.
    StoppedAt(&'a str),
    Usage(Usage),
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// It had said all, or one of the texts that were to stop it.
    #[default]
    End,
    Length,
    /// It waits for what its calls come to.
    Calls,
    /// A filter let nothing through.
    Refused,
}

/// Tokens, as far as the node counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Of the prompt, those in the node's cache too.
    pub(super) prompt: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    /// How long the node read the prompt and wrote the output; zero if it does not say.
    pub(super) reading: Duration,
    pub(super) writing: Duration,
}

/// Writes an answer's stream in a dialect.
pub(super) trait Writer {
    fn event(&mut self, about: &About, event: Event<'_>, out: &mut Vec<u8>);

    /// The last words. Called once, after a stream that ended as it should.
    fn finish(&mut self, about: &About, out: &mut Vec<u8>);

    /// Bytes of the answer that it keeps for later.
    fn kept(&self) -> usize {
        0
    }
}

/// All of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) thinking: String,
    pub(super) text: String,
    pub(super) calls: Vec<Called>,
    pub(super) stop: Stop,
    /// The text that stopped it, of those that the client named, where the node says which.
    pub(super) stopped_at: Option<String>,
    pub(super) usage: Usage,
}

/// A call that the model makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) id: String,
    pub(super) name: String,
    /// JSON, if the model wrote it well.
    pub(super) arguments: String,
}

impl Called {
    /// Its arguments as an object, which dialects want that do not have them as text. What the model wrote badly is not
    /// lost.
    pub(super) fn object(&self) -> Value {
        match serde_json::from_str(&self.arguments) {
            Ok(object @ Value::Object(_)) => object,
            _ if self.arguments.trim().is_empty() => Value::Object(serde_json::Map::new()),
            _ => serde_json::json!({ "arguments": self.arguments }),
        }
    }
}

impl Answer {
    /// How many tokens it has, about.
    pub(super) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().flat_map(|call| [&call.name, &call.arguments]);
        let bytes = [&self.thinking, &self.text].into_iter().chain(calls).map(String::len).sum::<usize>();
        Amount::words(bytes as u64).tokens()
    }

    pub(super) fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Thinking(text) => self.thinking.push_str(text),
            Event::Text(text) => self.text.push_str(text),
            Event::Call { at: _, id, name } => {
                self.calls.push(Called { id: id.into(), name: name.into(), arguments: String::new() });
            }
            Event::Arguments { at, text } => {
                if let Some(call) = self.calls.get_mut(at) {
                    call.arguments.push_str(text);
                }
            }
            Event::Stop(stop) => self.stop = stop,
            Event::StoppedAt(text) => self.stopped_at = Some(text.to_owned()),
            Event::Usage(usage) => self.usage = usage,
        }
    }
}

/// The text of a JSON value without blanks around it.
pub(super) fn compact(raw: &RawValue) -> &str {
    raw.get().trim()
}
