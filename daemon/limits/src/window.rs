//! Windows: what was used in this minute, hour, day and month.
//!
//! A minute or hour begins with the first use after the last one is over, and lasts exactly that long by a clock
//! that never steps. Days and months are those of the calendar:
//!
//! - Where the system's clock goes on, or steps forward, into a later day, the day's window begins anew.
//! - Where it steps back, the window stays: nothing is refunded. It ends with the day it was begun for, or when as
//!   much time has passed as that day had: nobody is locked out until a date the clock once showed by mistake.

use std::cmp::Ordering;

use aivonx_protocol::{UnixMillis, limit::LimitName};
use aivonx_store::{Counts, SavedWindow};

use super::{
    clock::{DAY, HOUR, MINUTE, Now, Period},
    slices::{Patience, Room, Slices},
};

/// One window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// The day or month it is; nothing in minutes and hours.
    index: i64,
    /// When it began, by the steady clock.
    began: i64,
    /// Differs from that of the window before: a reservation belongs to one window.
    pub(super) serial: u32,
    pub(super) counts: Counts,
}

impl Window {
    fn begin(&mut self, index: i64, began: i64) {
        *self = Self { index, began, serial: self.serial.wrapping_add(1), counts: Counts::default() };
    }

    fn roll_span(&mut self, length: i64, now: &Now) {
        // One in which nothing was used has not begun.
        if self.counts == Counts::default() || now.steady - self.began >= length {
            self.begin(0, now.steady);
        }
    }

    fn roll_period(&mut self, period: Period, longest: i64, now: &Now) {
        let age = now.steady.saturating_sub(self.began);
        let over = match self.index.cmp(&period.index) {
            Ordering::Less => true,
            Ordering::Greater => age >= longest,
            // The clock came back to a day that was over long ago. A step back within a day only makes it longer.
            Ordering::Equal => age >= 2 * longest,
        };
        if over {
            self.begin(period.index, now.steady - period.since);
        }
    }

    fn left_of_span(&self, length: i64, now: &Now) -> i64 {
        (self.began + length - now.steady).clamp(0, length)
    }

    fn left_of_period(&self, period: Period, longest: i64, now: &Now) -> i64 {
        if self.index == period.index { period.left } else { (self.began + longest - now.steady).max(0) }
    }
}

/// Longest month.
const MONTH: i64 = 31 * DAY;

/// Everything one subject has used.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveCounters {
    pub(super) minute: Window,
    hour: Window,
    pub(super) day: Window,
    pub(super) month: Window,
    /// Requests running now.
    pub(super) running: u64,
    /// Something changed since it was last saved.
    pub(super) dirty: bool,
    /// What of the limits is this gateway's to give; None where it is the only one.
    pub(super) slices: Option<Box<Slices>>,
}

impl LiveCounters {
    /// The same with these slices.
    pub(super) fn sharing(self, slices: Option<Box<Slices>>) -> Self {
        Self { slices, ..self }
    }

    /// Begins the windows anew whose time is over. To be called before anything is read or counted.
    pub(super) fn roll(&mut self, now: &Now) {
        self.minute.roll_span(MINUTE, now);
        // The month changes with a day, and looking it up costs more than everything else here.
        if self.day.index != now.day_index() || now.steady.saturating_sub(self.day.began) >= 2 * DAY {
            self.day.roll_period(now.day(), DAY, now);
            self.month.roll_period(now.month(), MONTH, now);
        }
    }

    /// The hour, begun anew if its time is over.
    pub(super) fn hour(&mut self, now: &Now) -> &mut Counts {
        self.hour.roll_span(HOUR, now);
        &mut self.hour.counts
    }

    /// What counts against `limit`; nothing where it is not counted here.
    pub(super) fn used(&self, limit: LimitName) -> u64 {
        match limit {
            LimitName::UserHour => self.hour.counts.requests,
            LimitName::InferenceDay => self.day.counts.requests,
            LimitName::BurstMinute => self.minute.counts.requests,
            LimitName::SpendDay => self.day.counts.spend,
            LimitName::SpendMonth => self.month.counts.spend,
            LimitName::TokensMinute => self.minute.counts.tokens,
            LimitName::TokensDay => self.day.counts.tokens,
            LimitName::Concurrent => self.running,
            LimitName::AnonymousHour
            | LimitName::LoginHour
            | LimitName::ResetHour
            | LimitName::TokenHour
            | LimitName::PromptChars
            | LimitName::SpendUnpriced
            | LimitName::RefusedHour => 0,
        }
    }

