//! The usage ledger as it lies in its files: a log of requests, and one of the sums of their days.
//!
//! What requests add to the sums of their days is kept in memory until the day is over, and then stored with the number
//! of the last request it has: from there on sums are made of the requests again after the next open, none missing
//! and none twice. Requests are forgotten only after that.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aivonx_protocol::UnixMillis;

use super::{
    block::{self, Block, NewBlock, UsageEntry},
    code::{Code, Wanted},
    day::{self, Calendar, Key},
    stored::{self, Chain, DaySums},
    sums::{self, UsageSums},
};
use crate::{
    StoreError, old_usage,
    segment::{Appended, Frame, Item, Log, Segment},
};

/// Kind of the frames with requests, never changed.
const REQUESTS: u8 = 1;
/// Blocks of requests that are taken over as one.
const MOVED: usize = 64;
/// Sums in memory that are enough to be stored before their day is over.
const ROWS_MAX: usize = 100_000;
/// Requests that are enough: they are gone through at the next open.
const REQUESTS_MAX: u64 = 1_000_000;
/// Not more often than that are sums stored because another day began, for clocks go back and forth.
const PAUSE: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Kept {
    pub(crate) requests: Log,
    pub(crate) sums: Log,
    state: Mutex<State>,
}

struct State {
    /// When the requests of each segment began, by the number of its first frame.
    spans: BTreeMap<u64, Range<UnixMillis>>,
    /// What there is of sums.
    chain: Chain,
    /// What is not among them yet. None before the first who asks, for the calendar is not known before.
    fresh: Option<Fresh>,
    /// What was appended and is not durable yet.
    added: Option<Added>,
    /// The closed segment of requests read last, by its first frame: pages follow each other.
    last_read: Option<(u64, Arc<Vec<Item>>)>,
}

impl State {
    /// What both logs hold.
    fn of(requests: &Log, sums: &Log) -> Result<Self, StoreError> {
        let mut spans = BTreeMap::new();
        for segment in requests.segments() {
            if let Some(span) = span(&segment)? {
                spans.insert(segment.first, span);
            }
        }
        let mut chain = Chain::default();
        for segment in sums.segments() {
            chain.add(stored::places(&segment)?);
        }
        chain.remake(requests.extent().first);
        Ok(Self { spans, chain, fresh: None, added: None, last_read: None })
    }

    /// Notes that a segment has requests of this time.
    fn span(&mut self, segment: u64, added: &Range<UnixMillis>) {
        let span = self.spans.entry(segment).or_insert_with(|| added.clone());
        *span = span.start.min(added.start)..span.end.max(added.end);
    }
}

/// Sums that are not stored yet.
struct Fresh {
    calendar: Calendar,
    sums: BTreeMap<Key, UsageSums>,
    /// The last frame of requests that is in them.
    through: u64,
    requests: u64,
    since: Instant,
}

impl Fresh {
    fn new(calendar: Calendar, through: u64) -> Self {
        Self { calendar, sums: BTreeMap::new(), through, requests: 0, since: Instant::now() }
    }

    fn join(&mut self, key: Key, sums: &UsageSums) {
        self.sums.entry(key).or_default().join(sums);
    }

    /// Whether they should be stored.
    fn is_due(&self) -> bool {
        let day = |entry: Option<(&Key, &UsageSums)>| entry.map(|(key, _)| day::of(key));
        let is_over = day(self.sums.first_key_value()) != day(self.sums.last_key_value());
        is_over && self.since.elapsed() >= PAUSE
            || self.sums.len() >= ROWS_MAX
            || self.requests >= REQUESTS_MAX
    }
}

/// Requests that are written and not durable.
struct Added {
    last: Appended,
    /// When they ended.
    span: Range<UnixMillis>,
    sums: Vec<(Key, UsageSums)>,
    requests: u64,
}

/// A block of requests and the number of its frame.
pub(super) struct Placed {
    pub(super) frame: u64,
    /// When it begins.
    pub(super) begin: UnixMillis,
    pub(super) block: Block,
}

impl Kept {
    /// Takes over both logs.
    pub(crate) fn open(requests: Log, sums: Log) -> Result<Self, StoreError> {
        let state = Mutex::new(State::of(&requests, &sums)?);
        Ok(Self { requests, sums, state })
    }

