//! Events kept in little room: a hundred thousand of them have to fit beside everything else.
//!
//! They lie in segments. Within one every text is there once, and an event is a few numbers that say which:
//! what repeats (names of fields, nodes, models, routes) costs a byte or two. A search looks at a text once per
//! segment, however many events have it.

use std::collections::VecDeque;

use aivonx_protocol::log::LogEvent;

use super::segment::{Entry, SEGMENT, Segment};

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

#[cfg(test)]
mod tests {
    use aivonx_protocol::log::Level;
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
