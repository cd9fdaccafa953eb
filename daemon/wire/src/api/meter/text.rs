//! How much text a node sends: the bytes of those strings that a client shows or acts on, as they were sent. A count of
//! tokens that is far too small for its text is ignored. Blanks and rules are counted apart: tokenizers put dozens of
//! the same characters into one token.

use std::ops::Range;

use bytes::Bytes;

use crate::api::json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink};

/// Bytes of text, and how many of them repeat what stands before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// All of them.
    pub bytes: u64,
    /// Those within runs, such as blanks and lines of dashes, about.
    pub runs: u64,
}

/// Bytes of text per token, about.
pub const BYTES_PER_TOKEN: u64 = 4;

/// Bytes per token that no text of words has on average; runs have about as many.
const LONG_TOKEN: u64 = 16;

/// Bytes of a run per token that no tokenizer reaches.
const LONG_RUN: u64 = 256;

impl Amount {
    /// So much text of words.
    #[must_use]
    pub fn words(bytes: u64) -> Self {
        Self { bytes, runs: 0 }
    }

    fn runs(self) -> u64 {
        // What is around the text has runs, too, if it is laid out to be read.
        self.runs.min(self.bytes)
    }

    /// How many tokens it has, about.
    #[must_use]
    pub fn tokens(self) -> u64 {
        let runs = self.runs();
        (self.bytes - runs).div_ceil(BYTES_PER_TOKEN) + runs.div_ceil(LONG_TOKEN)
    }

    /// Whether `count` may be the number of its tokens.
    #[must_use]
    pub fn may_have(self, count: u64) -> bool {
        let runs = self.runs();
        self.bytes - runs + runs / (LONG_RUN / LONG_TOKEN) <= count.saturating_mul(LONG_TOKEN)
    }
}

/// Whether `count` may be the number of tokens of so many bytes of text.
#[must_use]
pub fn may_count(count: u64, text: u64) -> bool {
    Amount::words(text).may_have(count)
}

/// The period of all runs of one character: of one byte, of two (`\n`, `é`), three (`─`), four and six (`\u2500`).
const PERIOD: usize = 12;

/// Bytes of `text` that stand within runs, about: words of eight that stand a period before as well.
fn runs(text: &[u8]) -> u64 {
    let Some(later) = text.get(PERIOD..) else { return 0 };
    let (before, _) = text[..later.len()].as_chunks::<8>();
    let (later, _) = later.as_chunks::<8>();
    8 * later.iter().zip(before).filter(|(a, b)| a == b).count() as u64
}

/// The text of answers in one piece, which come in segments. Most come in one, and are not looked at unless it is asked
/// for.
#[derive(Debug)]
pub(super) struct Text {
    first: Option<Bytes>,
    scanner: Scanner<Strings>,
    runs: u64,
}

impl Text {
    /// That of an answer that begins with `segment`.
    pub(super) fn begin(segment: Bytes) -> Self {
        Self { first: Some(segment), ..Self::new() }
    }

    fn new() -> Self {
        Self { first: None, scanner: Scanner::new(Strings::default()), runs: 0 }
    }

    /// Takes in the next segment; false if this is no JSON.
    pub(super) fn feed(&mut self, segment: &[u8]) -> bool {
        let first = self.first.take();
        first.is_none_or(|first| self.scan(&first)) && self.scan(segment)
    }

    fn scan(&mut self, segment: &[u8]) -> bool {
        self.runs += runs(segment);
        self.scanner.feed(segment).is_ok()
    }

    /// That of all segments so far; None if this is no JSON.
    pub(super) fn amount(&self) -> Option<Amount> {
        match &self.first {
            Some(first) => {
                let mut text = Self::new();
                text.scan(first).then(|| text.scanned())
            }
            None => Some(self.scanned()),
        }
    }

    fn scanned(&self) -> Amount {
        Amount { bytes: self.scanner.sink().bytes, runs: self.runs }
    }
}

/// The text of a stream's lines. They are all alike but for their text, so that it is mostly found where that of the
/// line before was.
#[derive(Debug, Default)]
pub(super) struct LineText {
    /// That of all lines so far.
    amount: Amount,
    /// Bytes before the text of such a line, and the last of them: its key, about.
    before: usize,
    key: Vec<u8>,
    /// All that follows it.
    after: Vec<u8>,
}

