//! A push scanner for JSON: fed the segments of a body as they lie, it checks the structure in one pass,
//! builds nothing, and tells a [`Sink`] about the members of the two outermost levels.
//!
//! Strings are skipped with `memchr`; a number is any run of number characters (a node that is stricter
//! refuses it, none reads it as something else).

use super::escape::{Skipped, skip};

/// Deepest nesting accepted. Go's decoder, which Ollama uses, stops at 10 000; no request needs more than this.
pub const MAX_DEPTH: usize = 512;

/// Raw bytes kept of a captured string, key or number.
const KEEP: usize = 1024;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A captured string or key: its bytes between the quotes, escapes not yet resolved.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The bytes, at most 1024.
    pub bytes: &'a [u8],
    /// Whether there were more.
    pub cut: bool,
    /// How many there were.
    pub length: usize,
}

/// Why a body is not JSON this gateway forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A byte that cannot stand there.
    #[error("invalid JSON at byte {0}")]
    Syntax(usize),
    /// The body ended inside a value.
    #[error("the JSON body is cut off after {0} bytes")]
    Truncated(usize),
    /// Nested too deep.
    #[error("the JSON body is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// Something follows the value.
    #[error("something follows the JSON value at byte {0}")]
    Trailing(usize),
}

/// Told of keys and values while the scanner passes them. `depth` is the number of containers around: the
/// members of the outermost object are at depth 1. Only depths up to [`Sink::TOLD`] are told.
pub trait Sink {
    /// Deepest level that is told. What lies deeper is passed over faster.
    const TOLD: usize = 2;
    /// What a sink refuses with.
    type Error: From<JsonError>;
    /// A key of an object.
    ///
    /// # Errors
    /// Whatever the sink refuses.
    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), Self::Error>;
    /// A value begins at byte `at`. Returns whether its bytes are wanted (strings only).
    ///
    /// # Errors
    /// Whatever the sink refuses.
    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, Self::Error>;
    /// A value ended before byte `end`; `raw` has the bytes of a wanted string.
    ///
    /// # Errors
    /// Whatever the sink refuses.
    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), Self::Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must come.
    Value,
    /// A value or `]`.
    FirstElement,
    /// A key or `}`.
    FirstKey,
    /// A key.
    Key,
    /// `:`
    Colon,
    /// `,` or the end of the container.
    Next,
    /// Inside a key's or value's quotes.
    Text { key: bool, escaped: bool },
    /// Inside a number.
    Number,
    /// Inside `true`, `false` or `null`; bytes seen so far.
    Word { kind: Kind, seen: u8 },
    /// After the outermost value.
    Over,
}

/// The scanner.
#[derive(Debug)]
pub struct Scanner<S> {
    sink: S,
    state: State,
    depth: usize,
    /// One bit per open container: set for an object.
    objects: [u64; MAX_DEPTH / 64],
    /// Bytes fed before the present segment.
    fed: usize,
    /// Whether the string being passed is kept in `raw`.
    keep: bool,
    raw: Vec<u8>,
    /// How many bytes the kept string has so far, those that did not fit in `raw` too.
    length: usize,
    /// Bytes between quotes so far.
    quoted: u64,
}

