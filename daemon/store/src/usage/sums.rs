//! Sums over time and by group.

use std::{collections::BTreeMap, ops::Range};

use aivonx_domain::{Outcome, table::Map};
use aivonx_protocol::{UnixMillis, privacy::Category};
use serde::{Deserialize, Serialize};

use super::{
    block::UsageEntry,
    code::{Code, Part, Parties},
    day::{self, Calendar, Step},
};

/// What requests come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSums {
    /// Requests that were let through.
    pub requests: u64,
    /// Those of them that failed: no node, a failed or broken answer, a deadline, or a status that says so.
    pub failed: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests whose tokens are estimated.
    pub estimated: u64,
    /// Tokens of prompts.
    pub prompt: u64,
    /// Tokens of output.
    pub output: u64,
    /// Cost, micro-USD.
    pub cost: u64,
    /// Time until a node was chosen, milliseconds.
    pub queued_ms: u64,
    /// Time to the end, milliseconds.
    pub total_ms: u64,
    /// What was found in prompts.
    pub findings: BTreeMap<Category, u64>,
}

impl UsageSums {
    pub(super) fn add(&mut self, entry: &UsageEntry) {
        let times = u64::from(entry.times);
        for (category, count) in &entry.findings {
            *self.findings.entry(*category).or_default() += u64::from(*count);
        }
        if entry.outcome == Outcome::Refused as u8 {
            self.refused += times;
            return;
        }
        let gone = entry.outcome == Outcome::ClientGone as u8;
        let complete = entry.outcome == Outcome::Complete as u8;
        self.requests += times;
        self.failed += if gone || (complete && entry.status < 400) { 0 } else { times };
        self.estimated += u64::from(entry.estimated) * times;
        self.prompt = self.prompt.saturating_add(entry.prompt.unwrap_or(0));
        self.output = self.output.saturating_add(entry.output.unwrap_or(0));
        self.cost = self.cost.saturating_add(entry.cost);
        self.queued_ms += u64::from(entry.queued_ms.unwrap_or(0));
        self.total_ms += u64::from(entry.total_ms);
    }

    /// Adds other sums to these.
    pub fn join(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.refused += other.refused;
        self.estimated += other.estimated;
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.output = self.output.saturating_add(other.output);
        self.cost = self.cost.saturating_add(other.cost);
        self.queued_ms += other.queued_ms;
        self.total_ms += other.total_ms;
        for (category, count) in &other.findings {
            *self.findings.entry(*category).or_default() += count;
        }
    }
}

/// A part of time, and where its sums come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// From the requests themselves.
    Entries(Range<UnixMillis>),
    /// From the sums of whole days, as the calendar numbers them.
    Days(Range<u32>),
}

/// What has sums of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// Each of these.
    pub by: Option<Part>,
    /// Each step of time.
    pub per: Option<Step>,
}

/// Sums by group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summed {
    /// When the group's time begins, and whose it is; both as far as was asked for.
    pub groups: BTreeMap<(Option<UnixMillis>, Code), UsageSums>,
    /// All of it together.
    pub total: UsageSums,
    /// Whether there are more groups than these.
    pub cut: bool,
}

/// The sums of the days that entries are of, by their keys.
pub(super) fn by_day(calendar: Calendar, entries: &[UsageEntry]) -> Map<day::Key, UsageSums> {
    let mut known = Map::<(u32, Parties), usize>::default();
    let mut found: Vec<((u32, Parties), day::Key, UsageSums)> = Vec::new();
    let mut at = 0;
    for entry in entries {
        let what = (calendar.day_of(entry.time), entry.parties);
        // Most are as the one before.
        if found.get(at).is_none_or(|(before, ..)| *before != what) {
            at = *known.entry(what).or_insert_with(|| {
                found.push((what, calendar.key(entry), UsageSums::default()));
                found.len() - 1
            });
        }
        found[at].2.add(entry);
    }
    // Days are counted by less than entries are.
    let mut days = Map::<day::Key, UsageSums>::default();
    for (_, key, sums) in found {
        days.entry(key).or_default().join(&sums);
    }
    days
}
