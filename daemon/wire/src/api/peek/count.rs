//! Counting the characters of a prompt exactly: a second pass over a body, for those whose cap depends on it.

use std::ops::Range;

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::api::{
    json::{JsonError, Kind, MAX_DEPTH, Raw, Scanner, Sink},
    media,
};

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

/// Values of `role` and `type` that say what something is. Others may be anything, and count.
const WORDS: [&[u8]; 49] = [
    b"user",
    b"assistant",
    b"system",
    b"developer",
    b"tool",
    b"function",
    b"model",
    b"text",
    b"input_text",
    b"output_text",
    b"refusal",
    b"image",
    b"image_url",
    b"input_image",
    b"input_audio",
    b"audio_url",
    b"video_url",
    b"file",
    b"input_file",
    b"document",
    b"base64",
    b"url",
    b"message",
    b"function_call",
    b"function_call_output",
    b"custom_tool_call",
    b"custom_tool_call_output",
    b"item_reference",
    b"reasoning",
    b"reasoning_text",
    b"summary_text",
    b"thinking",
    b"redacted_thinking",
    b"tool_use",
    b"tool_result",
    b"server_tool_use",
    b"web_search_tool_result",
    b"search_result",
    b"ephemeral",
    b"custom",
    b"object",
    b"array",
    b"string",
    b"number",
    b"integer",
    b"boolean",
    b"null",
    b"json_object",
    b"json_schema",
];

/// Shortest base64 that is taken for a file.
const FILE: usize = 64;

/// Most tokens of what stands behind one address: an image, or some pages.
const PER_ADDRESS: u64 = 32 << 10;

/// Most tokens of a conversation that a node keeps.
const KEPT: u64 = 1 << 20;

/// How large a prompt is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptSize {
    /// Its characters, escapes resolved: those of every string in the body but
    ///
    /// - those under top-level keys that no model reads (`model`, `options`, `format`, ...),
    /// - values of `role` and `type` that are words of the API,
    /// - base64 of images under `images`, of images and sound in `data:` URLs under `url` and `image_url`, and of what
    ///   begins as a file that is no text under `data` and `file_data`,
    ///
    /// and keys longer than 64 bytes, which may carry text as well (counted in bytes). Arguments of tool calls count
    /// whole: all keys and strings of any name, and the digits of all numbers. A token sent as a number counts as four
    /// characters.
    pub chars: u64,
    /// Most tokens of what it only names: by address, or as a conversation that the node keeps.
    pub named: u64,
}

/// The size of the prompt in a body; nothing for what is not JSON.
///
/// Costs a second pass, some 0.3 ms per MiB.
#[must_use]
pub fn prompt_size(segments: &[Bytes]) -> PromptSize {
    let counter = Counter {
        text: Text { segments, start: 0 },
        counts: false,
        tokens: false,
        arguments: None,
        key: Key::Other,
        began: 0,
        size: PromptSize::default(),
    };
    let mut scanner = Scanner::new(counter);
    for segment in segments {
        if scanner.feed(segment).is_err() {
            return PromptSize::default();
        }
    }
    scanner.finish().map_or(PromptSize::default(), |counter| counter.size)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Other,
    /// Says what something is.
    Label,
    /// Images in base64.
    Images,
    /// May be a `data:` URL.
    Url,
    /// May be a file in base64, or a `data:` URL.
    Data,
    /// What a tool is called with.
    Arguments,
}

struct Counter<'a> {
    text: Text<'a>,
    /// Whether strings under the present top-level key count.
    counts: bool,
    /// Whether numbers under it may be tokens.
    tokens: bool,
    /// How deep the arguments of a tool lie that the value at hand is in.
    arguments: Option<usize>,
    /// The last key.
    key: Key,
    /// Where the value at hand began.
    began: usize,
    size: PromptSize,
}

