//! The newest events, in memory, for `aivonx logs` and its `-f`.
//!
//! A queue of events and of bunches of finished requests, under a lock that is held for as long as it takes to move
//! some pointers: a bunch is put in as one, and readers take a few at a time and look at them afterwards. A reader that
//! is slower than the log grows loses the oldest events and gets their count. Nobody is woken by a writer: a follower
//! looks every [`LOOK_EVERY`], so that an event costs the same whether anyone follows or not.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_protocol::log::{LogEvent, LogFilter, LogPage};

use super::{
    filter::{Filter, FilterError, LogScope},
    record::Record,
    view::{Bunch, View},
};

/// Events kept.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes kept; what is older goes first. A bunch of requests counts until the last of them goes.
pub const BYTES_MAX: usize = 12 << 20;
/// Most bytes of one page: a page must fit into a frame of the control protocol (8 MiB).
const PAGE_BYTES_MAX: usize = 6 << 20;
/// How often a follower that has read everything looks again.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Events that a reader takes at once, and a follower passes over before it lets others run.
const STRIDE: usize = 256;

/// The log in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    queue: Mutex<Queue>,
    /// Number of the next event, for those who only want to know whether there is one.
    head: AtomicU64,
    events_max: u64,
    bytes_max: usize,
    /// Where events go beside memory.
    sink: OnceLock<String>,
}

#[derive(Debug)]
struct Queue {
    /// In the order of their numbers, without a gap.
    kept: VecDeque<Kept>,
    /// Number of the next event; the first is 1.
    head: u64,
    bytes: usize,
}

/// What the hub keeps as one, and shares with those who read it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Number of the first event in it.
    first: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Event(Arc<Record>),
    Requests(Arc<Bunch>),
}

impl Kept {
    /// How many events it has.
    pub(crate) fn len(&self) -> usize {
        match &self.what {
            What::Event(_) => 1,
            What::Requests(bunch) => bunch.len(),
        }
    }

    /// Bytes held by all of them.
    pub(crate) fn bytes(&self) -> usize {
        match &self.what {
            What::Event(record) => record.bytes(),
            What::Requests(bunch) => bunch.bytes(),
        }
    }

    /// Number of the first event after them.
    fn end(&self) -> u64 {
        self.first + self.len() as u64
    }

    /// The event of a number.
    fn view(&self, seq: u64) -> Option<View<'_>> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        match &self.what {
            What::Event(record) => (at == 0).then(|| record.view(seq)),
            What::Requests(bunch) => bunch.view(at, seq),
        }
    }

    /// The events, oldest first.
    pub(crate) fn views(&self) -> impl DoubleEndedIterator<Item = View<'_>> {
        (self.first..self.end()).filter_map(|seq| self.view(seq))
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::with_capacity(EVENTS_MAX, BYTES_MAX)
    }
}

impl Hub {
    /// A hub for `events` events and about `bytes` bytes.
    pub(crate) fn with_capacity(events: usize, bytes: usize) -> Self {
        let queue = Queue { kept: VecDeque::new(), head: 1, bytes: 0 };
        Self(Arc::new(Ring {
            queue: Mutex::new(queue),
            head: AtomicU64::new(1),
            events_max: events.max(1) as u64,
            bytes_max: bytes,
            sink: OnceLock::new(),
        }))
    }

    /// Says once where events go beside memory.
    pub(crate) fn name_sink(&self, sink: &str) {
        let _ = self.0.sink.set(sink.to_owned());
    }

    /// Numbers `record` and keeps it.
    pub(crate) fn put(&self, record: Record) -> Kept {
        self.0.put(What::Event(Arc::new(record)))
    }

    /// Numbers finished requests in their order and keeps them.
    pub(crate) fn put_all(&self, requests: Bunch) -> Kept {
        self.0.put(What::Requests(Arc::new(requests)))
    }

