//! How much text a node sends: the bytes of those strings that a client shows or acts on, as they were sent. A count
//! of tokens that is far too small for its text is none.

use std::ops::Range;

use crate::api::json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink};

/// The text of answers in one piece, which come in segments.
#[derive(Debug)]
pub(super) struct Text(Scanner<Strings>);

impl Text {
    pub(super) fn new() -> Self {
        Self(Scanner::new(Strings::default()))
    }

    /// Passes over a segment; false if this is no JSON.
    pub(super) fn feed(&mut self, segment: &[u8]) -> bool {
        self.0.feed(segment).is_ok()
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.sink().bytes
    }
}

/// The text of a stream's lines. They are all alike but for their text, so that it is mostly found where that of the
/// line before was.
#[derive(Debug, Default)]
pub(super) struct LineText {
    /// Bytes before the text of such a line, and the last of them: its key, about.
    before: usize,
    key: Vec<u8>,
    /// All that follows it.
    after: Vec<u8>,
}

/// Bytes before a text that must be the same as in the line before.
const KEY: usize = 32;

impl LineText {
    /// Bytes of text in `line`, one JSON object; none in what is no JSON.
    pub(super) fn bytes(&mut self, line: &[u8]) -> u64 {
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
        let mut text = Text::new();
        assert!(text.feed(json.as_bytes()), "{json}");
        text.bytes()
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
            let mut text = Text::new();
            prop_assert!(text.feed(first) && text.feed(second));
            prop_assert_eq!(text.bytes(), plainly(&json));
        }
    }
}
