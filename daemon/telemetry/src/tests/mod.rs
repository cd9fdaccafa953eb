//! Tests of the parts together, each with its own subscriber: a process has only one of its own.

use std::{
    process::Command,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use aivonx_config::LogFormat;
use aivonx_config::level::{self, LevelHandle};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use super::{
    access_queue::AccessSink,
    format::Style,
    hub::Hub,
    layer::LogLayer,
    metrics::Metrics,
    queue::{LogQueue, Lost, Sink},
    sink::Outlet,
    view::View,
};

mod access;
mod docs;
mod file;
mod hub;
mod init;
mod journald;
mod layer;
mod messages;
mod metrics;
mod queue;
mod reissue;
mod view;

/// Longer than anything takes on a loaded machine; reached only by failures.
const LONG: Duration = Duration::from_secs(60);

/// Everything a daemon has but the process-wide part, with a sink that keeps its lines.
struct Rig {
    hub: Hub,
    queue: LogQueue,
    level: LevelHandle,
    dispatch: Dispatch,
    lines: Arc<Mutex<String>>,
}

impl Rig {
    fn new(level: &str, format: LogFormat) -> Self {
        let lines = Arc::new(Mutex::new(String::new()));
        let sink = Keep { lines: lines.clone(), style: Style { format, colour: false } };
        Self::with_sink(level, Box::new(sink), Hub::default(), lines)
    }

    fn with_sink(level: &str, sink: Box<dyn Sink>, hub: Hub, lines: Arc<Mutex<String>>) -> Self {
        let queue = LogQueue::start(sink, hub.clone()).unwrap();
        let level = LevelHandle::new(level::parse(level).unwrap());
        let layer = LogLayer { level: level.clone(), hub: hub.clone(), queue: queue.clone() };
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        Self { hub, queue, level, dispatch, lines }
    }

    fn outlet(&self, access: &AccessSink) -> Outlet {
        let metrics = Arc::new(Metrics::new(self.queue.losses().clone(), access.clone()));
        Outlet {
            level: self.level.clone(),
            hub: self.hub.clone(),
            queue: self.queue.clone(),
            metrics,
            observers: Arc::default(),
        }
    }

    /// What `log` wrote, lines without their time.
    fn lines(&self, log: impl FnOnce()) -> Vec<String> {
        self.lines.lock().unwrap().clear();
        tracing::dispatcher::with_default(&self.dispatch, log);
        assert!(self.queue.flush(LONG));
        self.lines.lock().unwrap().lines().map(|l| l.get(25..).unwrap_or(l).to_owned()).collect()
    }
}

struct Keep {
    lines: Arc<Mutex<String>>,
    style: Style,
}

impl Sink for Keep {
    fn take(&mut self, record: View<'_>) {
        self.style.line(record, &mut self.lines.lock().unwrap());
    }

    fn flush(&mut self) -> Result<(), Lost> {
        Ok(())
    }
}

/// A sink that stands still until it is let go.
struct Stuck {
    go: mpsc::Receiver<()>,
    taken: Arc<Mutex<Vec<String>>>,
    free: bool,
}

impl Sink for Stuck {
    fn take(&mut self, record: View<'_>) {
        self.taken.lock().unwrap().push(record.text().message().to_owned());
    }

    fn flush(&mut self) -> Result<(), Lost> {
        if !self.free {
            // An error is the test's end of the channel gone, which lets go as well.
            let _ = self.go.recv();
            self.free = true;
        }
        Ok(())
    }
}

/// Runs one ignored test of this binary in a mount namespace of its own, after the commands of `before` and
/// followed by those of `after`. None, with the reason printed, where that is not possible.
fn in_namespace(before: &str, test: &str, after: &str) -> Option<String> {
    let probe = Command::new("unshare").args(["-m", "--propagation", "private", "true"]).output();
    if !probe.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: needs unshare(1) and the right to make mount namespaces");
        return None;
    }
    let script =
        format!("set -eu\n{before}\n\"$TEST\" --exact tests::{test} --ignored --nocapture >&2\n{after}");
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "bash", "-c", &script])
        .env("TEST", std::env::current_exe().unwrap())
        .env("CATALOG", concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/journald"))
        .env("STANDBY", super::messages::id_of("node_standby").unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        eprintln!("SKIPPED: {stderr}");
        return None;
    }
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}
