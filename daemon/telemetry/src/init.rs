//! Puts telemetry together.

use std::{
    fs::DirBuilder,
    io::{self, IsTerminal},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use aivonx_config::level::{self, LevelError, LevelHandle};
use aivonx_config::{Log, LogTarget};
use aivonx_domain::access::AccessRecord;
use tokio::{sync::watch, task::JoinHandle};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

use super::{
    access_queue::{self, AccessQueue, AccessSink},
    file::RotatingFile,
    format::Style,
    hub::Hub,
    journald::{self, Journald},
    layer::LogLayer,
    metrics::Metrics,
    panic, process,
    queue::{LogQueue, Sink},
    sink::{self, Observer, Outlet},
    stream::{Lines, Stderr},
};

/// How long the end of the process waits for the log's sink.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The level is not one.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The log file cannot be written.
    #[error("log.file: cannot open {path}: {why}; choose another file or set log.target to `journald` or `stderr`", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// The log's thread could not be started.
    #[error("cannot start the log's thread: {0}")]
    Thread(io::Error),
    /// Called twice.
    #[error("telemetry was already set up in this process")]
    Twice,
}

/// The daemon's telemetry. Lives as long as the daemon; what still waits for the sink is written when it is
/// dropped, so end the process by returning from `main`, or call [`Telemetry::flush`] before.
pub struct Telemetry {
    hub: Hub,
    queue: LogQueue,
    level: LevelHandle,
    access: AccessSink,
    metrics: Arc<Metrics>,
    finished: Mutex<Option<AccessQueue>>,
    observers: Arc<RwLock<Vec<Observer>>>,
    stop: watch::Sender<bool>,
    drain: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("sink", &self.hub.sink()).finish_non_exhaustive()
    }
}

/// Sets up the process's telemetry. `stderr_is_for_people` allows colours on a terminal, and keeps `auto`
/// from taking a terminal's inherited `JOURNAL_STREAM` for the journal.
///
/// # Errors
/// A level that is not one, a log file that cannot be written, or a second call.
pub fn init(log: &Log, data_dir: &Path, stderr_is_for_people: bool) -> Result<Telemetry, InitError> {
    process::started();
    let (telemetry, dispatch, warning) = build(log, data_dir, stderr_is_for_people)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| InitError::Twice)?;
    panic::install(telemetry.queue.clone());
    if let Some(warning) = warning {
        tracing::warn!(event = "log_fallback", "{warning}");
    }
    Ok(telemetry)
}

/// Everything but making it the process's own, for tests. The last part is a warning to log.
pub(crate) fn build(
    log: &Log,
    data_dir: &Path,
    stderr_is_for_people: bool,
) -> Result<(Telemetry, Dispatch, Option<String>), InitError> {
    let targets = level::parse(&log.level)?;
    let Chosen { sink, name, warning } = choose(log, data_dir, stderr_is_for_people, Journald::open)?;
    let hub = Hub::default();
    hub.name_sink(&name);
    let queue = LogQueue::start(sink, hub.clone()).map_err(InitError::Thread)?;
    let level = LevelHandle::new(targets);
    let (access, finished) = access_queue::channel();
    let metrics = Arc::new(Metrics::new(queue.losses().clone(), access.clone()));
    let layer = LogLayer { level: level.clone(), hub: hub.clone(), queue: queue.clone() };
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let telemetry = Telemetry {
        hub,
        queue,
        level,
        access,
        metrics,
        finished: Mutex::new(Some(finished)),
        observers: Arc::default(),
        stop: watch::Sender::new(false),
        drain: Mutex::new(None),
    };
    Ok((telemetry, dispatch, warning))
}

impl Telemetry {
    /// The log in memory.
    #[must_use]
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// The entrance for finished requests.
    #[must_use]
    pub fn access(&self) -> AccessSink {
        self.access.clone()
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Has `observer` see every request finished from now on, a batch at a time.
    pub fn observe(&self, observer: impl Fn(&[AccessRecord]) + Send + Sync + 'static) {
        self.observers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(observer));
    }

