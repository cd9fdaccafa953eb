//! The sink that fills a [`Peek`] while the scanner passes a body.

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    Named, Number, Options, Peek, Value,
    error::{LONGEST_NAME, PeekError},
    keys::{Governed, Inner, Names, StreamOption, which},
    usage_option::UsageOption,
};
use crate::api::{
    escape::unescape,
    json::{Kind, Raw, Scanner, Sink},
};

impl Peek {
    /// Reads a body that lies in `segments`.
    ///
    /// # Errors
    /// [`PeekError`]: what is wrong with the first thing that is.
    pub fn read(segments: &[Bytes]) -> Result<Box<Self>, PeekError> {
        if segments.iter().flatten().all(u8::is_ascii_whitespace) {
            return Err(PeekError::Empty);
        }
        let mut reader = Reader::default();
        let mut scanner = Scanner::new(&mut reader);
        for segment in segments {
            scanner.feed(segment)?;
        }
        let quoted = scanner.quoted();
        scanner.finish()?;
        reader.peek.prompt_at_most += quoted;
        Ok(reader.peek)
    }
}

#[derive(Debug, Default)]
struct Reader {
    /// Too large to be moved about.
    peek: Box<Peek>,
    /// One bit per governed key seen.
    seen: u64,
    /// The same for keys inside the object at hand, and for those inside `stream_options`.
    seen_inside: u32,
    seen_option: u8,
    /// And for those beside `options` that belong into them.
    seen_beside: u32,
    /// The governed key whose value comes next, at depth 1.
    current: Option<Governed>,
    /// The same, of an option that belongs into `options`.
    beside: Option<Inner>,
    /// Inside `stream_options`: the governed key whose value comes next.
    option: Option<StreamOption>,
    /// Inside an object that [holds](Governed::holds) some: the governed key whose value comes next.
    inner: Option<Inner>,
    /// Inside the array of a prompt: numbers or arrays were seen, so it may consist of tokens.
    tokens: bool,
    /// Where the value at hand began: at depth 1, and inside.
    began: usize,
    began_inside: usize,
    /// Where the last member of `options` ended.
    ended_inside: usize,
}

impl Sink for Reader {
    type Error = PeekError;

    #[inline(always)]
    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), PeekError> {
        if depth == 1 {
            self.peek.empty = false;
            self.current = which(key)?;
            let Some(key) = self.current else { return self.key_beside(key) };
            let bit = 1 << key as u8;
            if self.seen & bit != 0 {
                return Err(PeekError::Repeated(key.name()));
            }
            self.seen |= bit;
            return Ok(());
        }
        match self.current {
            Some(Governed::StreamOptions) => self.key_of_stream_options(key),
            Some(holder) if holder.holds() => self.key_inside(key),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, PeekError> {
        match (depth, self.current) {
            (0, _) => self.begin_outermost(kind, at),
            (1, current) => {
                self.began = at;
                self.tokens = false;
                self.seen_inside = 0;
                match current {
                    Some(key) => self.begin_member(key, kind, at),
                    None => Ok(self.beside.is_some()),
                }
            }
            (_, current) => {
                self.began_inside = at;
                if current == Some(Governed::Prompt) && kind != Kind::Number {
                    self.peek.prompts += 1;
                }
                self.tokens |= matches!(kind, Kind::Number | Kind::Array);
                Ok(current.is_some_and(Governed::holds) || self.option.is_some())
            }
        }
    }

    #[inline(always)]
    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), PeekError> {
        match (depth, self.current) {
            (1, _) => self.end_member(kind, end, raw),
            (2, Some(holder)) if holder.holds() => {
                self.end_inside(holder, kind, end, raw);
                Ok(())
            }
            (2, _) if self.option.is_some() => self.end_of_stream_options(kind, end),
            _ => Ok(()),
        }
    }
}

impl Reader {
    #[cold]
    fn begin_outermost(&mut self, kind: Kind, at: usize) -> Result<bool, PeekError> {
        if kind != Kind::Object {
            return Err(PeekError::NotAnObject);
        }
        self.peek.inside = at + 1;
        self.peek.empty = true;
        Ok(false)
    }

    fn begin_member(&mut self, key: Governed, kind: Kind, at: usize) -> Result<bool, PeekError> {
        match (key, kind) {
            (Governed::Model | Governed::Name, Kind::String | Kind::Null) => {}
            (Governed::Model | Governed::Name, _) => return Err(PeekError::Type(key.name(), "a string")),
            (Governed::Stream | Governed::Insecure, Kind::True | Kind::False | Kind::Null) => {}
            (Governed::Stream | Governed::Insecure, _) => {
                return Err(PeekError::Type(key.name(), "true or false"));
            }
            (Governed::StreamOptions, Kind::Object) => self.peek.usage = UsageOption::Without(at + 1, true),
            (Governed::StreamOptions, Kind::Null) => {}
            (Governed::StreamOptions, _) => return Err(PeekError::Type(key.name(), "an object")),
            (Governed::Options, Kind::Object) => {
                self.ended_inside = at + 1;
                self.peek.options = Options::Object { inside: at + 1, empty: true, runner: SmallVec::new() };
            }
            _ => {}
        }
        Ok(true)
    }

