//! The scanner byte by byte, to compare with.

use proptest::prelude::*;

use super::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink, sink::KEEP};

/// A call of a sink: a key, the beginning of a value, or its end with its bytes.
#[derive(Debug, Clone, PartialEq)]
enum Told {
    Key(usize, Vec<u8>, usize),
    Begin(usize, Kind, usize),
    End(usize, Kind, usize, Option<(Vec<u8>, usize)>),
}

/// Wants the ends of some values.
#[derive(Default)]
struct Log(Vec<Told>);

fn wanted(at: usize) -> bool {
    !at.is_multiple_of(3)
}

fn bytes(raw: Raw<'_>) -> (Vec<u8>, usize) {
    assert_eq!(raw.cut, raw.length > raw.bytes.len());
    (raw.bytes.to_vec(), raw.length)
}

impl Sink for Log {
    type Error = JsonError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
        let (bytes, length) = bytes(key);
        self.0.push(Told::Key(depth, bytes, length));
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, JsonError> {
        self.0.push(Told::Begin(depth, kind, at));
        Ok(wanted(at))
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), JsonError> {
        self.0.push(Told::End(depth, kind, end, raw.map(bytes)));
        Ok(())
    }
}

fn scan(segments: &[&[u8]]) -> (Vec<Told>, u64, Result<(), JsonError>) {
    let mut log = Log::default();
    let mut scanner = Scanner::new(&mut log);
    let fed = segments.iter().try_for_each(|segment| scanner.feed(segment));
    let quoted = scanner.quoted();
    let done = fed.and_then(|()| scanner.finish().map(|_| ()));
    (log.0, if done.is_ok() { quoted } else { 0 }, done)
}

/// Reads by going down into values, as JSON is defined.
struct Plain<'a> {
    body: &'a [u8],
    at: usize,
    told: Vec<Told>,
    quoted: u64,
}

fn plainly(body: &[u8]) -> (Vec<Told>, u64, Result<(), JsonError>) {
    let mut plain = Plain { body, at: 0, told: Vec::new(), quoted: 0 };
    let done = plain.value(0).and_then(|()| match plain.next() {
        None => Ok(()),
        Some(_) => Err(JsonError::Trailing(plain.at)),
    });
    (plain.told, if done.is_ok() { plain.quoted } else { 0 }, done)
}

