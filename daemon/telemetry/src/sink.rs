//! From the queue of finished requests to the log and the metrics: one event per request, formatted and counted on the
//! control plane, a batch at a time.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aivonx_config::level::LevelHandle;
use aivonx_domain::access::AccessRecord;
use aivonx_protocol::log::Level;
use tokio::sync::watch;

use super::{
    access_queue::{AccessQueue, AccessSink},
    hub::Hub,
    metrics::Metrics,
    queue::LogQueue,
    view::{self, Bunch},
};

/// After a batch, others are let gather for so long: a busy gateway then wakes this task fifty times a second
/// instead of once per request, and its data-plane threads hardly ever.
const GATHER: Duration = Duration::from_millis(20);
/// Records formatted before other tasks get their turn.
const STRIDE: usize = 512;
/// How often losses are said.
const NOTICE_EVERY: Duration = Duration::from_secs(60);

/// Turns records into events and metrics until `stop` says true and the queue is empty.
pub(crate) async fn drain(
    sink: AccessSink,
    mut queue: AccessQueue,
    outlet: Outlet,
    mut stop: watch::Receiver<bool>,
) {
    let mut notice = tokio::time::interval(NOTICE_EVERY);
    let mut told = 0;
    loop {
        tokio::select! {
            biased;
            Some(records) = queue.recv() => {
                let mut done = records.len();
                outlet.take(&sink, records);
                while let Ok(records) = queue.try_recv() {
                    done += records.len();
                    outlet.take(&sink, records);
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

/// Where records go.
pub(crate) struct Outlet {
    pub(crate) level: LevelHandle,
    pub(crate) hub: Hub,
    pub(crate) queue: LogQueue,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) observers: Arc<RwLock<Vec<Observer>>>,
}

/// Sees finished requests, a batch at a time, on the control plane. Must not block.
pub type Observer = Box<dyn Fn(&[AccessRecord]) + Send + Sync>;

impl Outlet {
    /// Counts and logs. Records do not take the way through tracing: eighteen fields would be written down
    /// one by one for every request, whether anyone reads them or not. Nor are they moved: those who count see them
    /// where they are, and the log keeps them there.
    fn take(&self, sink: &AccessSink, mut records: Vec<AccessRecord>) {
        self.metrics.count(&records);
        // The panic hook has logged one that panicked.
        for observer in &*self.observers.read().unwrap_or_else(PoisonError::into_inner) {
            observer(&records);
        }
        sink.taken(records.len());
        match self.level.access() {
            // Nothing about a request is below that.
            Some(wanted) if wanted >= Level::Info => {}
            Some(wanted) => records.retain(|request| view::level_of(request) <= wanted),
            None => return,
        }
        if !records.is_empty() {
            self.queue.send(self.hub.put_all(Bunch::new(aivonx_domain::now(), records)));
        }
    }
}