    /// A key of the outermost object that belongs into `options`.
    fn key_beside(&mut self, key: Raw<'_>) -> Result<(), PeekError> {
        let Some(key) = which::<Inner>(key)?.filter(|key| key.reloads()) else { return Ok(()) };
        let bit = 1 << key as u8;
        if self.seen_beside & bit != 0 {
            return Err(PeekError::Repeated(key.name()));
        }
        self.seen_beside |= bit;
        self.beside = Some(key);
        Ok(())
    }

    #[inline(always)]
    fn key_inside(&mut self, key: Raw<'_>) -> Result<(), PeekError> {
        if self.current == Some(Governed::Options)
            && let Options::Object { empty, .. } = &mut self.peek.options
        {
            *empty = false;
        }
        self.inner = which(key)?;
        if let Some(key) = self.inner {
            let bit = 1 << key as u8;
            if self.seen_inside & bit != 0 {
                return Err(PeekError::Repeated(key.name()));
            }
            self.seen_inside |= bit;
        }
        Ok(())
    }

    fn key_of_stream_options(&mut self, key: Raw<'_>) -> Result<(), PeekError> {
        self.peek.usage.member();
        self.option = which(key)?;
        if let Some(key) = self.option {
            let bit = 1 << key as u8;
            if self.seen_option & bit != 0 {
                return Err(PeekError::Repeated(key.name()));
            }
            self.seen_option |= bit;
        }
        Ok(())
    }

    fn end_member(&mut self, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), PeekError> {
        let range = self.began..end;
        let Some(key) = self.current.take() else {
            self.peek.beside.extend(self.beside.take().map(|key| (key, range)));
            return Ok(());
        };
        if let Some(order) = key.in_prompt() {
            self.peek.prompt_parts.push((order, range.clone()));
        }
        match (key, kind) {
            (Governed::Model, Kind::String) => {
                self.peek.model = Some(text(raw, "model")?);
                self.peek.model_at = range;
            }
            (Governed::Name, Kind::String) => {
                self.peek.name = Some(text(raw, "name")?);
                self.peek.name_at = range;
            }
            (Governed::PreviousResponseId, Kind::String) => {
                self.peek.previous = Some(text(raw, "previous_response_id")?);
            }
            (Governed::Stream, Kind::True | Kind::False) => self.peek.stream = Some(kind == Kind::True),
            (Governed::Insecure, Kind::True) => self.peek.insecure = true,
            (Governed::StreamOptions, Kind::Null) => self.peek.usage = UsageOption::Null(range),
            (Governed::KeepAlive, Kind::Null) => self.peek.keep_alive = Value::Null(range),
            (Governed::KeepAlive, _) => self.peek.keep_alive = Value::Given(range),
            (Governed::Thinking, _) => self.peek.thinking = Some(range),
            (Governed::Options, Kind::Object) => {}
            (Governed::Options, Kind::Null) => self.peek.options = Options::Null(range),
            (Governed::Options, _) => self.peek.options = Options::Other,
            (_, Kind::Null | Kind::False) if key.replaces() || key == Governed::Background => {}
            (key, _) if key.replaces() => self.peek.refused = Some(PeekError::Replaced(key.name())),
            (Governed::Background, _) => self.peek.refused = Some(PeekError::Background),
            (key, _) if key.bounds() => {
                let number = Number::read(kind, range, raw);
                self.peek.bounds.push(Named { name: key.name(), number });
            }
            (key, _) if key.multiplies() => {
                let number = Number::read(kind, range, raw);
                self.peek.multiples.push(Named { name: key.name(), number });
            }
            (Governed::Prompt | Governed::Input | Governed::Context, Kind::Array) if self.tokens => {
                // Each token takes two bytes at least, and stands for some four characters.
                self.peek.prompt_at_most += 2 * (range.len() as u64);
            }
            _ => {}
        }
        Ok(())
    }

    fn end_inside(&mut self, holder: Governed, kind: Kind, end: usize, raw: Option<Raw<'_>>) {
        let from = std::mem::replace(&mut self.ended_inside, end);
        let Some(key) = self.inner.take() else { return };
        let range = self.began_inside..end;
        if let Some(name) = key.bounds(holder) {
            self.peek.bounds.push(Named { name, number: Number::read(kind, range, raw) });
            return;
        }
        if holder != Governed::Options {
            return;
        }
        if key == Inner::NumCtx {
            self.peek.num_ctx = Number::read(kind, range, raw);
        }
        if key.reloads()
            && let Options::Object { runner, .. } = &mut self.peek.options
        {
            runner.push(from..end);
        }
    }

    fn end_of_stream_options(&mut self, kind: Kind, end: usize) -> Result<(), PeekError> {
        if self.option.take() == Some(StreamOption::IncludeUsage) {
            self.peek.usage = match kind {
                Kind::True => UsageOption::On,
                Kind::False | Kind::Null => UsageOption::Off(self.began_inside..end),
                _ => return Err(PeekError::Type("stream_options.include_usage", "true or false")),
            };
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
