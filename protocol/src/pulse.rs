//! How the gateway does right now: the numbers of the last minutes, and what needs somebody.
//!
//! Counted are requests of clients; health checks, scrapes and what else needs no key are not.

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, limit::LimitName};

/// Seconds of history in a [`Pulse`].
pub const WINDOW: u64 = 300;

/// Upper bounds of the buckets of [`PulseSecond::first_byte`], in milliseconds; there is one bucket more, for
/// what is beyond.
pub const FIRST_BYTE_MS: [u32; 17] = [
    5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000,
];

/// Most rows of each list of the busiest.
pub const BUSIEST_MAX: usize = 10;

/// Most budgets in a [`Pulse`].
pub const BUDGETS_MAX: usize = 5;

/// A budget appears in a [`Pulse`] from this use on, in percent.
pub const BUDGET_NEAR: u64 = 80;

/// Load of the gateway, second by second. A caller bound to an organization gets that organization's share alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// The time that seconds are counted by. It never goes back while the daemon runs.
    pub now: UnixMillis,
    /// Slug of the organization it is about; None is the whole fleet.
    pub organization: Option<String>,
    /// Seconds that the numbers are of: [`WINDOW`], or less if the daemon has not run for that long.
    pub lasted: u32,
    /// The seconds of the window in which something happened, oldest first: those that have changed since the
    /// second that was asked for. The last is not over yet.
    pub seconds: Vec<PulseSecond>,
    /// The last sixty seconds together.
    pub minute: PulseSum,
    /// Requests at work now.
    pub active: u32,
    /// Those of them whose answers are on their way.
    pub streams: u32,
    /// Models that were used the most in the window.
    pub models: Vec<Busy>,
    /// Organizations that asked the most.
    pub organizations: Vec<Busy>,
    /// API keys that were used the most.
    pub keys: Vec<Busy>,
    /// Budgets of the day or month that are nearly used up, the worst first. None for those who may not see limits.
    pub budgets: Vec<Budget>,
    /// What needs somebody, the worst first.
    pub alerts: Vec<Alert>,
}

/// What happened in a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulseSecond {
    /// The second, since 1970.
    pub at: u64,
    /// Requests that ended.
    pub requests: u32,
    /// Those of them that failed: answered with 5xx, or broken off by the node or a deadline.
    pub errors: u32,
    /// Those of them that were refused: answered with 4xx.
    pub refused: u32,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of output that came in this second, also of answers that still go on.
    pub output_tokens: u64,
    /// Milliseconds spent at work by all requests together: a thousand is one request all the time.
    pub busy_ms: u64,
    /// How many answers took how long to their first byte, by [`FIRST_BYTE_MS`]; empty if none did.
    pub first_byte: Vec<u32>,
}

/// What happened in several seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulseSum {
    /// How many seconds.
    pub seconds: u32,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of output.
    pub output_tokens: u64,
    /// Time to the first byte that half of the answers took at most, milliseconds.
    pub first_byte_p50_ms: Option<u32>,
    /// Time to the first byte that 95 of 100 took at most, milliseconds.
    pub first_byte_p95_ms: Option<u32>,
}

/// One of those who asked the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Id; of a model its name.
    pub id: String,
    /// Name, as it was last.
    pub name: String,
    /// Slug of the organization, of a key.
    pub organization: Option<String>,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Tokens of prompt and output.
    pub tokens: u64,
}

/// Whose a budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    /// An organization's.
    Organization,
    /// A user's.
    User,
    /// A key's.
    Key,
}

impl BudgetOf {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

/// A limit of the day or month that is nearly used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Whose it is.
    pub of: BudgetOf,
    /// Id of that.
    pub id: String,
    /// Name of that.
    pub name: String,
    /// Slug of the organization of a user or key.
    pub organization: Option<String>,
    /// The limit.
    pub limit: LimitName,
    /// How much of it is used: requests, tokens or micro-USD.
    pub used: u64,
    /// How much there is.
    pub allowed: u64,
    /// When it begins anew.
    pub resets: UnixMillis,
}

