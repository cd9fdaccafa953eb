//! What the overview knows: the last minutes second by second, and what needs somebody.

use std::{borrow::Cow, collections::BTreeMap};

use aivonx_protocol::{
    UnixMillis,
    pulse::{self, Alert, AlertPlace, Budget, Pulse, PulseSecond, WINDOW},
};

use super::{
    list::{List, Load, Rows},
    screen::Screen,
};
use crate::{
    filter::{Filter, Subject},
    nouns::{Field, Noun},
    render::{Column, Table, View},
};

/// Seconds that "now" is an average of.
const NOW_SECONDS: u64 = 5;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// The window as far as something happened in it.
    seconds: BTreeMap<u64, PulseSecond>,
    /// The last answer, without its seconds.
    pub(crate) pulse: Option<Pulse>,
    /// Where it comes from stands.
    pub(crate) load: Load,
    /// What needs somebody.
    pub(crate) concerns: Concerns,
}

/// What is drawn as a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests that ended, per second.
    Requests,
    /// Those of them that failed, per second.
    Errors,
    /// Tokens of output, per second.
    Tokens,
    /// Requests at work.
    Active,
    /// Time to the first byte that half of the answers took at most, milliseconds.
    Half,
    /// The same of 95 of 100.
    Most,
}

impl Overview {
    /// Takes an answer in.
    pub(crate) fn heard(&mut self, mut pulse: Pulse, now: UnixMillis) {
        // Another daemon's or another organization's past is not this one's.
        let other = self
            .pulse
            .as_ref()
            .is_some_and(|before| before.now > pulse.now || before.organization != pulse.organization);
        if other {
            self.seconds.clear();
        }
        for second in std::mem::take(&mut pulse.seconds) {
            self.seconds.insert(second.at, second);
        }
        let oldest = (pulse.now / 1000 + 1).saturating_sub(WINDOW);
        self.seconds = self.seconds.split_off(&oldest);
        let alerts = std::mem::take(&mut pulse.alerts).into_iter().map(What::Alert);
        let budgets = std::mem::take(&mut pulse.budgets).into_iter().map(What::Budget);
        let concerns = alerts.chain(budgets).enumerate().map(|(rank, what)| Concern { rank, what });
        self.concerns.list.set(concerns.collect(), now);
        self.load = Load::Ready(now);
        self.pulse = Some(pulse);
    }

    /// The second from which on to ask anew; None asks for the whole window.
    pub(crate) fn since(&self) -> Option<u64> {
        self.pulse.as_ref().map(|pulse| pulse.now / 1000)
    }

    fn end(&self) -> u64 {
        self.pulse.as_ref().map_or(0, |pulse| pulse.now / 1000)
    }

    /// What it comes to now, per second: an average of the last few seconds.
    pub(crate) fn now(&self, of: impl Fn(&PulseSecond) -> u64) -> f64 {
        let Some(pulse) = &self.pulse else { return 0.0 };
        let end = pulse.now / 1000;
        let first = end.saturating_sub(NOW_SECONDS);
        let sum: u64 = self.seconds.range(first..).map(|(_, second)| of(second)).sum();
        // The last second is not over yet.
        let lasted = (pulse.now - first * 1000).min(u64::from(pulse.lasted) * 1000).max(1000);
        #[allow(clippy::cast_precision_loss, reason = "a rate of a few digits")]
        let rate = sum as f64 * 1000.0 / lasted as f64;
        rate
    }

    /// The window in at most so many steps, the oldest first; below zero means no data.
    pub(crate) fn graph(&self, of: Measure, cells: usize) -> Vec<f64> {
        let cells = u64::try_from(cells).unwrap_or(WINDOW).clamp(1, WINDOW);
        let step = WINDOW.div_ceil(cells);
        let (last, count) = (self.end() / step, WINDOW / step);
        // Steps begin at whole multiples, so that what has been drawn stays as it is and moves to the left.
        let first = (last + 1).saturating_sub(count);
        (first..=last).map(|at| self.step(of, at * step, (at + 1) * step)).collect()
    }

