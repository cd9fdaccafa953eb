//! Lockouts, sessions, keys of the daemon's own and snapshots of its store, as the console knows them.

use aivonx_protocol::{
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
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Lockouts, Self::Sessions, Self::Secrets, Self::Snapshots];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lockouts => "Lockouts",
            Self::Sessions => "Sessions",
            Self::Secrets => "Secrets",
            Self::Snapshots => "Snapshots",
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
}
