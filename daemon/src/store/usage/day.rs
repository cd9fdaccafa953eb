//! The keys of daily sums: the day, and who and what the sums are about.

use std::ops::{Bound, Range};

use aivonx_protocol::UnixMillis;

use super::{
    block::UsageEntry,
    code::{Code, Parties, Wanted},
};
use crate::store::ledger::prefixed;

/// A day, milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// The day of UTC that a time is in, counted from 1970-01-01.
#[must_use]
pub fn day_of(time: UnixMillis) -> u32 {
    u32::try_from(time / DAY_MS).unwrap_or(u32::MAX)
}

/// Day, organization, user, key, model, node.
pub(super) type Key = [u8; 44];

/// The key of the sums that an entry is part of.
pub(super) fn key(entry: &UsageEntry) -> Key {
    let parties = &entry.parties;
    let codes = [parties.organization, parties.user, parties.key, parties.worked(), parties.node];
    let mut key = [0; 44];
    key[..4].copy_from_slice(&day_of(entry.time).to_be_bytes());
    for (place, code) in key[4..].chunks_exact_mut(8).zip(codes) {
        place.copy_from_slice(&code.bytes());
    }
    key
}

/// The day that a key is about.
pub(super) fn of(key: &[u8]) -> u32 {
    key.first_chunk().map_or(0, |day| u32::from_be_bytes(*day))
}

/// What a key says. None of one that is none.
pub(super) fn read(key: &[u8]) -> Option<(u32, Parties)> {
    let (day, codes) = key.split_first_chunk()?;
    let mut codes = codes.chunks_exact(8).map(|code| code.try_into().map_or(Code::NONE, Code::from_bytes));
    let parties = Parties {
        organization: codes.next()?,
        user: codes.next()?,
        key: codes.next()?,
        model: codes.next()?,
        served: Code::NONE,
        node: codes.next()?,
        route: Code::NONE,
    };
    Some((u32::from_be_bytes(*day), parties))
}

/// A range of keys.
pub(super) type Keys = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The fewest ranges that have all that is wanted of some days.
pub(super) fn ranges(days: Range<u32>, wanted: &Wanted) -> Vec<Keys> {
    let Some(organization) = wanted.organization else {
        let bound = |day: u32| day.to_be_bytes().to_vec();
        return vec![(Bound::Included(bound(days.start)), Bound::Excluded(bound(days.end)))];
    };
    days.map(|day| {
        let mut prefix = day.to_be_bytes().to_vec();
        prefix.extend_from_slice(&organization.bytes());
        if let Some(user) = wanted.user {
            prefix.extend_from_slice(&user.bytes());
            if let Some(key) = wanted.key {
                prefix.extend_from_slice(&key.bytes());
            }
        }
        prefixed(&prefix)
    })
    .collect()
}
