//! The newest events, in memory, for `aivonx logs` and its `-f`.
//!
//! A ring of slots, each under a lock of its own that is held for as long as it takes to move a pointer: a
//! writer meets a reader only in the one slot that is read at that moment. (Lock-free pointers would have the
//! writer look through everything that readers might hold, for every event.) Readers take what they find; one
//! that is slower than the ring turns loses the oldest events and is told how many. Nobody is woken by a
//! writer: a follower looks every [`LOOK_EVERY`], so that an event costs the same whether anyone follows or not.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aivonx_protocol::log::{LogEvent, LogFilter, LogPage};

use super::{
    filter::{Filter, FilterError, Whose},
    record::Record,
};

/// Events kept.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes kept; what is older goes first.
pub const BYTES_MAX: usize = 12 << 20;
/// Most bytes of one page: a page must fit into a frame of the control protocol (8 MiB).
const PAGE_BYTES_MAX: usize = 6 << 20;
/// How often a follower that has read everything looks again.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks after which a number that was given out and never filled counts as lost.
const LOOKS_FOR_A_GAP: u32 = 20;
/// Events a follower passes over before it lets others run.
const STRIDE: u32 = 256;

/// The log in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    /// Event `seq` lies at `seq % slots.len()`.
    slots: Box<[Mutex<Option<Arc<Record>>>]>,
    /// Number of the next event; the first is 1.
    head: AtomicU64,
    /// No event below this is there any more.
    tail: AtomicU64,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// Whether a thread is making room: one is enough.
    evicting: AtomicBool,
    /// Where events go beside memory.
    sink: OnceLock<String>,
}

impl Default for Hub {
    fn default() -> Self {
        Self::with_capacity(EVENTS_MAX, BYTES_MAX)
    }
}

impl Hub {
    /// A hub for `events` events and about `bytes` bytes.
    pub(crate) fn with_capacity(events: usize, bytes: usize) -> Self {
        Self(Arc::new(Ring {
            slots: (0..events.max(1)).map(|_| Mutex::default()).collect(),
            head: AtomicU64::new(1),
            tail: AtomicU64::new(1),
            bytes: AtomicUsize::new(0),
            bytes_max: bytes,
            evicting: AtomicBool::new(false),
            sink: OnceLock::new(),
        }))
    }

    /// Says once where events go beside memory.
    pub(crate) fn name_sink(&self, sink: &str) {
        let _ = self.0.sink.set(sink.to_owned());
    }

    /// Numbers `record` and keeps it. Waits for no reader but the one that moves the pointer in its slot.
    pub(crate) fn put(&self, mut record: Record) -> Arc<Record> {
        let ring = &*self.0;
        let size = record.size();
        let seq = ring.head.fetch_add(1, Ordering::AcqRel);
        record.seq = seq;
        let record = Arc::new(record);
        let old = ring.slot(seq).replace(record.clone());
        let held = ring.bytes.fetch_add(size, Ordering::AcqRel) + size;
        let freed = old.map_or(0, |old| old.size());
        ring.bytes.fetch_sub(freed, Ordering::AcqRel);
        if held - freed.min(held) > ring.bytes_max {
            ring.make_room();
        }
        record
    }

    /// The newest `lines` events that `whose` may read and that pass `filter`, oldest first; fewer if they would
    /// not fit into one frame. The filter's organization is an id.
    ///
    /// # Errors
    /// The filter's expression is not one, or too large.
    pub fn recent(&self, whose: &Whose, filter: &LogFilter, lines: u32) -> Result<LogPage, FilterError> {
        let filter = Filter::compile(whose, &self.known(filter))?;
        let (found, _) = self.0.newest(&filter, lines);
        Ok(LogPage {
            events: found.iter().map(|r| r.to_event()).collect(),
            oldest: self.0.oldest().map(|r| r.time),
            sink: self.sink().to_owned(),
        })
    }