    /// Whether there is room for `asked` of `limit` under `cap`.
    pub(super) fn check(
        &mut self,
        limit: LimitName,
        cap: u64,
        asked: u64,
        now: &Now,
        patience: Patience,
    ) -> Room {
        if let Some(slices) = &mut self.slices {
            return slices.check(limit, cap, asked, now, patience);
        }
        let used = self.used(limit);
        let over = used.checked_add(asked).is_none_or(|sum| sum > cap);
        // A request that needs none of it is refused only once it is overdrawn.
        if over && (asked > 0 || used > cap) { Room::Used(used) } else { Room::Enough }
    }

    /// Takes back what was done under the same lock since `old` was copied.
    pub(super) fn undo(&mut self, old: Self) {
        let slices = self.slices.take();
        *self = Self { slices, ..old };
        if let (Some(slices), Some(old)) = (&mut self.slices, &old.slices) {
            slices.undo(old);
        }
    }

    /// What is left of `limit` under `cap`, as far as this gateway knows.
    pub(super) fn room(&self, limit: LimitName, cap: u64, now: &Now) -> u64 {
        match &self.slices {
            Some(slices) => slices.left(limit, cap, now),
            None => cap.saturating_sub(self.used(limit)),
        }
    }

    /// Milliseconds until the window of `limit` ends; None if it has none.
    pub(super) fn left(&self, limit: LimitName, now: &Now) -> Option<u64> {
        let left = match limit {
            LimitName::UserHour => self.hour.left_of_span(HOUR, now),
            LimitName::BurstMinute | LimitName::TokensMinute => self.minute.left_of_span(MINUTE, now),
            LimitName::InferenceDay | LimitName::SpendDay | LimitName::TokensDay => {
                self.day.left_of_period(now.day(), DAY, now)
            }
            LimitName::SpendMonth => self.month.left_of_period(now.month(), MONTH, now),
            _ => return None,
        };
        Some(left.unsigned_abs())
    }

    /// Whether nothing in it counts any more.
    pub(super) fn is_over(&mut self, now: &Now) -> bool {
        self.roll(now);
        self.hour(now);
        let windows = [&self.minute, &self.hour, &self.day, &self.month];
        self.running == 0 && windows.iter().all(|w| w.counts == Counts::default())
    }

    /// The counts now.
    pub(super) fn counters(&mut self, now: &Now) -> Counters {
        self.roll(now);
        let hour = *self.hour(now);
        let left = |limit| self.left(limit, now).unwrap_or(0);
        Counters {
            minute: self.minute.counts,
            hour,
            day: self.day.counts,
            month: self.month.counts,
            running: self.running,
            day_ends: now.wall.saturating_add(left(LimitName::InferenceDay)),
            month_ends: now.wall.saturating_add(left(LimitName::SpendMonth)),
        }
    }

    /// In the form that is stored.
    pub(super) fn saved(&self, now: &Now) -> [SavedWindow; 4] {
        [self.minute, self.hour, self.day, self.month].map(|window| SavedWindow {
            index: window.index,
            age: now.steady.saturating_sub(window.began),
            counts: window.counts,
        })
    }

    /// Out of that form, saved at `at`.
    pub(super) fn restored(saved: &[SavedWindow; 4], at: UnixMillis, now: &Now) -> Self {
        // A clock that stepped back meanwhile makes no window younger.
        let away = i64::try_from(now.wall.saturating_sub(at)).unwrap_or(i64::MAX);
        let [minute, hour, day, month] = saved.map(|saved| Window {
            index: saved.index,
            began: now.steady.saturating_sub(saved.age.saturating_add(away)),
            serial: 0,
            counts: saved.counts,
        });
        Self { minute, hour, day, month, running: 0, dirty: false, slices: None }
    }
}

/// What a subject has used, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// In its minute.
    pub minute: Counts,
    /// In its hour; only requests are counted, and only under a cap.
    pub hour: Counts,
    /// Today.
    pub day: Counts,
    /// This month.
    pub month: Counts,
    /// Requests running now.
    pub running: u64,
    /// When the day ends.
    pub day_ends: UnixMillis,
    /// When the month ends.
    pub month_ends: UnixMillis,
}
