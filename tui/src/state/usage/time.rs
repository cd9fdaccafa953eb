//! Over which time usage is summed up, and by what it is measured.

use aivonx_protocol::{
    UnixMillis,
    money::MicroUsd,
    usage::{UsagePer, UsageRow},
};
use jiff::{
    Timestamp, ToSpan as _, Unit, Zoned,
    tz::{Offset, TimeZone},
};

use crate::render::text;

/// A time as the ledger has it: hours in UTC, days and months from some minutes after midnight UTC on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Period {
    /// The hour that runs; the chart has 24 of them.
    Hour,
    /// The day that runs; the chart has 30.
    #[default]
    Day,
    /// The month that runs; the chart has 12.
    Month,
}

impl Period {
    /// The next one, in a ring.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Hour => Self::Day,
            Self::Day => Self::Month,
            Self::Month => Self::Hour,
        }
    }

    /// In words.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Hour => "this hour",
            Self::Day => "today",
            Self::Month => "this month",
        }
    }

    /// One of them, in a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Its steps.
    pub(crate) fn per(self) -> UsagePer {
        match self {
            Self::Hour => UsagePer::Hour,
            Self::Day => UsagePer::Day,
            Self::Month => UsagePer::Month,
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Hour => Unit::Hour,
            Self::Day => Unit::Day,
            Self::Month => Unit::Month,
        }
    }

    fn count(self) -> i32 {
        match self {
            Self::Hour => 24,
            Self::Day => 30,
            Self::Month => 12,
        }
    }

    /// When the one that runs now began. Days begin `offset` minutes after midnight UTC.
    pub(crate) fn since(self, now: UnixMillis, offset: u32) -> UnixMillis {
        self.steps(now, offset).last().copied().unwrap_or(now)
    }

    /// When each of those that the chart shows began, the oldest first.
    pub(crate) fn steps(self, now: UnixMillis, offset: u32) -> Vec<UnixMillis> {
        let Some(now) = self.at(now, offset) else { return Vec::new() };
        let begin = |back: i32| {
            let span = match self {
                Self::Hour => back.hours(),
                Self::Day => back.days(),
                Self::Month => back.months(),
            };
            let first = match self.unit() {
                // A month has no fixed length to round to: its first day is where it begins.
                Unit::Month => now.first_of_month().ok()?.start_of_day().ok()?,
                unit => {
                    now.round(jiff::ZonedRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)).ok()?
                }
            };
            u64::try_from(first.checked_sub(span).ok()?.timestamp().as_millisecond()).ok()
        };
        (0..self.count()).rev().filter_map(begin).collect()
    }

    /// How such a step is written below the chart: `14:00`, `11-22`, `2026-11`.
    pub(crate) fn label(self, at: UnixMillis, offset: u32) -> String {
        let form = match self {
            Self::Hour => "%H:%M",
            Self::Day => "%m-%d",
            Self::Month => "%Y-%m",
        };
        self.at(at, offset).map_or_else(|| text::NONE.to_owned(), |at| at.strftime(form).to_string())
    }

    fn at(self, at: UnixMillis, offset: u32) -> Option<Zoned> {
        let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
        // It is midnight there when the ledger's day begins.
        let behind = match self {
            Self::Hour => 0,
            Self::Day | Self::Month => i32::try_from(offset).ok()?.checked_mul(60)?,
        };
        Some(at.to_zoned(TimeZone::fixed(Offset::from_seconds(-behind).ok()?)))
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Measure {
    /// Requests.
    #[default]
    Requests,
    /// Tokens, of prompt and output.
    Tokens,
    /// Money.
    Spend,
}

impl Measure {
    /// The next one, in a ring.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Requests => Self::Tokens,
            Self::Tokens => Self::Spend,
            Self::Spend => Self::Requests,
        }
    }

    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Spend => "USD",
        }
    }

    /// How much of it a row has.
    pub(crate) fn of(self, row: &UsageRow) -> u64 {
        match self {
            Self::Requests => row.requests,
            Self::Tokens => row.prompt_tokens.saturating_add(row.output_tokens),
            Self::Spend => row.spend,
        }
    }

    /// For people, to the last digit.
    pub(crate) fn whole(self, number: u64) -> String {
        match self {
            Self::Requests | Self::Tokens => text::count(number),
            Self::Spend => MicroUsd(number).to_string(),
        }
    }

    /// For people, in at most six cells.
    pub(crate) fn short(self, number: u64) -> String {
        match self {
            Self::Requests | Self::Tokens => text::short(number),
            Self::Spend => text::dollars(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::NOW;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn steps_begin_where_those_of_the_ledger_do() {
        let days = Period::Day.steps(NOW, 0);
        assert_eq!((days.len(), days[29]), (30, NOW - NOW % (24 * HOUR)));
        assert_eq!(days[0], days[29] - 29 * 24 * HOUR);
        let hours = Period::Hour.steps(NOW, 0);
        assert_eq!((hours.len(), hours[23]), (24, NOW - NOW % HOUR));
        let months = Period::Month.steps(NOW, 0);
        let labels: Vec<String> = months.iter().map(|at| Period::Month.label(*at, 0)).collect();
        assert_eq!((labels.len(), &*labels[0], &*labels[11]), (12, "2025-12", "2026-11"));
        assert_eq!(months[11], 1_793_491_200_000, "2026-11-01");
        assert_eq!((Period::Day.label(NOW, 0), Period::Hour.label(NOW, 0)), ("11-22".into(), "00:31".into()));
        assert_eq!(Period::Day.since(NOW, 0), days[29]);
        assert!(Period::Day.steps(u64::MAX, 0).is_empty());
        // Half an hour after midnight, with days that begin at five, it is still yesterday.
        let begun = days[29] - 19 * HOUR;
        assert_eq!(Period::Day.since(NOW, 300), begun);
        assert_eq!(
            (Period::Day.label(begun, 300), Period::Hour.since(NOW, 300)),
            ("11-21".into(), hours[23])
        );
        assert_eq!(Period::Month.since(NOW, 300), months[11] + 5 * HOUR);
    }
}
