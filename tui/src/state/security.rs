//! Lockouts, sessions, keys of the daemon's own, snapshots of its store, blocks, and what looks like an attack, as the
//! console knows them.

use aivonx_protocol::{
    block::Block,
    incident::Finding,
    lockout::Lockout,
    secrets::{Check, SecretsStatus},
    session::Session,
    snapshot::{NewestSnapshot, Snapshot},
};

use super::list::List;

/// What is shown of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    /// Logins that failed too often.
    #[default]
    Lockouts,
    /// Who is logged in as one user.
    Sessions,
    /// The keys that secrets are kept under.
    Secrets,
    /// The snapshots of the store.
    Snapshots,
    /// Who may not use the gateway.
    Blocks,
    /// What looks like an attack.
    Incidents,
    /// Whether the gateway is set up safely.
    Check,
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Lockouts,
        Self::Sessions,
        Self::Secrets,
        Self::Snapshots,
        Self::Blocks,
        Self::Incidents,
        Self::Check,
    ];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lockouts => "Lockouts",
            Self::Sessions => "Sessions",
            Self::Secrets => "Secrets",
            Self::Snapshots => "Snapshots",
            Self::Blocks => "Blocks",
            Self::Incidents => "Incidents",
            Self::Check => "Check",
        }
    }
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Security {
    /// What is shown.
    pub(crate) tab: Tab,
    /// Logins that failed.
    pub(crate) lockouts: List<Lockout>,
    /// Sessions and tokens.
    pub(crate) sessions: List<Session>,
    /// Whose; None is the caller's own.
    pub(crate) whose: Option<String>,
    /// What was looked at among the secrets.
    pub(crate) checks: List<Check>,
    /// Which keys there are.
    pub(crate) secrets: Option<SecretsStatus>,
    /// The kept snapshots.
    pub(crate) snapshots: List<Snapshot>,
    /// The newest of them that is whole.
    pub(crate) newest_snapshot: Option<NewestSnapshot>,
    /// Who may not use the gateway.
    pub(crate) blocks: List<Block>,
    /// What looks like an attack.
    pub(crate) findings: List<Finding>,
    /// Since when that is looked for, as it was typed; None is the last day.
    pub(crate) since: Option<String>,
    /// What was looked at in the whole setup.
    pub(crate) setup: List<Check>,
}

/// What a form of this screen is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecurityForm {
    /// Block somebody.
    Block,
    /// Shut off whoever attacks.
    Contain,
    /// Take second factors away.
    ResetTwoFactor,
    /// Make a report.
    Report,
    /// Choose since when is looked.
    Since,
}