    /// The newest `lines` events that `whose` may read and that pass `filter`, then every new one. The filter's
    /// organization is an id.
    ///
    /// # Errors
    /// The filter's expression is not one, or too large.
    pub fn follow(&self, whose: &Whose, filter: &LogFilter, lines: u32) -> Result<Follow, FilterError> {
        let asked = self.known(filter);
        let filter = Filter::compile(whose, &asked)?;
        let (backlog, next) = match asked.after {
            // What was lost in the meantime is counted on the way.
            Some(after) => (VecDeque::new(), after + 1),
            None => self.0.newest(&filter, lines),
        };
        Ok(Follow { ring: self.0.clone(), filter, backlog, next, missed: 0, gap: 0 })
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
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Ring {
    fn slot(&self, seq: u64) -> MutexGuard<'_, Option<Arc<Record>>> {
        let slot = &self.slots[(seq % self.slots.len() as u64) as usize];
        // A pointer is whole whatever its holder died of.
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, seq: u64) -> Option<Arc<Record>> {
        self.slot(seq).clone().filter(|r| r.seq == seq)
    }

    fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Lowest number that can still be there.
    fn floor(&self) -> u64 {
        self.tail.load(Ordering::Acquire).max(self.head().saturating_sub(self.slots.len() as u64))
    }

    fn oldest(&self) -> Option<Arc<Record>> {
        (self.floor()..self.head()).find_map(|seq| self.get(seq))
    }

    /// The newest events that pass, oldest first, and the number of the first event after them.
    fn newest(&self, filter: &Filter, lines: u32) -> (VecDeque<Arc<Record>>, u64) {
        let head = self.head();
        let mut found = VecDeque::new();
        let mut bytes = 0;
        for record in (self.floor()..head).rev().filter_map(|seq| self.get(seq)) {
            if found.len() >= lines as usize {
                break;
            }
            if filter.passes(&record) {
                bytes += record.size();
                if bytes > PAGE_BYTES_MAX {
                    break;
                }
                found.push_front(record);
            }
        }
        (found, head)
    }

    /// Lets the oldest go until a sixteenth of the space is free.
    fn make_room(&self) {
        if self.evicting.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut seq = self.floor();
        while self.bytes.load(Ordering::Acquire) > self.bytes_max / 16 * 15 && seq + 1 < self.head() {
            // Not if a newer event has taken the place, which then has let this one go.
            if let Some(record) = self.slot(seq).take_if(|r| r.seq == seq) {
                self.bytes.fetch_sub(record.size(), Ordering::AcqRel);
            }
            seq += 1;
        }
        self.tail.fetch_max(seq, Ordering::AcqRel);
        self.evicting.store(false, Ordering::Release);
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
    backlog: VecDeque<Arc<Record>>,
    next: u64,
    missed: u64,
    /// Looks at which `next` was given out but not there.
    gap: u32,
}

impl Follow {
    /// The next event. Waits for ever if there is none; may be dropped at any point without losing one.
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
        self.backlog.pop_front().map(|r| FollowItem::Event(r.to_event()))
    }

    /// Reads on up to the first event that passes. True if there is nothing more to read now.
    fn advance(&mut self, passed: &mut u32) -> bool {
        let floor = self.ring.floor();
        if self.next < floor {
            self.missed += floor - self.next;
            self.next = floor;
            self.gap = 0;
        }
        while self.next < self.ring.head() && *passed < STRIDE {
            let Some(record) = self.ring.get(self.next) else {
                if self.next < self.ring.floor() {
                    return false;
                }
                // Given out a moment ago and about to be there.
                self.gap += 1;
                if self.gap > LOOKS_FOR_A_GAP {
                    self.missed += 1;
                    self.next += 1;
                    self.gap = 0;
                    return false;
                }
                return true;
            };
            self.next += 1;
            self.gap = 0;
            *passed += 1;
            if self.filter.passes(&record) {
                self.backlog.push_back(record);
                return false;
            }
        }
        self.missed == 0
    }
}