/// Bytes before a text that must be the same as in the line before.
const KEY: usize = 32;

/// Bytes of text in a line in which runs are looked for. Most lines have a token or two.
const MAY_RUN: u64 = 24;

impl LineText {
    /// Adds the text of `line`, one JSON object; what is no JSON has none.
    pub(super) fn add(&mut self, line: &[u8]) {
        let bytes = self.bytes(line);
        self.amount.bytes += bytes;
        if bytes >= MAY_RUN {
            self.amount.runs += runs(line).min(bytes);
        }
    }

    /// That of all lines so far.
    pub(super) fn amount(&self) -> Amount {
        self.amount
    }

    fn bytes(&mut self, line: &[u8]) -> u64 {
        if let Some(text) = self.as_before(line) {
            return text as u64;
        }
        let mut scanner = Scanner::new(Strings::default());
        if scanner.feed(line).is_err() {
            return 0;
        }
        let Strings { only, bytes, .. } = scanner.sink();
        if let Some(Range { start, end }) = only {
            self.before = *start;
            self.key.clear();
            self.key.extend_from_slice(&line[start.saturating_sub(KEY)..*start]);
            self.after.clear();
            self.after.extend_from_slice(&line[*end..]);
        }
        *bytes
    }

    /// The length of the string that stands where that of the line before stood, if `line` is like that one.
    fn as_before(&self, line: &[u8]) -> Option<usize> {
        let text = line.get(self.before..line.len().checked_sub(self.after.len())?)?;
        let alike =
            !self.key.is_empty() && line[..self.before].ends_with(&self.key) && line.ends_with(&self.after);
        (alike && memchr::memchr2(b'"', b'\\', text).is_none()).then_some(text.len())
    }
}

/// Adds up strings.
#[derive(Debug, Default)]
struct Strings {
    /// The last key is one of a text.
    text: bool,
    /// The last key is one of what a tool is called with.
    call: bool,
    /// How deep the object lies that a tool is called with, which the value at hand is in.
    within: Option<usize>,
    bytes: u64,
    /// Where the one text is that is not empty.
    only: Option<Range<usize>>,
}

impl Sink for Strings {
    const TOLD: usize = MAX_DEPTH;
    type Error = JsonError;