impl Plain<'_> {
    fn cut_off(&self) -> JsonError {
        JsonError::Truncated(self.body.len())
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        while matches!(self.body.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.body.get(self.at).copied()
    }

    fn tell(&mut self, depth: usize, told: Told) {
        if depth <= Log::TOLD {
            self.told.push(told);
        }
    }

    /// The bytes up to the closing quote, from behind the opening one.
    fn text(&mut self) -> Result<(Vec<u8>, usize), JsonError> {
        let start = self.at + 1;
        self.at = start;
        loop {
            match self.body.get(self.at) {
                None => return Err(self.cut_off()),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        let text = &self.body[start..self.at];
        self.at += 1;
        self.quoted += text.len() as u64;
        Ok((text[..text.len().min(KEEP)].to_vec(), text.len()))
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        let byte = self.next().ok_or(self.cut_off())?;
        let start = self.at;
        let kind = match byte {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b'-' | b'0'..=b'9' => Kind::Number,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            _ => return Err(JsonError::Syntax(start)),
        };
        self.tell(depth, Told::Begin(depth, kind, start));
        let raw = match kind {
            Kind::Object | Kind::Array if depth == MAX_DEPTH => return Err(JsonError::Depth),
            Kind::Object => {
                self.members(depth + 1, b'}', true)?;
                None
            }
            Kind::Array => {
                self.members(depth + 1, b']', false)?;
                None
            }
            Kind::String => Some(self.text()?),
            Kind::Number => {
                self.number()?;
                let raw = &self.body[start..self.at];
                self.quoted += raw.len() as u64;
                if self.at == self.body.len() && depth > 0 {
                    return Err(self.cut_off());
                }
                Some((raw[..raw.len().min(KEEP)].to_vec(), raw.len()))
            }
            Kind::True => self.word(b"true")?,
            Kind::False => self.word(b"false")?,
            Kind::Null => self.word(b"null")?,
        };
        if matches!(kind, Kind::Object | Kind::Array) || wanted(start) {
            self.tell(depth, Told::End(depth, kind, self.at, raw));
        }
        Ok(())
    }

    /// A number, as the grammar of RFC 8259 goes.
    fn number(&mut self) -> Result<(), JsonError> {
        self.at += usize::from(self.body.get(self.at) == Some(&b'-'));
        match self.body.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.body.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.body.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.body.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.body[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        match self.body.get(self.at) {
            _ if count > 0 => Ok(()),
            None => Err(self.cut_off()),
            Some(_) => Err(JsonError::Syntax(self.at)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<Option<(Vec<u8>, usize)>, JsonError> {
        for byte in word {
            match self.body.get(self.at) {
                None => return Err(self.cut_off()),
                Some(there) if there != byte => return Err(JsonError::Syntax(self.at)),
                Some(_) => self.at += 1,
            }
        }
        Ok(None)
    }

    fn members(&mut self, depth: usize, close: u8, object: bool) -> Result<(), JsonError> {
        self.at += 1;
        if self.next() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if object {
                match self.next() {
                    None => return Err(self.cut_off()),
                    Some(b'"') => {}
                    Some(_) => return Err(JsonError::Syntax(self.at)),
                }
                let (key, length) = self.text()?;
                self.tell(depth, Told::Key(depth, key, length));
                match self.next() {
                    None => return Err(self.cut_off()),
                    Some(b':') => self.at += 1,
                    Some(_) => return Err(JsonError::Syntax(self.at)),
                }
            }
            self.value(depth)?;
            match self.next() {
                None => return Err(self.cut_off()),
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => return Err(JsonError::Syntax(self.at)),
            }
        }
    }
}

/// Tokens of JSON, well placed or not.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", " ", "\n    ", "\"a\":", "\"a\": ", "\",\"b\":", "\"", "\\", "\\\"", "\\\\",
            "true", "false", "null", "tru", "nulx", "0", "-1.5e3", "12E+0", "-", ".", "e", "+", "01", "x", "\"\"", "{\"k\":1,\"l\":\"m\"}", "[1, 2,\"3\"]",
        ]).prop_map(str::to_owned),
        1 => "\"[a-z\\u{e9}]{0,40}\"",
        1 => (1000usize..1100).prop_map(|length| format!("\"{}\"", "k".repeat(length))),
        1 => (1usize..600).prop_map(|depth| "[".repeat(depth)),
    ];
    prop::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

/// JSON in several spellings, with a byte of it changed now and then.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let any = (
        super::tests::any_json(),
        any::<bool>(),
        prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    );
    any.prop_map(|(value, pretty, change)| {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let mut text = text.unwrap();
        if let Some((at, byte)) = change {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn it_tells_and_refuses_what_a_plain_reader_does_wherever_the_segments_are_cut(
        body in prop_oneof![tokens().prop_map(String::into_bytes), nearly_json()],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4), single: bool,
    ) {
        let want = plainly(&body);
        prop_assert_eq!(&scan(&[&body]), &want);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut rest = &body[..];
        let mut segments = Vec::new();
        for cut in cuts {
            let (segment, after) = rest.split_at(cut - (body.len() - rest.len()));
            segments.push(segment);
            rest = after;
        }
        segments.push(rest);
        prop_assert_eq!(&scan(&segments), &want);
        if single {
            prop_assert_eq!(&scan(&body.chunks(1).collect::<Vec<_>>()), &want);
        }
    }
}

#[test]
fn depth_is_bounded() {
    for (depth, want) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(scan(&[body.as_bytes()]).2.is_ok(), want, "{depth}");
        assert_eq!(scan(&[body.as_bytes()]), plainly(body.as_bytes()), "{depth}");
    }
}
