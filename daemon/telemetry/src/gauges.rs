//! Values that are read at the moment of a scrape.

use std::{sync::Arc, time::Duration};

use aivonx_protocol::{
    UnixMillis,
    limit::LimitName,
    node::{AdminState, Pool},
};

/// Values read at the moment of a scrape, collected by the handler of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Every node of the fleet. One that was here before and is missing has been removed.
    pub nodes: Vec<NodeGauge>,
    /// Answers being streamed to clients now.
    pub active_streams: u64,
    /// Requests that wait for a place on a node.
    pub waiting: u64,
    /// Client connections open now.
    pub connections: u64,
    /// Connections that were closed on clients since the start, by why.
    pub connections_closed: Vec<(&'static str, u64)>,
    /// Failed reads or writes of the store since start.
    pub store_errors: u64,
    /// Whether the store takes no more changes.
    pub store_failed: bool,
    /// How long the store's last flush to disk took; None before the first.
    pub store_flush: Option<Duration>,
    /// What was refused since start.
    pub refusals: Refusals,
    /// The audit log.
    pub audit: AuditGauges,
    /// Requests known to be missing from the usage ledger.
    pub usage_lost: u64,
    /// When the first of the served certificates expires, seconds since 1970; None if none is served.
    pub certificates_until: Option<i64>,
    /// Failed attempts to obtain certificates since the start.
    pub certificates_failed: u64,
    /// Limits that are shared with other gateways; None where they are not.
    pub budgets: Option<BudgetGauges>,
}

/// Limits that are shared with other gateways, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetGauges {
    /// Whether the database of the limits does not answer.
    pub degraded: bool,
    /// Times it was asked and answered, and did not answer.
    pub turns: u64,
    /// See there.
    pub failures: u64,
    /// Slices, of any gateway, that this one found expired.
    pub expired: u64,
    /// How much counted as spent and was put right: requests, tokens and micro-USD.
    pub put_right: u64,
    /// How much of its own this gateway had to let count as spent.
    pub let_go: u64,
}

/// What identity and limits refused since start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusals {
    /// Logins with a wrong name, password or code.
    pub login_failures: u64,
    /// Locks that fell.
    pub lockouts: u64,
    /// Requests without a valid credential or the permission they need.
    pub denials: u64,
    /// Attempts to reach another organization's records.
    pub cross_organization: u64,
    /// What was beyond a limit, by [`LimitName`].
    pub limits: [u64; LimitName::ALL.len()],
}

/// The audit log at the moment of a scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AuditGauges {
    /// Entries written since the start.
    pub written: u64,
    /// Entries that wait to be stored.
    pub pending: u64,
    /// Age of the oldest of those.
    pub lag: Duration,
    /// Groups that could not be stored since the start.
    pub failures: u64,
    /// When the last checkpoint was made, since the start.
    pub checkpointed: Option<UnixMillis>,
    /// What the last verification of the whole log found.
    pub intact: Option<bool>,
}

/// One node at the moment of a scrape.
#[derive(Debug, Clone)]
pub struct NodeGauge {
    /// Its name.
    pub name: Arc<str>,
    /// What the health checks found.
    pub pool: Pool,
    /// What the administrator wants.
    pub admin_state: AdminState,
    /// Requests it works on now.
    pub active: u32,
    /// Moving average of the health check's round trip; None before the first answer.
    pub latency: Option<Duration>,
}

impl NodeGauge {
    /// The one word for its state: what the administrator wants before what the checks found.
    pub(crate) fn state(&self) -> &'static str {
        match (self.admin_state, self.pool) {
            (AdminState::Disabled, _) => "disabled",
            (AdminState::Draining, _) => "draining",
            (AdminState::Enabled, Pool::Active) => "active",
            (AdminState::Enabled, Pool::Standby) => "standby",
            (AdminState::Enabled, Pool::Asleep) => "asleep",
        }
    }
}
