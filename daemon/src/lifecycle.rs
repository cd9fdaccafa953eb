//! What a daemon owes the system that runs it: enough file descriptors, no core dumps, and notifications to systemd.
//!
//! To be called in this order: [`no_core_dumps`] before the first secret is read, [`raise_fd_limit`] before the first
//! listener, [`ready`] when all listeners are open, [`watchdog`] on the control plane; [`reloading`] and then [`ready`]
//! around a reload, [`stopping`] before streams are ended.

use std::{io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use sd_notify::NotifyState;

pub use aivonx_telemetry::process::resident_bytes;

/// A request to the system that failed.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The limit on file descriptors could not be raised.
    #[error("cannot raise the limit on open files from {from} to {to}: {why}")]
    FdLimit {
        /// Before.
        from: u64,
        /// Wanted.
        to: u64,
        /// Why not.
        why: io::Error,
    },
    /// Core dumps could not be turned off.
    #[error("cannot turn off core dumps, which would hold keys and prompts: {0}")]
    CoreDumps(io::Error),
}

/// The limit on open files in force; `u64::MAX` without one.
#[must_use]
pub fn fd_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit on open files to the hard limit. Returns the limit now in force (`u64::MAX` without one) and
/// a warning if it is below `needed`, which [`aivonx_gateway::places::Descriptors::needed`] computes. A daemon in
/// `dev` is in no unit.
///
/// # Errors
/// The kernel refuses.
pub fn raise_fd_limit(needed: u64, dev: bool) -> Result<(u64, Vec<String>), LifecycleError> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if soft < hard {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        setrlimit(Resource::Nofile, wanted).map_err(|e| LifecycleError::FdLimit {
            from: soft,
            to: hard,
            why: e.into(),
        })?;
    }
    Ok((hard, short_of(hard, needed, dev).into_iter().collect()))
}

/// Drops root for the owner of `dir` if that is another user: the owner has to read later what is written there. To be
/// called before any thread is started, and after everything that only root may read has been read.
///
/// # Errors
/// The kernel refuses.
pub fn act_as_owner(dir: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    // The user last: without root's rights the groups could not be given up any more.
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

fn short_of(limit: u64, needed: u64, dev: bool) -> Option<String> {
    let fix = if dev {
        format!("raise it before the start (`ulimit -n {needed}`), or expect fewer connections")
    } else {
        format!("set LimitNOFILE={needed} in the unit (`systemctl edit aivonxd`) or lower limits.connections")
    };
    (limit < needed).then(|| {
        format!("the hard limit on open files is {limit}, but limits.connections needs {needed}: {fix}")
    })
}

/// Turns core dumps off, and with them reading the process's memory by others of the same user.
///
/// # Errors
/// The kernel refuses either.
pub fn no_core_dumps() -> Result<(), LifecycleError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|e| LifecycleError::CoreDumps(e.into()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| LifecycleError::CoreDumps(e.into()))
}

/// Notifies systemd that the daemon serves, or serves again after a reload. Does nothing without systemd.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Notifies systemd that a reload has begun; it must end with [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // systemd compares the time with its own, to distinguish this reload from an earlier one.
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading the configuration")]),
        Err(e) => tracing::warn!(error = %e, "cannot tell systemd about the reload: no monotonic clock"),
    }
}

/// Notifies systemd that the shutdown has begun.
pub fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
}

/// Changes the line that `systemctl status` shows.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(&one_line(status))]);
}

/// Asks systemd for more time while it lives: for a start or an end that may take longer than the unit's timeout.
#[derive(Debug)]
pub struct Patience(tokio::task::JoinHandle<()>);

/// More time asked for at once, and how often.
const MORE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(20);

impl Patience {
    /// For `what`, which `systemctl status` shows, and which takes no longer than `most` if all is well: after that
    /// systemd may lose its own. Needs a runtime.
    #[must_use]
    pub fn ask(what: &str, most: Duration) -> Self {
        let what = one_line(what);
        let until = tokio::time::Instant::now() + most;
        let more = u32::try_from(MORE.as_micros()).unwrap_or(u32::MAX);
        Self(tokio::spawn(async move {
            while tokio::time::Instant::now() <= until {
                notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(&what)]);
                tokio::time::sleep(EVERY).await;
            }
        }))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notifies systemd's watchdog at half its interval, for as long as `alive` says so. Returns at once without a
/// watchdog; else runs for ever: spawn it on the control plane, so that a stalled control plane is noticed, too.
/// `alive` is called each time and must not block.
pub async fn watchdog(alive: impl Fn() -> bool) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    watch(interval, alive, || notify(&[NotifyState::Watchdog])).await;
}

async fn watch(interval: Duration, alive: impl Fn() -> bool, tell: impl Fn()) {
    let mut tick = tokio::time::interval((interval / 2).max(Duration::from_millis(1)));
    let mut was_alive = true;
    loop {
        tick.tick().await;
        let is_alive = alive();
        if is_alive {
            tell();
        } else if was_alive {
            tracing::error!(event = "watchdog", "a part of the daemon stands still: systemd will restart it");
        }
        was_alive = is_alive;
    }
}

/// A newline would begin another message to systemd.
fn one_line(text: &str) -> String {
    aivonx_protocol::Untrusted::new(text).to_string()
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::warn!(error = %e, "cannot reach systemd at NOTIFY_SOCKET");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_limit_is_raised_and_a_shortage_is_said() {
        let (soft, warnings) = raise_fd_limit(1, false).unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), soft);
        assert!(warnings.is_empty());
        let needed = 20_256;
        assert!(short_of(1024, needed, false).unwrap().contains("LimitNOFILE=20256"));
        let dev = short_of(1024, needed, true).unwrap();
        assert!(dev.contains("`ulimit -n 20256`") && !dev.contains("unit"), "{dev}");
        assert_eq!(short_of(20_256, needed, false), None);
    }

    #[test]
    fn a_status_stays_one_line() {
        assert_eq!(one_line("ok\nREADY=1"), "ok\\nREADY=1");
    }

    #[tokio::test]
    async fn the_watchdog_hears_only_of_life() {
        let asked = AtomicU32::new(0);
        let told = AtomicU32::new(0);
        let watching = watch(
            Duration::from_millis(2),
            || asked.fetch_add(1, Ordering::Relaxed) < 3,
            || {
                told.fetch_add(1, Ordering::Relaxed);
            },
        );
        let five_asked = async {
            while asked.load(Ordering::Relaxed) < 5 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = watching => {}
            () = five_asked => {}
        }
        assert_eq!(told.load(Ordering::Relaxed), 3);
    }
}
