//! The log as the console knows it: what came, what of it is shown, and where one stands in it.

mod scan;
mod segment;
mod store;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent},
};

pub(crate) use self::segment::{Entry, word};
use self::{scan::Scan, store::Store};
use super::list::Rows;
use crate::{filter::Filter, msg::Ticket, render::text};

/// Events kept; the oldest go first.
pub(crate) const KEPT: usize = 100_000;
/// Bytes that they may take, if they are long.
const BYTES: usize = 32 << 20;
/// Events that a new filter looks at before keys are looked at again: some milliseconds' worth.
const AT_ONCE: usize = 10_000;

/// The screen.
#[derive(Debug)]
pub(crate) struct Logs {
    store: Store,
    /// With a filter: the numbers of the events shown.
    shown: VecDeque<u64>,
    /// With a filter: events before this one were not looked at yet.
    unseen: u64,
    /// Number of the chosen event; not of interest while following.
    place: u64,
    /// Whether the newest event is kept in sight.
    pub(crate) follow: bool,
    /// Whether long lines are broken instead of cut.
    pub(crate) wrap: bool,
    /// The least severity asked for.
    pub(crate) level: Level,
    /// Events that the daemon dropped because this console was slow.
    pub(crate) missed: u64,
    /// The feed, while there is one.
    pub(crate) feed: Option<Ticket>,
    /// Whether newer events are not taken: there is no room for them beside what is being looked at.
    pub(crate) held: bool,
    /// Whether newer ones had to go for older ones, so that there is a hole behind the last.
    cut: bool,
    /// Whether it is known that there is nothing older.
    pub(crate) all: bool,
    /// When something older is being asked for: the time to go to then, if it is for that.
    pub(crate) goal: Option<UnixMillis>,
    /// Time and number of the newest event of the feed.
    newest: Option<(UnixMillis, u64)>,
    filter: Option<Filter>,
    last: Option<Filter>,
}

impl Default for Logs {
    fn default() -> Self {
        let store = Store::new(KEPT, BYTES);
        Self {
            shown: VecDeque::new(),
            unseen: store.front(),
            place: store.front(),
            store,
            follow: true,
            wrap: false,
            level: Level::Info,
            missed: 0,
            feed: None,
            held: false,
            cut: false,
            all: false,
            goal: None,
            newest: None,
            filter: None,
            last: None,
        }
    }
}

impl Logs {
    /// One more event of the feed. False if it is not taken: the view is scrolled back, and would lose its place.
    pub(crate) fn push(&mut self, event: &LogEvent) -> bool {
        if !self.follow && self.store.is_full() {
            self.held = true;
            return false;
        }
        if event.seq > 0 {
            self.newest = Some((event.time, event.seq));
        }
        let number = self.store.push(event);
        let front = self.store.front();
        while self.shown.front().is_some_and(|first| *first < front) {
            self.shown.pop_front();
        }
        if let Some(filter) = &self.filter
            && self.store.get(number).is_some_and(|entry| filter.shows(&entry))
        {
            self.shown.push_back(number);
        }
        true
    }

    /// So many events were lost on the way here; a line in their place says so.
    pub(crate) fn lost(&mut self, count: u64, now: UnixMillis) {
        self.missed += count;
        self.push(&LogEvent {
            seq: 0,
            time: self.newest.map_or(now, |(time, _)| time),
            level: Level::Warn,
            target: "console".into(),
            message: format!(
                "{} events dropped here: this console was too slow for them",
                text::count(count)
            ),
            fields: vec![("dropped".into(), count.to_string())],
        });
    }

    /// Older events, in order; `all` if there are no others.
    pub(crate) fn older(&mut self, events: &[LogEvent], all: bool) {
        self.all = all;
        let place = self.store.get(self.place).is_some().then_some(self.place);
        if self.store.prepend(events) {
            // The newest had to go: what comes now would not follow on what is there.
            self.held = true;
            self.cut = true;
            self.follow = false;
        }
        let back = self.store.back();
        while self.shown.back().is_some_and(|last| *last >= back) {
            self.shown.pop_back();
        }
        self.unseen = self.unseen.min(back);
        self.place = place.unwrap_or(self.place).min(back.saturating_sub(1));
        self.search();
    }

    /// Only these events, which do not reach up to those that were there.
    pub(crate) fn instead(&mut self, events: &[LogEvent]) {
        self.clear();
        self.older(events, false);
        (self.held, self.cut, self.follow) = (true, true, false);
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.store.clear();
        self.shown.clear();
        self.unseen = self.store.front();
        self.place = self.store.front();
        (self.held, self.cut, self.all, self.newest) = (false, false, false, None);
    }

    /// Takes newer events again.
    pub(crate) fn release(&mut self) {
        self.held = false;
        if self.cut {
            self.clear();
        }
    }

    /// Time and number of the newest event that the feed had.
    pub(crate) fn newest(&self) -> Option<(UnixMillis, u64)> {
        self.newest
    }

