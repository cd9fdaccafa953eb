//! Which models of a node real requests fail on, and for how long new requests go elsewhere for that.
//!
//! A model of a node is out once the share of its failures is too large. After a time that doubles from turn to turn
//! one real request finds out whether it is well again, and the node gets more of them step by step. Nothing here
//! takes a node out of the candidates: it ranks them, so when all are out the least bad one is still used.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The node as a whole, whatever the model.
const WHOLE: &str = "";

/// Failures, counted with [`HALF_LIFE`], below which a share says nothing.
const LEAST: f64 = 2.5;

/// Share of failures from which on a model of a node is out.
const SHARE: f64 = 0.5;

/// After this time an outcome counts half.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// Failures that count less than this are forgotten.
const FORGOTTEN: f64 = 0.25;

/// First time out, and the longest; each turn is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Answers after which a model is no longer held to few requests at once: 2, 4, 8, ... until then.
const SLOW_START: u32 = 5;

/// A request that was to find out whether the node is well, and has not ended by then, keeps others from it no more.
const PROBE: Duration = Duration::from_secs(30);

/// Entries kept of one node.
const MOST: usize = 256;

/// How much a node is to be preferred for a model; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It was out, and one real request is due to find out whether it is well.
    Due,
    /// Nothing is held against it.
    Well,
    /// It was out, and has as many requests as it is trusted with so far.
    SlowStart,
    /// Requests fail on it; so many turns in a row.
    Out(u32),
    /// It takes no connections.
    Unreachable,
}

impl Standing {
    /// Of the node as a whole and of the model on it.
    fn and(self, other: Self) -> Self {
        let worst = self.max(other);
        if worst <= Self::Well { self.min(other) } else { worst }
    }
}

/// What is held against one node. Pure: the time is given.
#[derive(Debug, Default)]
pub(super) struct Ejections {
    /// By normal name of the model, or [`WHOLE`].
    entries: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    good: f64,
    bad: f64,
    /// When these were aged.
    at: Instant,
    phase: Phase,
    /// Times it was out in a row.
    turns: u32,
}

#[derive(Debug)]
enum Phase {
    Counting,
    Out {
        until: Instant,
        /// When the request that finds out whether it is well was sent, if it is under way.
        probe: Option<Instant>,
        unreachable: bool,
    },
    SlowStart {
        served: u32,
    },
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// This model on the node, by its normal name.
    Model(&'a str),
    /// The node, whatever the model.
    Node,
    /// Connecting to the node: one failure is enough.
    Connection,
}

impl Ejections {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How much the node is to be preferred for `model`, with `active` requests at work on it.
    pub(super) fn standing(&self, model: &str, active: u32, now: Instant) -> Standing {
        let of =
            |key: &str| self.entries.get(key).map_or(Standing::Well, |entry| entry.standing(active, now));
        of(WHOLE).and(of(model))
    }

    /// A request failed.
    pub(super) fn failed(&mut self, scope: Scope<'_>, now: Instant) {
        let key = if let Scope::Model(model) = scope { model } else { WHOLE };
        if !self.entries.contains_key(key) {
            if self.entries.len() >= MOST {
                return;
            }
            let new = Entry { good: 0.0, bad: 0.0, at: now, phase: Phase::Counting, turns: 0 };
            self.entries.insert(key.into(), new);
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failed(scope == Scope::Connection, now);
        }
    }

    /// A request for `model` was served.
    pub(super) fn served(&mut self, model: &str, now: Instant) {
        for key in [WHOLE, model] {
            if self.entries.get_mut(key).is_some_and(|entry| entry.served(now)) {
                self.entries.remove(key);
            }
        }
    }

    /// A connection to the node came about.
    pub(super) fn reached(&mut self) {
        let unreachable = |entry: &Entry| matches!(entry.phase, Phase::Out { unreachable: true, .. });
        if self.entries.get(WHOLE).is_some_and(unreachable) {
            self.entries.remove(WHOLE);
        }
    }

    /// A request for `model` is sent. Whether it is the one that finds out whether the node is well.
    pub(super) fn begin(&mut self, model: &str, now: Instant) -> bool {
        let mut due = false;
        for key in [WHOLE, model] {
            if let Some(entry) = self.entries.get_mut(key)
                && entry.standing(0, now) == Standing::Due
                && let Phase::Out { probe, .. } = &mut entry.phase
            {
                (*probe, due) = (Some(now), true);
            }
        }
        due
    }

    /// That request is over, however it went.
    pub(super) fn end(&mut self, model: &str) {
        for key in [WHOLE, model] {
            if let Some(Entry { phase: Phase::Out { probe, .. }, .. }) = self.entries.get_mut(key) {
                *probe = None;
            }
        }
    }

    /// Forgets what is long ago.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.entries.retain(|_, entry| {
            entry.age(now);
            match entry.phase {
                Phase::Counting | Phase::SlowStart { .. } => entry.bad >= FORGOTTEN,
                Phase::Out { until, .. } => now.saturating_duration_since(until) < 4 * LONGEST,
            }
        });
    }
}

impl Entry {
    fn standing(&self, active: u32, now: Instant) -> Standing {
        match self.phase {
            Phase::Counting => Standing::Well,
            Phase::SlowStart { served } if active < 1 << served => Standing::Well,
            Phase::SlowStart { .. } => Standing::SlowStart,
            Phase::Out { until, probe, unreachable } => {
                let probing = probe.is_some_and(|since| now.saturating_duration_since(since) < PROBE);
                match (now >= until && !probing, unreachable) {
                    (true, _) => Standing::Due,
                    (false, true) => Standing::Unreachable,
                    (false, false) => Standing::Out(self.turns),
                }
            }
        }
    }

