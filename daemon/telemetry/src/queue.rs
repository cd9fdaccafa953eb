//! From the threads of the daemon to the log's sink: a bounded queue, and one thread that formats and writes.
//!
//! A sink can be slow or stand still (a full pipe on stderr, a disk that hangs, a stopped journald). Only the
//! thread here waits for it; everyone else drops the event, which is counted and said when it moves again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use aivonx_protocol::log::Level;

use super::{
    hub::{Hub, Kept},
    record::Record,
    view::View,
};

/// Events, or bunches of them, that may wait for the sink.
const QUEUE_EVENTS: usize = 8192;
/// Bytes that may wait for the sink.
const QUEUE_BYTES: usize = 8 << 20;
/// Least time between two notices of losses.
const NOTICE_EVERY: Duration = Duration::from_secs(1);
/// Events handed to the sink at once.
const BATCH: usize = 256;

/// Where lines end up. Called on the queue's thread only, and may block it.
pub(crate) trait Sink: Send {
    /// Takes one event; may keep it until [`Sink::flush`].
    fn take(&mut self, event: View<'_>);

    /// Writes what was taken. Returns how many events could not be written, and why the last could not.
    fn flush(&mut self) -> Result<(), Lost>;
}

/// Events a sink could not write.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) events: u64,
    pub(crate) why: String,
}

/// Counts of lost events, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Dropped because the queue was full.
    pub(crate) queue: AtomicU64,
    /// Taken from the queue, but the sink failed.
    pub(crate) write: AtomicU64,
}

enum Item {
    Events(Kept),
    Flush(SyncSender<()>),
}

/// The entrance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogQueue {
    queue: SyncSender<Item>,
    waiting: Arc<AtomicUsize>,
    losses: Arc<Losses>,
}

impl LogQueue {
    /// Starts the thread.
    pub(crate) fn start(sink: Box<dyn Sink>, hub: Hub) -> std::io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE_EVENTS);
        let waiting = Arc::new(AtomicUsize::new(0));
        let losses = Arc::new(Losses::default());
        let writer = Writer {
            items,
            sink,
            hub,
            waiting: waiting.clone(),
            losses: losses.clone(),
            told: (0, 0),
            told_at: None,
            why: String::new(),
        };
        thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        Ok(Self { queue, waiting, losses })
    }

    /// Hands over an event or a bunch of them, or drops it. Never waits. The writing thread is woken once for a
    /// bunch, not, on a machine with few cores, for each event.
    pub(crate) fn send(&self, kept: Kept) {
        let (size, events) = (kept.bytes(), kept.len() as u64);
        if self.waiting.fetch_add(size, Ordering::Relaxed) > QUEUE_BYTES
            || self.queue.try_send(Item::Events(kept)).is_err()
        {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.losses.queue.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// Waits until everything handed over before is written, or `within` has passed. False: it has passed.
    pub(crate) fn flush(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        let (done, wait) = sync_channel(1);
        let mut item = Item::Flush(done);
        loop {
            match self.queue.try_send(item) {
                Ok(()) => return wait.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok(),
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => item = back,
            }
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn losses(&self) -> &Arc<Losses> {
        &self.losses
    }
}

struct Writer {
    items: Receiver<Item>,
    sink: Box<dyn Sink>,
    hub: Hub,
    waiting: Arc<AtomicUsize>,
    losses: Arc<Losses>,
    /// Losses already reported: queue, write.
    told: (u64, u64),
    told_at: Option<Instant>,
    /// Why the last write failed.
    why: String,
}

impl Writer {
    fn run(mut self) {
        // Ends when every entrance is gone.
        while let Ok(first) = self.items.recv() {
            let mut next = Some(first);
            let mut flushed = Vec::new();
            let mut taken = 0;
            while let Some(item) = next {
                match item {
                    Item::Events(kept) => {
                        self.waiting.fetch_sub(kept.bytes(), Ordering::Relaxed);
                        kept.views().for_each(|event| self.sink.take(event));
                        taken += kept.len();
                    }
                    Item::Flush(done) => flushed.push(done),
                }
                next = if taken < BATCH { self.items.try_recv().ok() } else { None };
            }
            self.flush();
            self.tell(!flushed.is_empty());
            for done in flushed {
                let _ = done.try_send(());
            }
        }
    }

    fn flush(&mut self) {
        if let Err(lost) = self.sink.flush() {
            self.losses.write.fetch_add(lost.events, Ordering::Relaxed);
            self.why = lost.why;
        }
    }

    /// Says what was lost since it was last said, in the log itself. `now`: without regard to the interval.
    fn tell(&mut self, now: bool) {
        let queue = self.losses.queue.load(Ordering::Relaxed);
        let write = self.losses.write.load(Ordering::Relaxed);
        let due = now || self.told_at.is_none_or(|at| at.elapsed() >= NOTICE_EVERY);
        if (queue, write) == self.told || !due {
            return;
        }
        let (slow, failed) = (queue - self.told.0, write - self.told.1);
        self.told = (queue, write);
        self.told_at = Some(Instant::now());
        if slow > 0 {
            let text = format!("{slow} log events were dropped because {} did not keep up", self.hub.sink());
            self.say(&text);
        }
        if failed > 0 {
            let text =
                format!("{failed} log events could not be written to {}: {}", self.hub.sink(), self.why);
            self.say(&text);
        }
        self.flush();
        // A notice that was itself lost is not worth another.
        self.told.1 = self.losses.write.load(Ordering::Relaxed);
    }

    fn say(&mut self, text: &str) {
        let kept = self.hub.put(Record::own(Level::Warn, "log_lost", text));
        kept.views().for_each(|event| self.sink.take(event));
    }
}
