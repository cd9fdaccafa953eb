//! The index of one segment of the audit log: where its entries stand, for each term (this actor, that outcome, ...)
//! which of them have it, and when they were written.
//!
//! Entries are numbered without gaps and stand in order, so that those of a term are a list of small distances. Terms
//! are hashed; that two share a hash costs time, not truth, because every entry found is compared with the filter.

use std::{collections::BTreeMap, net::IpAddr, ops::RangeInclusive};

use aivonx_protocol::{
    Network, UnixMillis,
    audit::{AuditEntry, AuditFilter},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::kept::Head;

/// Entries whose times are summed up together.
const SPAN: usize = 64;

/// What a term is about.
#[derive(Debug, Clone, Copy)]
enum Field {
    Actor = 1,
    Organization,
    Action,
    ObjectKind,
    Object,
    Outcome,
    Network,
}

/// A term: its kind, and the hash of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Term([u8; 9]);

impl Term {
    fn new(kind: Field, text: &str) -> Self {
        let mut term = [kind as u8; 9];
        term[1..].copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
        Self(term)
    }
}

/// Lengths of the networks of an address by which entries are found.
fn prefixes(address: IpAddr) -> [u8; 4] {
    if address.is_ipv4() { [0, 16, 24, 32] } else { [0, 32, 64, 128] }
}

/// The term of the smallest of those networks that has all of `network`.
fn network_term(network: Network) -> Term {
    let address = network.address();
    let prefix =
        prefixes(address).into_iter().filter(|prefix| *prefix <= network.prefix()).max().unwrap_or(0);
    Term::new(Field::Network, &Network::around(address, prefix).to_string())
}

/// The terms of an entry, each once.
fn terms(entry: &AuditEntry) -> Vec<Term> {
    let mut terms = vec![
        Term::new(Field::Actor, &entry.actor.name),
        Term::new(Field::Action, entry.action.as_str()),
        Term::new(Field::Outcome, entry.outcome.as_str()),
    ];
    let mut all = |kind, texts: &[Option<&str>]| {
        terms.extend(texts.iter().flatten().map(|text| Term::new(kind, text)));
    };
    all(Field::Actor, &[entry.actor.id.as_deref()]);
    if let Some(organization) = &entry.organization {
        all(Field::Organization, &[Some(&organization.id), organization.name.as_deref()]);
    }
    if let Some(object) = &entry.object {
        all(Field::ObjectKind, &[Some(&object.kind)]);
        all(Field::Object, &[object.id.as_deref(), object.name.as_deref()]);
    }
    if let Some(address) = entry.source.ip().map(|address| address.to_canonical()) {
        let networks = prefixes(address).map(|prefix| Network::around(address, prefix).to_string());
        all(Field::Network, &networks.each_ref().map(|network| Some(&**network)));
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The conditions of a filter, each met by any of its terms; the one that most likely has the fewest entries
/// first. `organization` confines it further.
pub(super) fn conditions(filter: &AuditFilter, organization: Option<&str>) -> Vec<Vec<Term>> {
    let one = |kind, text: &Option<String>| text.as_ref().map(|text| vec![Term::new(kind, text)]);
    let actions: Vec<Term> = filter.actions.iter().map(|a| Term::new(Field::Action, a.as_str())).collect();
    [
        one(Field::Object, &filter.object),
        one(Field::Actor, &filter.actor),
        filter.network.map(|network| vec![network_term(network)]),
        one(Field::Organization, &filter.organization),
        organization.map(|id| vec![Term::new(Field::Organization, id)]),
        Some(actions).filter(|actions| !actions.is_empty()),
        one(Field::ObjectKind, &filter.object_kind),
        filter.outcome.map(|o| vec![Term::new(Field::Outcome, o.as_str())]),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Some elements of a segment, in order, as the distances between them in pieces of seven bits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Places {
    last: u32,
    bytes: Vec<u8>,
}

impl Places {
    fn push(&mut self, place: u32) {
        let mut gap = place - self.last;
        self.last = place;
        while gap >= 128 {
            self.bytes.push((gap & 127) as u8 | 128);
            gap >>= 7;
        }
        self.bytes.push(gap as u8);
    }

    fn read(&self) -> impl Iterator<Item = u32> + '_ {
        let mut bytes = self.bytes.iter();
        let mut place = 0u32;
        std::iter::from_fn(move || {
            let mut shift = 0;
            loop {
                let byte = *bytes.next()?;
                place = place.wrapping_add(u32::from(byte & 127).wrapping_shl(shift));
                if byte < 128 {
                    return Some(place);
                }
                shift += 7;
            }
        })
    }
}

/// The index of a segment. Its entries are counted from 0 on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// Number behind the last frame it knows of.
    pub(super) end: u64,
    /// Where the entries stand.
    at: Vec<u32>,
    /// Each entry whose number does not follow the one before, and that number.
    runs: Vec<(u32, u64)>,
    /// The earliest and the latest time among each [`SPAN`] entries: clocks are set back at times.
    times: Vec<(UnixMillis, UnixMillis)>,
    terms: BTreeMap<Term, Places>,
    /// The checkpoints, by the entry they are about, and where they stand.
    pub(super) checkpoints: Vec<(u64, u32)>,
    /// The last record of where the log stands.
    pub(super) head: Option<Head>,
}

impl Index {
    /// Takes in an entry that stands behind all others.
    pub(super) fn add(&mut self, seq: u64, at: u32, entry: Option<&AuditEntry>) {
        let place = u32::try_from(self.at.len()).unwrap_or(u32::MAX);
        if self.last() != seq.checked_sub(1) || place == 0 {
            self.runs.push((place, seq));
        }
        if self.at.len().is_multiple_of(SPAN) {
            self.times.push((UnixMillis::MAX, 0));
        }
        self.at.push(at);
        // One that cannot be read is found by its number alone.
        let Some(entry) = entry else { return };
        if let Some((earliest, latest)) = self.times.last_mut() {
            (*earliest, *latest) = ((*earliest).min(entry.time), (*latest).max(entry.time));
        }
        for term in terms(entry) {
            self.terms.entry(term).or_default().push(place);
        }
    }

    /// Number of the first entry.
    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first().map(|(_, seq)| *seq)
    }

    /// Number of the last entry.
    pub(super) fn last(&self) -> Option<u64> {
        let (place, seq) = self.runs.last()?;
        Some(seq + (self.at.len() as u64).saturating_sub(1).saturating_sub(u64::from(*place)))
    }

    /// Where the entry `seq` stands.
    pub(super) fn find(&self, seq: u64) -> Option<u32> {
        let run = self.runs.partition_point(|(_, first)| *first <= seq).checked_sub(1)?;
        let place = self.from(seq);
        let end = self.runs.get(run + 1).map_or(self.at.len(), |(place, _)| *place as usize);
        (place < end).then(|| self.at.get(place).copied()).flatten()
    }

    /// The first entry whose number is `seq` or more, if there is one.
    fn from(&self, seq: u64) -> usize {
        let Some(run) = self.runs.partition_point(|(_, first)| *first <= seq).checked_sub(1) else {
            return 0;
        };
        let (place, first) = self.runs[run];
        let end = self.runs.get(run + 1).map_or(self.at.len(), |(place, _)| *place as usize);
        usize::try_from(seq - first).map_or(end, |behind| end.min(behind.saturating_add(place as usize)))
    }

    /// Where the entries stand that may be wanted, in order: those between two numbers, written from `since` to before
    /// `until`, that meet all conditions.
    pub(super) fn wanted(
        &self,
        numbers: &RangeInclusive<u64>,
        (since, until): (Option<UnixMillis>, Option<UnixMillis>),
        conditions: &[Vec<Term>],
    ) -> Vec<u32> {
        let (from, to) = (self.from(*numbers.start()), self.from(numbers.end().saturating_add(1)));
        let overlaps = |(earliest, latest): &(UnixMillis, UnixMillis)| {
            since.is_none_or(|since| *latest >= since) && until.is_none_or(|until| *earliest < until)
        };
        if !self.times.iter().any(overlaps) {
            return Vec::new();
        }
        let in_time = |place: &usize| overlaps(&self.times[place / SPAN]);
        let at = |place: usize| self.at[place];
        let Some((first, others)) = conditions.split_first() else {
            return (from..to).filter(in_time).map(at).collect();
        };
        let mut places = self.any(first);
        for terms in others {
            if places.is_empty() {
                break;
            }
            let any = self.any(terms);
            places.retain(|place| any.binary_search(place).is_ok());
        }
        let within = places.into_iter().map(|place| place as usize);
        within.filter(|place| (from..to).contains(place)).filter(in_time).map(at).collect()
    }

    /// The entries that have any of `terms`, in order.
    fn any(&self, terms: &[Term]) -> Vec<u32> {
        let mut places: Vec<u32> =
            terms.iter().filter_map(|term| self.terms.get(term)).flat_map(Places::read).collect();
        if terms.len() > 1 {
            places.sort_unstable();
            places.dedup();
        }
        // A file that somebody made up may say anything.
        places.retain(|place| (*place as usize) < self.at.len());
        places
    }

    /// Where the entries stand among which the first one lies that was written at `time` or later.
    pub(super) fn since(&self, time: UnixMillis) -> &[u32] {
        match self.times.iter().position(|(_, latest)| *latest >= time) {
            Some(span) => &self.at[span * SPAN..self.at.len().min(span * SPAN + SPAN)],
            None => &[],
        }
    }

    /// About how much memory it takes, bytes.
    pub(super) fn weight(&self) -> usize {
        let places: usize = self.terms.values().map(|places| places.bytes.capacity() + 64).sum();
        places + self.at.len() * 4 + self.times.len() * 16 + self.checkpoints.len() * 16 + 256
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_read_back(members in proptest::collection::btree_set(0u32..1 << 20, 0..300usize)) {
            let mut places = Places::default();
            members.iter().for_each(|place| places.push(*place));
            prop_assert_eq!(places.read().collect::<Vec<_>>(), members.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Places { last: 0, bytes }.read().count();
        }

        #[test]
        fn entries_are_found_by_their_numbers(
            numbers in proptest::collection::btree_set(1u64..200, 0..100usize), from in 0u64..210, len in 0u64..50,
        ) {
            let mut index = Index::default();
            for seq in &numbers {
                index.add(*seq, *seq as u32 * 10, None);
            }
            prop_assert_eq!(index.first(), numbers.first().copied());
            prop_assert_eq!(index.last(), numbers.last().copied());
            for seq in 0..210 {
                prop_assert_eq!(index.find(seq), numbers.contains(&seq).then_some(seq as u32 * 10));
            }
            let wanted: Vec<u32> = numbers.range(from..=from + len).map(|seq| *seq as u32 * 10).collect();
            prop_assert_eq!(index.wanted(&(from..=from + len), (None, None), &[]), wanted);
        }
    }
}
