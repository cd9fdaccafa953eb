//! Policies, a file each: by what measure nodes are compared that can all serve a request.

mod cost;
mod least_active;
mod lowest_latency;
mod round_robin;
mod weighted;

use crate::{ask::Candidate, terms::Terms};

/// How a node is chosen among those that can serve a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Where the first token is predicted to come soonest.
    #[default]
    Cost,
    /// The fewest requests.
    LeastActive,
    /// The fastest answers to health checks.
    LowestLatency,
    /// One after the other.
    RoundRobin,
    /// The fewest requests for its weight.
    Weighted,
}

/// A candidate, as a policy sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing<'a> {
    pub(crate) terms: Terms,
    pub(crate) candidate: &'a Candidate,
    /// Requests that are there or wait for it.
    pub(crate) active: usize,
    /// Whether it would have to wait there.
    pub(crate) full: bool,
    /// Where it comes when everything else is equal: nodes draw lots by the beginning of the prompt.
    pub(crate) lot: u64,
    /// The turn in which it was assigned the last request.
    pub(crate) last: u64,
}

/// A policy.
pub(crate) trait Measure: Sync {
    /// The lowest is chosen. Asked about every candidate of every request.
    fn of(&self, standing: &Standing<'_>) -> f64;

    /// How much lower counts as lower.
    fn tolerance(&self) -> f64 {
        0.0
    }
}

impl Policy {
    fn measure(self) -> &'static dyn Measure {
        match self {
            Self::Cost => &cost::Cost,
            Self::LeastActive => &least_active::LeastActive,
            Self::LowestLatency => &lowest_latency::LowestLatency,
            Self::RoundRobin => &round_robin::RoundRobin,
            Self::Weighted => &weighted::Weighted,
        }
    }

    /// Whether `a` is to be preferred to `b`: by the measure, then with the model in memory, then with less to do.
    pub(crate) fn prefers(self, a: &Standing<'_>, b: &Standing<'_>) -> bool {
        if self != Self::Cost && a.full != b.full {
            return b.full;
        }
        let measure = self.measure();
        let (of_a, of_b) = (measure.of(a), measure.of(b));
        if of_a + measure.tolerance() < of_b || of_b + measure.tolerance() < of_a {
            return of_a < of_b;
        }
        let key = |s: &Standing<'_>| (s.terms.load > 0.0, s.active, s.lot);
        key(a) < key(b)
    }
}
