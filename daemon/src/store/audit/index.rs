//! The index of the audit log: for each term (this actor, that outcome, ...) the entries that have it, and for
//! each minute and day the entries written in it.
//!
//! Entries are numbered without gaps, so those of one term are kept as sets of positions within blocks of
//! [`BLOCK`] entries: one small record per term and block, however many entries. A query goes through the
//! blocks of one term and intersects. Terms are hashed; that two share a hash costs time, not truth, because
//! every entry found is compared with the filter.

use std::{collections::BTreeMap, net::IpAddr};

use aivonx_protocol::{
    Network, UnixMillis,
    audit::{AuditEntry, AuditFilter},
};
use sha2::{Digest as _, Sha256};

/// Entries per block.
pub(super) const BLOCK: u64 = 1024;
const WORDS: usize = (BLOCK / 64) as usize;
const BITMAP: usize = WORDS * 8;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term([u8; 9]);

impl Term {
    fn new(kind: Field, text: &str) -> Self {
        let mut term = [kind as u8; 9];
        term[1..].copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
        Self(term)
    }

    /// What the keys of its records begin with.
    pub(super) fn prefix(self) -> [u8; 9] {
        self.0
    }

    /// The key of its record for `block`.
    pub(super) fn key(self, block: u32) -> Vec<u8> {
        let mut key = self.0.to_vec();
        key.extend_from_slice(&block.to_be_bytes());
        key
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

/// The block of an entry.
pub(super) fn block(seq: u64) -> u32 {
    u32::try_from(seq / BLOCK).unwrap_or(u32::MAX)
}

/// The block that a key is about.
pub(super) fn block_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(9..13)?.try_into().ok()?))
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

/// What a group of entries adds to the index: by key, the positions in the block.
pub(super) fn additions(entries: &[AuditEntry]) -> BTreeMap<Vec<u8>, Set> {
    let mut additions = BTreeMap::<Vec<u8>, Set>::new();
    for entry in entries {
        for term in terms(entry) {
            additions.entry(term.key(block(entry.seq))).or_default().insert(entry.seq);
        }
    }
    additions
}

/// Some of the entries of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set([u64; WORDS]);

impl Set {
    pub(super) fn all() -> Self {
        Self([u64::MAX; WORDS])
    }

    pub(super) fn insert(&mut self, seq: u64) {
        let at = (seq % BLOCK) as usize;
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= b);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The entries of `block` in the set, in order.
    pub(super) fn entries(&self, block: u32) -> impl DoubleEndedIterator<Item = u64> + '_ {
        let begin = u64::from(block) * BLOCK;
        (0..BLOCK).filter(|at| self.0[(at / 64) as usize] >> (at % 64) & 1 == 1).map(move |at| begin + at)
    }

    /// As stored: the distances between members in seven-bit pieces, or the bits where those are shorter.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BITMAP);
        let mut last = 0;
        for at in self.entries(0) {
            let gap = at - last;
            last = at;
            if gap >= 128 {
                bytes.push((gap & 127) as u8 | 128);
            }
            bytes.push(if gap >= 128 { (gap >> 7) as u8 } else { gap as u8 });
            if bytes.len() >= BITMAP {
                return self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            }
        }
        bytes
    }

    /// Reads the stored form. Bytes that are none add nothing: the record's checksum has vouched for them.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        if bytes.len() == BITMAP {
            for (word, bytes) in set.0.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
            return set;
        }
        let mut bytes = bytes.iter().map(|byte| u64::from(*byte));
        let mut at = 0;
        while let Some(byte) = bytes.next() {
            at += if byte < 128 { byte } else { (byte & 127) + (bytes.next().unwrap_or(0) << 7) };
            if at < BLOCK {
                set.insert(at);
            }
        }
        set
    }
}

/// Minutes in a day.
const DAY: u32 = 1440;

/// The keys of the minute and the day of a time.
pub(super) fn buckets(time: UnixMillis) -> [[u8; 5]; 2] {
    let minute = minute(time);
    [bucket(1, minute), bucket(0, minute / DAY)]
}

fn minute(time: UnixMillis) -> u32 {
    u32::try_from(time / 60_000).unwrap_or(u32::MAX)
}

fn bucket(level: u8, number: u32) -> [u8; 5] {
    let mut key = [level; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The fewest ranges of keys whose buckets cover the time from `since` to before `until`: whole days where
/// possible. Clocks are set back at times, so that no bucket tells what is in another.
pub(super) fn cover(since: Option<UnixMillis>, until: Option<UnixMillis>) -> Vec<([u8; 5], [u8; 5])> {
    let first = since.map_or(0, minute);
    let last = until.map_or(u32::MAX, |until| minute(until.saturating_sub(1)));
    let (first_day, last_day) = (first / DAY, last / DAY);
    if first > last {
        return Vec::new();
    }
    if first_day == last_day {
        return vec![(bucket(1, first), bucket(1, last))];
    }
    let mut ranges = vec![(bucket(1, first), bucket(1, first_day * DAY + DAY - 1))];
    if first_day + 1 < last_day {
        ranges.push((bucket(0, first_day + 1), bucket(0, last_day - 1)));
    }
    ranges.push((bucket(1, last_day * DAY), bucket(1, last)));
    ranges
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_reads_back(members in proptest::collection::btree_set(0..BLOCK, 0..1024usize)) {
            let mut set = Set::default();
            members.iter().for_each(|at| set.insert(at + 5 * BLOCK));
            let bytes = set.to_bytes();
            prop_assert!(bytes.len() <= BITMAP);
            let read = Set::from_bytes(&bytes);
            prop_assert_eq!(read, set);
            prop_assert_eq!(read.entries(5).map(|seq| seq - 5 * BLOCK).collect::<BTreeSet<_>>(), members);
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Set::from_bytes(&bytes);
        }

        #[test]
        fn a_cover_has_the_buckets_of_every_time_in_it(since in 0u64..1 << 43, len in 1u64..1 << 33, at in 0.0..1.0) {
            let time = since + (len as f64 * at) as u64;
            let covered = |ranges: Vec<([u8; 5], [u8; 5])>| {
                buckets(time).iter().any(|b| ranges.iter().any(|(from, to)| from <= b && b <= to))
            };
            prop_assert!(covered(cover(Some(since), Some(since + len))));
            prop_assert!(covered(cover(Some(since), None)));
            prop_assert!(covered(cover(None, Some(since + len))));
            prop_assert!(covered(cover(None, None)));
        }
    }
}
