//! What was seen and is not written yet.

use std::{
    mem,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use aivonx_domain::{AccessRecord, Outcome, Subject, table::Map};
use aivonx_protocol::{UnixMillis, limit::LimitName};

use super::seen::{About, Seen, counts};

/// Most memory of requests that wait to be written, bytes: a disk that takes nothing for a while shall lose none.
const WAITING_BYTES: usize = 64 << 20;

/// So many requests.
pub(super) const WAITING_MAX: usize = WAITING_BYTES / size_of::<Seen>();

/// Most kinds of refusals counted apart between two writes.
const REFUSALS_MAX: usize = 4096;

/// So many of them keep the addresses of their clients apart; beyond, no address is kept of a kind.
const ADDRESSES_MAX: usize = REFUSALS_MAX / 2;

/// Most that they may be about. Only a store that is not written for long while the fleet changes comes near it.
const ABOUTS_MAX: usize = WAITING_MAX + REFUSALS_MAX;

/// What refusals must share to be alike: whose, on which route and model, with which status and limit, and from which
/// address.
type Alike = (Option<Arc<Subject>>, &'static str, Option<Arc<str>>, u16, Option<LimitName>, Option<IpAddr>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    waiting: Mutex<Waiting>,
    /// Requests that found no room.
    pub(super) lost: AtomicU64,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) seen: Vec<Seen>,
    /// What these are about, each once.
    pub(super) abouts: Vec<About>,
}

#[derive(Debug, Default)]
struct Waiting {
    group: Group,
    refused: Map<Alike, Seen>,
    /// Where in the group each of its [`About`]s is kept.
    known: Map<About, u32>,
    /// The memory of a group that was written, for the next but one: what one thread fills and another frees would
    /// be asked of the system every time anew.
    spare: Vec<Seen>,
}

