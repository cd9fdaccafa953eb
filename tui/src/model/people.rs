//! Organizations, users and keys as the console knows them.

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use aivonx_protocol::{key::Key, organization::Organization, user::User};

use super::list::{Column, List, Record, Width};
use crate::filter::Subject;

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
pub(crate) struct People {
    /// What is shown.
    pub(crate) tab: Tab,
    /// The tenants.
    pub(crate) organizations: List<Organization>,
    /// Where their operators may place nodes, by id.
    pub(crate) networks: HashMap<String, Vec<String>>,
    /// Who may log in.
    pub(crate) users: List<User>,
    /// What clients send.
    pub(crate) keys: List<Key>,
}

impl Subject for Organization {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "org" | "name" | "slug" => self.slug.clone(),
            "state" => on(self.enabled).to_owned(),
            "users" => self.users.to_string(),
            "keys" => self.keys.to_string(),
            "model" => self.models.join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.slug) || test(&self.name) || test(on(self.enabled))
    }
}

/// A switch in a word.
pub(crate) fn on(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

impl Record for Organization {
    const COLUMNS: &'static [Column] = &[
        Column::new("ORG", Width::Fill(14), 0),
        Column::new("STATE", Width::Fixed(8), 0),
        Column::number("USERS", 5, 0),
        Column::number("KEYS", 5, 0),
        Column::new("LIMITS", Width::Fixed(9), 2),
        Column::new("PRIVACY", Width::Fixed(7), 3),
        Column::new("2FA", Width::Fixed(8), 4),
        Column::new("NAME", Width::Fill(16), 5),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.slug)
    }

    #[expect(clippy::misnamed_getters, reason = "people name an organization by its slug")]
    fn name(&self) -> &str {
        &self.slug
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.enabled.cmp(&other.enabled),
            2 => self.users.cmp(&other.users),
            3 => self.keys.cmp(&other.keys),
            6 => self.require_totp.cmp(&other.require_totp),
            7 => self.name.cmp(&other.name),
            _ => self.slug.cmp(&other.slug),
        }
    }
}

impl Subject for User {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" | "name" => self.name.clone(),
            "role" => self.role.to_string(),
            "org" => self.organization.clone()?,
            "state" => on(self.enabled).to_owned(),
            "totp" | "2fa" => if self.totp { "yes" } else { "no" }.to_owned(),
            "email" => self.email.clone()?,
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || test(self.role.as_str())
            || test(on(self.enabled))
            || [&self.organization, &self.display_name, &self.email]
                .into_iter()
                .flatten()
                .any(|text| test(text))
    }
}

impl Record for User {
    const COLUMNS: &'static [Column] = &[
        Column::new("USER", Width::Fill(16), 0),
        Column::new("ROLE", Width::Fixed(10), 0),
        Column::new("ORG", Width::Fixed(12), 1),
        Column::new("STATE", Width::Fixed(8), 0),
        Column::new("2FA", Width::Fixed(3), 2),
        Column::new("LAST LOGIN", Width::Fixed(11), 3),
        Column::new("NAME", Width::Fill(14), 4),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.role.cmp(&other.role),
            2 => self.organization.cmp(&other.organization),
            3 => self.enabled.cmp(&other.enabled),
            4 => self.totp.cmp(&other.totp),
            // The latest first.
            5 => other.last_login.cmp(&self.last_login),
            6 => self.display_name.cmp(&other.display_name),
            _ => self.name.cmp(&other.name),
        }
    }
}

impl Subject for Key {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "key" | "name" => self.name.clone(),
            "org" => self.organization.clone()?,
            "user" => self.user.clone()?,
            "scope" => self.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            "prefix" => self.prefix.clone(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || test(&self.prefix)
            || [&self.organization, &self.user].into_iter().flatten().any(|text| test(text))
            || self.scopes.iter().any(|scope| test(scope.as_str()))
    }
}

impl Record for Key {
    const COLUMNS: &'static [Column] = &[
        Column::new("KEY", Width::Fill(14), 0),
        Column::new("ORG", Width::Fixed(12), 0),
        Column::new("USER", Width::Fixed(12), 2),
        Column::new("STATE", Width::Fixed(8), 0),
        Column::new("SCOPES", Width::Fill(12), 3),
        Column::new("EXPIRES", Width::Fixed(10), 4),
        Column::new("LAST USED", Width::Fixed(11), 1),
        Column::new("BEGINS WITH", Width::Fixed(13), 5),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.organization.cmp(&other.organization),
            2 => self.user.cmp(&other.user),
            3 => self.revoked.is_some().cmp(&other.revoked.is_some()),
            5 => self.expires.unwrap_or(u64::MAX).cmp(&other.expires.unwrap_or(u64::MAX)),
            6 => other.last_used.cmp(&self.last_used),
            7 => self.prefix.cmp(&other.prefix),
            _ => self.name.cmp(&other.name),
        }
    }
}