impl<S: Sink> Scanner<S> {
    /// A scanner at the beginning of a body.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            state: State::Value,
            depth: 0,
            objects: [0; MAX_DEPTH / 64],
            fed: 0,
            keep: false,
            raw: Vec::new(),
            length: 0,
            quoted: 0,
        }
    }

    /// Bytes between the quotes of all strings so far, keys included, as they were sent.
    pub fn quoted(&self) -> u64 {
        self.quoted
    }

    /// Passes over one segment.
    ///
    /// # Errors
    /// The first thing wrong, by this scanner or by the sink.
    pub fn feed(&mut self, segment: &[u8]) -> Result<(), S::Error> {
        let mut at = 0;
        while at < segment.len() {
            at = match self.state {
                State::Text { key, escaped } => self.text(segment, at, key, escaped)?,
                State::Number => self.number(segment, at)?,
                State::Word { kind, seen } => self.word(segment, at, kind, seen)?,
                _ => self.structure(segment, at)?,
            };
        }
        self.fed += segment.len();
        Ok(())
    }

    /// Ends the body and gives the sink back.
    ///
    /// # Errors
    /// [`JsonError::Truncated`] if the value is not complete.
    pub fn finish(mut self) -> Result<S, S::Error> {
        if self.state == State::Number && self.depth == 0 {
            self.close_value(Kind::Number, self.fed)?;
        }
        if self.state == State::Over { Ok(self.sink) } else { Err(JsonError::Truncated(self.fed).into()) }
    }

    fn structure(&mut self, segment: &[u8], at: usize) -> Result<usize, S::Error> {
        let here = self.fed + at;
        match (segment[at], self.state) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => {}
            (b'"', State::FirstKey | State::Key) => self.open_key(),
            (b'}', State::FirstKey | State::Next) if self.in_object() => self.close(Kind::Object, here)?,
            (b']', State::FirstElement | State::Next) if self.depth > 0 && !self.in_object() => {
                self.close(Kind::Array, here)?;
            }
            (b':', State::Colon) => self.state = State::Value,
            (b',', State::Next) => {
                self.state = if self.in_object() { State::Key } else { State::Value };
                if self.state == State::Key && segment.get(at + 1) == Some(&b'"') {
                    // The usual case in one step.
                    self.open_key();
                    return Ok(at + 2);
                }
            }
            (byte, State::Value | State::FirstElement) => self.open_value(byte, here)?,
            (_, State::Over) => return Err(JsonError::Trailing(here).into()),
            _ => return Err(JsonError::Syntax(here).into()),
        }
        Ok(at + 1)
    }

    fn open_key(&mut self) {
        self.keep = self.depth <= S::TOLD;
        self.state = State::Text { key: true, escaped: false };
    }

    fn open_value(&mut self, byte: u8, here: usize) -> Result<(), S::Error> {
        let (kind, state) = match byte {
            b'{' => (Kind::Object, State::FirstKey),
            b'[' => (Kind::Array, State::FirstElement),
            b'"' => (Kind::String, State::Text { key: false, escaped: false }),
            b'-' | b'0'..=b'9' => (Kind::Number, State::Number),
            b't' => (Kind::True, State::Word { kind: Kind::True, seen: 1 }),
            b'f' => (Kind::False, State::Word { kind: Kind::False, seen: 1 }),
            b'n' => (Kind::Null, State::Word { kind: Kind::Null, seen: 1 }),
            _ => return Err(JsonError::Syntax(here).into()),
        };
        self.keep = self.depth <= S::TOLD && self.sink.begin(self.depth, kind, here)?;
        self.state = state;
        if matches!(kind, Kind::Object | Kind::Array) {
            if self.depth == MAX_DEPTH {
                return Err(JsonError::Depth.into());
            }
            let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
            if kind == Kind::Object {
                self.objects[word] |= bit;
            } else {
                self.objects[word] &= !bit;
            }
            self.depth += 1;
        }
        Ok(())
    }

    fn in_object(&self) -> bool {
        let Some(top) = self.depth.checked_sub(1) else { return false };
        self.objects[top / 64] & (1 << (top % 64)) != 0
    }

    fn close(&mut self, kind: Kind, here: usize) -> Result<(), S::Error> {
        self.depth -= 1;
        self.keep = false;
        self.close_value(kind, here + 1)
    }

    fn close_value(&mut self, kind: Kind, end: usize) -> Result<(), S::Error> {
        if self.depth <= S::TOLD {
            let raw = Raw { bytes: &self.raw, cut: self.length > KEEP, length: self.length };
            self.sink.end(self.depth, kind, end, self.keep.then_some(raw))?;
        }
        self.forget();
        self.state = if self.depth == 0 { State::Over } else { State::Next };
        Ok(())
    }

    fn forget(&mut self) {
        self.keep = false;
        self.length = 0;
        self.raw.clear();
    }

    fn text(&mut self, segment: &[u8], mut at: usize, key: bool, escaped: bool) -> Result<usize, S::Error> {
        if self.keep
            && !escaped
            && self.length == 0
            && let Some(after) = self.whole_text(segment, at, key)?
        {
            return Ok(after);
        }
        let began = at;
        if escaped {
            self.take(&segment[at..=at]);
            at += 1;
            self.state = State::Text { key, escaped: false };
        }
        if self.keep {
            loop {
                let rest = &segment[at..];
                let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                    self.take(rest);
                    self.quoted += (segment.len() - began) as u64;
                    return Ok(segment.len());
                };
                self.take(&rest[..found]);
                at += found + 1;
                if rest[found] == b'"' {
                    break;
                }
                self.take(b"\\");
                let Some(after) = segment.get(at) else {
                    self.quoted += (segment.len() - began) as u64;
                    self.state = State::Text { key, escaped: true };
                    return Ok(at);
                };
                self.take(std::slice::from_ref(after));
                at += 1;
            }
        } else {
            match skip(segment, at) {
                Skipped::Quote(after) => at = after,
                Skipped::Out { escaped } => {
                    self.quoted += (segment.len() - began) as u64;
                    self.state = State::Text { key, escaped };
                    return Ok(segment.len());
                }
            }
        }
        // All but the closing quote.
        self.quoted += (at - began - 1) as u64;
        if !key {
            self.close_value(Kind::String, self.fed + at)?;
            return Ok(at);
        }
        if self.keep {
            let raw = Raw { bytes: &self.raw, cut: self.length > KEEP, length: self.length };
            self.sink.key(self.depth, raw)?;
        }
        self.forget();
        Ok(self.pass_colon(segment, at))
    }

    /// After a key: its colon mostly follows at once.
    fn pass_colon(&mut self, segment: &[u8], at: usize) -> usize {
        let there = segment.get(at) == Some(&b':');
        self.state = if there { State::Value } else { State::Colon };
        at + usize::from(there)
    }

    /// A wanted string that lies in one piece, as nearly all do: the sink is shown it where it is. None if
    /// it does not end in this segment.
    fn whole_text(&mut self, segment: &[u8], start: usize, key: bool) -> Result<Option<usize>, S::Error> {
        let mut at = start;
        let end = loop {
            let Some(rest) = segment.get(at..) else { return Ok(None) };
            let Some(found) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) else { return Ok(None) };
            if rest[found] == b'"' {
                break at + found;
            }
            at += found + 2;
        };
        let bytes = &segment[start..end];
        let length = bytes.len();
        let raw = Raw { bytes: &bytes[..length.min(KEEP)], cut: length > KEEP, length };
        self.quoted += length as u64;
        if key {
            self.sink.key(self.depth, raw)?;
            self.keep = false;
            return Ok(Some(self.pass_colon(segment, end + 1)));
        }
        self.sink.end(self.depth, Kind::String, self.fed + end + 1, Some(raw))?;
        self.keep = false;
        self.state = if self.depth == 0 { State::Over } else { State::Next };
        Ok(Some(end + 1))
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.keep {
            let room = KEEP - self.raw.len();
            self.length += bytes.len();
            self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn number(&mut self, segment: &[u8], at: usize) -> Result<usize, S::Error> {
        let more =
            segment[at..].iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let Some(more) = more else { return Ok(segment.len()) };
        self.keep = false;
        self.close_value(Kind::Number, self.fed + at + more)?;
        Ok(at + more)
    }

    fn word(&mut self, segment: &[u8], at: usize, kind: Kind, seen: u8) -> Result<usize, S::Error> {
        let word: &[u8] = match kind {
            Kind::True => b"true",
            Kind::False => b"false",
            _ => b"null",
        };
        if seen == 1 && segment[at..].starts_with(&word[1..]) {
            self.keep = false;
            self.close_value(kind, self.fed + at + word.len() - 1)?;
            return Ok(at + word.len() - 1);
        }
        if segment[at] != word[usize::from(seen)] {
            return Err(JsonError::Syntax(self.fed + at).into());
        }
        if usize::from(seen) + 1 < word.len() {
            self.state = State::Word { kind, seen: seen + 1 };
        } else {
            self.keep = false;
            self.close_value(kind, self.fed + at + 1)?;
        }
        Ok(at + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{JsonError, Kind, Raw, Scanner, Sink};
    use crate::api::escape::unescape;

    #[derive(Default)]
    struct Keys(Vec<(usize, String)>);

    impl Sink for Keys {
        type Error = JsonError;
        fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
            self.0.push((depth, unescape(key.bytes).unwrap_or_default()));
            Ok(())
        }
        fn begin(&mut self, _: usize, _: Kind, _: usize) -> Result<bool, JsonError> {
            Ok(true)
        }
        fn end(&mut self, _: usize, _: Kind, _: usize, _: Option<Raw<'_>>) -> Result<(), JsonError> {
            Ok(())
        }
    }

    fn keys(segments: &[&[u8]]) -> Result<Vec<(usize, String)>, JsonError> {
        let mut scanner = Scanner::new(Keys::default());
        for segment in segments {
            scanner.feed(segment)?;
        }
        scanner.finish().map(|k| k.0)
    }

    #[test]
    fn keys_of_two_levels_are_told_wherever_the_segments_are_cut() {
        let body = br#" {"a\u0062":{"x":[{"deep":1}],"y":null},"c":-1.5e3,"d":"q\"\\","e":[]} "#;
        let whole = keys(&[body]).unwrap();
        assert_eq!(
            whole,
            [
                (1, "ab".into()),
                (2, "x".into()),
                (2, "y".into()),
                (1, "c".into()),
                (1, "d".into()),
                (1, "e".into())
            ]
        );
        for cut in 0..body.len() {
            assert_eq!(keys(&[&body[..cut], &body[cut..]]).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_json_value() {
        for bad in [
            "",
            " ",
            "{",
            "}",
            "{]",
            "[}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "[1,]",
            "{\"a\":1}{}",
            "{\"a\":1} x",
            "{a:1}",
            "tru",
            "trux",
            "\"abc",
            "{\"a\":1]",
            "[1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "]",
        ] {
            assert!(keys(&[bad.as_bytes()]).is_err(), "{bad}");
        }
        let deep = "[".repeat(600);
        assert_eq!(keys(&[deep.as_bytes()]), Err(JsonError::Depth));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".{0,6}", inner), 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn accepts_all_json(value in any_json(), cut in any::<prop::sample::Index>()) {
            let text = value.to_string();
            let cut = cut.index(text.len());
            prop_assert!(keys(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]).is_ok());
        }

        #[test]
        fn whatever_serde_accepts_is_accepted_and_nothing_panics(bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\",:\\ntrue0-.eu \xc5\xbf".to_vec()), 0..40)) {
            let ours = keys(&[&bytes]).is_ok();
            let serde = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            prop_assert!(ours || !serde);
        }
    }
}
