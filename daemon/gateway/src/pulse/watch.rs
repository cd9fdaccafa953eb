//! What was noticed by looking now and then: since when something holds, and how much of something there was
//! within the last hour.

use std::collections::{BTreeMap, VecDeque};

use aivonx_protocol::{UnixMillis, secrets::Check};

/// How far back "of late" goes, milliseconds.
const HOUR: u64 = 3_600_000;

/// How far apart the readings of a counter are kept, milliseconds.
const STEP: u64 = 60_000;

/// What is, at one look.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// Ids of the nodes that should serve and do not.
    pub down: Vec<String>,
    /// Whether the audit log was found not to verify.
    pub audit_broken: bool,
    /// Whether entries of the audit log wait for longer than they should.
    pub audit_stalled: bool,
    /// Attempts to reach another organization's records, since the start.
    pub cross_organization: u64,
    /// What is wrong with the store, if something is: a sentence.
    pub store_failed: Option<String>,
    /// Failed reads and writes of the store, since the start.
    pub store_errors: u64,
    /// Requests missing from the log or the ledger, since the start.
    pub lost: u64,
    /// What the ledgers lack, in words.
    pub ledgers_lost: Vec<String>,
}

/// Something that may hold for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// A node is down, by its id.
    Down(String),
    /// The audit log does not verify.
    AuditBroken,
    /// The audit log is not written.
    AuditStalled,
    /// The store takes no more changes.
    StoreFailed,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    since: BTreeMap<Condition, UnixMillis>,
    cross_organization: Hourly,
    store_failed: Option<String>,
    store_errors: Hourly,
    lost: Hourly,
    ledgers_lost: Vec<String>,
    failing: Vec<Check>,
}

impl Watch {
    /// Takes note of what is at `now`.
    pub fn note(&mut self, glance: &Glance, now: UnixMillis) {
        let down = glance.down.iter().cloned().map(Condition::Down);
        let broken = glance.audit_broken.then_some(Condition::AuditBroken);
        let stalled = glance.audit_stalled.then_some(Condition::AuditStalled);
        let failed = glance.store_failed.is_some().then_some(Condition::StoreFailed);
        let held = std::mem::take(&mut self.since);
        let still = |condition: Condition| {
            let since = held.get(&condition).copied().unwrap_or(now);
            (condition, since)
        };
        self.since = down.chain(broken).chain(stalled).chain(failed).map(still).collect();
        self.cross_organization.note(glance.cross_organization, now);
        self.store_failed.clone_from(&glance.store_failed);
        self.store_errors.note(glance.store_errors, now);
        self.lost.note(glance.lost, now);
        self.ledgers_lost.clone_from(&glance.ledgers_lost);
    }

    /// Takes note of what validating the secrets found: what failed is kept.
    pub fn checked(&mut self, checks: Vec<Check>) {
        self.failing = checks;
    }

    /// What was found the last time secrets were validated.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.failing
    }

    /// Since when this holds; None if it did not at the last look.
    #[must_use]
    pub fn since(&self, condition: &Condition) -> Option<UnixMillis> {
        self.since.get(condition).copied()
    }

    /// Attempts to reach another organization's records within the last hour.
    #[must_use]
    pub fn cross_organization(&self) -> u64 {
        self.cross_organization.of_late()
    }

    /// Why the store takes no more changes; None if it did at the last look.
    #[must_use]
    pub fn store_failed(&self) -> Option<&str> {
        self.store_failed.as_deref()
    }

    /// Failed reads and writes of the store within the last hour.
    #[must_use]
    pub fn store_errors(&self) -> u64 {
        self.store_errors.of_late()
    }

    /// What the ledgers lack, in words.
    #[must_use]
    pub fn ledgers_lost(&self) -> &[String] {
        &self.ledgers_lost
    }

    /// Requests missing from the log or the ledger within the last hour.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.of_late()
    }
}

/// How much a counter that only grows has grown within the last hour; at most sixty readings are kept.
#[derive(Debug, Default)]
struct Hourly {
    readings: VecDeque<(UnixMillis, u64)>,
    now: u64,
}

impl Hourly {
    fn note(&mut self, total: u64, now: UnixMillis) {
        self.now = total;
        // The one before the hour is what it is compared with.
        while self.readings.get(1).is_some_and(|(at, _)| at + HOUR <= now) {
            self.readings.pop_front();
        }
        if self.readings.is_empty() {
            // What was counted before the first look happened since the start.
            self.readings.push_back((now, 0));
        } else if self.readings.back().is_some_and(|(at, _)| at + STEP <= now) {
            self.readings.push_back((now, total));
        }
    }

    fn of_late(&self) -> u64 {
        self.now.saturating_sub(self.readings.front().map_or(0, |(_, total)| *total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_known_since_when() {
        let mut watch = Watch::default();
        let down = |ids: &[&str]| Glance {
            down: ids.iter().map(ToString::to_string).collect(),
            ..Glance::default()
        };
        let since = |watch: &Watch, id: &str| watch.since(&Condition::Down(id.into()));
        watch.note(&down(&["a"]), 10);
        watch.note(&down(&["a", "b"]), 20);
        assert_eq!((since(&watch, "a"), since(&watch, "b")), (Some(10), Some(20)));
        watch.note(&down(&["b"]), 30);
        watch.note(&down(&["a", "b"]), 40);
        assert_eq!((since(&watch, "a"), since(&watch, "b")), (Some(40), Some(20)));
        watch.note(&Glance { audit_broken: true, ..Glance::default() }, 50);
        assert_eq!((since(&watch, "a"), watch.since(&Condition::AuditBroken)), (None, Some(50)));
    }

    #[test]
    fn an_hour_later_it_is_forgotten() {
        let mut watch = Watch::default();
        let seen = |total| Glance { cross_organization: total, ..Glance::default() };
        watch.note(&seen(2), 0);
        assert_eq!(watch.cross_organization(), 2);
        for minute in 1..=59 {
            watch.note(&seen(5), minute * STEP);
        }
        assert_eq!(watch.cross_organization(), 5);
        watch.note(&seen(6), HOUR + STEP);
        assert_eq!(watch.cross_organization(), 1, "the five are more than an hour old");
        watch.note(&seen(6), 3 * HOUR);
        assert_eq!(watch.cross_organization(), 0);
        assert!(watch.cross_organization.readings.len() <= 62);
    }
}
