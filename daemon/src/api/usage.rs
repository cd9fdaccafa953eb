//! Reading token counts out of a node's answer.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;

/// Tokens as a node counted them; None where it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: Option<u64>,
    /// Tokens of the output.
    pub output: Option<u64>,
}

impl Usage {
    /// Takes over what `other` knows: later counts are the better ones.
    pub fn absorb(&mut self, other: Self) {
        self.prompt = other.prompt.or(self.prompt);
        self.output = other.output.or(self.output);
    }

    /// What is not said is none: Ollama leaves zeros out of its final object.
    pub(super) fn or_zero(&mut self) {
        self.prompt.get_or_insert(0);
        self.output.get_or_insert(0);
    }
}

/// The counts of the three dialects, by their various names.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Counts {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(c: Counts) -> Self {
        Self { prompt: c.prompt_tokens, output: c.completion_tokens }
    }
}

/// The last line of an Ollama stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OllamaLine {
    pub(super) done: bool,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
}

impl OllamaLine {
    /// Reads one line; None if it is not an object of that kind.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The counts of the last line.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage { prompt: self.prompt_eval_count, output: self.eval_count };
        usage.or_zero();
        usage
    }
}

/// The data of one server-sent event, as far as usage goes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventData {
    usage: Option<Counts>,
    choices: Option<Vec<serde::de::IgnoredAny>>,
    message: Option<Holder>,
    response: Option<Holder>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Holder {
    usage: Option<Counts>,
}

impl EventData {
    /// Reads the JSON after `data:`; None if it is not an object.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let held = |h: &Option<Holder>| h.as_ref().and_then(|h| h.usage);
        self.usage.or_else(|| held(&self.response)).or_else(|| held(&self.message)).map(Into::into)
    }

    /// Whether this is the chunk that OpenAI's servers add for `include_usage`: usage and no choices.
    pub(super) fn usage_only(&self) -> bool {
        self.usage.is_some() && self.choices.as_ref().is_some_and(Vec::is_empty)
    }
}

/// The names that dialects give to the tokens of the prompt.
static PROMPT: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"prompt_eval_count\"", "\"prompt_tokens\"", "\"input_tokens\""].map(Finder::new));
/// The names that dialects give to the tokens of the output.
static OUTPUT: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"eval_count\"", "\"completion_tokens\"", "\"output_tokens\""].map(Finder::new));

/// Where counts are looked for first, bytes from the end.
const NEAR: usize = 256;

/// Counts in the end of an answer that is one JSON object. Its keys cannot be confused with text, whose
/// quotes are escaped.
#[must_use]
pub fn of_tail(tail: &[u8]) -> Usage {
    // What counts is the last of a name, and nearly all nodes write it within the very last bytes.
    let near = &tail[tail.len().saturating_sub(NEAR)..];
    let within = |part: &[u8], keys: &[Finder<'_>]| keys.iter().find_map(|key| number_after(part, key));
    let find = |keys: &[Finder<'_>]| within(near, keys).or_else(|| within(tail, keys));
    Usage { prompt: find(&*PROMPT), output: find(&*OUTPUT) }
}

fn number_after(tail: &[u8], key: &Finder<'_>) -> Option<u64> {
    // Forwards and to the last: backwards it would be searched byte by byte.
    let at = key.find_iter(tail).last()?;
    let rest = tail[at + key.needle().len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{EventData, Usage, of_tail};

    #[test]
    fn tails_of_each_dialect() {
        let want = Usage { prompt: Some(26), output: Some(298) };
        assert_eq!(
            of_tail(br#","done":true,"prompt_eval_count":26,"prompt_eval_duration":1,"eval_count":298}"#),
            want
        );
        assert_eq!(of_tail(br#""usage": {"prompt_tokens": 26, "completion_tokens": 298}}"#), want);
        assert_eq!(of_tail(br#""usage":{"input_tokens":26,"output_tokens":298}}"#), want);
        assert_eq!(of_tail(br#"{"content":"\"eval_count\":7"}"#), Usage::default());
        // Wherever they lie.
        for gap in 150..300 {
            let text = format!(
                "{{\"prompt_eval_count\":1,\"prompt_eval_count\":26,\"eval_count\":298,\"x\":\"{}\"}}",
                "y".repeat(gap)
            );
            assert_eq!(of_tail(text.as_bytes()), want, "{gap}");
        }
    }

    #[test]
    fn events_of_each_dialect() {
        let extra =
            EventData::read(br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#).unwrap();
        assert!(extra.usage_only());
        let last = EventData::read(br#"{"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#)
            .unwrap();
        assert!(!last.usage_only());
        let start =
            EventData::read(br#"{"type":"message_start","message":{"usage":{"input_tokens":5}}}"#).unwrap();
        assert_eq!(start.usage().unwrap().prompt, Some(5));
    }
}
