//! From the data-plane threads to the log and the metrics: one event per request.
//!
//! A data-plane thread hands over its finished requests by moving a vector into a queue. Formatting and
//! counting happen on the control plane, a batch at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    watch,
};

use super::{
    access::{AccessRecord, Outcome},
    metrics::Metrics,
};

/// Records that may wait; more are dropped and counted.
pub const WAITING_MAX: usize = 65_536;
/// After a batch, others are let gather for so long: a busy gateway then wakes this task fifty times a second
/// instead of once per request, and its data-plane threads hardly ever.
const GATHER: Duration = Duration::from_millis(20);
/// Records formatted before other tasks get their turn.
const STRIDE: usize = 512;
/// How often losses are said.
const NOTICE_EVERY: Duration = Duration::from_secs(60);
/// Most characters of an error that are kept.
const ERROR_MAX: usize = 512;

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

/// Turns records into events and metrics until `stop` says true and the queue is empty.
pub(crate) async fn drain(
    sink: AccessSink,
    mut queue: AccessQueue,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let mut notice = tokio::time::interval(NOTICE_EVERY);
    let mut told = 0;
    loop {
        tokio::select! {
            biased;
            Some(records) = queue.recv() => {
                take(&sink, &records, &metrics);
                let mut done = records.len();
                while let Ok(records) = queue.try_recv() {
                    take(&sink, &records, &metrics);
                    done += records.len();
                    if done >= STRIDE {
                        done = 0;
                        tokio::task::yield_now().await;
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = stopped(&mut stop) => {}
                }
            }
            _ = notice.tick() => tell(&sink, &mut told),
            () = stopped(&mut stop) => break,
        }
    }
    tell(&sink, &mut told);
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone has nothing more to log.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn tell(sink: &AccessSink, told: &mut u64) {
    let dropped = sink.dropped();
    if dropped > *told {
        let count = dropped - *told;
        tracing::warn!(
            event = "access_lost",
            count,
            "{count} requests were not logged or counted because the control plane did not keep up"
        );
        *told = dropped;
    }
}

fn take(sink: &AccessSink, records: &[AccessRecord], metrics: &Metrics) {
    sink.0.waiting.fetch_sub(records.len(), Ordering::Relaxed);
    metrics.count(records);
    for record in records {
        write(record);
    }
}

/// One event, the fields in the order of interest.
macro_rules! access_event {
    ($level:ident, $r:ident) => {
        tracing::event!(
            target: "access",
            tracing::Level::$level,
            request_id = %$r.request_id.as_hyphenated(),
            client_request_id = $r.client_request_id.as_deref(),
            client = %$r.client,
            method = &*$r.method,
            route = $r.route,
            model = $r.model.as_deref(),
            node = $r.node.as_deref(),
            status = $r.status,
            outcome = $r.outcome.name(),
            retries = $r.retries,
            bytes_in = $r.bytes_in,
            bytes_out = $r.bytes_out,
            prompt_tokens = $r.prompt_tokens,
            output_tokens = $r.output_tokens,
            first_byte_ms = $r.first_byte.map(milliseconds),
            duration_ms = milliseconds($r.duration),
            error = $r.error.as_deref().map(cut),
            "{}",
            Sentence($r)
        )
    };
}

fn write(record: &AccessRecord) {
    match record.outcome {
        Outcome::NodeFailed | Outcome::Broken => access_event!(WARN, record),
        _ => access_event!(INFO, record),
    }
}

fn milliseconds(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ERROR_MAX).map_or(text, |(end, _)| &text[..end])
}

/// `POST /api/chat 200 llama3.2:latest gpu1 12ms`
struct Sentence<'a>(&'a AccessRecord);

impl std::fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let r = self.0;
        f.write_str(&r.method)?;
        f.write_str(" ")?;
        f.write_str(r.route)?;
        write!(f, " {}", r.status)?;
        for name in [&r.model, &r.node].into_iter().flatten() {
            f.write_str(" ")?;
            f.write_str(name)?;
        }
        let us = r.duration.as_micros();
        match us {
            0..10_000 => write!(f, " {}.{}ms", us / 1000, us % 1000 / 100)?,
            10_000..10_000_000 => write!(f, " {}ms", us / 1000)?,
            _ => write!(f, " {}.{}s", us / 1_000_000, us % 1_000_000 / 100_000)?,
        }
        match r.outcome {
            Outcome::Complete | Outcome::Refused => Ok(()),
            other => write!(f, " {}", other.name()),
        }
    }
}
