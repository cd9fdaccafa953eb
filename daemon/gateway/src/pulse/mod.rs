//! How the gateway does right now: numbers of the last minutes, second by second.
//!
//! Folded on the control plane from the same batches of finished requests that the log and the metrics are made
//! of (`telemetry.observe`): the data path does nothing for it. Health checks, scrapes and what else needs no key
//! are left out, so that an idle gateway looks idle. What is kept is bounded, for any number of callers:
//!
//! | what | bound |
//! |---|---|
//! | the fleet, and each of at most 128 organizations | the last 300 seconds: some 35 kB each |
//! | the busiest | see [`busiest`] |
//!
//! An organization beyond those takes the place of the one that has been quiet for the longest.

pub mod alerts;
pub mod budgets;
pub mod busiest;
mod series;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aivonx_domain::{AccessRecord, Outcome, histogram, table::Map};
use aivonx_protocol::key::KeyScope;
use aivonx_wire::api::route::{self, Need};

use self::{
    busiest::{Asked, Busiest, Busy, Of},
    series::{Series, Tally, seconds},
};
pub use self::{
    series::{BUCKETS, Numbers, Pace, WINDOW},
    watch::{Condition, Glance, Watch},
};

/// Organizations counted apart.
const ORGANIZATIONS_MAX: usize = 128;

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub struct Pulse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    watch: Mutex<Watch>,
    clock: Clock,
}

/// A clock that never goes back: the time of day at the start, and what has passed since.
#[derive(Debug)]
struct Clock {
    began: Duration,
    started: Instant,
}

impl Clock {
    fn system() -> Self {
        Self {
            began: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            started: Instant::now(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from((self.began + self.started.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
struct State {
    fleet: Series,
    organizations: Map<Arc<str>, Series>,
    busiest: Busiest,
    /// Reused.
    tally: Tally,
}

/// What happened second by second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Those seconds, oldest first, that have changed since the one asked for.
    pub seconds: Vec<(u64, Numbers)>,
    /// The last sixty seconds together.
    pub minute: Numbers,
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl Pulse {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            fleet: Series::new(seconds(WINDOW)),
            organizations: Map::default(),
            busiest: Busiest::default(),
            tally: Tally::default(),
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                watch: Mutex::default(),
                clock: Clock::system(),
            }),
        }
    }

    /// What `telemetry.observe` is to be given.
    pub fn observer(&self) -> impl Fn(&[AccessRecord]) + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.inner);
        move |records| {
            if let Some(inner) = inner.upgrade() {
                let now = inner.clock.now();
                Self { inner }.fold(records, now);
            }
        }
    }

