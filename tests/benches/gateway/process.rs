//! Starting, ending and metering processes.

use super::{ROLE, placement};
use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a process may take to end when asked, before it is killed.
const ENDING: Duration = Duration::from_secs(2);

/// A child that ends when this is dropped, also during a panic.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// This process's id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The child's standard output, once, if it was piped.
    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Whether it has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        let descendants = children_of(self.pid());
        signal(self.pid(), Signal::TERM);
        let started = Instant::now();
        while self.ended().is_none() {
            if started.elapsed() > ENDING {
                for pid in descendants {
                    signal(pid, Signal::KILL);
                }
                signal(self.pid(), Signal::KILL);
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// A command that runs `program` on `core`, ends it with this process, and gives it all file descriptors
/// it may have. It goes through the `exec` role because a child cannot be prepared between fork and exec
/// without unsafe code.
pub(crate) fn on_core(core: Option<usize>, program: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this binary")?);
    command.arg(ROLE).arg("exec").arg(core.map_or("any".to_owned(), |core| core.to_string()));
    command.arg(program).stdin(Stdio::null());
    Ok(command)
}

/// A command that runs this binary in `role`, as [`on_core`].
pub(crate) fn own_role(core: Option<usize>, role: &str) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("finding this binary")?;
    let mut command = on_core(core, own.to_str().context("the path of this binary is not UTF-8")?)?;
    command.arg(ROLE).arg(role);
    Ok(command)
}

/// Starts a command as a guarded child.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Process> {
    let child = command.spawn().with_context(|| format!("starting {:?}", command.get_program()))?;
    Ok(Process { child })
}

/// The role behind [`on_core`]: `exec CORE PROGRAM ARGUMENTS...`.
pub(crate) fn exec_role(arguments: &[String]) -> anyhow::Result<()> {
    let [core, program, rest @ ..] = arguments else { anyhow::bail!("exec CORE PROGRAM ARGUMENTS...") };
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    if let Ok(core) = core.parse() {
        placement::pin(core).with_context(|| format!("pinning to core {core}"))?;
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised).context("raising the file descriptor limit")?;
    Err(Command::new(program).args(rest).exec()).with_context(|| format!("running {program}"))
}

/// Most file descriptors a process started here may have.
pub(crate) fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Processes whose parent is `parent`.
pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold anything; the state and the parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// Of all threads.
    pub(crate) all: u64,
    /// Of those that are not aside.
    pub(crate) path: u64,
}

/// Names of the gateway's threads that work beside the traffic: the control plane and the log's writer.
const ASIDE: [&str; 2] = ["control", "log"];

impl Cpu {
    /// What the processes' living threads have used so far. Exact for threads that are not running at this
    /// moment; threads that have ended are not in it.
    pub(crate) fn of(pids: &[i32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let used = thread_ns(&task.path()).unwrap_or_default();
                let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
                sum.all += used;
                if !ASIDE.contains(&name.trim_end()) {
                    sum.path += used;
                }
            }
        }
        sum
    }

    /// What was used between `before` and this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { all: self.all.saturating_sub(before.all), path: self.path.saturating_sub(before.path) }
    }
}

fn thread_ns(task: &Path) -> Option<u64> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Resident bytes of the processes.
pub(crate) fn resident_bytes(pids: &[i32]) -> u64 {
    pids.iter().filter_map(|pid| resident(*pid)).sum()
}

fn resident(pid: i32) -> Option<u64> {
    // Unlike `statm`, the roll-up is exact.
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