    fn step(&self, of: Measure, from: u64, to: u64) -> f64 {
        let seconds = self.seconds.range(from..to).map(|(_, second)| second);
        let mean = |sum: u64| {
            let lasted = to.min(self.end() + 1).saturating_sub(from).max(1);
            #[allow(clippy::cast_precision_loss, reason = "a rate of a few digits")]
            let mean = sum as f64 / lasted as f64;
            mean
        };
        match of {
            Measure::Requests => mean(seconds.map(|one| u64::from(one.requests)).sum()),
            Measure::Errors => mean(seconds.map(|one| u64::from(one.errors)).sum()),
            Measure::Tokens => mean(seconds.map(|one| one.output_tokens).sum()),
            Measure::Active => mean(seconds.map(|one| one.busy_ms).sum()) / 1000.0,
            Measure::Half | Measure::Most => {
                let mut counts = vec![0_u32; pulse::FIRST_BYTE_MS.len() + 1];
                for (count, more) in seconds.flat_map(|one| one.first_byte.iter().enumerate()) {
                    if let Some(count) = counts.get_mut(count) {
                        *count = count.saturating_add(*more);
                    }
                }
                let percent = if of == Measure::Half { 50 } else { 95 };
                pulse::quantile(&counts, percent).map_or(-1.0, f64::from)
            }
        }
    }
}

/// What needs somebody, as lines to move among. Before any is picked, enter does the next step.
#[derive(Debug, Default)]
pub(crate) struct Concerns {
    /// The lines.
    pub(crate) list: List<Concern>,
    /// Whether the cursor is among them.
    pub(crate) picked: bool,
}

impl Concerns {
    /// The line that enter acts on.
    pub(crate) fn chosen(&self) -> Option<&Concern> {
        self.list.chosen()
    }
}

/// The first movement leads to the first line; up from there leads away again.
impl Rows for Concerns {
    fn counts(&self) -> (usize, usize) {
        self.list.counts()
    }

    fn go(&mut self, rows: isize) {
        if !self.picked {
            self.picked = rows > 0 && self.counts().0 > 0;
            if self.picked {
                self.list.first();
            }
        } else if rows < 0 && self.list.at() == 0 {
            self.picked = false;
        } else {
            self.list.go(rows);
        }
    }

    fn first(&mut self) {
        self.picked = self.counts().0 > 0;
        self.list.first();
    }

    fn last(&mut self) {
        self.picked = self.counts().0 > 0;
        self.list.last();
    }

    fn sort(&mut self, _: &[usize]) {}

    fn reverse(&mut self) {}

    fn mark(&mut self) {}

    fn marks(&self) -> usize {
        0
    }

    fn unmark(&mut self) {}

    fn set_filter(&mut self, _: Option<Filter>) {}

    fn filter(&self) -> Option<&Filter> {
        None
    }

    fn find(&mut self, _: bool) -> bool {
        false
    }

    fn chosen_name(&self) -> Option<String> {
        self.list.chosen_name()
    }
}

/// What one line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Something that needs somebody.
    Alert(Alert),
    /// A budget that is nearly used up.
    Budget(Budget),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Concern {
    /// Its place: the worst first, as the daemon has it.
    pub(crate) rank: usize,
    /// What it is about.
    pub(crate) what: What,
}

impl Concern {
    /// The screen that leads to the cure, if one does.
    pub(crate) fn screen(&self) -> Option<Screen> {
        match &self.what {
            What::Budget(_) => Some(Screen::Usage),
            What::Alert(alert) => match alert.place {
                AlertPlace::Elsewhere => None,
                AlertPlace::Nodes => Some(Screen::Nodes),
                AlertPlace::Jobs => Some(Screen::Jobs),
                AlertPlace::Keys => Some(Screen::Access),
                AlertPlace::Log => Some(Screen::Logs),
                AlertPlace::Audit => Some(Screen::Audit),
                AlertPlace::Lockouts | AlertPlace::Secrets => Some(Screen::Security),
            },
        }
    }
}

