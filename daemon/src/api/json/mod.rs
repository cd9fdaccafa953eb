//! A push scanner for JSON: fed the segments of a body as they lie, it checks the structure in one pass,
//! builds nothing, and tells a [`Sink`] about the members of the two outermost levels.
//!
//! Strings are skipped with `memchr`; a number is any run of number characters (a node that is stricter
//! refuses it, none reads it as something else).

mod sink;
#[cfg(test)]
mod tests;

use super::escape::{Skipped, skip};
pub use sink::{JsonError, Kind, MAX_DEPTH, Raw, Sink};

/// Raw bytes kept of a captured string, key or number.
const KEEP: usize = 1024;

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
