//! Token counts as nodes write them.

use std::{borrow::Cow, collections::BTreeMap};

use memchr::memmem;
use serde::{Deserialize, de::IgnoredAny};

use super::timing::last;

/// Tokens as a node counted them; None where it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those that the node had in its cache too.
    pub prompt: Option<u64>,
    /// Those of them that were read from the cache or written into it, as far as they are counted apart.
    pub cached: u64,
    /// Tokens of the output.
    pub output: Option<u64>,
    /// All tokens, where the node does not report prompt and output apart.
    pub total: Option<u64>,
}

impl Usage {
    /// Takes over what `later` knows: of an answer's counts the last is the best one, but for a zero, which some
    /// servers write where they do not know yet. Counts of the cache stay where later ones are without.
    pub fn absorb(&mut self, later: Self) {
        if later.cached > 0 {
            self.cached = later.cached;
            self.prompt = told(later.prompt, self.prompt);
        } else if let Some(prompt) = later.prompt.filter(|count| *count > 0) {
            self.prompt = Some(prompt.saturating_add(self.cached));
        } else {
            self.prompt = self.prompt.or(later.prompt);
        }
        self.output = told(later.output, self.output);
        let is_told = self.prompt.max(self.output).is_some_and(|count| count > 0);
        self.total = later.total.or(self.total).filter(|_| !is_told);
    }

    /// The counts in llama.cpp's `timings`: those of the prompt that it read, and that it had in its cache.
    pub(super) fn of_timings(text: &[u8]) -> Self {
        let count = |name: &[u8]| last(text, name).and_then(whole_part);
        let prompt = count(b"prompt_n").map(|n| n.saturating_add(count(b"cache_n").unwrap_or(0)));
        Self { prompt, output: count(b"predicted_n"), ..Self::default() }
    }

    /// The larger of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.max(other.prompt),
            cached: self.cached.max(other.cached),
            output: self.output.max(other.output),
            total: self.total.max(other.total),
        }
    }

    /// Counts that are missing from the final `object` become zero: Ollama leaves zeros out. Counts that are there but
    /// cannot be read stay unknown.
    pub(super) fn or_zero(&mut self, object: &[u8]) {
        let named = |name: &str| memmem::find(object, name.as_bytes()).is_some();
        if self.prompt.is_none() && !named("\"prompt_eval_count\"") {
            self.prompt = Some(0);
        }
        if self.output.is_none() && !named("\"eval_count\"") {
            self.output = Some(0);
        }
    }
}

/// The first count that is not zero.
fn told(first: Option<u64>, second: Option<u64>) -> Option<u64> {
    first.filter(|count| *count > 0).or(second).or(first)
}

/// A count as it may be written. What is no number, or less than none, is no count.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(from = "Written")]
struct Count(Option<u64>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Real(f64),
    Other(IgnoredAny),
}

impl From<Written> for Count {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Whole(count) => Some(count),
            Written::Real(count) => whole_part(count),
            Written::Other(_) => None,
        })
    }
}

/// The whole part of a count, the largest number for what is larger.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
pub(super) fn whole_part(count: f64) -> Option<u64> {
    (count >= 0.0).then_some(count as u64)
}

/// The counts of OpenAI's and Anthropic's dialects. Some servers write the names of both.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    prompt_tokens: Count,
    completion_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    /// Anthropic's `input_tokens` are without those read from the cache, and those written into it.
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    total_tokens: Count,
}

impl Counts {
    pub(super) fn usage(&self) -> Usage {
        let cached = [self.cache_read_input_tokens, self.cache_creation_input_tokens];
        let cached = cached.iter().filter_map(|count| count.0).fold(0, u64::saturating_add);
        let (whole, input) = (self.prompt_tokens.0, self.input_tokens.0);
        // OpenAI's count is with the cache, but not if it is less than came from there.
        let apart = input.filter(|count| *count > 0).or(whole.filter(|count| *count < cached));
        let apart = if cached > 0 { Some(apart.unwrap_or(0).saturating_add(cached)) } else { input };
        let (prompt, output) = (whole.max(apart), told(self.completion_tokens.0, self.output_tokens.0));
        let is_told = prompt.max(output).is_some_and(|count| count > 0);
        Usage { prompt, cached, output, total: self.total_tokens.0.filter(|total| *total > 0 && !is_told) }
    }
}

