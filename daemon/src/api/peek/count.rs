//! Counting the characters of a prompt exactly: a second pass over a body, for those whose cap depends on it.

use std::ops::Range;

use bytes::Bytes;

use crate::api::json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink};

/// Characters that a token given as a number stands for.
const PER_TOKEN: u64 = 4;

/// Top-level keys whose strings no model reads.
const BESIDE: [&[u8]; 18] = [
    b"model",
    b"name",
    b"stream_options",
    b"options",
    b"keep_alive",
    b"format",
    b"response_format",
    b"think",
    b"source",
    b"user",
    b"metadata",
    b"encoding_format",
    b"service_tier",
    b"tool_choice",
    b"previous_response_id",
    b"reasoning_effort",
    b"stop",
    b"stop_sequences",
];

/// Characters of the prompt in a body, escapes resolved: every string in it but
///
/// - those under top-level keys that no model reads (`model`, `options`, `format`, ...),
/// - values of `role` and `type` up to 16 bytes,
/// - base64 under `images`, `data`, `url`, `image_url` and `file_data` (images, sound, files),
///
/// and keys longer than 64 bytes, which may carry text as well (counted in bytes). A token sent as a number
/// counts as four characters. Zero for what is not JSON.
///
/// Costs a second pass, some 0.3 ms per MiB.
#[must_use]
pub fn prompt_chars(segments: &[Bytes]) -> u64 {
    let counter = Counter {
        text: Text { segments, start: 0 },
        counts: false,
        tokens: false,
        key: Key::Other,
        began: 0,
        total: 0,
    };
    let mut scanner = Scanner::new(counter);
    for segment in segments {
        if scanner.feed(segment).is_err() {
            return 0;
        }
    }
    scanner.finish().map_or(0, |counter| counter.total)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Other,
    /// Says what something is.
    Label,
    /// May carry base64.
    Data,
}

struct Counter<'a> {
    text: Text<'a>,
    /// Whether strings under the present top-level key count.
    counts: bool,
    /// Whether numbers under it may be tokens.
    tokens: bool,
    /// The last key.
    key: Key,
    /// Where the value at hand began.
    began: usize,
    total: u64,
}

impl Sink for Counter<'_> {
    const TOLD: usize = MAX_DEPTH;
    type Error = JsonError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
        if depth == 1 {
            self.counts = !BESIDE.contains(&key.bytes);
            self.tokens = matches!(key.bytes, b"prompt" | b"input" | b"context");
        } else if self.counts && key.length > 64 {
            self.total += key.length as u64;
        }
        self.key = match key.bytes {
            b"role" | b"type" => Key::Label,
            b"images" | b"data" | b"url" | b"image_url" | b"file_data" => Key::Data,
            _ => Key::Other,
        };
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, JsonError> {
        self.began = at;
        if kind == Kind::Number && self.tokens && depth > 1 {
            self.total += PER_TOKEN;
        }
        Ok(kind == Kind::String && self.counts)
    }

    fn end(&mut self, _: usize, kind: Kind, end: usize, _: Option<Raw<'_>>) -> Result<(), JsonError> {
        if kind != Kind::String {
            return Ok(());
        }
        // Without the quotes.
        let range = self.began + 1..end - 1;
        if self.key == Key::Label && range.len() <= 16 {
            return Ok(());
        }
        let mut chars = Chars::default();
        let mut base64 = Base64::new(self.key == Key::Data && range.len() >= 64);
        self.text.pieces(range, |piece| {
            chars.feed(piece);
            base64.feed(piece);
        });
        if !base64.is() {
            self.total += chars.count();
        }
        Ok(())
    }
}

/// A cursor over the segments; only ever moves on.
struct Text<'a> {
    segments: &'a [Bytes],
    /// Where the first of them begins in the body.
    start: usize,
}

impl Text<'_> {
    fn pieces(&mut self, range: Range<usize>, mut tell: impl FnMut(&[u8])) {
        while let Some(segment) = self.segments.first() {
            let end = self.start + segment.len();
            if range.start < end {
                let from = range.start.max(self.start) - self.start;
                let to = range.end.min(end) - self.start;
                tell(&segment[from..to.max(from)]);
                if range.end <= end {
                    return;
                }
            }
            self.start = end;
            self.segments = &self.segments[1..];
        }
    }
}

/// Counts the characters of a string that comes in pieces.
#[derive(Default)]
struct Chars {
    count: u64,
    state: Escape,
    /// The last unit was the first half of a surrogate pair.
    high: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    Outside,
    /// After the backslash.
    Begun,
    /// In the digits: how many there were, and their value.
    Digits(u8, u16),
}

impl Chars {
    fn count(&self) -> u64 {
        self.count
    }

    fn feed(&mut self, mut piece: &[u8]) {
        while let Some((&byte, rest)) = piece.split_first() {
            match self.state {
                Escape::Outside => {
                    let run = memchr::memchr(b'\\', piece).unwrap_or(piece.len());
                    if run > 0 {
                        self.high = false;
                        self.count += characters(&piece[..run]);
                    }
                    if run < piece.len() {
                        self.state = Escape::Begun;
                    }
                    piece = &piece[(run + 1).min(piece.len())..];
                    continue;
                }
                Escape::Begun if byte == b'u' => self.state = Escape::Digits(0, 0),
                Escape::Begun => {
                    self.state = Escape::Outside;
                    self.high = false;
                    self.count += 1;
                }
                Escape::Digits(seen, value) => {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    let value = value << 4 | u16::try_from(digit).unwrap_or_default();
                    self.state = if seen == 3 { Escape::Outside } else { Escape::Digits(seen + 1, value) };
                    if seen == 3 {
                        self.unit(value);
                    }
                }
            }
            piece = rest;
        }
    }

    fn unit(&mut self, unit: u16) {
        let low = (0xdc00..0xe000).contains(&unit);
        if !(low && self.high) {
            self.count += 1;
        }
        self.high = (0xd800..0xdc00).contains(&unit);
    }
}

/// Characters of UTF-8: all bytes that continue none. In blocks whose count fits a byte, which the compiler turns into
/// vector instructions.
fn characters(text: &[u8]) -> u64 {
    text.chunks(255)
        .map(|block| u64::from(block.iter().map(|byte| u8::from((byte & 0xc0) != 0x80)).sum::<u8>()))
        .sum()
}

/// Whether a string that comes in pieces is base64, after the head of a `data:` URL if it has one.
struct Base64 {
    possible: bool,
    /// Before the first byte.
    begin: bool,
}

impl Base64 {
    fn new(possible: bool) -> Self {
        Self { possible, begin: true }
    }

    fn is(&self) -> bool {
        self.possible
    }

    fn feed(&mut self, mut piece: &[u8]) {
        if !self.possible {
            return;
        }
        if std::mem::take(&mut self.begin) && piece.starts_with(b"data:") {
            // The head is short; one cut by the end of a segment counts as text.
            match memchr::memchr(b',', &piece[..piece.len().min(128)]) {
                Some(comma) => piece = &piece[comma + 1..],
                None => self.possible = false,
            }
        }
        for block in piece.chunks(1024) {
            // A JSON string may escape the slash.
            let odd = block.iter().fold(false, |odd, byte| {
                odd | !(byte.is_ascii_alphanumeric()
                    | matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\'))
            });
            if odd {
                self.possible = false;
                return;
            }
        }
    }
}
