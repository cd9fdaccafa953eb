//! What the gateway reads of a JSON request body: the governed keys of the outermost object, and nothing else.
//!
//! Nodes match keys without regard to case (with Unicode folding) and take the last of duplicates. So that
//! what is checked here is what they act on, a body that spells a governed key otherwise, or twice, is refused.

use std::ops::Range;

use bytes::Bytes;

use super::{
    edit::Edits,
    escape::unescape,
    json::{JsonError, Kind, Raw, Scanner, Sink},
};

/// Longest model name accepted, in bytes as sent.
const LONGEST_NAME: usize = 512;

/// Keys whose meaning the gateway relies on, now or in a later layer. ASCII, so that folding is simple.
const GOVERNED: [&str; 26] = [
    "model",
    "name",
    "stream",
    "stream_options",
    "messages",
    "prompt",
    "options",
    "keep_alive",
    "input",
    "system",
    "suffix",
    "template",
    "context",
    "raw",
    "images",
    "tools",
    "format",
    "think",
    "instructions",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "source",
    "insecure",
    "previous_response_id",
];

const MODEL: usize = 0;
const NAME: usize = 1;
const STREAM: usize = 2;
const STREAM_OPTIONS: usize = 3;
const INSECURE: usize = 24;

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
    /// A model name beyond 512 bytes.
    #[error("'{0}' is longer than {LONGEST_NAME} bytes")]
    Long(&'static str),
}

/// What was read.
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
    /// Byte after the outermost `{`.
    inside: usize,
    /// Whether the outermost object is empty.
    empty: bool,
}

/// `stream_options.include_usage`, and where to write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum UsageOption {
    /// No `stream_options`.
    #[default]
    Absent,
    /// `stream_options` is null; its bytes.
    Null(Range<usize>),
    /// An object without the key; the byte after its `{`, and whether it is empty.
    Without(usize, bool),
    /// The key is there but not true; the bytes of its value.
    Off(Range<usize>),
    /// Asked for.
    On,
}

