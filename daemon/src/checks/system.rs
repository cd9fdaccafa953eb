//! The machine that the gateway runs on, and what protects it there.

use std::time::Duration;

use aivonx_domain::named;
use aivonx_protocol::{UnixMillis, secrets::Check};

/// How far the clock may be behind what was written last.
const BACKWARDS: UnixMillis = 60_000;

/// Whether the clock is right: limits, expiry, certificates and the order of the audit log go by it.
pub(super) fn clock(now: UnixMillis, newest_entry: Option<UnixMillis>, synchronized: bool) -> Check {
    if newest_entry.is_some_and(|entry| entry > now.saturating_add(BACKWARDS)) {
        let finding = "the newest entry of the audit log is in the future: the clock went back";
        return Check::fail("clock", finding, "set it right: timedatectl set-ntp true");
    }
    if synchronized {
        return Check::ok("clock", "it is kept right by a time service");
    }
    let fix = "timedatectl set-ntp true; in a container the host's clock counts";
    Check::warn("clock", "no time service was seen that keeps it right", fix)
}

/// Bytes of the disk of the data directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) free: u64,
    pub(super) size: u64,
}

const FULL: u64 = 64 << 20;
const NEARLY_FULL: u64 = 1 << 30;

/// Whether there is room for what is to be kept.
pub(super) fn disk(found: Option<Disk>) -> Check {
    const FIX: &str = "make room on the disk of data_dir; usage.records and backup.keep say how much is kept";
    let Some(Disk { free, size }) = found else {
        return Check::warn("disk", "the disk of the data directory cannot be looked at", "see df");
    };
    let finding = format!("{} MiB of {} MiB are free", free >> 20, size >> 20);
    if free < FULL {
        Check::fail("disk", finding, FIX)
    } else if free < NEARLY_FULL.min(size / 10) {
        Check::warn("disk", finding, FIX)
    } else {
        Check::ok("disk", finding)
    }
}

/// Whether there is a backup that is not older than it should be.
pub(super) fn backup(
    interval: Duration,
    newest: Option<UnixMillis>,
    failure: Option<&str>,
    now: UnixMillis,
) -> Check {
    const MAKE: &str = "aivonx backup create";
    if let Some(why) = failure {
        return Check::fail("backup", format!("the one that was due is not made: {why}"), MAKE);
    }
    let Some(made) = newest else { return Check::warn("backup", "there is none yet", MAKE) };
    // Without a schedule others make them, and a week is long.
    let due = if interval.is_zero() { Duration::from_secs(7 * 24 * 3600) } else { 2 * interval };
    let age = Duration::from_millis(now.saturating_sub(made));
    let finding = format!("the newest is {} h old", age.as_secs() / 3600);
    if age > due { Check::warn("backup", finding, MAKE) } else { Check::ok("backup", finding) }
}

/// Whether the audit log proves itself.
pub(super) fn audit(intact: Option<bool>, lost: &[String]) -> Check {
    let fix = "aivonx audit verify says where; compare with the checkpoints kept elsewhere";
    match intact {
        Some(false) => Check::fail("audit log", "its chain does not verify", fix),
        _ if !lost.is_empty() => Check::fail("audit log", named(lost), fix),
        None => Check::ok("audit log", "its chain is being verified"),
        Some(true) => Check::ok("audit log", "its chain verified"),
    }
}

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) uid: Option<u32>,
    /// `NoNewPrivileges=`
    pub(super) no_new_privileges: bool,
    /// `SystemCallFilter=`
    pub(super) filtered: bool,
    /// What it may ever do, by capability.
    pub(super) bounding: u64,
}

/// `CAP_NET_BIND_SERVICE`, which a sample for the unit leaves.
const NET_BIND_SERVICE: u64 = 1 << 10;

impl Process {
    /// Out of `/proc/self/status`, proc_pid_status(5).
    pub(super) fn read(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.split_whitespace().next())
        };
        Self {
            uid: field("Uid").and_then(|uid| uid.parse().ok()),
            no_new_privileges: field("NoNewPrivs") == Some("1"),
            filtered: field("Seccomp") == Some("2"),
            bounding: field("CapBnd").and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or(u64::MAX),
        }
    }
}

/// Whether the hardening of the package's unit is in force.
pub(super) fn sandbox(process: &Process) -> Check {
    let lacks = [
        (process.uid == Some(0), "it runs as root"),
        (!process.no_new_privileges, "it may gain privileges (NoNewPrivileges=)"),
        (!process.filtered, "its system calls are not filtered (SystemCallFilter=)"),
        (process.bounding & !NET_BIND_SERVICE != 0, "it may have capabilities (CapabilityBoundingSet=)"),
    ];
    let lacks: Vec<&str> = lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect();
    if lacks.is_empty() {
        return Check::ok("sandbox", "the system confines the daemon");
    }
    let fix = "run it by the package's unit: systemctl enable --now aivonxd";
    Check::warn("sandbox", lacks.join(", "), fix)
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::secrets::CheckOutcome::{Fail, Ok, Warn};

    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_clock_that_went_back_fails() {
        let now = 1000 * HOUR;
        assert_eq!(clock(now, Some(now - HOUR), true).outcome, Ok);
        assert_eq!(clock(now, None, false).outcome, Warn);
        assert_eq!(clock(now, Some(now + HOUR), true).outcome, Fail);
    }

    #[test]
    fn room_is_judged_by_what_is_left() {
        let of = |free, size| disk(Some(Disk { free, size })).outcome;
        assert_eq!(
            [of(50 << 30, 100 << 30), of(500 << 20, 100 << 30), of(1 << 20, 100 << 30)],
            [Ok, Warn, Fail]
        );
        // A small disk is not full for being small.
        assert_eq!(of(500 << 20, 1 << 30), Ok);
        assert_eq!(disk(None).outcome, Warn);
    }

    #[test]
    fn backups_are_judged_by_their_age() {
        let (day, now) = (Duration::from_secs(86_400), 1000 * HOUR);
        assert_eq!(backup(day, Some(now - 30 * HOUR), None, now).outcome, Ok);
        assert_eq!(backup(day, Some(now - 50 * HOUR), None, now).outcome, Warn);
        assert_eq!(backup(Duration::ZERO, Some(now - 50 * HOUR), None, now).outcome, Ok);
        assert_eq!(backup(day, None, None, now).outcome, Warn);
        assert_eq!(backup(day, Some(now), Some("disk full"), now).outcome, Fail);
    }

    #[test]
    fn a_broken_chain_fails() {
        assert_eq!([audit(Some(true), &[]).outcome, audit(None, &[]).outcome], [Ok; 2]);
        assert_eq!(audit(Some(false), &[]).outcome, Fail);
        assert_eq!(audit(Some(true), &["segment 3 is lost".to_owned()]).outcome, Fail);
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let status = "Name:\taivonxd\nUid:\t990\t990\t990\t990\nCapBnd:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let process = Process::read(status);
        assert_eq!(
            process,
            Process { uid: Some(990), no_new_privileges: true, filtered: true, bounding: 1 << 10 }
        );
        assert_eq!(sandbox(&process).outcome, Ok);
        let loose = sandbox(&Process::read(
            "Uid:\t0\t0\t0\t0\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n",
        ));
        assert_eq!(loose.outcome, Warn);
        assert_eq!(loose.finding.matches("=)").count(), 3);
    }
}
