//! The sink that fills a [`Peek`] while the scanner passes a body.

use super::{
    LONGEST_NAME, Number, Options, Peek, PeekError, Value,
    keys::{
        CONTEXT, GOVERNED, INNER, INPUT, INSECURE, KEEP_ALIVE, MAX_COMPLETION_TOKENS, MAX_OUTPUT_TOKENS,
        MAX_TOKENS, MODEL, N, NAME, NUM_CTX, NUM_PREDICT, OPTIONS, PROMPT, STREAM, STREAM_OPTIONS,
        matches_folded, which,
    },
    usage_option::UsageOption,
};
use crate::api::{
    escape::unescape,
    json::{Kind, Raw, Sink},
};

#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) peek: Peek,
    /// One bit per governed key seen.
    seen: u32,
    /// The same for keys inside `options`.
    seen_inside: u8,
    /// The governed key whose value comes next, at depth 1.
    current: Option<usize>,
    /// Inside `stream_options`: whether the value that comes next is `include_usage`'s.
    include_usage: bool,
    include_usage_seen: bool,
    /// Inside `options`: the governed key whose value comes next.
    inner: Option<usize>,
    /// Inside the array of a prompt: numbers or arrays were seen, so it may consist of tokens.
    tokens: bool,
    /// Where the value at hand began: at depth 1, and inside.
    began: usize,
    began_inside: usize,
}

impl Sink for Reader {
    type Error = PeekError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), PeekError> {
        if depth == 1 {
            self.peek.empty = false;
            self.current = which(&GOVERNED, key)?;
            if let Some(at) = self.current {
                if self.seen & (1 << at) != 0 {
                    return Err(PeekError::Repeated(GOVERNED[at]));
                }
                self.seen |= 1 << at;
            }
            return Ok(());
        }
        match self.current {
            Some(STREAM_OPTIONS) => {
                self.peek.usage.member();
                self.include_usage = matches_folded(key, "include_usage")?;
                if self.include_usage && std::mem::replace(&mut self.include_usage_seen, true) {
                    return Err(PeekError::Repeated("include_usage"));
                }
            }
            Some(OPTIONS) => {
                if let Options::Object { empty, .. } = &mut self.peek.options {
                    *empty = false;
                }
                self.inner = which(&INNER, key)?;
                if let Some(at) = self.inner {
                    if self.seen_inside & (1 << at) != 0 {
                        return Err(PeekError::Repeated(INNER[at]));
                    }
                    self.seen_inside |= 1 << at;
                }
            }
            _ => {}
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
                self.began_inside = at;
                if self.current == Some(PROMPT) && kind != Kind::Number {
                    self.peek.prompts += 1;
                }
                self.tokens |= matches!(kind, Kind::Number | Kind::Array);
                return Ok(false);
            }
        }
        self.began = at;
        self.tokens = false;
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
            (OPTIONS, Kind::Object) => self.peek.options = Options::Object { inside: at + 1, empty: true },
            _ => {}
        }
        Ok(false)
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), PeekError> {
        if depth == 2 {
            return self.end_inside(kind, end);
        }
        if depth != 1 {
            return Ok(());
        }
        let Some(key) = self.current.take() else { return Ok(()) };
        let range = self.began..end;
        match (key, kind) {
            (MODEL, Kind::String) => {
                self.peek.model = Some(text(raw, "model")?);
                self.peek.model_at = range;
            }
            (NAME, Kind::String) => {
                self.peek.name = Some(text(raw, "name")?);
                self.peek.name_at = range;
            }
            (STREAM, Kind::True | Kind::False) => self.peek.stream = Some(kind == Kind::True),
            (INSECURE, Kind::True) => self.peek.insecure = true,
            (STREAM_OPTIONS, Kind::Null) => self.peek.usage = UsageOption::Null(range),
            (KEEP_ALIVE, Kind::Null) => self.peek.keep_alive = Value::Null(range),
            (KEEP_ALIVE, _) => self.peek.keep_alive = Value::Given(range),
            (OPTIONS, Kind::Object) => {}
            (OPTIONS, Kind::Null) => self.peek.options = Options::Null(range),
            (OPTIONS, _) => self.peek.options = Options::Other,
            (MAX_TOKENS, _) => self.peek.max_tokens = Number::at(kind, range),
            (MAX_COMPLETION_TOKENS, _) => self.peek.max_completion_tokens = Number::at(kind, range),
            (MAX_OUTPUT_TOKENS, _) => self.peek.max_output_tokens = Number::at(kind, range),
            (N, _) => self.peek.n = Number::at(kind, range),
            (PROMPT | INPUT | CONTEXT, Kind::Array) if self.tokens => {
                // Each token takes two bytes at least, and stands for some four characters.
                self.peek.prompt_at_most += 2 * (range.len() as u64);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Reader {
    fn end_inside(&mut self, kind: Kind, end: usize) -> Result<(), PeekError> {
        let range = self.began_inside..end;
        if std::mem::take(&mut self.include_usage) {
            self.peek.usage = match kind {
                Kind::True => UsageOption::On,
                Kind::False | Kind::Null => UsageOption::Off(range.clone()),
                _ => return Err(PeekError::Type("stream_options.include_usage", "true or false")),
            };
        }
        match self.inner.take() {
            Some(NUM_CTX) => self.peek.num_ctx = Number::at(kind, range),
            Some(NUM_PREDICT) => self.peek.num_predict = Number::at(kind, range),
            _ => {}
        }
        Ok(())
    }
}

fn text(raw: Option<Raw<'_>>, key: &'static str) -> Result<String, PeekError> {
    let raw = raw.unwrap_or(Raw { bytes: b"", cut: false, length: 0 });
    if raw.cut || raw.bytes.len() > LONGEST_NAME {
        return Err(PeekError::Long(key));
    }
    unescape(raw.bytes).ok_or(PeekError::Type(key, "a string of valid UTF-8"))
}
