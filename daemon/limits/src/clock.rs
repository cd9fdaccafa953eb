//! The time by which limits are counted.
//!
//! Days and months follow the system's clock, which may step; minutes, hours and every age follow one that never
//! does. What a step does to a window is decided in [`super::window`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aivonx_protocol::UnixMillis;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Milliseconds of a minute.
pub(super) const MINUTE: i64 = 60_000;
/// Milliseconds of an hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// Milliseconds of a day.
pub(super) const DAY: i64 = 24 * HOUR;

/// One moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch by the system's clock.
    pub wall: UnixMillis,
    /// Milliseconds by a clock that never steps; its zero means nothing.
    pub steady: i64,
    /// How long after midnight UTC days begin, milliseconds.
    offset: i64,
}

/// A day or month of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    /// Number of it; later ones have higher numbers.
    pub(super) index: i64,
    /// Milliseconds from its begin until now.
    pub(super) since: i64,
    /// Milliseconds from now until its end.
    pub(super) left: i64,
}

impl Now {
    fn shifted(&self) -> i64 {
        i64::try_from(self.wall).unwrap_or(i64::MAX).saturating_sub(self.offset)
    }

    /// Number of the day.
    pub(super) fn day_index(&self) -> i64 {
        self.shifted().div_euclid(DAY)
    }

    /// The day.
    pub(super) fn day(&self) -> Period {
        let (index, since) = (self.day_index(), self.shifted().rem_euclid(DAY));
        Period { index, since, left: DAY - since }
    }

    /// The month.
    pub(super) fn month(&self) -> Period {
        let day = self.day();
        let date = date_of(day.index);
        let since = i64::from(date.day() - 1) * DAY + day.since;
        let length = i64::from(date.days_in_month()) * DAY;
        let index = i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        Period { index, since, left: length - since }
    }
}

/// The date of the day with this number.
fn date_of(index: i64) -> Date {
    let instant = Timestamp::from_second(index.saturating_mul(DAY / 1000)).unwrap_or(Timestamp::MAX);
    TimeZone::UTC.to_datetime(instant).date()
}

/// Where [`Now`] comes from.
#[derive(Debug)]
pub struct Clock {
    offset: i64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    System(Instant),
    #[cfg(test)]
    Hand(std::sync::Arc<Hand>),
}

impl Clock {
    /// The system's clock, with days that begin `offset` after midnight UTC.
    #[must_use]
    pub fn system(offset: Duration) -> Self {
        Self { offset: millis(offset), source: Source::System(Instant::now()) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Now {
        let (wall, steady) = match &self.source {
            Source::System(began) => {
                let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                (millis(wall), millis(began.elapsed()))
            }
            #[cfg(test)]
            Source::Hand(hand) => hand.read(),
        };
        Now { wall: wall.unsigned_abs(), steady, offset: self.offset }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A clock set by hand.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Hand {
    wall: std::sync::atomic::AtomicI64,
    steady: std::sync::atomic::AtomicI64,
}

#[cfg(test)]
impl Hand {
    /// One that shows `time` (RFC 3339), and a clock that reads it.
    pub(crate) fn at(time: &str, offset: Duration) -> (std::sync::Arc<Self>, Clock) {
        let wall = time.parse::<Timestamp>().unwrap().as_millisecond();
        let hand = std::sync::Arc::new(Self { wall: wall.into(), steady: 0.into() });
        (hand.clone(), Clock { offset: millis(offset), source: Source::Hand(hand) })
    }

    fn read(&self) -> (i64, i64) {
        use std::sync::atomic::Ordering::Relaxed;
        (self.wall.load(Relaxed), self.steady.load(Relaxed))
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.steady.fetch_add(millis(time), std::sync::atomic::Ordering::Relaxed);
        self.step(millis(time));
    }

    /// Sets the system's clock forward or back by `by` milliseconds, while no time passes.
    pub(crate) fn step(&self, by: i64) {
        self.wall.fetch_add(by, std::sync::atomic::Ordering::Relaxed);
    }

    /// Another clock that reads the same hand from a zero of its own, as a restarted process would.
    pub(crate) fn another(self: &std::sync::Arc<Self>, offset: Duration) -> (std::sync::Arc<Self>, Clock) {
        let (wall, _) = self.read();
        let hand = std::sync::Arc::new(Self { wall: wall.into(), steady: 0.into() });
        (hand.clone(), Clock { offset: millis(offset), source: Source::Hand(hand) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str, offset: Duration) -> Now {
        Hand::at(time, offset).1.now()
    }

    #[test]
    fn days_and_months_end_where_the_calendar_says() {
        let now = at("2028-02-29T23:59:59.999Z", Duration::ZERO);
        assert_eq!((now.day().left, now.month().left), (1, 1));
        let next = at("2028-03-01T00:00:00Z", Duration::ZERO);
        assert_eq!(next.day().index, now.day().index + 1);
        assert_eq!(next.month().index, now.month().index + 1);
        assert_eq!((next.day().since, next.month().since), (0, 0));
        assert_eq!(next.month().left, 31 * DAY);
        let december = at("2027-12-31T12:00:00Z", Duration::ZERO);
        let january = at("2028-01-01T00:00:00Z", Duration::ZERO);
        assert_eq!(january.month().index, december.month().index + 1);
    }

    #[test]
    fn an_offset_moves_the_end_of_the_day_and_of_the_month() {
        let offset = Duration::from_secs(5 * 3600);
        let before = at("2027-03-01T04:59:59Z", offset);
        assert_eq!((before.day().left, before.month().left), (1000, 1000));
        let after = at("2027-03-01T05:00:00Z", offset);
        assert_eq!(after.day().index, before.day().index + 1);
        assert_eq!(after.month().index, before.month().index + 1);
    }

    #[test]
    fn a_clock_at_the_end_of_time_does_not_panic() {
        let now = Now { wall: u64::MAX, steady: 0, offset: 0 };
        let _ = (now.day(), now.month());
    }
}
