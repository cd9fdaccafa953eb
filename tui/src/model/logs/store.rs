//! Events kept in little room: a hundred thousand of them have to fit beside everything else.
//!
//! They lie in segments. Within one every text is there once, and an event is a few numbers that say which:
//! what repeats (names of fields, nodes, models, routes) costs a byte or two. A search looks at a text once per
//! segment, however many events have it.

use std::collections::{HashMap, VecDeque};

use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent},
};

use super::word;
use crate::filter::Subject;

/// Events in a segment.
pub(super) const SEGMENT: usize = 1024;
/// Bytes of text at which a segment is full, however few events it has.
const SEGMENT_BYTES: usize = 1 << 20;
/// Number of the first event of a store: there is room for older ones before it.
const MIDDLE: u64 = 1 << 40;

/// Events in the order they happened, each with a number that stays while it is kept.
#[derive(Debug)]
pub(crate) struct Store {
    segments: VecDeque<Segment>,
    /// Number of the first event kept.
    front: u64,
    /// Number of the next one.
    back: u64,
    most: usize,
    most_bytes: usize,
    bytes: usize,
}

impl Store {
    /// A store for so many events and bytes; what is older goes first.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { segments: VecDeque::new(), front: MIDDLE, back: MIDDLE, most, most_bytes, bytes: 0 }
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.back - self.front).unwrap_or(usize::MAX)
    }

    /// Whether one more would push out the oldest.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most || self.bytes >= self.most_bytes
    }

    /// Bytes they take, about.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of the first one.
    pub(super) fn front(&self) -> u64 {
        self.front
    }

    /// Number that the next one gets.
    pub(super) fn back(&self) -> u64 {
        self.back
    }

    /// Keeps one more; its number.
    pub(super) fn push(&mut self, event: &LogEvent) -> u64 {
        if self.segments.back().is_none_or(Segment::is_full) {
            if let Some(full) = self.segments.back_mut() {
                self.bytes -= full.bytes();
                full.seal();
                self.bytes += full.bytes();
            }
            let fresh = Segment::new(self.back);
            self.bytes += fresh.bytes();
            self.segments.push_back(fresh);
        }
        if let Some(segment) = self.segments.back_mut() {
            self.bytes -= segment.bytes();
            segment.push(event);
            self.bytes += segment.bytes();
        }
        self.back += 1;
        while self.len() > self.most || (self.bytes > self.most_bytes && self.segments.len() > 1) {
            self.front += 1;
            if self.segments.front().is_some_and(|first| first.end() <= self.front) {
                self.drop_first();
            }
        }
        self.back - 1
    }

    /// Keeps older ones before all others; whether newer ones had to go for that.
    pub(super) fn prepend(&mut self, events: &[LogEvent]) -> bool {
        // What was let go in the first segment cannot come back behind them.
        let mut number = self.front;
        if self.segments.front().is_some_and(|first| first.first < number) {
            let kept: Vec<LogEvent> = self.first_kept();
            self.drop_first();
            self.insert(&mut number, &kept, self.front + kept.len() as u64);
        }
        for part in events.rchunks(SEGMENT) {
            let end = number;
            self.insert(&mut number, part, end);
        }
        self.front = number;
        let mut cut = false;
        while (self.len() > self.most || self.bytes > self.most_bytes) && self.segments.len() > 1 {
            if let Some(last) = self.segments.pop_back() {
                self.bytes -= last.bytes();
                self.back = last.first;
                cut = true;
            }
        }
        cut
    }

    fn first_kept(&self) -> Vec<LogEvent> {
        let Some(first) = self.segments.front() else { return Vec::new() };
        (self.front..first.end()).filter_map(|at| self.get(at)).map(|entry| entry.to_event()).collect()
    }

    /// A whole segment that ends before `end`, at the front.
    fn insert(&mut self, number: &mut u64, events: &[LogEvent], end: u64) {
        *number = end - events.len() as u64;
        let mut segment = Segment::new(*number);
        events.iter().for_each(|event| segment.push(event));
        segment.seal();
        self.bytes += segment.bytes();
        self.segments.push_front(segment);
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.segments.pop_front() {
            self.bytes -= first.bytes();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most, self.most_bytes);
    }

    /// One by its number.
    pub(super) fn get(&self, number: u64) -> Option<Entry<'_>> {
        if number < self.front || number >= self.back {
            return None;
        }
        let (_, segment) = self.segment(number)?;
        segment.entry(usize::try_from(number - segment.first).ok()?)
    }

    /// The segment that has this number, and its position.
    pub(super) fn segment(&self, number: u64) -> Option<(usize, &Segment)> {
        let after = self.segments.partition_point(|segment| segment.first <= number);
        let at = after.checked_sub(1)?;
        Some((at, self.segments.get(at)?))
    }
}

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
    fn new(first: u64) -> Self {
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

    fn is_full(&self) -> bool {
        self.starts.len() >= SEGMENT || self.texts.len() >= SEGMENT_BYTES
    }

    /// The number after its last.
    fn end(&self) -> u64 {
        self.first + self.starts.len() as u64
    }

    fn bytes(&self) -> usize {
        self.texts.capacity()
            + self.codes.capacity()
            + 4 * (self.ends.capacity() + self.starts.capacity())
            + 24 * self.known.capacity()
            + size_of::<Self>()
    }

    fn push(&mut self, event: &LogEvent) {
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
    fn seal(&mut self) {
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

    fn to_event(self) -> LogEvent {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(seq: u64) -> LogEvent {
        LogEvent {
            seq,
            time: 1_795_307_494_000 + seq,
            level: Level::Info,
            target: "access".into(),
            message: format!("POST /api/chat 200 qwen3:8b gpu1 {}ms", seq % 900),
            fields: vec![
                ("request_id".into(), format!("01932d5c-7a10-7c7e-8f0a-{seq:012x}")),
                ("client".into(), "10.0.0.9".into()),
                ("org".into(), "acme".into()),
                ("organization".into(), "0195f2a0-0000-7000-8000-000000000001".into()),
                ("with".into(), "ci".into()),
                ("method".into(), "POST".into()),
                ("route".into(), "/api/chat".into()),
                ("model".into(), "qwen3:8b".into()),
                ("node".into(), "gpu1".into()),
                ("status".into(), (200 + seq % 4).to_string()),
                ("outcome".into(), "complete".into()),
                ("retries".into(), "0".into()),
                ("bytes_in".into(), (300 + seq % 5000).to_string()),
                ("bytes_out".into(), (30_000 + seq % 70_000).to_string()),
                ("prompt_tokens".into(), (seq % 3000).to_string()),
                ("completion_tokens".into(), (seq % 800).to_string()),
                ("duration_us".into(), (1_000_000 + seq * 7).to_string()),
                ("first_byte_us".into(), (20_000 + seq * 3).to_string()),
            ],
        }
    }

    #[test]
    fn a_hundred_thousand_requests_take_little() {
        let mut store = Store::new(100_000, usize::MAX);
        (0..130_000).for_each(|seq| {
            store.push(&event(seq));
        });
        assert_eq!(store.len(), 100_000);
        assert_eq!(store.get(store.front()).unwrap().to_event(), event(30_000));
        assert_eq!(store.get(store.back() - 1).unwrap().to_event(), event(129_999));
        assert!(store.get(store.front() - 1).is_none() && store.get(store.back()).is_none());
        // All of the console may take 64 MB.
        assert!(store.bytes() < 24 << 20, "{} bytes", store.bytes());
    }

    #[test]
    fn bytes_are_a_limit_as_well() {
        let mut store = Store::new(100_000, 4 << 20);
        for seq in 0..2000 {
            store.push(&LogEvent { message: format!("{seq}{}", "x".repeat(20_000)), ..event(seq) });
            assert!(store.bytes() < 8 << 20);
        }
        assert!(store.len() > 100, "{}", store.len());
        assert_eq!(store.get(store.back() - 1).unwrap().seq, 1999);
    }

    #[test]
    fn older_ones_come_before_and_newer_ones_go() {
        let mut store = Store::new(5000, usize::MAX);
        (4000..8500).for_each(|seq| {
            store.push(&event(seq));
        });
        let chosen = store.front() + 10;
        assert!(!store.prepend(&(3900..4000).map(event).collect::<Vec<_>>()));
        assert_eq!((store.len(), store.get(chosen).unwrap().seq), (4600, 4010), "numbers stay");
        // Some of the first segment go; more come before the rest.
        (8500..8950).for_each(|seq| {
            store.push(&event(seq));
        });
        assert_eq!(store.get(store.front()).unwrap().seq, 3950);
        assert!(store.prepend(&(2000..3950).map(event).collect::<Vec<_>>()));
        let seqs: Vec<u64> = (store.front()..store.back()).map(|at| store.get(at).unwrap().seq).collect();
        assert_eq!(seqs[0], 2000);
        assert!(seqs.is_sorted() && seqs.windows(2).all(|two| two[1] == two[0] + 1), "without a hole");
        assert!(seqs.len() <= 5000 && seqs.len() > 3900, "{}", seqs.len());
    }

    fn events() -> impl Strategy<Value = Vec<LogEvent>> {
        let text = || prop_oneof![Just("node".to_owned()), Just(String::new()), ".{0,30}"];
        let level =
            prop::sample::select(vec![Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace]);
        let fields = prop::collection::vec((text(), text()), 0..6);
        let event = (any::<u64>(), any::<u64>(), level, text(), text(), fields).prop_map(
            |(seq, time, level, target, message, fields)| LogEvent {
                seq,
                time,
                level,
                target,
                message,
                fields,
            },
        );
        prop::collection::vec(event, 0..40)
    }

    proptest! {
        #[test]
        fn what_is_kept_comes_back(events in events(), older in events()) {
            let mut store = Store::new(1000, usize::MAX);
            events.iter().for_each(|event| { store.push(event); });
            store.prepend(&older);
            let kept: Vec<LogEvent> =
                (store.front()..store.back()).map(|at| store.get(at).unwrap().to_event()).collect();
            prop_assert_eq!(kept, [older, events].concat());
        }
    }
}
