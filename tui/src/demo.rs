//! The gateway of `aivonx demo`: found, started in a directory of its own, and ended with everything it made.
//!
//! It ends when this process does, in any case: by a signal where there is time for it, killed where there is not (a
//! panic), and by itself when the pipe it reads from closes (this process was killed). Its directory then stays until
//! the next demo.

mod folder;

use std::{
    collections::VecDeque,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aivonx_protocol::program;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use self::folder::{Folder, data};
use crate::exit::Failure;

/// What the daemon is called. It starts the nodes, `aivonx-sim`, itself.
const DAEMON: &str = "aivonxd";
/// How long it may take to start.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end what runs, and then itself.
const END: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];
/// Last lines of its log that are printed if it dies.
const LOG_TAIL: usize = 8;
/// Bytes of one of them.
const WORDS_MAX: u64 = 4096;

/// Variables that a service manager sets for the process it starts; not passed on.
const FOR_US: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
];

/// What is to be simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// How many nodes.
    pub(crate) nodes: u8,
    /// Whether there are made-up clients.
    pub(crate) traffic: bool,
}

/// A gateway that is there for the demo alone. Dropped, it is killed and its directory removed.
pub(crate) struct Demo {
    child: Child,
    /// Held: when it closes, the gateway ends by itself. Waiting for a child would close one that it has.
    _leash: Option<ChildStdin>,
    folder: Folder,
    address: SocketAddr,
    words: LastWords,
}

