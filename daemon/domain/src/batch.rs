//! The finished requests of one batch, and what those come to that are alike.
//!
//! Most requests of a batch share whose they are, their route, model, node and status. So each record is read once,
//! groups of such records are summed up on the way, and whoever counts requests does so per group.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{Findings, table::Map};
use crate::{
    access::{AccessRecord, Outcome, Subject},
    histogram::Counts,
};

/// See the module.
#[derive(Debug)]
pub struct Batch<'r> {
    records: &'r [AccessRecord],
    groups: Vec<Group<'r>>,
    /// The group of each record.
    group_of: Vec<u32>,
    /// The record after each in its group; of the last itself.
    next: Vec<u32>,
    /// The groups in the order of their last records.
    latest: Vec<u32>,
}

/// Requests of a batch that share subject, address, route, models, node, status and outcome.
#[derive(Debug)]
pub struct Group<'r> {
    /// The first of them, for what they share.
    pub alike: &'r AccessRecord,
    /// What they come to.
    pub sums: Sums,
    first: usize,
    last: usize,
}

/// What requests come to.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Bytes of the requests' bodies.
    pub bytes_in: u64,
    /// Bytes of the answers' bodies.
    pub bytes_out: u64,
    /// Tokens of prompts, as far as they were counted.
    pub prompt_tokens: u64,
    /// Tokens of output, as far as they were counted.
    pub output_tokens: u64,
    /// Cost, in micro-USD.
    pub cost: u64,
    /// What was found in the prompts.
    pub findings: Findings,
    /// Times to the first byte, of those that had one.
    pub first_byte: Counts,
    /// Times to the end.
    pub duration: Counts,
    /// The whole milliseconds of each of these.
    pub busy_ms: u64,
    /// The longest of them.
    pub longest: Duration,
}

/// Where what a request is about lies in memory: requests of which this is equal are about the same. True of as long as
/// one of them is held.
pub type Places = [usize; 5];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    places: Places,
    client: IpAddr,
    status: u16,
    outcome: Outcome,
}

impl Key {
    fn of(record: &AccessRecord) -> Self {
        Self {
            places: record.places(),
            client: record.client,
            status: record.status,
            outcome: record.outcome,
        }
    }
}

/// See [`Places`].
pub fn places(subject: Option<&Arc<Subject>>, names: [&Option<Arc<str>>; 3], route: &'static str) -> Places {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |t| Arc::as_ptr(t).cast::<u8>() as usize);
    let subject = subject.map_or(0, |subject| Arc::as_ptr(subject) as usize);
    [subject, text(names[0]), text(names[1]), text(names[2]), route.as_ptr() as usize]
}

impl AccessRecord {
    /// Where what it is about lies in memory.
    pub fn places(&self) -> Places {
        places(self.subject.as_ref(), [&self.model, &self.served, &self.node], self.route)
    }
}

impl<'r> Batch<'r> {
    /// Groups and sums up `records`.
    #[must_use]
    pub fn of(records: &'r [AccessRecord]) -> Self {
        let mut groups: Vec<Group<'r>> = Vec::new();
        let mut known = Map::<Key, usize>::default();
        let mut before: Option<(Key, usize)> = None;
        let (mut group_of, mut next) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        for (at, record) in records.iter().enumerate() {
            let key = Key::of(record);
            let group = match before {
                Some((before, group)) if before == key => group,
                _ => *known.entry(key).or_insert_with(|| {
                    groups.push(Group { alike: record, sums: Sums::default(), first: at, last: at });
                    groups.len() - 1
                }),
            };
            before = Some((key, group));
            group_of.push(number(group));
            next.push(number(at));
            let group = &mut groups[group];
            next[group.last] = number(at);
            group.last = at;
            group.sums.add(record);
        }
        let mut latest: Vec<u32> = (0..groups.len()).map(number).collect();
        latest.sort_unstable_by_key(|group| groups[*group as usize].last);
        Self { records, groups, group_of, next, latest }
    }

    /// The requests, in their order.
    #[must_use]
    pub fn records(&self) -> &'r [AccessRecord] {
        self.records
    }

    /// The groups, in the order of their first requests.
    #[must_use]
    pub fn groups(&self) -> &[Group<'r>] {
        &self.groups
    }

    /// The groups in the order of their last requests: for names, of which the last is to stay.
    pub fn latest(&self) -> impl Iterator<Item = &Group<'r>> {
        self.latest.iter().map(|group| &self.groups[*group as usize])
    }

    /// The requests in their order, each with the place of its group.
    pub fn each(&self) -> impl Iterator<Item = (usize, &'r AccessRecord)> {
        self.group_of.iter().map(|group| *group as usize).zip(self.records)
    }

    /// The requests of a group of this batch, in their order.
    pub fn members(&self, group: &Group<'_>) -> impl Iterator<Item = &'r AccessRecord> {
        let after = |at: &usize| Some(self.next[*at] as usize).filter(|next| next != at);
        std::iter::successors(Some(group.first), after).map(|at| &self.records[at])
    }
}

/// A place in a batch, of which there are far fewer than four thousand millions.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Sums {
    fn add(&mut self, r: &AccessRecord) {
        self.requests += 1;
        self.retries += u64::from(r.retries);
        self.bytes_in = self.bytes_in.saturating_add(r.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(r.bytes_out);
        self.prompt_tokens = self.prompt_tokens.saturating_add(r.prompt_tokens.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(r.output_tokens.unwrap_or(0));
        self.cost = self.cost.saturating_add(r.cost);
        // Most have none.
        if r.findings != Findings::default() {
            self.findings.join(&r.findings);
        }
        if let Some(first_byte) = r.first_byte {
            self.first_byte.observe(first_byte);
        }
        self.duration.observe(r.duration);
        let ms = u64::try_from(r.duration.as_millis()).unwrap_or(u64::MAX);
        self.busy_ms = self.busy_ms.saturating_add(ms);
        self.longest = self.longest.max(r.duration);
    }
}