impl Sink for Counter<'_> {
    const TOLD: usize = MAX_DEPTH;
    type Error = JsonError;

    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), JsonError> {
        if depth == 1 {
            self.counts = !BESIDE.contains(&key.bytes);
            self.tokens = matches!(key.bytes, b"prompt" | b"input" | b"context");
            if key.bytes == b"previous_response_id" {
                self.size.named = self.size.named.saturating_add(KEPT);
            }
        } else if self.counts && (key.length > 64 || self.arguments.is_some()) {
            self.size.chars += key.length as u64;
        }
        self.key = match key.bytes {
            _ if self.arguments.is_some() => Key::Other,
            b"role" | b"type" => Key::Label,
            b"images" => Key::Images,
            b"url" | b"image_url" => Key::Url,
            b"data" | b"file_data" => Key::Data,
            b"arguments" => Key::Arguments,
            b"input" if depth > 1 => Key::Arguments,
            _ => Key::Other,
        };
        Ok(())
    }

    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, JsonError> {
        self.began = at;
        if kind == Kind::Number && self.tokens && depth > 1 && self.arguments.is_none() {
            self.size.chars += PER_TOKEN;
            return Ok(false);
        }
        if matches!(kind, Kind::Object | Kind::Array)
            && self.key == Key::Arguments
            && self.arguments.is_none()
        {
            self.arguments = Some(depth);
            self.key = Key::Other;
        }
        let text = kind == Kind::String || (kind == Kind::Number && self.arguments.is_some());
        Ok(text && self.counts)
    }

    fn end(&mut self, depth: usize, kind: Kind, end: usize, _: Option<Raw<'_>>) -> Result<(), JsonError> {
        match kind {
            Kind::Object | Kind::Array if self.arguments == Some(depth) => self.arguments = None,
            Kind::Number => self.size.chars += (end - self.began) as u64,
            // Without the quotes.
            Kind::String => self.string(self.began + 1..end - 1),
            _ => {}
        }
        Ok(())
    }
}

impl Counter<'_> {
    fn string(&mut self, range: Range<usize>) {
        let mut chars = Chars::default();
        let mut form = Form::new(self.key);
        let length = range.len();
        self.text.pieces(range, |piece| {
            chars.feed(piece);
            form.feed(piece);
        });
        if form.is_beside(length) {
            return;
        }
        self.size.chars += chars.count();
        if self.key == Key::Url {
            self.size.named = self.size.named.saturating_add(PER_ADDRESS);
        }
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

/// Whether a string that comes in pieces is one that no model reads as text.
struct Form {
    key: Key,
    /// Its first bytes, as sent.
    head: ArrayVec<u8, 256>,
    /// Whether all behind those may be base64.
    base64: bool,
}

impl Form {
    fn new(key: Key) -> Self {
        Self { key, head: ArrayVec::new(), base64: true }
    }

    fn feed(&mut self, piece: &[u8]) {
        if matches!(self.key, Key::Other | Key::Arguments) {
            return;
        }
        let (head, rest) = piece.split_at(piece.len().min(self.head.remaining_capacity()));
        self.head.extend(head.iter().copied());
        self.base64 &= rest.chunks(1024).all(is_base64);
    }

    /// Whether it is, being `length` bytes long.
    fn is_beside(&self, length: usize) -> bool {
        if self.key == Key::Label {
            return length <= self.head.len() && WORDS.contains(&self.head.as_slice());
        }
        if !self.base64 || length < FILE {
            return false;
        }
        // JSON may escape a slash.
        let head: ArrayVec<u8, 256> = self.head.iter().copied().filter(|byte| *byte != b'\\').collect();
        let payload = media::payload(&head);
        let encoded = payload.unwrap_or(&head);
        is_base64(encoded)
            && match self.key {
                Key::Images => true,
                Key::Url => payload.is_some() && media::is_of_media(&head),
                // What looks like base64 may be text all the same.
                Key::Data => media::starts_as_file(encoded),
                Key::Other | Key::Label | Key::Arguments => false,
            }
    }
}

/// Whether every byte may be of base64, written in JSON.
fn is_base64(text: &[u8]) -> bool {
    let odd = |byte: &u8| {
        !(byte.is_ascii_alphanumeric() | matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\'))
    };
    !text.iter().fold(false, |any, byte| any | odd(byte))
}