    /// The newest `lines` events that `whose` may read and that pass `filter`, oldest first; fewer if they would
    /// not fit into one frame. The filter's organization is an id.
    ///
    /// # Errors
    /// The filter's expression is not one, or too large.
    pub fn recent(&self, whose: &LogScope, filter: &LogFilter, lines: u32) -> Result<LogPage, FilterError> {
        let filter = Filter::compile(whose, &self.known(filter))?;
        let (found, _) = self.0.newest(&filter, lines);
        Ok(LogPage {
            events: found.iter().filter_map(Found::event).collect(),
            oldest: self.0.oldest(),
            sink: self.sink().to_owned(),
        })
    }

    /// The newest `lines` events that `whose` may read and that pass `filter`, then every new one. The filter's
    /// organization is an id.
    ///
    /// # Errors
    /// The filter's expression is not one, or too large.
    pub fn follow(&self, whose: &LogScope, filter: &LogFilter, lines: u32) -> Result<Follow, FilterError> {
        let asked = self.known(filter);
        let filter = Filter::compile(whose, &asked)?;
        let (backlog, next) = match asked.after {
            // What was lost in the meantime is counted on the way.
            Some(after) => (VecDeque::new(), after + 1),
            None => self.0.newest(&filter, lines),
        };
        Ok(Follow { ring: self.0.clone(), filter, backlog, taken: VecDeque::new(), next, missed: 0 })
    }

    /// The filter without a number that was not given out since the start.
    fn known(&self, filter: &LogFilter) -> LogFilter {
        let after = filter.after.filter(|after| *after < self.0.head());
        LogFilter { after, ..filter.clone() }
    }

    /// Where events go beside memory: `journald`, `stderr` or `file PATH`.
    #[must_use]
    pub fn sink(&self) -> &str {
        self.0.sink.get().map_or("none", String::as_str)
    }

    /// Bytes held now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.queue().bytes
    }
}

impl Ring {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whole after every change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, what: What) -> Kept {
        let mut queue = self.queue();
        let kept = Kept { first: queue.head, what };
        queue.head = kept.end();
        queue.bytes += kept.bytes();
        queue.kept.push_back(kept.clone());
        self.head.store(queue.head, Ordering::Release);
        let mut gone = self.too_much(&mut queue);
        drop(queue);
        // Given back to the system while nobody waits.
        while gone.take().is_some() {
            gone = self.too_much(&mut self.queue());
        }
        kept
    }

    /// Lets go of the oldest if more is kept than there is room for. The newest stays, however large.
    fn too_much(&self, queue: &mut Queue) -> Option<Kept> {
        let oldest = queue.kept.front()?;
        let passed = oldest.end() + self.events_max <= queue.head;
        if queue.kept.len() == 1 || !(passed || queue.bytes > self.bytes_max) {
            return None;
        }
        let gone = queue.kept.pop_front()?;
        queue.bytes -= gone.bytes();
        Some(gone)
    }

    fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Lowest number that is there. Of a bunch only those count that there is room for.
    fn floor(&self, queue: &Queue) -> u64 {
        let first = queue.kept.front().map_or(queue.head, |kept| kept.first);
        first.max(queue.head.saturating_sub(self.events_max))
    }

    /// When the oldest event was.
    fn oldest(&self) -> Option<aivonx_protocol::UnixMillis> {
        let queue = self.queue();
        let kept = queue.kept.front()?;
        kept.view(self.floor(&queue)).map(|event| event.time)
    }

    /// Some of what lies before number `end`, the newest first.
    fn before(&self, end: u64) -> Vec<Kept> {
        let queue = self.queue();
        let at = queue.kept.partition_point(|kept| kept.first < end);
        let mut events = 0;
        queue
            .kept
            .range(..at)
            .rev()
            .take_while(|kept| {
                let more = events < STRIDE;
                events += kept.len();
                more
            })
            .cloned()
            .collect()
    }

    /// Some of what begins with number `from`, and the lowest number that is there.
    fn from(&self, from: u64) -> (VecDeque<Kept>, u64) {
        let queue = self.queue();
        let at = queue.kept.partition_point(|kept| kept.end() <= from);
        let mut events = 0;
        let kept = queue.kept.range(at..).take_while(|kept| {
            let more = events < STRIDE;
            events += kept.len();
            more
        });
        (kept.cloned().collect(), self.floor(&queue))
    }

    /// The newest events that pass, oldest first, and the number of the first event after them.
    fn newest(&self, filter: &Filter, lines: u32) -> (VecDeque<Found>, u64) {
        let (head, floor) = {
            let queue = self.queue();
            (queue.head, self.floor(&queue))
        };
        let mut found = VecDeque::new();
        let (mut end, mut bytes) = (head, 0);
        while end > floor {
            let some = self.before(end);
            // The rest has been let go in the meantime.
            let Some(last) = some.last() else { break };
            let next = last.first;
            for kept in &some {
                for event in kept.views().rev().filter(|event| (floor..end).contains(&event.seq)) {
                    if found.len() >= lines as usize {
                        return (found, head);
                    }
                    if filter.passes(&event) {
                        bytes += event.bytes();
                        if bytes > PAGE_BYTES_MAX {
                            return (found, head);
                        }
                        found.push_front(Found { kept: kept.clone(), seq: event.seq });
                    }
                }
            }
            end = next;
        }
        (found, head)
    }
}