    /// When the oldest event was.
    pub(crate) fn oldest(&self) -> Option<UnixMillis> {
        self.store.get(self.store.front()).map(|entry| entry.time)
    }

    /// How many are shown.
    pub(crate) fn count(&self) -> usize {
        if self.filter.is_some() { self.shown.len() } else { self.store.len() }
    }

    fn number(&self, row: usize) -> Option<u64> {
        if self.filter.is_some() {
            return self.shown.get(row).copied();
        }
        (row < self.store.len()).then(|| self.store.front() + row as u64)
    }

    /// One by what is shown: 0 is the oldest.
    pub(crate) fn shown(&self, row: usize) -> Option<Entry<'_>> {
        self.store.get(self.number(row)?)
    }

    /// The one the keys act on.
    pub(crate) fn chosen(&self) -> Option<Entry<'_>> {
        self.shown(self.at())
    }

    /// Its position among those shown.
    pub(crate) fn at(&self) -> usize {
        let last = self.count().saturating_sub(1);
        if self.follow {
            return last;
        }
        let at = if self.filter.is_some() {
            // Where one stood, or the next that is shown.
            self.shown.partition_point(|number| *number < self.place)
        } else {
            usize::try_from(self.place.saturating_sub(self.store.front())).unwrap_or(usize::MAX)
        };
        at.min(last)
    }

    /// Stays where it is.
    pub(crate) fn pause(&mut self) {
        self.stand(self.at());
    }

    /// Stands at this row, and stays there.
    fn stand(&mut self, row: usize) {
        self.follow = false;
        if let Some(number) = self.number(row) {
            self.place = number;
        }
    }

    /// Goes to the first event shown that is not before this time. Whether there is one.
    pub(crate) fn go_to(&mut self, time: UnixMillis) -> bool {
        let (mut from, mut to) = (0, self.count());
        while from < to {
            let middle = from.midpoint(to);
            if self.shown(middle).is_some_and(|entry| entry.time < time) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        let found = from < self.count();
        self.stand(from.min(self.count().saturating_sub(1)));
        found
    }

    /// Whether a filter has not looked at everything yet.
    pub(crate) fn is_searching(&self) -> bool {
        self.filter.is_some() && self.unseen > self.store.front()
    }

    /// Lets the filter look at some more events, the newest first.
    pub(crate) fn search(&mut self) {
        let Some(filter) = &self.filter else { return };
        let mut scan = Scan::new(filter);
        let front = self.store.front();
        for _ in 0..AT_ONCE {
            if self.unseen <= front {
                return;
            }
            self.unseen -= 1;
            if scan.shows(&self.store, self.unseen) {
                self.shown.push_front(self.unseen);
            }
        }
    }

    /// Goes to the next more talkative level, or round to the least.
    pub(crate) fn next_level(&mut self) {
        self.level = match self.level {
            Level::Error => Level::Warn,
            Level::Warn => Level::Info,
            Level::Info => Level::Debug,
            Level::Debug => Level::Trace,
            Level::Trace => Level::Error,
        };
    }
}

impl Rows for Logs {
    fn counts(&self) -> (usize, usize) {
        (self.count(), self.store.len())
    }

    fn go(&mut self, rows: isize) {
        // Who looks back wants to stay there.
        if rows < 0 || !self.follow {
            let last = self.count().saturating_sub(1);
            self.stand(self.at().saturating_add_signed(rows).min(last));
        }
    }

    fn first(&mut self) {
        self.stand(0);
    }

    fn last(&mut self) {
        self.follow = true;
    }

    fn is_table(&self) -> bool {
        false
    }

    fn sort(&mut self, _: &[usize]) {}

    fn reverse(&mut self) {}

    fn mark(&mut self) {}

    fn marks(&self) -> usize {
        0
    }

    fn unmark(&mut self) {}

    fn set_filter(&mut self, filter: Option<Filter>) {
        if filter.is_some() {
            self.last.clone_from(&filter);
        }
        self.filter = filter;
        self.shown.clear();
        self.unseen = self.store.back();
        self.search();
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn find(&mut self, forward: bool) -> bool {
        let (Some(filter), count) = (self.last.clone(), self.count()) else { return false };
        let mut scan = Scan::new(&filter);
        let from = self.at();
        let rows = (1..=count).map(|step| (from + if forward { step } else { count - step }) % count);
        let found = rows
            .into_iter()
            .find(|row| self.number(*row).is_some_and(|number| scan.shows(&self.store, number)));
        if let Some(row) = found {
            self.stand(row);
        }
        found.is_some()
    }

    fn chosen_name(&self) -> Option<String> {
        let event = self.chosen()?;
        let fields: String = event.fields().map(|(key, value)| format!(" {key}={value}")).collect();
        Some(format!("{} {}: {}{fields}", word(event.level), event.target(), event.message()))
    }
}
