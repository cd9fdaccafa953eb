//! Which entries of the audit log are wanted.

use aivonx_protocol::{
    Network, UnixMillis,
    audit::{Action, AuditFilter, Outcome},
};
use clap::{Args, ValueEnum};
use jiff::Zoned;

use crate::time_arg;

/// Conditions that all must hold.
#[derive(Debug, Default, Args)]
pub struct Filters {
    /// The beginning, as [`time_arg::since`] reads it.
    #[arg(long, short = 'S', value_name = "TIME", value_parser = time, help = time_arg::SINCE)]
    pub since: Option<UnixMillis>,
    /// Before, in the same forms
    #[arg(long, short = 'U', value_name = "TIME", value_parser = time)]
    pub until: Option<UnixMillis>,
    /// Done by this user or key, by name or id
    #[arg(long, value_name = "WHO")]
    pub actor: Option<String>,
    /// Belonging to this organization, by slug or id
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Of this kind: login_failed, create, key_revoke, export, ...; may be repeated
    #[arg(long, value_name = "ACTION")]
    pub action: Vec<Action>,
    /// Done to this, by name or id
    #[arg(long, value_name = "WHAT")]
    pub object: Option<String>,
    /// Done to one of these: node, user, key, organization, model, ...
    #[arg(long, value_name = "KIND")]
    pub object_kind: Option<String>,
    /// How it ended: ok, denied, failed
    #[arg(long, value_enum, value_name = "OUTCOME", hide_possible_values = true)]
    pub outcome: Option<Ended>,
    /// From this address, or from one within this network (CIDR)
    #[arg(long, value_name = "CIDR")]
    pub address: Option<Network>,
}

/// [`Outcome`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ended {
    /// Carried out.
    Ok,
    /// Refused.
    Denied,
    /// Tried and failed.
    Failed,
}

fn time(text: &str) -> Result<UnixMillis, String> {
    time_arg::since(text, &Zoned::now())
}

impl Filters {
    /// As the daemon is asked.
    #[must_use]
    pub fn into_filter(self) -> AuditFilter {
        AuditFilter {
            since: self.since,
            until: self.until,
            actor: self.actor,
            organization: self.organization,
            actions: self.action,
            object_kind: self.object_kind,
            object: self.object,
            outcome: self.outcome.map(|outcome| match outcome {
                Ended::Ok => Outcome::Ok,
                Ended::Denied => Outcome::Denied,
                Ended::Failed => Outcome::Failed,
            }),
            network: self.address,
        }
    }
}
