//! The time of a report, and what of the ledger has it.

use aivonx_protocol::{UnixMillis, usage::UsagePer};
use aivonx_store::usage::{Calendar, DAY_MS, Piece, Step};

use super::{error::UsageError, retention::Keep};

/// Days that a report goes back where nothing else is asked for, the present one counted.
const DAYS: u32 = 30;
/// Hours of one by hours.
const HOURS: u64 = 24;
/// Months of one by months.
const MONTHS: u32 = 12;

/// What time is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) since: Option<UnixMillis>,
    pub(super) until: Option<UnixMillis>,
    /// In steps of that.
    pub(super) per: Option<UsagePer>,
    /// Only single requests can answer what is asked.
    pub(super) single: bool,
}

/// A time, and where its sums come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) since: UnixMillis,
    pub(super) until: UnixMillis,
    pub(super) pieces: Vec<Piece>,
}

impl Range {
    /// The time that is asked for, as far as there is anything about it at `now`. Without `since` it goes back some
    /// steps.
    pub(super) fn of(
        calendar: Calendar,
        keep: Keep,
        Asked { since, until, per, single }: Asked,
        now: UnixMillis,
    ) -> Result<Self, UsageError> {
        let kept = keep.records_since(calendar, now);
        // What a clock that was ahead has left behind is not in the future for ever.
        let tomorrow = calendar.midnight(calendar.day_of(now)) + 2 * DAY_MS;
        let end = until.unwrap_or(tomorrow).min(tomorrow);
        let shown = until.unwrap_or(now).min(tomorrow);
        let since = since.unwrap_or_else(|| match per {
            Some(UsagePer::Hour) => shown.saturating_sub((HOURS - 1) * 3_600_000),
            Some(UsagePer::Month) => (1..MONTHS).fold(calendar.begin(Step::Month, shown), |begin, _| {
                calendar.begin(Step::Month, begin.saturating_sub(1))
            }),
            _ => calendar.begin(Step::Day, shown.saturating_sub(u64::from(DAYS - 1) * DAY_MS)),
        });
        if single || per == Some(UsagePer::Hour) {
            if end <= kept {
                return Err(UsageError::TooOld(keep.records));
            }
            let whole = if per == Some(UsagePer::Hour) { calendar.begin(Step::Hour, since) } else { since };
            let since = whole.max(kept);
            if since >= end {
                return Err(UsageError::Empty);
            }
            return Ok(Self { since, until: shown, pieces: vec![Piece::Entries(since..end)] });
        }
        if since >= end {
            return Err(UsageError::Empty);
        }
        // The days that are summed up as a whole, and what is left before and behind them.
        let day_of = |time| calendar.day_of(time);
        let midnight = |day| calendar.midnight(day);
        let whole = |time| time == midnight(day_of(time));
        let first = if whole(since) || since < kept { day_of(since) } else { day_of(since) + 1 };
        let last = if whole(end) || end >= kept { day_of(end) } else { day_of(end) + 1 };
        if first > last {
            return Ok(Self { since, until: shown, pieces: vec![Piece::Entries(since..end)] });
        }
        let mut pieces = Vec::new();
        if since < midnight(first) {
            pieces.push(Piece::Entries(since..midnight(first)));
        }
        if first < last {
            pieces.push(Piece::Days(first..last));
        }
        if midnight(last) < end {
            pieces.push(Piece::Entries(midnight(last)..end));
        }
        Ok(Self {
            since: since.min(midnight(first)),
            until: until.map_or(shown, |_| end.max(midnight(last))),
            pieces,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: u64 = DAY_MS;
    const UTC: Calendar = Calendar::UTC;
    /// Noon of day 20 000.
    const NOW: u64 = 20_000 * DAY + DAY / 2;

    fn range(
        calendar: Calendar,
        since: Option<u64>,
        until: Option<u64>,
        per: Option<UsagePer>,
        now: u64,
    ) -> Result<Range, UsageError> {
        Range::of(calendar, Keep::default(), Asked { since, until, per, single: false }, now)
    }

    #[test]
    fn what_only_single_requests_tell_goes_as_far_back_as_they_do() {
        let of = |since, until, per, records| {
            let keep = Keep { records, ..Keep::default() };
            Range::of(UTC, keep, Asked { since, until, per, single: true }, NOW)
        };
        let all = of(None, None, None, 20).unwrap();
        assert_eq!((all.since, all.until), (19_980 * DAY, NOW));
        assert_eq!(all.pieces, [Piece::Entries(19_980 * DAY..20_002 * DAY)]);
        let some = of(Some(19_990 * DAY + 5), Some(19_992 * DAY), Some(UsagePer::Day), 14).unwrap();
        assert_eq!(some.pieces, [Piece::Entries(19_990 * DAY + 5..19_992 * DAY)]);
        let old = of(Some(19_000 * DAY), Some(19_986 * DAY), Some(UsagePer::Day), 14);
        assert!(matches!(old, Err(UsageError::TooOld(14))));
    }

    #[test]
    fn whole_days_come_from_their_sums_and_the_rest_from_requests() {
        let of = |since, until| range(UTC, since, until, None, NOW).unwrap();
        let all = of(None, None);
        assert_eq!((all.since, all.until), (19_971 * DAY, NOW));
        assert_eq!(all.pieces, [Piece::Days(19_971..20_002)]);
        let ends = of(Some(19_990 * DAY + 5), Some(19_995 * DAY + 7));
        assert_eq!(
            ends.pieces,
            [
                Piece::Entries(19_990 * DAY + 5..19_991 * DAY),
                Piece::Days(19_991..19_995),
                Piece::Entries(19_995 * DAY..19_995 * DAY + 7)
            ]
        );
        assert_eq!((ends.since, ends.until), (19_990 * DAY + 5, 19_995 * DAY + 7));
        // Within a day.
        let day = of(Some(19_990 * DAY + 5), Some(19_990 * DAY + 7));
        assert_eq!(day.pieces, [Piece::Entries(19_990 * DAY + 5..19_990 * DAY + 7)]);
        // There are no requests any more: whole days instead, and that is said.
        let old = of(Some(19_900 * DAY + 5), Some(19_902 * DAY + 7));
        assert_eq!(old.pieces, [Piece::Days(19_900..19_903)]);
        assert_eq!((old.since, old.until), (19_900 * DAY, 19_903 * DAY));
        assert!(matches!(range(UTC, Some(NOW), Some(NOW - 1), None, NOW), Err(UsageError::Empty)));
    }

    #[test]
    fn days_that_begin_later_are_whole_from_then_on() {
        const LATE: u64 = 5 * 3_600_000;
        let late = Calendar::new(Duration::from_millis(LATE));
        // In the small hours it is still the day before.
        let night = 20_000 * DAY + LATE - 1;
        let of = |since, until, now| range(late, since, until, None, now).unwrap();
        assert_eq!(of(None, None, night).pieces, [Piece::Days(19_970..20_001)]);
        assert_eq!(of(None, None, night + 1).pieces, [Piece::Days(19_971..20_002)]);
        assert_eq!(of(None, None, night + 1).since, 19_971 * DAY + LATE);
        let utc = of(Some(19_990 * DAY), Some(19_992 * DAY), NOW);
        assert_eq!(
            utc.pieces,
            [
                Piece::Entries(19_990 * DAY..19_990 * DAY + LATE),
                Piece::Days(19_990..19_991),
                Piece::Entries(19_991 * DAY + LATE..19_992 * DAY)
            ]
        );
        let own = of(Some(19_990 * DAY + LATE), Some(19_992 * DAY + LATE), NOW);
        assert_eq!(own.pieces, [Piece::Days(19_990..19_992)]);
    }

    #[test]
    fn hours_and_months_go_back_some() {
        let hours = range(UTC, None, None, Some(UsagePer::Hour), NOW).unwrap();
        assert_eq!((hours.since, hours.until), (NOW - 23 * 3_600_000, NOW));
        let old = range(UTC, None, Some(19_000 * DAY), Some(UsagePer::Hour), NOW);
        assert!(matches!(old, Err(UsageError::TooOld(14))));
        let months = range(UTC, None, None, Some(UsagePer::Month), NOW).unwrap();
        // Day 20 000 is 2024-10-04, and so it begins with 2023-11-01.
        assert_eq!(months.since, 19_662 * DAY);
    }
}
