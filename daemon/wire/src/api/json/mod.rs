//! A push scanner for JSON: fed the segments of a body as they lie, it checks the structure in one pass, builds
//! nothing, and reports the members of the two outermost levels to a [`Sink`].
//!
//! A number is what RFC 8259 has: of what else looks like one, nodes read what was not searched.

mod cut;
mod nest;
mod numeral;
#[cfg(test)]
mod plain;
mod resume;
mod sink;
#[cfg(test)]
mod tests;

use super::escape::{Skipped, skip};
use cut::Cut;
use nest::Nest;
use numeral::Numeral;
pub use sink::{JsonError, Kind, MAX_DEPTH, Raw, Sink};

/// What may come next.
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
    /// `,` or the end of the container; after the outermost value nothing.
    Next,
    /// The rest of what the last segment was cut inside of.
    Rest,
}

/// The scanner.
#[derive(Debug)]
pub struct Scanner<S> {
    sink: S,
    state: State,
    nest: Nest,
    /// Bytes fed before the present segment.
    fed: usize,
    /// Bytes between quotes and of numbers so far.
    quoted: u64,
    cut: Cut,
}

impl<S: Sink> Scanner<S> {
    /// A scanner at the beginning of a body.
    pub fn new(sink: S) -> Self {
        Self { sink, state: State::Value, nest: Nest::default(), fed: 0, quoted: 0, cut: Cut::default() }
    }

    /// The sink it reports to.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Bytes of all numbers and between the quotes of all strings so far, keys included, as they were sent.
    pub fn quoted(&self) -> u64 {
        self.quoted
    }

    /// Passes over one segment.
    ///
    /// # Errors
    /// The first thing wrong, by this scanner or by the sink.
    pub fn feed(&mut self, segment: &[u8]) -> Result<(), S::Error> {
        let mut at = 0;
        let mut state = self.state;
        while let Some(&byte) = segment.get(at) {
            (at, state) = match (state, byte) {
                (State::Rest, _) => self.rest(segment)?,
                (_, b' ' | b'\t' | b'\n' | b'\r') => (space(segment, at), state),
                (State::Next, b',') => (at + 1, self.comma(at)?),
                (State::Next | State::FirstKey, b'}') => self.close(Kind::Object, at)?,
                (State::Next | State::FirstElement, b']') => self.close(Kind::Array, at)?,
                (State::Key | State::FirstKey, b'"') => self.members(segment, at + 1)?,
                (State::Value | State::FirstElement, b'{') => self.open(Kind::Object, at)?,
                (State::Value | State::FirstElement, b'[') => self.open(Kind::Array, at)?,
                (State::Value | State::FirstElement, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                    self.values(segment, at)?
                }
                (State::Colon, b':') => (at + 1, State::Value),
                _ => return Err(self.misplaced(state, at)),
            };
        }
        self.state = state;
        self.fed += segment.len();
        Ok(())
    }

    /// Ends the body and gives the sink back.
    ///
    /// # Errors
    /// [`JsonError::Truncated`] if the value is not complete.
    pub fn finish(mut self) -> Result<S, S::Error> {
        if self.nest.depth() == 0 && (self.state == State::Next || self.ends_in_number()?) {
            Ok(self.sink)
        } else {
            Err(JsonError::Truncated(self.fed).into())
        }
    }

    /// Why the byte at `at` cannot stand there.
    #[cold]
    fn misplaced(&self, state: State, at: usize) -> S::Error {
        let here = self.fed + at;
        if state == State::Next && self.nest.depth() == 0 {
            JsonError::Trailing(here).into()
        } else {
            JsonError::Syntax(here).into()
        }
    }

    #[inline(always)]
    fn comma(&self, at: usize) -> Result<State, S::Error> {
        if self.nest.in_object() {
            Ok(State::Key)
        } else if self.nest.depth() > 0 {
            Ok(State::Value)
        } else {
            Err(self.misplaced(State::Next, at))
        }
    }

    #[inline(always)]
    fn open(&mut self, kind: Kind, at: usize) -> Result<(usize, State), S::Error> {
        let depth = self.nest.depth();
        if depth <= S::TOLD {
            self.sink.begin(depth, kind, self.fed + at)?;
        }
        if !self.nest.push(kind == Kind::Object) {
            return Err(JsonError::Depth.into());
        }
        Ok((at + 1, if kind == Kind::Object { State::FirstKey } else { State::FirstElement }))
    }

    #[inline(always)]
    fn close(&mut self, kind: Kind, at: usize) -> Result<(usize, State), S::Error> {
        if self.nest.in_object() != (kind == Kind::Object) || self.nest.depth() == 0 {
            return Err(self.misplaced(State::Next, at));
        }
        self.nest.pop();
        let depth = self.nest.depth();
        if depth <= S::TOLD {
            self.sink.end(depth, kind, self.fed + at + 1, None)?;
        }
        Ok((at + 1, State::Next))
    }