    /// The time that seconds are counted by, milliseconds since 1970. It never goes back.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.inner.clock.now()
    }

    /// Takes requests that ended at `now`, milliseconds since 1970, which must not go back.
    pub fn fold(&self, records: &[AccessRecord], now: u64) {
        let mut state = self.state();
        records.iter().for_each(|record| state.add(record, now));
    }

    /// The window up to `now` (milliseconds since 1970), as far as it has changed since the second `since`; of the
    /// organization with this id, or of the fleet. What `running` has done so far is part of it.
    #[must_use]
    pub fn told(&self, organization: Option<&str>, since: u64, now: u64, running: &[Pace]) -> Told {
        let mut live = Series::new(seconds(WINDOW));
        for pace in running.iter().filter(|pace| counts(need(pace.route))) {
            live.go_on(pace, now);
        }
        let now = now / 1000;
        let all = {
            let state = self.state();
            let series = match organization {
                None => Some(&state.fleet),
                Some(id) => state.organizations.get(id),
            };
            match series {
                Some(series) => series.with(&live, since, now),
                None => live.with(&Series::new(1), since, now),
            }
        };
        let mut told = Told::default();
        let minute = (now + 1).saturating_sub(60);
        for (at, changed, numbers) in all {
            if at >= minute {
                told.minute.add(&numbers);
            }
            if changed {
                told.seconds.push((at, numbers));
            }
        }
        told
    }

    /// At most `most` of those who asked the most within the window up to `now` (milliseconds since 1970); of the
    /// organization with this id, or of the fleet.
    #[must_use]
    pub fn busiest(&self, of: Of, organization: Option<&str>, most: usize, now: u64) -> Vec<Busy> {
        self.state().busiest.top(of, organization, most, now / 1000)
    }

    /// Seconds since the start, at least one.
    #[must_use]
    pub fn lasted(&self, now: u64) -> u64 {
        let began = u64::try_from(self.inner.clock.began.as_millis()).unwrap_or(u64::MAX);
        now.saturating_sub(began).div_ceil(1000).max(1)
    }

    /// Takes note of what is now.
    pub fn glance(&self, glance: &Glance) {
        self.watch().note(glance, self.now());
    }

    /// What was noticed by looking.
    pub fn watch(&self) -> MutexGuard<'_, Watch> {
        // Whole after every change.
        self.inner.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What was counted is right even if a thread panicked while adding.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, record: &AccessRecord, now: u64) {
        let need = need(record.route);
        if !counts(need) {
            return;
        }
        let Self { fleet, organizations, busiest, tally } = self;
        let CancelReason { failed, refused } = verdict(record);
        let mut ended = Numbers {
            requests: 1,
            errors: failed.into(),
            refused: refused.into(),
            prompt_tokens: record.prompt_tokens.unwrap_or(0),
            ..Numbers::default()
        };
        // That of a refusal is the gateway's own.
        if need == Some(Need::Scope(KeyScope::Infer))
            && !refused
            && !failed
            && let Some(first_byte) = record.first_byte
        {
            ended.first_byte[histogram::bucket(first_byte)] = 1;
        }
        tally.begin(ended);
        let first_byte = record.first_byte.unwrap_or(record.duration).min(record.duration);
        let output = record.output_tokens.unwrap_or(0);
        tally.spread(output, record.duration - first_byte, record.duration, now);
        fleet.add(tally, now);
        if let Some((id, _)) = record.organization() {
            place(organizations, id).add(tally, now);
        }
        let tokens = record.prompt_tokens.unwrap_or(0).saturating_add(output);
        busiest.add(record, Asked { requests: 1, errors: failed.into(), tokens }, now / 1000);
    }
}

/// The series of an organization. Where there is no room, it takes the place of the one that has been quiet for the longest.
fn place<'s>(all: &'s mut Map<Arc<str>, Series>, id: &Arc<str>) -> &'s mut Series {
    if all.len() >= ORGANIZATIONS_MAX && !all.contains_key(id) {
        let quiet = all.iter().min_by_key(|(_, series)| series.newest()).map(|(id, _)| id.clone());
        if let Some(quiet) = quiet {
            all.remove(&quiet);
        }
    }
    all.entry(id.clone()).or_insert_with(|| Series::new(seconds(WINDOW)))
}

fn need(route: &str) -> Option<Need> {
    route::find(route).map(|(route, _)| route.need())
}

/// Whether requests that need this are counted.
fn counts(need: Option<Need>) -> bool {
    !matches!(need, Some(Need::Nothing | Need::Scope(KeyScope::AdminRead)))
}

/// How a finished request is counted.
struct CancelReason {
    failed: bool,
    refused: bool,
}

fn verdict(record: &AccessRecord) -> CancelReason {
    let refused = (400..500).contains(&record.status);
    let broken = match record.outcome {
        Outcome::NoNode | Outcome::NodeFailed | Outcome::Broken | Outcome::TimedOut => true,
        Outcome::Complete
        | Outcome::Refused
        | Outcome::ClientGone
        | Outcome::Ended
        | Outcome::ClientStalled => false,
    };
    // A model that is not there is the client's mistake, although the outcome may say otherwise.
    CancelReason { failed: record.status >= 500 || (broken && !refused), refused }
}
