//! Organizations, users and keys as the console knows them.

use std::collections::HashMap;

use aivonx_protocol::{key::Key, organization::Organization, user::User};

use super::list::List;

/// What is shown of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    /// The tenants.
    #[default]
    Organizations,
    /// Who may log in.
    Users,
    /// What clients send.
    Keys,
}

impl Tab {
    /// Every tab, in order.
    pub(crate) const ALL: [Self; 3] = [Self::Organizations, Self::Users, Self::Keys];

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Organizations => "Organizations",
            Self::Users => "Users",
            Self::Keys => "Keys",
        }
    }
}

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// What is shown.
    pub(crate) tab: Tab,
    /// The tenants.
    pub(crate) organizations: List<Organization>,
    /// Where their operators may place nodes, by id; None while that is not known.
    pub(crate) networks: Option<HashMap<String, Vec<String>>>,
    /// Ids of those that hide from their members what they use; None while that is not known.
    pub(crate) hidden_usage: Option<Vec<String>>,
    /// Who may log in.
    pub(crate) users: List<User>,
    /// What clients send.
    pub(crate) keys: List<Key>,
    /// Ids of those that are disabled.
    pub(crate) disabled_keys: Vec<String>,
}