impl Budget {
    /// How much of it is used, in thousandths.
    #[must_use]
    pub fn share(&self) -> u64 {
        let share = u128::from(self.used) * 1000 / u128::from(self.allowed.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// What kind of thing needs somebody. The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// No node is active: nothing can be served.
    NoNode,
    /// Reads or writes of the store failed within the hour.
    Store,
    /// The audit log does not verify.
    AuditBroken,
    /// The audit log is not written.
    AuditStalled,
    /// Secrets do not check out.
    Secrets,
    /// A node that should serve does not answer.
    NodeDown,
    /// A node refuses the credential it is given.
    NodeRefuses,
    /// Attempts within the hour to reach another organization's records.
    CrossOrganization,
    /// Logins that are locked after failures.
    Locked,
    /// A rotation of keys was not finished, or API keys are about to be revoked by one.
    Rotation,
    /// Requests are missing from the log or the usage ledger.
    Lost,
    /// Everyone who reaches a listener may use the gateway.
    Exposed,
}

/// Where the cure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertPlace {
    /// In no record: in the configuration file, or outside.
    Elsewhere,
    /// Among the nodes.
    Nodes,
    /// Among the jobs.
    Jobs,
    /// Among the API keys.
    Keys,
    /// In the log.
    Log,
    /// In the audit log.
    Audit,
    /// Among the lockouts.
    Lockouts,
    /// Among the secrets.
    Secrets,
}

/// Something that needs somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What kind of thing.
    pub kind: AlertKind,
    /// Whether something does not work; else it is about to, or worth a look.
    pub grave: bool,
    /// What is the matter, in a sentence. Untrusted.
    pub text: String,
    /// Since when, if that is known.
    pub since: Option<UnixMillis>,
    /// Where the cure is.
    pub place: AlertPlace,
    /// What it is about there: the name of a node, a user or a check.
    pub object: Option<String>,
    /// The command that helps.
    pub command: Option<String>,
}

/// The time that `percent` of what was counted took at most, in milliseconds, from counts by [`FIRST_BYTE_MS`].
/// Within a bucket the times are taken to be spread evenly. None if nothing was counted.
#[must_use]
pub fn quantile(counts: &[u32], percent: u64) -> Option<u32> {
    let all: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if all == 0 {
        return None;
    }
    // The how manieth, counted from one.
    let rank = (all * percent.min(100)).div_ceil(100).max(1);
    let mut before = 0;
    let mut from = 0_u64;
    for (at, count) in counts.iter().enumerate() {
        let count = u64::from(*count);
        let Some(bound) = FIRST_BYTE_MS.get(at) else { break };
        let to = u64::from(*bound);
        if before + count >= rank {
            let inside = (to - from) * (rank - before) / count.max(1);
            return u32::try_from(from + inside).ok();
        }
        before += count;
        from = to;
    }
    // Beyond the last bound nothing more is known.
    FIRST_BYTE_MS.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(some: &[(usize, u32)]) -> Vec<u32> {
        let mut counts = vec![0; FIRST_BYTE_MS.len() + 1];
        for (at, count) in some {
            counts[*at] = *count;
        }
        counts
    }

    #[test]
    fn quantiles_lie_in_their_bucket() {
        assert_eq!(quantile(&[], 50), None);
        assert_eq!(quantile(&counts(&[]), 50), None);
        assert_eq!(quantile(&counts(&[(0, 1)]), 50), Some(5));
        // A hundred between 100 and 250 ms.
        let even = counts(&[(5, 100)]);
        assert_eq!((quantile(&even, 50), quantile(&even, 95)), (Some(175), Some(242)));
        let two = counts(&[(1, 90), (7, 10)]);
        assert_eq!((quantile(&two, 50), quantile(&two, 95)), (Some(7), Some(750)));
        assert_eq!(quantile(&counts(&[(17, 3)]), 95), Some(600_000), "beyond the last bound");
        assert_eq!(quantile(&[u32::MAX; 18], 100), Some(600_000));
    }

    #[test]
    fn a_share_of_nothing_is_not_divided_by() {
        let budget = |used, allowed| Budget {
            of: BudgetOf::User,
            id: String::new(),
            name: String::new(),
            organization: None,
            limit: LimitName::SpendDay,
            used,
            allowed,
            resets: 0,
        };
        assert_eq!(budget(850, 1000).share(), 850);
        assert_eq!(budget(3, 0).share(), 3000);
        assert_eq!(budget(u64::MAX, 1).share(), u64::MAX);
    }
}
