//! The queue of finished requests: a data-plane thread hands them over by moving a vector into it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use aivonx_domain::access::AccessRecord;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Records that may wait; more are dropped and counted.
pub const WAITING_MAX: usize = 65_536;

/// The entrance for finished requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessSink(Arc<Entrance>);

#[derive(Debug)]
struct Entrance {
    queue: UnboundedSender<Vec<AccessRecord>>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl AccessSink {
    /// Hands over finished requests. Never waits: beyond [`WAITING_MAX`] they are dropped and counted.
    pub fn push(&self, records: Vec<AccessRecord>) {
        let n = records.len();
        if n == 0 {
            return;
        }
        let before = self.0.waiting.fetch_add(n, Ordering::Relaxed);
        if before + n > WAITING_MAX || self.0.queue.send(records).is_err() {
            self.0.waiting.fetch_sub(n, Ordering::Relaxed);
            self.0.dropped.fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    /// Notes that `n` records have left the queue and are counted.
    pub(super) fn taken(&self, n: usize) {
        self.0.waiting.fetch_sub(n, Ordering::Relaxed);
    }

    /// Records handed over and not yet counted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Records dropped since start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// The way out, for [`drain`].
pub(crate) type AccessQueue = UnboundedReceiver<Vec<AccessRecord>>;

pub(crate) fn channel() -> (AccessSink, AccessQueue) {
    let (queue, out) = unbounded_channel();
    (AccessSink(Arc::new(Entrance { queue, waiting: AtomicUsize::new(0), dropped: AtomicU64::new(0) })), out)
}