impl Subject for Concern {
    fn field(&self, _: &str) -> Option<String> {
        None
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(self.name())
    }
}

impl Noun for Concern {
    const FIELDS: &'static [Field<Self>] =
        &[Field::<Self>::new(Column::text("WHAT"), |one, _| one.name().into())
            .sorted(|a, b| a.rank.cmp(&b.rank))];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(match &self.what {
            What::Alert(alert) => format!("{:?} {}", alert.kind, alert.object.as_deref().unwrap_or_default()),
            What::Budget(budget) => format!("{} {}", budget.limit, budget.id),
        })
    }

    fn name(&self) -> &str {
        match &self.what {
            What::Alert(alert) => alert.object.as_deref().unwrap_or(&alert.text),
            What::Budget(budget) => &budget.name,
        }
    }

    fn details(&self, _: &View<'_>) -> Table {
        Table::pairs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, NOW};

    fn second(at: u64, requests: u32) -> PulseSecond {
        PulseSecond { at, requests, output_tokens: u64::from(requests) * 10, ..PulseSecond::default() }
    }

    #[test]
    fn seconds_are_replaced_and_forgotten() {
        let mut overview = Overview::default();
        let at = NOW / 1000;
        let told = |now: u64, seconds: Vec<PulseSecond>| Pulse { now, seconds, ..samples::pulse() };
        overview.heard(told(NOW, vec![second(at - 299, 1), second(at, 2)]), NOW);
        assert_eq!(overview.since(), Some(at));
        overview.heard(told(NOW + 1000, vec![second(at, 5), second(at + 1, 5)]), NOW);
        assert_eq!(overview.seconds.keys().copied().collect::<Vec<_>>(), [at, at + 1]);
        // Five whole seconds and what has passed of this one: ten requests.
        let rate = overview.now(|one| one.requests.into());
        assert!((rate - 10_000.0 / 5000.0).abs() < 0.5, "{rate}");
        // The clock of a daemon that was started anew may be behind.
        overview.heard(told(NOW - 5000, vec![second(at - 5, 1)]), NOW);
        assert_eq!(overview.seconds.len(), 1);
    }

    #[test]
    fn graphs_have_the_window_in_steps() {
        let mut overview = Overview::default();
        let end = NOW / 1000;
        let seconds = (0..300).map(|back| second(end - back, 4)).collect();
        overview.heard(Pulse { now: NOW, seconds, ..samples::pulse() }, NOW);
        for cells in [1, 7, 30, 40, 100, 299, 300, 1000] {
            let graph = overview.graph(Measure::Requests, cells);
            assert!(!graph.is_empty() && graph.len() <= cells.min(300), "{cells}: {}", graph.len());
            let whole = &graph[1.min(graph.len() - 1)..];
            assert!(whole.iter().all(|value| (value - 4.0).abs() < 1e-9 || cells == 1), "{cells}: {graph:?}");
        }
        assert_eq!(overview.graph(Measure::Half, 10), [-1.0; 10], "nothing was timed");
        assert_eq!(Overview::default().graph(Measure::Tokens, 3).len(), 1);
    }

    #[test]
    fn the_cursor_comes_and_goes() {
        let mut concerns = Concerns::default();
        concerns.go(1);
        assert!(!concerns.picked, "there is nothing to pick");
        let mut overview = Overview::default();
        overview.heard(samples::pulse(), NOW);
        let concerns = &mut overview.concerns;
        assert_eq!(concerns.counts(), (6, 6));
        concerns.go(-1);
        assert!(!concerns.picked);
        concerns.go(1);
        assert_eq!((concerns.picked, concerns.list.at()), (true, 0));
        concerns.go(1);
        assert_eq!(concerns.list.at(), 1);
        concerns.go(-1);
        concerns.go(-1);
        assert!(!concerns.picked);
    }
}
