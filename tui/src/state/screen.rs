//! The screens of the console.

use super::rights::Right;

/// One of the screens. The number that leads to it never changes: those of screens to come are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Screen {
    /// How everything does, and what to do next.
    Overview,
    /// The servers that run the models.
    Nodes,
    /// What runs on them.
    Models,
    /// What goes on for longer.
    Jobs,
    /// Organizations, users and keys.
    Access,
    /// What they use, and what they may use.
    Usage,
    /// The log, as it happens.
    Logs,
    /// Who did what.
    Audit,
    /// What runs now.
    Requests,
    /// Lockouts, sessions, secrets, blocks, incidents.
    Security,
}

impl Screen {
    /// Every screen in the order shown.
    pub(crate) const ALL: [Self; 10] = [
        Self::Overview,
        Self::Nodes,
        Self::Models,
        Self::Jobs,
        Self::Access,
        Self::Usage,
        Self::Logs,
        Self::Audit,
        Self::Requests,
        Self::Security,
    ];

    /// The key that leads to it, its name, and what is to be known about it in a line.
    fn facts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Overview => ("1", "Overview", "how the gateway does, and what to do next"),
            Self::Nodes => ("2", "Nodes", "the servers that run the models"),
            Self::Models => ("3", "Models", "what runs on which node"),
            Self::Jobs => ("4", "Jobs", "what goes on for longer, such as pulling a model"),
            Self::Access => ("5", "Access", "organizations, users and keys"),
            Self::Usage => ("6", "Usage", "usage and limits, prices, model policy"),
            Self::Logs => ("7", "Logs", "the log, as it happens"),
            Self::Audit => ("8", "Audit", "who did what, in a chain that proves itself"),
            Self::Requests => ("9", "Requests", "what runs now, and how fast"),
            Self::Security => ("0", "Security", "lockouts, sessions, secrets, blocks, incidents"),
        }
    }

    /// The key that leads to it.
    pub(crate) fn key(self) -> &'static str {
        self.facts().0
    }

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        self.facts().1
    }

    /// A name for where there is little room.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Overview => "Over",
            Self::Nodes => "Node",
            Self::Models => "Model",
            Self::Requests => "Reqs",
            Self::Security => "Sec",
            Self::Jobs | Self::Access | Self::Usage | Self::Logs | Self::Audit => self.title(),
        }
    }

    /// One line about it.
    pub(crate) fn about(self) -> &'static str {
        self.facts().2
    }

    /// What it is called after `:`; the first is the usual one.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Overview => &["overview", "status"],
            Self::Nodes => &["nodes", "node"],
            Self::Models => &["models", "model"],
            Self::Jobs => &["jobs", "job"],
            Self::Access => &["access", "people"],
            Self::Usage => &["usage", "limits"],
            Self::Logs => &["logs", "log"],
            Self::Audit => &["audit"],
            Self::Requests => &["requests", "request", "running"],
            Self::Security => &["security"],
        }
    }

    /// What one must be allowed to see there, where that is one thing.
    pub(crate) fn right(self) -> Right {
        match self {
            Self::Overview | Self::Security => Right::Status,
            Self::Nodes => Right::NodesRead,
            Self::Models => Right::ModelsRead,
            Self::Jobs => Right::JobsRead,
            Self::Access => Right::KeysOrOrganizationsRead,
            Self::Usage => Right::UsageRead,
            Self::Logs => Right::LogsRead,
            Self::Audit => Right::AuditRead,
            Self::Requests => Right::RunningRead,
        }
    }
}
