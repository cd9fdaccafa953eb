//! Who is next in a queue: the higher band, then who was served less, then the shorter one.
//!
//! None waits for ever, whatever else arrives. Where one has waited for [`PATIENCE`], the first by age, which is arrival and
//! [`AGEING`] times the own work, is passed over by at most [`PASSED_OVER`] others in a row. So a request is sent at the
//! latest after the longer of [`PATIENCE`] and [`AGEING`] times its own work, and [`PASSED_OVER`] + 1 turns of its node for
//! itself and for each that is older, wherever it waited: those of a node that leaves join this queue.

use std::cmp::Ordering;

use crate::Time;

/// Where a request stands among those that wait for a node: the lowest is next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rank {
    /// The higher goes first.
    pub(crate) band: u8,
    /// What its organization was served of late.
    pub(crate) organization: f64,
    /// What its key was served of late.
    pub(crate) key: f64,
    /// Arrival, and some times its own prefill and load: short ones go first, and none waits for ever.
    pub(crate) at: Time,
}

/// How many times its own work a request stands behind one that arrives with it and has none.
pub(crate) const AGEING: f64 = 3.0;

/// Seconds of waiting from which on some turns go by age alone.
pub(crate) const PATIENCE: Time = 30.0;

/// Turns in a row that need not.
pub(crate) const PASSED_OVER: u32 = 7;

/// How many times less somebody has to have been served to be let in from another queue.
const MUCH_LESS: f64 = 0.9;

impl Rank {
    /// Whether it should be served before `other` though it waits elsewhere.
    pub(crate) fn is_more_due_than(&self, other: &Self) -> bool {
        self.band > other.band
            || (self.band == other.band && self.organization < other.organization * MUCH_LESS)
    }

    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        other
            .band
            .cmp(&self.band)
            .then(self.organization.total_cmp(&other.organization))
            .then(self.key.total_cmp(&other.key))
            .then(self.at.total_cmp(&other.at))
    }
}
