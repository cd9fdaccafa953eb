//! The log as the console knows it: what came, what of it is shown, and where one stands in it.

use std::collections::VecDeque;

use aivonx_protocol::{
    UnixMillis,
    log::{Level, LogEvent},
};

use super::list::Rows;
use crate::{
    filter::{Filter, Subject},
    msg::Ticket,
};

/// Events kept; the oldest go first.
pub(crate) const KEPT: usize = 100_000;

/// The screen.
#[derive(Debug)]
pub(crate) struct Logs {
    events: VecDeque<LogEvent>,
    /// How many events went before the first one kept.
    gone: u64,
    /// The events shown, by their number since the beginning.
    shown: VecDeque<u64>,
    /// Position in `shown`.
    at: usize,
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
    filter: Option<Filter>,
    last: Option<Filter>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            events: VecDeque::new(),
            gone: 0,
            shown: VecDeque::new(),
            at: 0,
            follow: true,
            wrap: false,
            level: Level::Info,
            missed: 0,
            feed: None,
            filter: None,
            last: None,
        }
    }
}

impl Logs {
    /// One more event.
    pub(crate) fn push(&mut self, event: LogEvent) {
        if self.events.len() == KEPT {
            self.events.pop_front();
            self.gone += 1;
            if self.shown.front().is_some_and(|number| *number < self.gone) {
                self.shown.pop_front();
                self.at = self.at.saturating_sub(1);
            }
        }
        if self.filter.as_ref().is_none_or(|filter| filter.shows(&event)) {
            self.shown.push_back(self.gone + self.events.len() as u64);
        }
        self.events.push_back(event);
        if self.follow {
            self.at = self.shown.len().saturating_sub(1);
        }
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.gone += self.events.len() as u64;
        self.events.clear();
        self.shown.clear();
        self.at = 0;
    }

    /// When the newest event was.
    pub(crate) fn newest(&self) -> Option<UnixMillis> {
        self.events.back().map(|event| event.time)
    }

    /// How many are shown.
    pub(crate) fn count(&self) -> usize {
        self.shown.len()
    }

    /// One by what is shown: 0 is the oldest.
    pub(crate) fn shown(&self, row: usize) -> Option<&LogEvent> {
        let number = self.shown.get(row)?.checked_sub(self.gone)?;
        self.events.get(usize::try_from(number).ok()?)
    }

    /// The one the keys act on.
    pub(crate) fn chosen(&self) -> Option<&LogEvent> {
        self.shown(self.at)
    }

    /// Its position among those shown.
    pub(crate) fn at(&self) -> usize {
        self.at
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

/// A level in a word.
pub(crate) fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

impl Subject for LogEvent {
    fn field(&self, name: &str) -> Option<String> {
        if let Some((_, value)) = self.fields.iter().find(|(key, _)| key == name) {
            return Some(value.clone());
        }
        Some(match name {
            "level" => word(self.level).to_owned(),
            "target" => self.target.clone(),
            // The log's own name is longer than what one likes to type.
            "org" => return self.field("organization"),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.message)
            || test(&self.target)
            || test(word(self.level))
            || self.fields.iter().any(|(_, value)| test(value))
    }
}

impl Rows for Logs {
    fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.events.len())
    }

    fn go(&mut self, rows: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(rows).min(last);
        // Who looks back wants to stay there.
        if rows < 0 {
            self.follow = false;
        }
    }

    fn first(&mut self) {
        self.at = 0;
        self.follow = false;
    }

    fn last(&mut self) {
        self.at = self.shown.len().saturating_sub(1);
        self.follow = true;
    }

    fn sort(&mut self) {}

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
        let place = self.shown.get(self.at).copied();
        self.shown.clear();
        let numbers = self.gone..;
        let shown = self.events.iter().zip(numbers);
        let shown = shown.filter(|(event, _)| self.filter.as_ref().is_none_or(|filter| filter.shows(*event)));
        self.shown.extend(shown.map(|(_, number)| number));
        let last = self.shown.len().saturating_sub(1);
        // Where one stood, or the next that is shown.
        self.at = match place {
            Some(place) if !self.follow => self.shown.partition_point(|number| *number < place).min(last),
            _ => last,
        };
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn find(&mut self, forward: bool) -> bool {
        let (Some(filter), count) = (self.last.clone(), self.shown.len()) else { return false };
        let found = (1..=count).map(|step| (self.at + if forward { step } else { count - step }) % count);
        let found = found.into_iter().find(|at| self.shown(*at).is_some_and(|event| filter.shows(event)));
        if let Some(at) = found {
            self.at = at;
            self.follow = false;
        }
        found.is_some()
    }

    fn chosen_name(&self) -> Option<String> {
        let event = self.chosen()?;
        let fields: String = event.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        Some(format!("{} {}: {}{fields}", word(event.level), event.target, event.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, message: &str) -> LogEvent {
        LogEvent {
            seq,
            time: seq,
            level: Level::Info,
            target: "t".into(),
            message: message.into(),
            fields: vec![("status".into(), (400 + seq % 200).to_string())],
        }
    }

    #[test]
    fn who_looks_back_keeps_the_place() {
        let mut logs = Logs::default();
        (0..10).for_each(|seq| logs.push(event(seq, "a")));
        assert_eq!(logs.at(), 9);
        logs.go(-4);
        (10..20).for_each(|seq| logs.push(event(seq, "b")));
        assert_eq!((logs.chosen().unwrap().seq, logs.follow), (5, false));
        logs.set_filter(Filter::parse("b").unwrap());
        assert_eq!(logs.chosen().unwrap().seq, 10, "the next one shown");
        logs.set_filter(None);
        assert_eq!(logs.chosen().unwrap().seq, 10);
        logs.last();
        logs.push(event(20, "b"));
        assert_eq!(logs.chosen().unwrap().seq, 20);
    }

    #[test]
    fn the_oldest_go_and_the_place_stays() {
        let mut logs = Logs::default();
        (0..KEPT as u64).for_each(|seq| logs.push(event(seq, "a")));
        logs.first();
        logs.go(500);
        (0..500).for_each(|seq| logs.push(event(KEPT as u64 + seq, "a")));
        assert_eq!((logs.counts(), logs.chosen().unwrap().seq, logs.at()), ((KEPT, KEPT), 500, 0));
        logs.push(event(7, "a"));
        assert_eq!(logs.chosen().unwrap().seq, 501, "what is gone cannot be looked at");
        logs.set_filter(Filter::parse("status:>=598").unwrap());
        assert_eq!(logs.counts().0, KEPT / 100);
        logs.clear();
        logs.push(event(1, "a"));
        assert_eq!(logs.counts(), (0, 1));
    }
}
