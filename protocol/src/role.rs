//! Roles of users.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a user may do. Operators and auditors are fleet-wide or bound to one organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything. Never bound to an organization.
    Superadmin,
    /// Nodes, models, jobs.
    Operator,
    /// Reads everything, the audit log too.
    Auditor,
    /// Users and keys of one organization.
    OrgAdmin,
    /// Own keys and usage.
    Member,
}

impl Role {
    /// Every role, the most powerful first.
    pub const ALL: [Self; 5] =
        [Self::Superadmin, Self::Operator, Self::Auditor, Self::OrgAdmin, Self::Member];

    /// The role as commands and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superadmin => "superadmin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::OrgAdmin => "org-admin",
            Self::Member => "member",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no role; use superadmin, operator, auditor, org-admin or member")]
pub struct NoRole(pub String);

impl std::str::FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| NoRole(word.to_owned()))
    }
}