    fn age(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.at).div_duration_f64(HALF_LIFE);
        let left = 0.5_f64.powf(time);
        (self.good, self.bad, self.at) = (self.good * left, self.bad * left, now);
    }

    fn failed(&mut self, unreachable: bool, now: Instant) {
        self.age(now);
        self.bad += 1.0;
        let out = match self.phase {
            Phase::Counting => {
                unreachable || (self.bad >= LEAST && self.bad >= SHARE * (self.good + self.bad))
            }
            Phase::SlowStart { .. } => true,
            // Others that were under way say nothing new.
            Phase::Out { until, .. } => now >= until,
        };
        if out {
            let wait = FIRST.saturating_mul(1 << self.turns.min(10)).min(LONGEST);
            self.turns += 1;
            self.phase = Phase::Out { until: now + wait, probe: None, unreachable };
        }
    }

    /// Takes in that it served a request; whether nothing is held against it any more.
    fn served(&mut self, now: Instant) -> bool {
        self.age(now);
        self.good += 1.0;
        let served = match self.phase {
            Phase::Counting => return self.bad < FORGOTTEN,
            Phase::Out { .. } => 1,
            Phase::SlowStart { served } => served + 1,
        };
        self.phase = Phase::SlowStart { served };
        served >= SLOW_START
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Scope<'static> = Scope::Model("m");

    fn fail(ejections: &mut Ejections, times: usize, now: Instant) {
        (0..times).for_each(|_| ejections.failed(M, now));
    }

    #[test]
    fn a_share_of_failures_takes_out_one_model_of_a_node() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        fail(&mut ejections, 2, now);
        assert_eq!(ejections.standing("m", 0, now), Standing::Well, "too few to say anything");
        fail(&mut ejections, 1, now);
        assert_eq!(ejections.standing("m", 0, now), Standing::Out(1));
        assert_eq!(ejections.standing("n", 0, now), Standing::Well, "another model");

        let mut mostly = Ejections::default();
        fail(&mut mostly, 1, now);
        for _ in 0..50 {
            (0..2).for_each(|_| mostly.served("m", now));
            fail(&mut mostly, 1, now);
            assert_eq!(mostly.standing("m", 0, now), Standing::Well, "a third fails");
        }
    }

    #[test]
    fn one_real_request_finds_out_whether_it_is_well_and_slow_start_follows() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        fail(&mut ejections, 3, now);
        let later = now + FIRST;
        assert_eq!(ejections.standing("m", 0, later), Standing::Due);
        assert!(ejections.begin("m", later) && !ejections.begin("m", later), "one");
        assert_eq!(ejections.standing("m", 0, later), Standing::Out(1));
        ejections.end("m");
        assert_eq!(ejections.standing("m", 0, later), Standing::Due, "its client left: the next one");
        assert!(ejections.begin("m", later));
        ejections.served("m", later);
        for served in 1..SLOW_START {
            assert_eq!(ejections.standing("m", (1 << served) - 1, later), Standing::Well);
            assert_eq!(ejections.standing("m", 1 << served, later), Standing::SlowStart);
            ejections.served("m", later);
        }
        assert!(ejections.is_empty());
    }

    #[test]
    fn the_time_out_doubles_and_is_never_longer_than_half_a_minute() {
        let (mut ejections, mut now) = (Ejections::default(), Instant::now());
        fail(&mut ejections, 3, now);
        for turn in 0..20 {
            let wait = FIRST.saturating_mul(1 << turn.min(10)).min(Duration::from_secs(30));
            fail(&mut ejections, 5, now);
            assert!(matches!(ejections.standing("m", 0, now + wait - FIRST / 2), Standing::Out(_)), "{turn}");
            now += wait;
            assert!(ejections.begin("m", now), "{turn}");
            fail(&mut ejections, 1, now);
            ejections.end("m");
        }
    }

    #[test]
    fn a_failure_within_slow_start_ends_it() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        fail(&mut ejections, 3, now);
        ejections.served("m", now);
        fail(&mut ejections, 1, now);
        assert_eq!(ejections.standing("m", 0, now), Standing::Out(2));
    }

    #[test]
    fn one_failed_connection_counts_for_every_model_until_one_comes_about() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        ejections.failed(Scope::Connection, now);
        assert_eq!(ejections.standing("m", 0, now), Standing::Unreachable);
        assert_eq!(ejections.standing("m", 0, now + FIRST), Standing::Due);
        fail(&mut ejections, 3, now);
        assert_eq!(ejections.standing("m", 0, now), Standing::Unreachable);
        ejections.reached();
        assert_eq!(ejections.standing("m", 0, now), Standing::Out(1));
        assert_eq!(ejections.standing("n", 0, now), Standing::Well);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        fail(&mut ejections, 3, now);
        ejections.failed(Scope::Model("n"), now);
        ejections.tidy(now + Duration::from_secs(10));
        assert_eq!(ejections.entries.len(), 2);
        ejections.tidy(now + Duration::from_secs(300));
        assert!(ejections.is_empty());
        (0..2 * MOST).for_each(|n| ejections.failed(Scope::Model(&n.to_string()), now));
        assert_eq!(ejections.entries.len(), MOST);
    }
}
