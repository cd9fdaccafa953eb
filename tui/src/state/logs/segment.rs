//! A stretch of the log in which every text is there once, and the events in it as numbers.

use std::collections::HashMap;

use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent, push_field},
};

use crate::filter::Subject;

/// Events in a segment.
pub(super) const SEGMENT: usize = 1024;
/// Bytes of text at which a segment is full, however few events it has.
const SEGMENT_BYTES: usize = 1 << 20;

/// Events that share their texts.
#[derive(Debug)]
pub(super) struct Segment {
    /// Number of the first.
    pub(super) first: u64,
    /// What sequence numbers and times are counted from.
    base: (u64, UnixMillis),
    /// Every text once.
    texts: String,
    /// Where each ends.
    ends: Vec<u32>,
    /// The events as numbers.
    codes: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
    /// The texts there are, while more may come.
    known: HashMap<Box<str>, u32>,
}

impl Segment {
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            base: (0, 0),
            texts: String::new(),
            ends: Vec::new(),
            codes: Vec::new(),
            starts: Vec::new(),
            known: HashMap::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.starts.len() >= SEGMENT || self.texts.len() >= SEGMENT_BYTES
    }

    /// The number after its last.
    pub(super) fn end(&self) -> u64 {
        self.first + self.starts.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.capacity()
            + self.codes.capacity()
            + 4 * (self.ends.capacity() + self.starts.capacity())
            + 24 * self.known.capacity()
            + size_of::<Self>()
    }

    pub(super) fn push(&mut self, event: &LogEvent) {
        if self.starts.is_empty() {
            self.base = (event.seq, event.time);
        }
        // An arena of a megabyte at most and one event over it.
        self.starts.push(u32::try_from(self.codes.len()).unwrap_or(u32::MAX));
        put(&mut self.codes, zigzag(event.seq.wrapping_sub(self.base.0)));
        put(&mut self.codes, zigzag(event.time.wrapping_sub(self.base.1)));
        self.codes.push(event.level as u8);
        for text in [&event.target, &event.message] {
            let id = self.text_id(text);
            put(&mut self.codes, id.into());
        }
        put(&mut self.codes, event.fields.len() as u64);
        for text in event.fields.iter().flat_map(|(key, value)| [key, value]) {
            let id = self.text_id(text);
            put(&mut self.codes, id.into());
        }
    }

    fn text_id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.known.get(text) {
            return *id;
        }
        let id = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.texts.push_str(text);
        self.ends.push(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.known.insert(text.into(), id);
        id
    }

    /// Nothing more comes: what is only for that goes.
    pub(super) fn seal(&mut self) {
        self.known = HashMap::new();
        self.texts.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.codes.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// How many texts it has.
    pub(super) fn texts(&self) -> usize {
        self.ends.len()
    }

    /// A text.
    pub(super) fn text(&self, id: u32) -> &str {
        let at = id as usize;
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let to = self.ends.get(at).copied().unwrap_or(from);
        self.texts.get(from as usize..to as usize).unwrap_or_default()
    }

    /// One of its events.
    pub(super) fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let mut codes = self.codes.get(*self.starts.get(at)? as usize..)?;
        let seq = self.base.0.wrapping_add(unzigzag(take(&mut codes)));
        let time = self.base.1.wrapping_add(unzigzag(take(&mut codes)));
        let (level, rest) = codes.split_first()?;
        codes = rest;
        let (target, message) = (take_id(&mut codes), take_id(&mut codes));
        let count = take_id(&mut codes);
        let level =
            [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace][usize::from(*level % 5)];
        Some(Entry { segment: self, seq, time, level, target, message, fields: Codes { codes, left: count } })
    }
}

/// Pairs of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codes<'a> {
    codes: &'a [u8],
    left: u32,
}

impl Iterator for Codes<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<(u32, u32)> {
        self.left = self.left.checked_sub(1)?;
        Some((take_id(&mut self.codes), take_id(&mut self.codes)))
    }
}

/// One event where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    segment: &'a Segment,
    /// Its number at the daemon; 0 if that did not give it one.
    pub(crate) seq: u64,
    /// When.
    pub(crate) time: UnixMillis,
    /// Severity.
    pub(crate) level: Level,
    pub(super) target: u32,
    pub(super) message: u32,
    fields: Codes<'a>,
}

impl<'a> Entry<'a> {
    /// Which part of the daemon. Untrusted, as all of its texts are.
    pub(crate) fn target(&self) -> &'a str {
        self.segment.text(self.target)
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &'a str {
        self.segment.text(self.message)
    }

    /// The fields in the order written.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let segment = self.segment;
        self.fields.map(|(key, value)| (segment.text(key), segment.text(value)))
    }

    /// The same by the ids of their texts.
    pub(super) fn codes(&self) -> Codes<'a> {
        self.fields
    }

    /// The value of a field that it has itself.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(super) fn to_event(self) -> LogEvent {
        LogEvent {
            seq: self.seq,
            time: self.time,
            level: self.level,
            target: self.target().to_owned(),
            message: self.message().to_owned(),
            fields: self.fields().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl Subject for Entry<'_> {
    fn field(&self, name: &str) -> Option<String> {
        if let Some(value) = self.value(name) {
            return Some(value.to_owned());
        }
        Some(match name {
            "level" => word(self.level).to_owned(),
            "target" => self.target().to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(self.message())
            || test(self.target())
            || test(word(self.level))
            || self.fields().any(|(_, value)| test(value))
    }

    fn any_pair(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut pair = String::new();
        self.fields().any(|(name, value)| {
            pair.clear();
            push_field(name, value, &mut pair);
            test(&pair)
        })
    }
}

/// Small differences either way become small numbers.
fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Seven bits a byte, the lowest first.
fn put(codes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        codes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    codes.push(number as u8);
}

fn take(codes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((byte, rest)) = codes.split_first() else { break };
        *codes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn take_id(codes: &mut &[u8]) -> u32 {
    u32::try_from(take(codes)).unwrap_or(u32::MAX)
}

/// A level in a word.
pub(crate) fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