impl Peek {
    /// Reads a body that lies in `segments`.
    ///
    /// # Errors
    /// [`PeekError`]: what is wrong with the first thing that is.
    pub fn read(segments: &[Bytes]) -> Result<Self, PeekError> {
        if segments.iter().all(|s| s.trim_ascii().is_empty()) {
            return Err(PeekError::Empty);
        }
        let mut scanner = Scanner::new(Reader::default());
        for segment in segments {
            scanner.feed(segment)?;
        }
        Ok(scanner.finish()?.peek)
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

    /// Asks for usage in the stream: `stream_options.include_usage` becomes true. False if it is already.
    pub fn ask_usage(&self, edits: &mut Edits) -> bool {
        const WHOLE: &str = r#""stream_options":{"include_usage":true}"#;
        match &self.usage {
            UsageOption::On => return false,
            UsageOption::Absent => {
                let comma = if self.empty { "" } else { "," };
                edits.push(self.inside..self.inside, format!("{WHOLE}{comma}"));
            }
            UsageOption::Null(range) => edits.push(range.clone(), r#"{"include_usage":true}"#),
            UsageOption::Without(at, empty) => {
                let comma = if *empty { "" } else { "," };
                edits.push(*at..*at, format!(r#""include_usage":true{comma}"#));
            }
            UsageOption::Off(range) => edits.push(range.clone(), "true"),
        }
        true
    }
}

#[derive(Debug, Default)]
struct Reader {
    peek: Peek,
    /// One bit per governed key seen.
    seen: u32,
    /// The governed key whose value comes next, at depth 1.
    current: Option<usize>,
    /// Inside `stream_options`: whether the value that comes next is `include_usage`'s.
    include_usage: bool,
    include_usage_seen: bool,
    /// Where the value at hand began.
    began: usize,
}

impl Sink for Reader {
    type Error = PeekError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), PeekError> {
        if depth == 1 {
            self.peek.empty = false;
            self.current = governed(key)?;
            if let Some(at) = self.current {
                if self.seen & (1 << at) != 0 {
                    return Err(PeekError::Repeated(GOVERNED[at]));
                }
                self.seen |= 1 << at;
            }
        } else if self.current == Some(STREAM_OPTIONS) {
            if let UsageOption::Without(_, empty) = &mut self.peek.usage {
                *empty = false;
            }
            self.include_usage = matches_folded(key, "include_usage")?;
            if self.include_usage && std::mem::replace(&mut self.include_usage_seen, true) {
                return Err(PeekError::Repeated("include_usage"));
            }
        }
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, PeekError> {
        match depth {
            0 if kind != Kind::Object => return Err(PeekError::NotAnObject),
            0 => {
                self.peek.inside = at + 1;
                self.peek.empty = true;
                return Ok(false);
            }
            1 => {}
            _ => {
                if self.include_usage {
                    self.began = at;
                }
                return Ok(false);
            }
        }
        self.began = at;
        let Some(key) = self.current else { return Ok(false) };
        match (key, kind) {
            (MODEL | NAME, Kind::String) => return Ok(true),
            (MODEL | NAME, Kind::Null) => {}
            (MODEL | NAME, _) => return Err(PeekError::Type(GOVERNED[key], "a string")),
            (STREAM | INSECURE, Kind::True | Kind::False | Kind::Null) => {}
            (STREAM | INSECURE, _) => return Err(PeekError::Type(GOVERNED[key], "true or false")),
            (STREAM_OPTIONS, Kind::Object) => self.peek.usage = UsageOption::Without(at + 1, true),
            (STREAM_OPTIONS, Kind::Null) => {}
            (STREAM_OPTIONS, _) => return Err(PeekError::Type("stream_options", "an object")),
            _ => {}
        }
        Ok(false)
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), PeekError> {
        if depth == 2 && std::mem::take(&mut self.include_usage) {
            self.peek.usage = match kind {
                Kind::True => UsageOption::On,
                Kind::False | Kind::Null => UsageOption::Off(self.began..end),
                _ => return Err(PeekError::Type("stream_options.include_usage", "true or false")),
            };
            return Ok(());
        }
        if depth != 1 {
            return Ok(());
        }
        let Some(key) = self.current.take() else { return Ok(()) };
        match (key, kind) {
            (MODEL, Kind::String) => self.peek.model = Some(text(raw, "model")?),
            (NAME, Kind::String) => self.peek.name = Some(text(raw, "name")?),
            (STREAM, Kind::True | Kind::False) => self.peek.stream = Some(kind == Kind::True),
            (INSECURE, Kind::True) => self.peek.insecure = true,
            (STREAM_OPTIONS, Kind::Null) => self.peek.usage = UsageOption::Null(self.began..end),
            _ => {}
        }
        Ok(())
    }
}

fn text(raw: Option<Raw<'_>>, key: &'static str) -> Result<String, PeekError> {
    let raw = raw.unwrap_or(Raw { bytes: b"", cut: false });
    if raw.cut || raw.bytes.len() > LONGEST_NAME {
        return Err(PeekError::Long(key));
    }
    unescape(raw.bytes).ok_or(PeekError::Type(key, "a string of valid UTF-8"))
}

/// Which governed key this is, if any.
fn governed(key: Raw<'_>) -> Result<Option<usize>, PeekError> {
    if let Some(at) = GOVERNED.iter().position(|g| g.as_bytes() == key.bytes) {
        return Ok(Some(at));
    }
    for (at, name) in GOVERNED.iter().enumerate() {
        if matches_folded(key, name)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether `key` is `name` exactly (escapes resolved).
///
/// # Errors
/// If it is `name` only to a reader that folds case.
fn matches_folded(key: Raw<'_>, name: &'static str) -> Result<bool, PeekError> {
    if key.bytes == name.as_bytes() {
        return Ok(true);
    }
    // A folded spelling has as many characters as the name, each of at most six bytes as an escape.
    if key.cut || key.bytes.len() < name.len() || key.bytes.len() > name.len() * 6 {
        return Ok(false);
    }
    // Plain ASCII of the right length decides without resolving anything.
    if key.bytes.len() > name.len() && key.bytes.is_ascii() && !key.bytes.contains(&b'\\') {
        return Ok(false);
    }
    let Some(plain) = unescape(key.bytes) else { return Ok(false) };
    if plain == name {
        return Ok(true);
    }
    if plain.chars().map(fold).eq(name.chars()) {
        return Err(PeekError::Miscased(plain, name));
    }
    Ok(false)
}

/// Unicode simple folding, as far as it can end in an ASCII letter: besides upper case only the long s and
/// the Kelvin sign.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{Edits, Peek, PeekError};

    fn read(body: &str) -> Result<Peek, PeekError> {
        Peek::read(&[Bytes::copy_from_slice(body.as_bytes())])
    }

    #[test]
    fn reads_what_is_governed() {
        let peek =
            read(r#"{"model":"a/b:c","stream":false,"messages":[{"model":"x","stream":true}]}"#).unwrap();
        assert_eq!(peek.model(false), Some("a/b:c"));
        assert_eq!(peek.stream, Some(false));
        let peek = read(r#"{"name":"old","model":""}"#).unwrap();
        assert_eq!(peek.model(true), Some("old"));
        assert_eq!(peek.model(false), None);
        assert_eq!(read(r#"{"model":"m","stream":null}"#).unwrap().stream, None);
        assert_eq!(read("{\"mod\\u0065l\":\"\\u006d\"}").unwrap().model(false), Some("m"));
    }

    #[test]
    fn refuses_repeated_and_miscased_keys() {
        for body in [r#"{"model":"a","model":"b"}"#, r#"{"model":"a","\u006dodel":"b"}"#] {
            assert_eq!(read(body), Err(PeekError::Repeated("model")), "{body}");
        }
        for (body, name) in [
            (r#"{"Model":"a"}"#, "model"),
            (r#"{"model":"a","STREAM":false}"#, "stream"),
            ("{\"\u{17f}tream\":false}", "stream"),
            ("{\"\\u017ftream\":false}", "stream"),
            ("{\"\u{212a}eep_alive\":0}", "keep_alive"),
            (r#"{"stream_options":{"Include_Usage":true}}"#, "include_usage"),
        ] {
            assert!(matches!(read(body), Err(PeekError::Miscased(_, n)) if n == name), "{body}");
        }
        assert!(read(r#"{"model":"a","modelx":1,"strea":2,"Temperature":1}"#).is_ok());
    }

    #[test]
    fn refuses_wrong_types_and_shapes() {
        for body in
            [r#"{"model":1}"#, r#"{"stream":"true"}"#, r#"{"stream_options":[]}"#, "[]", "1", "", "  "]
        {
            assert!(read(body).is_err(), "{body}");
        }
        let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(2000));
        assert_eq!(read(&long), Err(PeekError::Long("model")));
    }

    fn with_usage(body: &str, cut: usize) -> Option<String> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let segments = [bytes.slice(..cut), bytes.slice(cut..)];
        let mut edits = Edits::default();
        let asked = Peek::read(&segments).unwrap().ask_usage(&mut edits);
        asked.then(|| String::from_utf8(edits.apply(&segments).concat()).unwrap())
    }

    #[test]
    fn usage_is_spliced_in_wherever_the_segments_are_cut() {
        for (body, want) in [
            (r#" {"model":"m"}"#, r#" {"stream_options":{"include_usage":true},"model":"m"}"#),
            (r#"{}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":null ,"a":1}"#, r#"{"stream_options":{"include_usage":true} ,"a":1}"#),
            (r#"{"stream_options":{ }}"#, r#"{"stream_options":{"include_usage":true }}"#),
            (r#"{"stream_options":{"x":1}}"#, r#"{"stream_options":{"include_usage":true,"x":1}}"#),
            (
                r#"{"stream_options":{"x":[{}],"include_usage":false}}"#,
                r#"{"stream_options":{"x":[{}],"include_usage":true}}"#,
            ),
        ] {
            for cut in 0..=body.len() {
                assert_eq!(with_usage(body, cut).as_deref(), Some(want), "{body} cut at {cut}");
            }
        }
        assert_eq!(with_usage(r#"{"stream_options":{"include_usage":true}}"#, 3), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\",:\\mdelstrua0-.u \xc5\xbf_optinf".to_vec()), 0..60)) {
            let _ = Peek::read(&[Bytes::from(bytes)]);
        }
    }
}