    /// Takes over requests and sums as the engine had them, behind what was taken over already; returns how many of the
    /// sums cannot be read.
    pub(crate) fn take_over(
        &self,
        requests: &[old_usage::Record],
        sums: &[old_usage::Record],
    ) -> Result<u64, StoreError> {
        // A block's key begins with its time.
        let frame = |(key, rest): &old_usage::Record| {
            (REQUESTS, [key.get(..size_of::<UnixMillis>()).unwrap_or_default(), rest].concat())
        };
        let taken = usize::try_from(self.requests.next() - 1).unwrap_or(usize::MAX);
        for part in requests.get(taken..).unwrap_or_default().chunks(MOVED) {
            self.requests.sync(&self.requests.append(&part.iter().map(frame).collect::<Vec<_>>())?)?;
        }
        let through = self.requests.next() - 1;
        let taken = self.state().chain.newest();
        let mut unreadable = 0;
        for day in sums.chunk_by(|a, b| day::of(&a.0) == day::of(&b.0)) {
            let mut known = BTreeMap::<Key, UsageSums>::new();
            for (key, sums) in day {
                match (Key::try_from(key.as_slice()), stored::moved(sums)) {
                    (Ok(key), Ok(sums)) => drop(known.insert(key, sums)),
                    _ => unreadable += 1,
                }
            }
            let day = day.first().map(|(key, _)| day::of(key));
            if day > taken {
                let frames = stored::frames(&known, 0..through, false)?;
                self.sums.sync(&self.sums.append(&frames)?)?;
            }
        }
        *self.state() = State::of(&self.requests, &self.sums)?;
        Ok(unreadable)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic may have lost sums that are not stored: they are made anew at the next open.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums that are not stored yet, of days of `calendar`; made of the requests if nobody has asked yet.
    fn fresh<'s>(&self, state: &'s mut State, calendar: Calendar) -> Result<&'s mut Fresh, StoreError> {
        if state.fresh.as_ref().is_some_and(|fresh| fresh.calendar != calendar) {
            // What was summed up by another calendar stays as it is.
            self.store(state)?;
            if let Some(fresh) = &mut state.fresh {
                fresh.calendar = calendar;
            }
        }
        if state.fresh.is_none() {
            let mut fresh = Fresh::new(calendar, state.chain.through());
            for item in self.requests.read(fresh.through + 1..=u64::MAX) {
                let Item::Frame(placed) = item? else { continue };
                let frame = placed.frame;
                fresh.through = frame.number;
                if let Some(Ok(block)) = read(&frame) {
                    let entries: Vec<_> = block.block.entries(block.begin).collect();
                    fresh.requests += entries.len() as u64;
                    sums::by_day(calendar, &entries).iter().for_each(|(key, sums)| fresh.join(*key, sums));
                }
            }
            state.fresh = Some(fresh);
        }
        state.fresh.as_mut().ok_or(StoreError::Failed)
    }

    /// Appends requests in the order of their time; durable with the next [`Self::flush`]. For one caller at a time.
    pub(super) fn add(&self, calendar: Calendar, entries: &[UsageEntry]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let mut state = self.state();
        // Before they are written: what is made of the requests must not have them as well.
        self.fresh(&mut state, calendar)?;
        let frame = |part| Ok::<_, StoreError>((REQUESTS, NewBlock::of(part).payload()?));
        let frames = block::parts(entries).map(frame).collect::<Result<Vec<_>, _>>()?;
        let appended = self.requests.append(&frames)?;
        let span = first.time..last.time + 1;
        state.span(appended.segment, &span);
        let new = || Added { last: appended, span: span.clone(), sums: Vec::new(), requests: 0 };
        let added = state.added.get_or_insert_with(new);
        added.last = appended;
        added.span = added.span.start.min(span.start)..added.span.end.max(span.end);
        added.sums.extend(sums::by_day(calendar, entries));
        added.requests += entries.len() as u64;
        Ok(())
    }

    /// Makes what was added durable. After an error it is not there any more.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let Some(added) = self.state().added.take() else { return Ok(()) };
        self.requests.sync(&added.last)?;
        let mut state = self.state();
        // They may have been moved.
        if let Some(segment) = self.requests.segments().last() {
            state.span(segment.first, &added.span);
        }
        let Some(fresh) = &mut state.fresh else { return Ok(()) };
        added.sums.iter().for_each(|(key, sums)| fresh.join(*key, sums));
        fresh.requests += added.requests;
        fresh.through = added.last.last;
        if fresh.is_due()
            && let Err(error) = self.store(&mut state)
        {
            tracing::warn!(%error, "the sums of the usage ledger are not stored, and kept in memory until they can be");
            if let Some(fresh) = &mut state.fresh {
                fresh.since = Instant::now();
            }
        }
        Ok(())
    }

    /// Stores the sums that are not yet.
    pub(crate) fn store_sums(&self) -> Result<(), StoreError> {
        self.store(&mut self.state())
    }

    fn store(&self, state: &mut State) -> Result<(), StoreError> {
        let Some(fresh) = state.fresh.as_mut().filter(|fresh| !fresh.sums.is_empty()) else { return Ok(()) };
        let covered = state.chain.through()..fresh.through;
        let frames = stored::frames(&fresh.sums, covered, true)?;
        self.sums.sync(&self.sums.append(&frames)?)?;
        *fresh = Fresh::new(fresh.calendar, fresh.through);
        // Where they are is read back: that happens once a day.
        if let Some(segment) = self.sums.segments().last() {
            state.chain.add(stored::places(segment)?);
        }
        Ok(())
    }

    /// Calls `see` with the blocks that may have requests from `since` to before `until`, from frame `from` on.
    pub(super) fn blocks(
        &self,
        times: &Range<UnixMillis>,
        from: u64,
        mut see: impl FnMut(Placed) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        for segment in self.requests.segments() {
            let span = self.state().spans.get(&segment.first).cloned();
            let is_within = span.is_some_and(|span| span.start < times.end && times.start < span.end);
            if segment.end <= from || !is_within {
                continue;
            }
            for item in self.items(&segment)?.iter() {
                let Item::Frame(placed) = item else { continue };
                let frame = &placed.frame;
                let begin = block::time(&frame.payload);
                let is_within = begin < times.end && times.start <= begin.saturating_add(block::SPAN_MS);
                if frame.number < from || !is_within {
                    continue;
                }
                let Some(block) = read(frame) else { continue };
                if see(block?)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn items(&self, segment: &Segment) -> Result<Arc<Vec<Item>>, StoreError> {
        if !segment.is_closed() {
            return segment.read().map(Arc::new);
        }
        if let Some((first, items)) = &self.state().last_read
            && *first == segment.first
        {
            return Ok(items.clone());
        }
        let items = Arc::new(segment.read()?);
        self.state().last_read = Some((segment.first, items.clone()));
        Ok(items)
    }

    /// Calls `see` with the stored sums of these days that may be wanted, and with those that are not stored yet.
    pub(super) fn days(
        &self,
        calendar: Calendar,
        days: &Range<u32>,
        wanted: &Wanted,
        mut see: impl FnMut(u32, &super::Parties, &UsageSums),
    ) -> Result<(), StoreError> {
        let (places, segments) = {
            let mut state = self.state();
            let fresh = self.fresh(&mut state, calendar)?;
            for keys in day::ranges(day::known(&fresh.sums, days), wanted) {
                for (key, sums) in fresh.sums.range::<[u8], _>(day::as_slices(&keys)) {
                    if let Some((day, parties)) = day::read(key) {
                        see(day, &parties, sums);
                    }
                }
            }
            (state.chain.places(days, wanted.organization), self.sums.segments())
        };
        for segment in segments {
            let Some(places) = places.get(&segment.first) else { continue };
            let reader = segment.reader()?;
            for at in places {
                // One that cannot be read any more is reported by the log.
                let Some(frame) = reader.frame(*at)? else { continue };
                DaySums::read(&frame)?.each(|day, parties, sums| see(day, parties, sums));
            }
        }
        Ok(())
    }

    /// Every code that requests or sums have.
    pub(super) fn codes(&self, calendar: Calendar) -> Result<HashSet<Code>, StoreError> {
        let mut codes = HashSet::new();
        self.blocks(&(0..UnixMillis::MAX), 0, |placed| {
            codes.extend(placed.block.parties().iter().flat_map(super::names::all));
            Ok(ControlFlow::Continue(()))
        })?;
        self.days(calendar, &(0..u32::MAX), &Wanted::default(), |_, parties, _| {
            codes.extend(super::names::all(parties));
        })?;
        Ok(codes)
    }

    /// Forgets the oldest segments whose requests all ended before `before`; returns how many those were.
    pub(super) fn forget_requests(
        &self,
        calendar: Calendar,
        before: UnixMillis,
    ) -> Result<usize, StoreError> {
        let mut state = self.state();
        let through = self.fresh(&mut state, calendar)?.through;
        let is_old = |segment: &&Segment| {
            state
                .spans
                .get(&segment.first)
                .is_none_or(|span| span.end.saturating_add(block::SPAN_MS) <= before)
        };
        let segments = self.requests.segments();
        let old: Vec<&Segment> = segments.iter().take_while(is_old).collect();
        // The one that is added to goes once another has begun.
        if old.last().is_some_and(|last| !last.is_closed()) {
            self.requests.roll()?;
        }
        let Some(end) = old.iter().rev().find(|segment| segment.is_closed()).map(|segment| segment.end)
        else {
            return Ok(0);
        };
        if end > state.chain.through().max(through) + 1 {
            return Ok(0);
        }
        if end > state.chain.through() + 1 {
            self.store(&mut state)?;
        }
        let floor = self.requests.forget(end)?;
        let before = state.spans.len();
        state.spans = state.spans.split_off(&floor);
        state.last_read = None;
        Ok(before - state.spans.len())
    }

    /// Forgets the oldest segments of sums that are all of days before `day`; returns how many those were.
    pub(super) fn forget_days(&self, day: u32) -> Result<usize, StoreError> {
        let mut state = self.state();
        let segments = self.sums.segments();
        let is_old = |segment: &&Segment| state.chain.last_day(segment.first).is_none_or(|last| last < day);
        let old: Vec<&Segment> = segments.iter().take_while(is_old).collect();
        if old.last().is_some_and(|last| !last.is_closed()) {
            self.sums.roll()?;
        }
        let closed: Vec<_> = old.iter().filter(|segment| segment.is_closed()).collect();
        let Some(last) = closed.last() else { return Ok(0) };
        let floor = self.sums.forget(last.end)?;
        state.chain.forget(floor);
        Ok(closed.len())
    }
}

/// A block of requests; None of a frame that is something else.
fn read(frame: &Frame) -> Option<Result<Placed, StoreError>> {
    (frame.kind == REQUESTS).then(|| {
        let block = Block::read(&frame.payload)?;
        Ok(Placed { frame: frame.number, begin: block::time(&frame.payload), block })
    })
}

/// Name of what is derived from segments of requests: when they begin and end.
const SPAN: &str = "span";

/// When the requests in a segment begin and end, about; None if there are none.
fn span(segment: &Segment) -> Result<Option<Range<UnixMillis>>, StoreError> {
    let number =
        |bytes: &[u8], at: usize| Some(UnixMillis::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    if let Some(bytes) = segment.derived(SPAN)
        && let (Some(start), Some(end)) = (number(&bytes, 0), number(&bytes, 8))
    {
        return Ok(Some(start..end).filter(|span| !span.is_empty()));
    }
    let items = segment.read()?;
    let times = items.iter().filter_map(|item| match item {
        Item::Frame(placed) if placed.frame.kind == REQUESTS => Some(block::time(&placed.frame.payload)),
        _ => None,
    });
    let (start, end) = times.fold((UnixMillis::MAX, 0), |(start, end), time| {
        (time.min(start), time.saturating_add(block::SPAN_MS).max(end))
    });
    let bytes = [start.to_le_bytes(), end.to_le_bytes()].concat();
    if let Err(error) = segment.keep_derived(SPAN, &bytes) {
        tracing::debug!(%error, "what was derived from a segment is not kept");
    }
    Ok(Some(start..end).filter(|span| !span.is_empty()))
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("requests", &self.requests).finish_non_exhaustive()
    }
}