/// The last line of an Ollama stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OllamaLine {
    pub(super) done: bool,
    prompt_eval_count: Option<Count>,
    eval_count: Option<Count>,
}

impl OllamaLine {
    /// Reads one line; None if it is not an object of that kind.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The counts of the last line. It leaves zeros out.
    pub(super) fn usage(&self) -> Usage {
        let count = |count: Option<Count>| count.unwrap_or(Count(Some(0))).0;
        Usage { prompt: count(self.prompt_eval_count), output: count(self.eval_count), ..Usage::default() }
    }
}

/// The `type` of an object; empty without one, None if `json` is no object.
pub(super) fn type_of(json: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, default)]
        r#type: Cow<'a, str>,
    }
    serde_json::from_slice::<Typed<'_>>(json).ok().map(|object| object.r#type)
}

/// The data of one server-sent event, as far as usage goes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventData {
    usage: Option<Counts>,
    choices: Option<Choices>,
    error: Option<IgnoredAny>,
    message: Option<Holder>,
    response: Option<Holder>,
}

/// `choices`, and whether there are any: not all servers write a list where there are none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Choices {
    List(Vec<IgnoredAny>),
    Object(BTreeMap<String, IgnoredAny>),
    Other(IgnoredAny),
}

impl Choices {
    fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Object(object) => object.is_empty(),
            Self::Other(_) => true,
        }
    }
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
        let counts = self.usage.or_else(|| held(&self.response)).or_else(|| held(&self.message));
        counts.map(|counts| counts.usage())
    }

    /// Whether this is the chunk that OpenAI's servers add for `include_usage`: usage and no choices.
    pub(super) fn usage_only(&self) -> bool {
        self.usage.is_some() && self.error.is_none() && self.choices.as_ref().is_none_or(Choices::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventData, OllamaLine, Usage};
    use crate::api::tail::of_tail;

    #[test]
    fn usage_objects_are_read_as_servers_write_them() {
        for (counts, prompt, output) in [
            // new-api writes both pairs of names.
            (r#""prompt_tokens":800,"completion_tokens":900,"input_tokens":0,"output_tokens":0"#, 800, 900),
            (r#""prompt_tokens":0,"completion_tokens":0,"input_tokens":8,"output_tokens":9"#, 8, 9),
            (r#""prompt_tokens":0,"completion_tokens":0"#, 0, 0),
            // What came out of the cache was a prompt all the same.
            (r#""cache_read_input_tokens":330,"input_tokens":1,"output_tokens":4"#, 331, 4),
            (
                r#""input_tokens":1,"cache_creation_input_tokens":20,"cache_read_input_tokens":300,"output_tokens":4"#,
                321,
                4,
            ),
            (r#""cache_read_input_tokens":330,"output_tokens":4"#, 330, 4),
            (r#""cache_creation_input_tokens":330,"input_tokens":0,"output_tokens":4"#, 330, 4),
            // OpenAI's are with it.
            (r#""prompt_tokens":331,"cache_read_input_tokens":330,"completion_tokens":4"#, 331, 4),
            // Both: the larger one, for nobody knows which is meant.
            (
                r#""prompt_tokens":1,"completion_tokens":9,"input_tokens":1,"output_tokens":9,"cache_read_input_tokens":330"#,
                331,
                9,
            ),
            (
                r#""prompt_tokens":400,"input_tokens":400,"cache_read_input_tokens":330,"output_tokens":9"#,
                730,
                9,
            ),
            (r#""prompt_tokens":1,"cache_read_input_tokens":330,"completion_tokens":4"#, 331, 4),
            (r#""prompt_tokens":0,"cache_read_input_tokens":330,"completion_tokens":4"#, 330, 4),
            (r#""prompt_tokens":2.0,"completion_tokens":7.9,"x":{"prompt_tokens":5}"#, 2, 7),
            (r#""prompt_tokens":1e300,"completion_tokens":18446744073709551616"#, u64::MAX, u64::MAX),
        ] {
            let want = Some((Some(prompt), Some(output)));
            let of = |usage: Usage| (usage.prompt, usage.output);
            let event = format!(r#"{{"choices":[],"usage":{{{counts}}}}}"#);
            assert_eq!(EventData::read(event.as_bytes()).unwrap().usage().map(of), want, "{counts}");
            for rest in ["", r#","metadata":{"usage":{"input_tokens":0,"output_tokens":0}}"#] {
                let object = format!(r#"{{"id":"x","usage" : {{{counts}}}{rest},"timings":{{"n":1}}}}"#);
                assert_eq!(Some(of(of_tail(object.as_bytes()))), want, "{object}");
            }
        }
        let whole = br#"{"choices":[],"usage":{"total_tokens":500}}"#;
        let total = Usage { total: Some(500), ..Usage::default() };
        assert_eq!((EventData::read(whole).unwrap().usage(), of_tail(whole)), (Some(total), total));
        for odd in [r#""prompt_tokens":-5,"completion_tokens":"7""#, r#""prompt_tokens":null"#, ""] {
            let event = format!(r#"{{"usage":{{{odd}}}}}"#);
            assert_eq!(EventData::read(event.as_bytes()).unwrap().usage(), Some(Usage::default()), "{odd}");
            assert_eq!(of_tail(event.as_bytes()), Usage::default(), "{odd}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_zero() {
        for (line, want) in [
            (r#"{"done":true}"#, (Some(0), Some(0))),
            (r#"{"done":true,"eval_count":7}"#, (Some(0), Some(7))),
            (r#"{"done":true,"prompt_eval_count":-5000,"eval_count":-1}"#, (None, None)),
            (r#"{"done":true,"prompt_eval_count":3,"eval_count":"x"}"#, (Some(3), None)),
            (r#"{"done":true,"prompt_eval_count":1e300,"eval_count":1.5}"#, (Some(u64::MAX), Some(1))),
        ] {
            let want = Usage { prompt: want.0, output: want.1, ..Usage::default() };
            assert_eq!(OllamaLine::read(line.as_bytes()).unwrap().usage(), want, "{line}");
            let mut usage = of_tail(line.as_bytes());
            usage.or_zero(line.as_bytes());
            assert_eq!(usage, want, "{line}");
        }
    }

    #[test]
    fn the_last_counts_are_the_best_and_those_of_the_cache_stay() {
        let usage = |prompt, cached, output| Usage { prompt, cached, output, total: None };
        let start = usage(Some(331), 330, Some(0));
        for (first, later, want) in [
            (usage(Some(9), 0, Some(1)), usage(Some(5), 0, Some(7)), usage(Some(5), 0, Some(7))),
            (usage(Some(9), 0, Some(1)), usage(Some(0), 0, Some(0)), usage(Some(9), 0, Some(1))),
            (usage(None, 0, None), usage(Some(0), 0, None), usage(Some(0), 0, None)),
            // It may repeat what was not in the cache, or all of it, or nothing.
            (start, usage(Some(1), 0, Some(60)), usage(Some(331), 330, Some(60))),
            (start, usage(Some(341), 340, Some(60)), usage(Some(341), 340, Some(60))),
            (start, usage(None, 0, Some(60)), usage(Some(331), 330, Some(60))),
        ] {
            let mut counts = first;
            counts.absorb(later);
            assert_eq!(counts, want, "{first:?} then {later:?}");
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
