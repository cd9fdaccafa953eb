//! Days, and the keys of daily sums: the day, and who and what the sums are about.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    time::Duration,
};

use aivonx_protocol::UnixMillis;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    block::UsageEntry,
    code::{Code, Parties, Wanted},
};
use crate::prefix::{Keys, prefixed};

/// A day, milliseconds.
pub const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// Steps of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hours of UTC; needs the requests themselves.
    Hour,
    /// Days of the [`Calendar`].
    Day,
    /// Its months.
    Month,
}

/// When days and months begin: at midnight UTC, or some time later. They are those of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Milliseconds after midnight UTC.
    offset: u64,
}

impl Calendar {
    /// Days of UTC.
    pub const UTC: Self = Self { offset: 0 };

    /// Days that begin `offset` after midnight UTC; at most a day.
    #[must_use]
    pub fn new(offset: Duration) -> Self {
        Self { offset: u64::try_from(offset.as_millis()).unwrap_or(DAY_MS).min(DAY_MS) }
    }

    /// Number of the day that a time is in, counted from 1970-01-01.
    #[must_use]
    pub fn day_of(self, time: UnixMillis) -> u32 {
        u32::try_from(time.saturating_sub(self.offset) / DAY_MS).unwrap_or(u32::MAX)
    }

    /// When a day begins.
    #[must_use]
    pub fn midnight(self, day: u32) -> UnixMillis {
        u64::from(day) * DAY_MS + self.offset
    }

    /// When the step that `time` is in begins.
    #[must_use]
    pub fn begin(self, step: Step, time: UnixMillis) -> UnixMillis {
        match step {
            Step::Hour => time - time % HOUR_MS,
            Step::Day => self.midnight(self.day_of(time)),
            Step::Month => self.date(time).map_or(0, |date| self.first(date.first_of_month())),
        }
    }

    fn date(self, time: UnixMillis) -> Option<Date> {
        let time = Timestamp::from_millisecond(i64::try_from(time.saturating_sub(self.offset)).ok()?).ok()?;
        Some(TimeZone::UTC.to_datetime(time).date())
    }

    fn first(self, date: Date) -> UnixMillis {
        let at = date.to_zoned(TimeZone::UTC).map_or(0, |at| at.timestamp().as_millisecond());
        u64::try_from(at).unwrap_or(0) + self.offset
    }

    /// The key of the sums that an entry is part of.
    pub(super) fn key(self, entry: &UsageEntry) -> Key {
        let parties = &entry.parties;
        let codes = [parties.organization, parties.user, parties.key, parties.worked(), parties.node];
        let mut key = [0; 44];
        key[..4].copy_from_slice(&self.day_of(entry.time).to_be_bytes());
        for (place, code) in key[4..].chunks_exact_mut(8).zip(codes) {
            place.copy_from_slice(&code.bytes());
        }
        key
    }
}

/// Day, organization, user, key, model, node.
pub(super) type Key = [u8; 44];

/// The day that a key is about.
pub(super) fn of(key: &[u8]) -> u32 {
    key.first_chunk().map_or(0, |day| u32::from_be_bytes(*day))
}

/// What a key says; None if it does not parse.
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

/// A range, for looking up.
pub(super) fn as_slices((from, to): &Keys) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice))
}

/// Those of the days that have sums: they are gone through one by one.
pub(super) fn known<T>(sums: &BTreeMap<Key, T>, days: &Range<u32>) -> Range<u32> {
    let (Some((first, _)), Some((last, _))) = (sums.first_key_value(), sums.last_key_value()) else {
        return 0..0;
    };
    let start = days.start.max(of(first));
    // Days that are all before the first, or behind the last, are no range backwards.
    start..days.end.min(of(last).saturating_add(1)).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn steps_begin_in_utc() {
        let (time, next) = (at("2026-02-28T23:59:59.999Z"), at("2026-03-01T00:00:00Z"));
        for (step, begin) in [
            (Step::Hour, "2026-02-28T23:00:00Z"),
            (Step::Day, "2026-02-28T00:00:00Z"),
            (Step::Month, "2026-02-01T00:00:00Z"),
        ] {
            assert_eq!(Calendar::UTC.begin(step, time), at(begin), "{step:?}");
            assert_eq!(Calendar::UTC.begin(step, next), next, "{step:?}");
        }
    }

    #[test]
    fn days_and_months_begin_as_much_later_as_the_offset_says() {
        let late = Calendar::new(Duration::from_secs(5 * 3600 + 1800));
        let (before, after) = (at("2026-03-01T05:29:59.999Z"), at("2026-03-01T05:30:00Z"));
        for (step, begin) in [(Step::Day, "2026-02-28T05:30:00Z"), (Step::Month, "2026-02-01T05:30:00Z")] {
            assert_eq!(late.begin(step, before), at(begin), "{step:?}");
            assert_eq!(late.begin(step, after), after, "{step:?}");
        }
        assert_eq!(late.day_of(before) + 1, late.day_of(after));
        assert_eq!(late.midnight(late.day_of(after)), after);
        assert_eq!(late.begin(Step::Hour, after), at("2026-03-01T05:00:00Z"));
    }
}
