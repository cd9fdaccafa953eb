//! Whose records an operation may touch.

/// Whose records an operation may touch. Every repository function takes one: which tenant asks is decided
/// where the caller is known, and enforced where the records are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TenantScope {
    /// Those of everyone: fleet-wide roles, and the daemon itself.
    All,
    /// Those of one organization, by its id.
    Organization(String),
    /// Those of one user.
    User {
        /// The id of the user's organization.
        organization: Option<String>,
        /// The user's id.
        user: String,
    },
}

impl TenantScope {
    /// Whether a record of this organization and this user (ids) is within reach.
    #[must_use]
    pub fn covers(&self, organization: Option<&str>, user: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Organization(own) => organization == Some(own),
            Self::User { organization: own, user: this } => {
                organization == own.as_deref() && user == Some(this)
            }
        }
    }

    /// The organization it is confined to.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Organization(id) => Some(id),
            Self::User { organization, .. } => organization.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_covers_its_own_and_nothing_else() {
        let acme = TenantScope::Organization("acme".into());
        let alice = TenantScope::User { organization: Some("acme".into()), user: "alice".into() };
        let root = TenantScope::User { organization: None, user: "root".into() };
        let cases = [
            (Some("acme"), Some("alice"), [true, true, true, false]),
            (Some("acme"), Some("bob"), [true, true, false, false]),
            (Some("acme"), None, [true, true, false, false]),
            (Some("other"), Some("alice"), [true, false, false, false]),
            (Some("other"), None, [true, false, false, false]),
            (None, Some("alice"), [true, false, false, false]),
            (None, Some("root"), [true, false, false, true]),
            (None, None, [true, false, false, false]),
        ];
        for (organization, user, expected) in cases {
            let found =
                [&TenantScope::All, &acme, &alice, &root].map(|reach| reach.covers(organization, user));
            assert_eq!(found, expected, "{organization:?} {user:?}");
        }
    }
}