    /// Members of an object, from the key on whose first byte is at `at`: as many as lie here in their most usual
    /// form.
    #[inline(always)]
    fn members(&mut self, segment: &[u8], mut at: usize) -> Result<(usize, State), S::Error> {
        let depth = self.nest.depth();
        loop {
            let after = match skip(segment, at) {
                Skipped::Quote(after) => after,
                Skipped::Out { escaped } => return Ok(self.cut_key(segment, at, escaped)),
            };
            self.quoted += (after - at - 1) as u64;
            if depth <= S::TOLD {
                self.sink.key(depth, Raw::of(&segment[at..after - 1]))?;
            }
            let Some(b':') = segment.get(after) else { return Ok((after, State::Colon)) };
            let (after, state) = self.scalar(segment, after + 1, depth)?;
            if state != State::Next {
                return Ok((after, state));
            }
            at = match segment.get(after..) {
                Some([b',', b'"', ..]) => after + 2,
                Some([b',', b' ', b'"', ..]) => after + 3,
                _ => return Ok((after, state)),
            };
        }
    }

    /// A value that has begun at `at`, and where it is the element of an array those that follow it.
    #[inline(always)]
    fn values(&mut self, segment: &[u8], mut at: usize) -> Result<(usize, State), S::Error> {
        let depth = self.nest.depth();
        let element = depth > 0 && !self.nest.in_object();
        loop {
            let (after, state) = self.scalar(segment, at, depth)?;
            if !element || state != State::Next || segment.get(after) != Some(&b',') {
                return Ok((after, state));
            }
            at = after + 1;
        }
    }

    /// The value at `at`, which may have a space before it, if it is neither object nor array.
    #[inline(always)]
    fn scalar(&mut self, segment: &[u8], mut at: usize, depth: usize) -> Result<(usize, State), S::Error> {
        at += usize::from(segment.get(at) == Some(&b' '));
        match segment.get(at) {
            Some(b'"') => self.string(segment, at, depth),
            Some(b'-' | b'0'..=b'9') => self.number(segment, at, depth),
            Some(b't') => self.word(segment, at, Kind::True),
            Some(b'f') => self.word(segment, at, Kind::False),
            Some(b'n') => self.word(segment, at, Kind::Null),
            _ => Ok((at, State::Value)),
        }
    }

    #[inline(always)]
    fn string(&mut self, segment: &[u8], at: usize, depth: usize) -> Result<(usize, State), S::Error> {
        let wanted = depth <= S::TOLD && self.sink.begin(depth, Kind::String, self.fed + at)?;
        let after = match skip(segment, at + 1) {
            Skipped::Quote(after) => after,
            Skipped::Out { escaped } => return Ok(self.cut_string(segment, at + 1, escaped, wanted)),
        };
        self.quoted += (after - at - 2) as u64;
        if wanted {
            let raw = Raw::of(&segment[at + 1..after - 1]);
            self.sink.end(depth, Kind::String, self.fed + after, Some(raw))?;
        }
        Ok((after, State::Next))
    }

    #[inline(always)]
    fn number(&mut self, segment: &[u8], at: usize, depth: usize) -> Result<(usize, State), S::Error> {
        let wanted = depth <= S::TOLD && self.sink.begin(depth, Kind::Number, self.fed + at)?;
        let (after, numeral) = Numeral::Start.pass(segment, at);
        if after == segment.len() {
            return Ok(self.cut_number(segment, at, numeral, wanted));
        }
        if !numeral.is_whole() {
            return Err(JsonError::Syntax(self.fed + after).into());
        }
        self.quoted += (after - at) as u64;
        if wanted {
            let raw = Raw::of(&segment[at..after]);
            self.sink.end(depth, Kind::Number, self.fed + after, Some(raw))?;
        }
        Ok((after, State::Next))
    }

    fn word(&mut self, segment: &[u8], at: usize, kind: Kind) -> Result<(usize, State), S::Error> {
        let depth = self.nest.depth();
        let wanted = depth <= S::TOLD && self.sink.begin(depth, kind, self.fed + at)?;
        let after = at + spelling(kind).len();
        let whole = match kind {
            Kind::True => segment[at..].starts_with(b"true"),
            Kind::False => segment[at..].starts_with(b"false"),
            _ => segment[at..].starts_with(b"null"),
        };
        if !whole {
            return self.cut_word(segment, at, kind, wanted);
        }
        if wanted {
            self.sink.end(depth, kind, self.fed + after, None)?;
        }
        Ok((after, State::Next))
    }
}

/// How a word is spelled.
#[inline]
fn spelling(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::True => b"true",
        Kind::False => b"false",
        _ => b"null",
    }
}

/// Passes over the space that begins at `at`.
#[inline]
fn space(segment: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = segment.get(at) {
        at += 1;
    }
    at
}