    /// Waits until everything handed over so far has been counted, or `within` has passed.
    pub async fn settle(&self, within: Duration) {
        let until = tokio::time::Instant::now() + within;
        while self.access.waiting() > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Where the log goes: `journald`, `stderr` or `file PATH`.
    #[must_use]
    pub fn sink(&self) -> &str {
        self.hub.sink()
    }

    /// Changes what is logged, from now on.
    ///
    /// # Errors
    /// A directive that cannot be obeyed; the level in force stays.
    pub fn set_level(&self, directives: &str) -> Result<(), LevelError> {
        self.level.set(level::parse(directives)?);
        Ok(())
    }

    /// Starts turning access records into events and metrics. Call it once, inside the control plane's
    /// runtime; until then up to [`access_queue::WAITING_MAX`] records wait.
    pub fn spawn(&self) {
        let Some(finished) = take(&self.finished) else { return };
        let outlet = Outlet {
            level: self.level.clone(),
            hub: self.hub(),
            queue: self.queue.clone(),
            metrics: self.metrics(),
            observers: self.observers.clone(),
        };
        let task = sink::drain(self.access(), finished, outlet, self.stop.subscribe());
        *self.drain.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(task));
    }

    /// Logs what was handed over so far and writes it out. Call it last in an orderly end, after the data
    /// plane's threads are gone.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        if let Some(task) = take(&self.drain) {
            let _ = task.await;
        }
        let queue = self.queue.clone();
        let _ = tokio::task::spawn_blocking(move || queue.flush(FLUSH_WITHIN)).await;
    }

    /// Waits until everything logged so far is written, or `within` has passed. Blocks the thread.
    pub fn flush(&self, within: Duration) -> bool {
        self.queue.flush(within)
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_WITHIN);
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The sink, and what to say of it.
pub(crate) struct Chosen {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) name: String,
    pub(crate) warning: Option<String>,
}

/// Finds where the log goes. `journal` connects to journald.
pub(crate) fn choose(
    log: &Log,
    data_dir: &Path,
    for_people: bool,
    journal: impl FnOnce() -> io::Result<Journald>,
) -> Result<Chosen, InitError> {
    let terminal = io::stderr().is_terminal();
    let target = match log.target {
        // Terminals started by a desktop's session manager inherit the variable.
        LogTarget::Auto if std::env::var_os("JOURNAL_STREAM").is_some_and(|v| !v.is_empty()) && !terminal => {
            LogTarget::Journald
        }
        LogTarget::Auto => LogTarget::Stderr,
        other => other,
    };
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let stderr = || -> Box<dyn Sink> {
        let style = Style { format: log.format, colour: for_people && terminal && !no_colour };
        Box::new(Lines::new(Stderr, style))
    };
    match target {
        LogTarget::Journald => Ok(match journal() {
            Ok(journald) => Chosen { sink: Box::new(journald), name: "journald".into(), warning: None },
            Err(e) => Chosen {
                sink: stderr(),
                name: "stderr".into(),
                warning: Some(format!(
                    "logging to stderr, because journald does not answer at {}: {e}",
                    journald::SOCKET
                )),
            },
        }),
        LogTarget::File => {
            let path = log.file.clone().unwrap_or_else(|| data_dir.join("aivonxd.log"));
            let file = open_file(&path, log).map_err(|why| InitError::File { path: path.clone(), why })?;
            let style = Style { format: log.format, colour: false };
            Ok(Chosen {
                sink: Box::new(Lines::new(file, style)),
                name: format!("file {}", path.display()),
                warning: None,
            })
        }
        LogTarget::Stderr | LogTarget::Auto => {
            Ok(Chosen { sink: stderr(), name: "stderr".into(), warning: None })
        }
    }
}

fn open_file(path: &Path, log: &Log) -> io::Result<RotatingFile> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    RotatingFile::open(path, log.rotate_bytes, log.rotate_keep)
}