    fn key(&mut self, _: usize, key: Raw<'_>) -> Result<(), JsonError> {
        if self.within.is_some() {
            self.only = None;
            self.bytes += key.length as u64;
            return Ok(());
        }
        self.call = matches!(key.bytes, b"arguments" | b"input");
        self.text = self.call
            || matches!(
                key.bytes,
                b"content"
                    | b"text"
                    | b"response"
                    | b"thinking"
                    | b"reasoning"
                    | b"reasoning_content"
                    | b"refusal"
                    | b"delta"
                    | b"partial_json"
            );
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, _: usize) -> Result<bool, JsonError> {
        if self.call && self.within.is_none() && matches!(kind, Kind::Object | Kind::Array) {
            self.within = Some(depth);
        }
        Ok((self.text && kind == Kind::String) || (self.within.is_some() && kind == Kind::Number))
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), JsonError> {
        let Some(raw) = raw else {
            if self.within == Some(depth) {
                self.within = None;
            }
            return Ok(());
        };
        if raw.length > 0 {
            let only = self.bytes == 0 && kind == Kind::String;
            // Without its closing quote.
            self.only = only.then(|| end - 1 - raw.length..end - 1);
            self.bytes += raw.length as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(json: &str) -> u64 {
        Text::begin(json.to_owned().into()).amount().unwrap().bytes
    }

    #[test]
    fn text_is_found_in_every_dialect() {
        for (json, want) in [
            (
                r#"{"model":"mmmm","message":{"role":"assistant","content":"abc","thinking":"de"},"done":false}"#,
                5,
            ),
            (r#"{"response":"a\nb","context":[1,2,333],"done":true,"eval_count":7}"#, 4),
            (
                r#"{"choices":[{"message":{"content":"abc","reasoning_content":"d","refusal":null}}],"usage":{"x":1}}"#,
                4,
            ),
            (r#"{"choices":[{"text":"ab"},{"text":"cde"}]}"#, 5),
            (
                r#"{"choices":[{"delta":{"content":"ab"},"logprobs":{"content":[{"token":"ab","bytes":[97,98]}]}}]}"#,
                2,
            ),
            (r#"{"type":"response.output_text.delta","delta":"abcd","item_id":"msg_1"}"#, 4),
            (
                r#"{"content":[{"type":"text","text":"abc"},{"type":"thinking","thinking":"de","signature":"xxxx"}]}"#,
                5,
            ),
            (
                r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a\""}}"#,
                6,
            ),
            // What tools are called with, in both forms, keys and numbers too.
            (r#"{"tool_calls":[{"id":"call_1","function":{"name":"f","arguments":"{}"}}]}"#, 2),
            (r#"{"function":{"name":"f","arguments":{"city":"Rome","days":[1,22]}},"x":"y"}"#, 15),
            (r#"{"content":[{"type":"tool_use","name":"f","input":{"a":{"b":"c"}}}],"model":"mmmm"}"#, 3),
            (r#"{"data":[{"embedding":[0.5,0.25]}]}"#, 0),
            (r#"{"audio":{"data":"aaaa"},"model":"content"}"#, 0),
        ] {
            assert_eq!(plainly(json), want, "{json}");
            assert_eq!(LineText::default().bytes(json.as_bytes()), want, "{json}");
        }
        assert_eq!(LineText::default().bytes(b"x"), 0);
    }

    #[test]
    fn runs_are_few_tokens_and_words_are_not() {
        let repeated = |unit: &str, times: usize| unit.repeat(times);
        for (text, told) in [
            (repeated(" ", 8000) + "x", 130),
            (repeated("\\n", 4000), 50),
            (repeated(&(repeated("-", 80) + "\\n"), 20), 60),
            (repeated(&(repeated("\u{2500}", 80) + "\\n"), 20), 60),
            (repeated(&(repeated("\\u2500", 80) + "\\n"), 20), 70),
            (repeated(&format!("| {} |{}|\\n", repeated("-", 60), repeated(" ", 60)), 20), 200),
        ] {
            let json = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#);
            let mut line = LineText::default();
            line.add(json.as_bytes());
            for amount in [Text::begin(json.into()).amount().unwrap(), line.amount()] {
                assert_eq!(amount.bytes, text.len() as u64);
                assert!(amount.may_have(told), "{text:.90} {amount:?}");
                let tokens = amount.tokens();
                assert!(tokens < amount.bytes / 7, "{text:.90} {amount:?} {tokens}");
                assert!(tokens >= amount.bytes / LONG_TOKEN, "{text:.90} {amount:?} {tokens}");
            }
        }
        for words in
            ["internationalization ", "word ", "int main(void) {\\n    return 0;\\n}\\n", "Zeile, aaah! "]
        {
            let json = format!(r#"{{"content":"{}"}}"#, words.repeat(100));
            assert_eq!(Text::begin(json.into()).amount().unwrap().runs, 0, "{words}");
        }
        assert_eq!((Amount::words(2).tokens(), Amount::words(0).tokens()), (1, 0));
    }

    proptest! {
        #[test]
        fn lines_one_after_the_other_are_as_each_alone(lines in prop::collection::vec((
            prop::sample::select(vec!["a", "bb", "cc"]),
            prop_oneof!["[a-z]{0,9}", ".{0,9}"],
            prop_oneof![3 => Just(String::new()), 1 => ".{0,3}"],
        ), 1..12)) {
            let mut text = LineText::default();
            for (id, content, other) in lines {
                let json = serde_json::json!({"id": id, "delta": {"content": content, "text": other}, "end": 1});
                let json = json.to_string();
                prop_assert_eq!(text.bytes(json.as_bytes()), plainly(&json), "{}", json);
            }
        }

        #[test]
        fn segments_are_as_the_whole(content in ".{0,30}", cut in any::<prop::sample::Index>()) {
            let json = serde_json::json!({"content": content, "input": {"n": 12, "s": content}}).to_string();
            let (first, second) = json.as_bytes().split_at(cut.index(json.len()));
            let mut text = Text::begin(Bytes::copy_from_slice(first));
            prop_assert!(text.feed(second));
            prop_assert_eq!(text.amount().unwrap().bytes, plainly(&json));
        }
    }
}
