//! Handling an attack: seeing it, and shutting off whoever does it.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

operations! {
    /// Requests about incidents.
    Request::Incident(IncidentRequest);

    /// Shuts off what is named, all of it or nothing: disabled or blocked, sessions and streams ended.
    "incident.contain" Contain {
        /// Keys by what names them, as elsewhere.
        keys: Vec<String>,
        /// Users by name or id: disabled, and their passwords must be changed.
        users: Vec<String>,
        /// Organizations by slug or id: disabled, with the passwords of their users as those of users.
        organizations: Vec<String>,
        /// Addresses or networks: blocked.
        addresses: Vec<String>,
        /// Revokes the keys, of users and organizations too, which cannot be taken back.
        revoke: bool,
        /// How long addresses stay blocked, milliseconds; None is until they are unblocked.
        lasts_ms: Option<u64>,
        /// Why, for the list of blocks and the audit log.
        reason: String,
    } -> Vec<Contained> as Contained, needs BlockWrite, noted |op| op.noted();

    /// What looks like an attack, the worst first.
    "incident.detect" Detect {
        /// Since when; None is the last day.
        since: Option<UnixMillis>,
    } -> Vec<Finding> as Findings, needs AuditVerify;
}

/// What looks like an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Somebody named what is another organization's.
    CrossOrganization,
    /// Many logins failed.
    FailedLogins,
    /// Many keys or tokens were refused.
    RefusedCredentials,
    /// A key used far more than before.
    UsageSpike,
    /// Somebody logged in from where nobody had before.
    FirstSeenAddress,
    /// There was more than could be looked at.
    Incomplete,
}

impl FindingKind {
    /// The word in JSON and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CrossOrganization => "cross_organization",
            Self::FailedLogins => "failed_logins",
            Self::RefusedCredentials => "refused_credentials",
            Self::UsageSpike => "usage_spike",
            Self::FirstSeenAddress => "first_seen_address",
            Self::Incomplete => "incomplete",
        }
    }
}

/// One thing that looks like an attack. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Whom or what it is about: an address, a user, a key.
    pub subject: String,
    /// How often, in the time that was asked for.
    pub count: u64,
    /// How often as long before, on average.
    pub usual: u64,
    /// When it was seen first in that time.
    pub first: Option<UnixMillis>,
    /// When last.
    pub last: Option<UnixMillis>,
    /// The same in words.
    pub finding: String,
    /// The command that shuts it off.
    pub contain: Option<String>,
}

/// What kind of thing was shut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainedKind {
    /// A key.
    Key,
    /// A user.
    User,
    /// An organization.
    Organization,
    /// An address or network.
    Address,
}

impl ContainedKind {
    /// The word in texts and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Organization => "organization",
            Self::Address => "address",
        }
    }
}

/// What was shut off, and how that is taken back. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// What it is.
    pub kind: ContainedKind,
    /// Its name.
    pub name: String,
    /// Sessions and control tokens that ended.
    pub sessions: u32,
    /// Keys that were revoked for good.
    pub revoked: u32,
    /// Users who must change their password.
    pub must_change: u32,
    /// The command that takes it back; None if nothing does, or it was shut off before.
    pub undo: Option<String>,
}

impl Contain {
    fn noted(&self) -> Noted {
        let Self { keys, users, organizations, addresses, revoke, lasts_ms, reason } = self;
        Noted::new(Action::Disable, "incident", "")
            .with("keys", keys)
            .with("users", users)
            .with("organizations", organizations)
            .with("addresses", addresses)
            .with("revoke", revoke)
            .maybe("lasts_ms", lasts_ms)
            .with("reason", reason)
    }
}
