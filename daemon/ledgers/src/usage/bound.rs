//! What is used and left of the limits of the day, beside what a time came to.

use std::fmt;

use aivonx_protocol::usage::{UsageBy, UsageRow};

/// What an organization, user or key has used of its limits of the day, now. Money is micro-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Requests used.
    pub requests_used: u64,
    /// Requests allowed; None is no limit.
    pub requests_limit: Option<u64>,
    /// Money spent.
    pub spend_used: u64,
    /// Money allowed; None is no limit.
    pub spend_limit: Option<u64>,
}

impl Bound {
    pub(super) fn fill(&self, row: &mut UsageRow) {
        row.requests_used = Some(self.requests_used);
        row.requests_limit = self.requests_limit;
        row.spend_used = Some(self.spend_used);
        row.spend_limit = self.spend_limit;
    }
}

/// Looks up the bound of an organization, a user or a key by its id. None of what is not there any more, and of
/// what has no limits of its own.
pub struct Bounds(Box<Look>);

type Look = dyn Fn(UsageBy, &str) -> Option<Bound> + Send + Sync;

impl Bounds {
    /// Asks `look`.
    pub fn new(look: impl Fn(UsageBy, &str) -> Option<Bound> + Send + Sync + 'static) -> Self {
        Self(Box::new(look))
    }

    /// Nobody has any.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_, _| None)
    }

    pub(super) fn of(&self, by: UsageBy, id: &str) -> Option<Bound> {
        (self.0)(by, id)
    }
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds").finish_non_exhaustive()
    }
}