impl Gathered {
    /// Takes those finished requests that are for the ledger; they ended at `now`. Never waits.
    pub(super) fn take(&self, records: &[AccessRecord], now: UnixMillis) {
        let mut waiting = self.waiting();
        let mut lost = 0;
        for record in records.iter().filter(|record| counts(record)) {
            let about = waiting.about(record);
            let taken = about.is_some_and(|about| waiting.take(Seen::of(record, now, about), record));
            lost += u64::from(!taken);
        }
        drop(waiting);
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// What waits, refusals last.
    pub(super) fn drain(&self) -> Group {
        let mut waiting = self.waiting();
        let next = Group { seen: mem::take(&mut waiting.spare), abouts: Vec::new() };
        let mut group = mem::replace(&mut waiting.group, next);
        group.seen.extend(waiting.refused.drain().map(|(_, refused)| refused));
        waiting.known.clear();
        group
    }

    /// Counts what waits as lost; returns how many requests that is.
    pub(super) fn give_up(&self) -> u64 {
        let count = self.drain().seen.iter().map(|seen| u64::from(seen.times)).sum();
        self.lost.fetch_add(count, Ordering::Relaxed);
        count
    }

    /// Gives back the memory of a group that was written.
    pub(super) fn give_back(&self, mut seen: Vec<Seen>) {
        // The next will be about as large as this one; a burst is no reason to keep its memory for ever.
        let used = seen.len();
        seen.clear();
        seen.shrink_to(used.saturating_mul(2));
        self.waiting().spare = seen;
    }

    /// Puts back what could not be written, before what has come since, as far as there is room. Returns how many requests
    /// wait then.
    pub(super) fn put_back(&self, mut group: Group) -> u64 {
        let mut waiting = self.waiting();
        let room = WAITING_MAX.saturating_sub(waiting.group.seen.len());
        let over = group.seen.len().saturating_sub(room);
        let lost: u64 = group.seen.drain(..over).map(|seen| u64::from(seen.times)).sum();
        self.lost.fetch_add(lost, Ordering::Relaxed);
        let since = mem::replace(&mut waiting.group, group);
        let known = waiting.group.abouts.iter().cloned().zip(0..).collect();
        waiting.known = known;
        // What has come since may be about the same.
        let moved: Vec<u32> = since.abouts.into_iter().map(|about| waiting.keep(about)).collect();
        let moved = |seen: Seen| Seen { about: moved[seen.about as usize], ..seen };
        waiting.group.seen.extend(since.seen.into_iter().map(moved));
        waiting.refused.values_mut().for_each(|seen| *seen = moved(*seen));
        waiting.group.seen.iter().chain(waiting.refused.values()).map(|seen| u64::from(seen.times)).sum()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // The data is consistent at any time, even if its holder panicked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The place of what a request is about. None if there is no room.
    fn about(&mut self, record: &AccessRecord) -> Option<u32> {
        let about = About::of(record);
        match self.known.get(&about) {
            Some(known) => Some(*known),
            None => (self.group.abouts.len() < ABOUTS_MAX).then(|| self.keep(about)),
        }
    }

    fn keep(&mut self, about: About) -> u32 {
        if let Some(known) = self.known.get(&about) {
            return *known;
        }
        let place = number(self.group.abouts.len());
        self.group.abouts.push(about.clone());
        self.known.insert(about, place);
        place
    }

    /// Takes a request; false if there is no room for it.
    fn take(&mut self, seen: Seen, record: &AccessRecord) -> bool {
        if seen.outcome == Outcome::Refused {
            return self.refuse(seen, record);
        }
        let room = self.group.seen.len() < WAITING_MAX;
        if room {
            self.group.seen.push(seen);
        }
        room
    }

    /// Counts a refusal; false if there is no room for its kind.
    fn refuse(&mut self, mut seen: Seen, record: &AccessRecord) -> bool {
        let (status, limit) = (seen.status, seen.limit);
        let alike =
            |address| (record.subject.clone(), record.route, record.model.clone(), status, limit, address);
        if self.refused.len() >= ADDRESSES_MAX && !self.refused.contains_key(&alike(seen.address)) {
            seen.address = None;
        }
        let alike = alike(seen.address);
        if let Some(last) = self.refused.get_mut(&alike) {
            let mut findings = last.findings;
            findings.join(&seen.findings);
            *last = Seen { findings, times: last.times.saturating_add(1), ..seen };
            return true;
        }
        if self.refused.len() >= REFUSALS_MAX {
            return false;
        }
        self.refused.insert(alike, seen);
        true
    }
}

/// A place among what requests are about: there are at most [`ABOUTS_MAX`], and as many again put back.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use aivonx_domain::arbitrary;

    /// What waits, in words.
    fn told(group: &Group) -> Vec<String> {
        group
            .seen
            .iter()
            .map(|seen| format!("{:?} {:?}", Seen { about: 0, ..*seen }, group.abouts[seen.about as usize]))
            .collect()
    }

    proptest! {
        /// Requests come to the same if they were put back.
        #[test]
        fn what_is_put_back_is_not_lost(records in arbitrary::requests(60), cut in 0..60_usize) {
            let [together, back] = [(); 2].map(|()| Gathered::default());
            together.take(&records, 7);
            let (before, after) = records.split_at(cut.min(records.len()));
            back.take(before, 7);
            let drained = back.drain();
            back.take(after, 7);
            back.put_back(drained);
            let [together, back] = [together, back].map(|gathered| gathered.drain());
            prop_assert_eq!(&together.abouts, &back.abouts);
            let accepted = |group: &Group| {
                told(group).into_iter().filter(|line| !line.contains("outcome: Refused")).collect::<Vec<_>>()
            };
            prop_assert_eq!(accepted(&together), accepted(&back));
            let times = |group: &Group| group.seen.iter().map(|seen| u64::from(seen.times)).sum::<u64>();
            prop_assert_eq!(times(&together), times(&back));
        }
    }

    #[test]
    fn memory_is_used_again_and_no_more_of_it_than_was_needed() {
        let gathered = Gathered::default();
        gathered.give_back(Vec::with_capacity(1000));
        assert_eq!(gathered.waiting().spare.capacity(), 0);
        let mut seen = gathered.drain().seen;
        assert_eq!(seen.capacity(), 0);
        let mut record = AccessRecord::new(uuid::Uuid::nil(), [127, 0, 0, 1].into(), http::Method::POST);
        record.route = "/api/chat";
        seen.resize(10, Seen::of(&record, 0, 0));
        gathered.give_back(seen);
        assert!((10..=20).contains(&gathered.waiting().spare.capacity()));
    }
}