impl Demo {
    /// Starts the gateway and waits until it serves.
    ///
    /// # Errors
    /// There is no `aivonxd`, or it does not start; or a signal says not to.
    pub(crate) async fn start(wanted: Wanted) -> Result<Self, Failure> {
        let mut signals = Vec::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            signals.push(signal(kind)?);
        }
        let [interrupt, terminate, hang_up] = &mut signals[..] else {
            return Err(Failure::failed("signals cannot be listened for"));
        };
        let program = find(env::current_exe().ok().as_deref(), env::var_os("PATH").as_deref())?;
        let temporary = env::temp_dir();
        folder::sweep(&temporary);
        let folder = Folder::make(&temporary)?;
        let mut child = command(&program, folder.path(), wanted)
            .spawn()
            .map_err(|error| Failure::failed(format!("{} does not start: {error}", program.display())))?;
        let words = LastWords::default();
        let (told, mut first) = tokio::sync::oneshot::channel();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(watch_for_address(stdout, told));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(words.clone().listen(stderr));
        }
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let _leash = child.stdin.take();
        let mut demo = Self { child, _leash, folder, address: unknown, words };
        let found = tokio::select! {
            biased;
            _ = interrupt.recv() => Err(Failure::failed("the demo was interrupted")),
            _ = terminate.recv() => Err(Failure::failed("the demo was ended before it began")),
            _ = hang_up.recv() => Err(Failure::failed("the terminal is gone")),
            found = timeout(START, &mut first) => match found {
                Ok(Ok(address)) => Ok(address),
                // It closed its output: it ends, or is about to.
                Ok(Err(_)) => Err(demo.died().await),
                Err(_) => Err(Failure::failed(format!(
                    "the gateway did not start within {} s{}", START.as_secs(), demo.words.told()
                ))),
            },
        };
        match found {
            Ok(address) => {
                demo.address = address;
                Ok(demo)
            }
            Err(failure) => {
                demo.end().await;
                Err(failure)
            }
        }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        data(self.folder.path()).join("control.sock")
    }

    /// Waits until it ends by itself, and says how it did.
    pub(crate) async fn died(&mut self) -> Failure {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.words.settle().await;
        Failure::failed(format!("the gateway of the demo has ended ({how}){}", self.words.told()))
    }

    /// Ends it: asks, asks again, kills. Then its directory goes.
    pub(crate) async fn end(mut self) {
        for patience in END {
            self.ask_to_end();
            if timeout(patience, self.child.wait()).await.is_ok() {
                return;
            }
        }
        let _ = self.child.kill().await;
    }

    fn ask_to_end(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Only what could not be ended in order is still there: this process panics.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.start_kill();
            while let Ok(None) = self.child.try_wait() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn command(program: &Path, folder: &Path, wanted: Wanted) -> Command {
    let mut command = Command::new(program);
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--until-eof", "--dir"])
        .arg(data(folder))
        .args(["--simulate", &wanted.nodes.to_string()]);
    if wanted.traffic {
        command.args(["--traffic", "light"]);
    }
    // What a service manager hands on is for this process, not for the gateway; nor is its log the system's.
    for name in FOR_US {
        command.env_remove(name);
    }
    command
        .env("NO_COLOR", "1")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Signals of the terminal reach the console alone, which then ends the gateway.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// The daemon beside this program, else the first on the path.
fn find(own: Option<&Path>, path: Option<&std::ffi::OsStr>) -> Result<PathBuf, Failure> {
    let beside = own.and_then(Path::parent);
    program::find(DAEMON, beside.map(Path::to_owned), path).ok_or_else(|| {
        let beside = beside.unwrap_or(Path::new("?")).display();
        Failure::failed(format!("the demo needs {DAEMON}, which is neither in {beside} nor on the PATH"))
            .with_hint(format!(
                "Install the package aivonx, or build it: cargo build --bin {DAEMON} --bin aivonx-sim"
            ))
    })
}

/// Reads the daemon's output, sends its address when it is printed, and reads on, so that the daemon never blocks on a
/// full pipe.
async fn watch_for_address(stdout: impl AsyncRead + Unpin, told: tokio::sync::oneshot::Sender<SocketAddr>) {
    let mut lines = BufReader::new(stdout).lines();
    let mut told = Some(told);
    while let Ok(Some(line)) = lines.next_line().await {
        let address =
            line.split_once("listening on http://").and_then(|(_, address)| address.trim().parse().ok());
        if let Some(address) = address
            && let Some(told) = told.take()
        {
            let _ = told.send(address);
        }
    }
}

/// The end of the daemon's log.
#[derive(Debug, Clone, Default)]
struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    over: Arc<tokio::sync::Notify>,
}

impl LastWords {
    async fn listen(self, stderr: impl AsyncRead + Unpin) {
        use tokio::io::AsyncReadExt as _;
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!((&mut reader).take(WORDS_MAX).read_until(b'\n', &mut line).await, Ok(1..)) {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LOG_TAIL {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
        self.over.notify_one();
    }

    /// Waits until there is no more to come.
    async fn settle(&self) {
        let _ = timeout(Duration::from_secs(1), self.over.notified()).await;
    }

    fn told(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<String> = lines.iter().map(|line| format!("\n  {line}")).collect();
        format!("; its last words:{}", lines.concat())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn program(folder: &Path, mode: u32) -> PathBuf {
        let file = folder.join(DAEMON);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_daemon_beside_comes_before_that_on_the_path() {
        let (beside, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = beside.path().join("aivonx");
        let path = env::join_paths([Path::new("bin"), other.path()]).unwrap();
        let failure = find(Some(&own), Some(&path)).unwrap_err();
        assert_eq!(failure.exit(), crate::exit::Exit::Failed);
        assert!(failure.to_string().contains("needs aivonxd"), "{failure}");
        let on_path = program(other.path(), 0o755);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), on_path);
        program(beside.path(), 0o644);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), on_path, "no program");
        let next_to_it = program(beside.path(), 0o755);
        assert_eq!(find(Some(&own), Some(&path)).unwrap(), next_to_it);
    }

    #[tokio::test]
    async fn the_last_words_are_the_last() {
        let words = LastWords::default();
        let text: String = (0..30).map(|n| format!("line {n}\n")).collect();
        words.clone().listen(text.as_bytes()).await;
        words.settle().await;
        let told = words.told();
        assert!(told.contains("line 29") && told.contains("line 22") && !told.contains("line 21"), "{told}");
        assert_eq!(LastWords::default().told(), "");
    }
}