/// An event that passed a filter.
#[derive(Debug)]
struct Found {
    kept: Kept,
    seq: u64,
}

impl Found {
    fn event(&self) -> Option<LogEvent> {
        self.kept.view(self.seq).map(View::to_event)
    }
}

/// One step of following the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowItem {
    /// An event that passes the filter.
    Event(LogEvent),
    /// So many events went by unseen because the reader was slow; whether they would have passed the filter
    /// nobody knows.
    Missed(u64),
}

/// A reader of the log as it happens.
#[derive(Debug)]
pub struct Follow {
    ring: Arc<Ring>,
    filter: Filter,
    backlog: VecDeque<Found>,
    /// What was taken from the ring and is not read yet.
    taken: VecDeque<Kept>,
    next: u64,
    missed: u64,
}

impl Follow {
    /// The next event; waits for it. Cancel-safe: dropping it loses no event.
    pub async fn next(&mut self) -> FollowItem {
        let mut passed = 0;
        loop {
            if let Some(item) = self.take() {
                return item;
            }
            let read_all = self.advance(&mut passed);
            if passed >= STRIDE {
                passed = 0;
                tokio::task::yield_now().await;
            } else if read_all {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// What is ready to be given out: losses come before the events after them.
    fn take(&mut self) -> Option<FollowItem> {
        if self.missed > 0 {
            return Some(FollowItem::Missed(std::mem::take(&mut self.missed)));
        }
        std::iter::from_fn(|| self.backlog.pop_front()).find_map(|found| found.event()).map(FollowItem::Event)
    }

    /// Reads on up to the first event that passes. True if there is nothing more to read now.
    fn advance(&mut self, passed: &mut usize) -> bool {
        if self.taken.is_empty() {
            if self.next >= self.ring.head() {
                return true;
            }
            let (taken, floor) = self.ring.from(self.next);
            self.taken = taken;
            if self.next < floor {
                self.missed += floor - self.next;
                self.next = floor;
            }
        }
        while let Some(kept) = self.taken.front() {
            while let Some(event) = kept.view(self.next) {
                if *passed >= STRIDE {
                    return false;
                }
                *passed += 1;
                self.next += 1;
                if self.filter.passes(&event) {
                    self.backlog.push_back(Found { kept: kept.clone(), seq: event.seq });
                    return false;
                }
            }
            self.taken.pop_front();
        }
        false
    }
}
