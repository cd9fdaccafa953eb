//! Organizations.
//!
//! ## organization
//! | field | meaning |
//! |---|---|
//! | `id` | stable id, never reused |
//! | `slug` | unique short name |
//! | `name` | name for people |
//! | `enabled` | whether its users and keys may do anything |
//! | `require_totp` | whether its users must use two-factor authentication |
//! | `models` | array of globs of the models it may use; empty allows all |
//! | `nodes` | `"shared"`, `"exclusive"` or `{"labels": {...}}` |
//! | `cloud_models` | whether models that a node hands on to a third party are allowed |
//! | `privacy` | `off`, `detect`, `redact` or `block` |
//! | `limit_profile` | `standard`, `team` or `unlimited` |
//! | `users`, `keys` | number of users, and of keys that are not revoked |
//! | `exclusive_nodes` | number of nodes assigned to it alone |
//! | `created` | time |
//! | `revision` | rises with every change; see `org set --revision` |
//! | `node_networks` | array of networks in which its operators may add nodes; empty is nowhere |
//! | `usage_hidden` | whether what it uses of its limits is hidden from its members |

use std::borrow::Cow;

use aivonx_protocol::organization::{LimitProfile, NodeAccess, Organization, PrivacyMode};

use super::{Field, Noun, View, any, enabled, switched};
use crate::{
    filter::Subject,
    render::{Column, Table, text::count},
};

/// The word for a privacy mode.
pub(crate) fn privacy_name(mode: PrivacyMode) -> &'static str {
    match mode {
        PrivacyMode::Off => "off",
        PrivacyMode::Detect => "detect",
        PrivacyMode::Redact => "redact",
        PrivacyMode::Block => "block",
    }
}

/// The word for a profile.
pub(crate) fn profile_name(profile: LimitProfile) -> &'static str {
    match profile {
        LimitProfile::Standard => "standard",
        LimitProfile::Team => "team",
        LimitProfile::Unlimited => "unlimited",
    }
}

/// Which nodes, as `--nodes` takes it.
pub(crate) fn nodes_name(nodes: &NodeAccess) -> String {
    match nodes {
        NodeAccess::Shared => "shared".to_owned(),
        NodeAccess::Exclusive => "exclusive".to_owned(),
        NodeAccess::Labels(labels) => {
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        }
    }
}

fn nodes(one: &Organization) -> String {
    match one.nodes {
        NodeAccess::Exclusive => format!("exclusive ({})", one.exclusive_nodes),
        _ => nodes_name(&one.nodes),
    }
}

impl Noun for Organization {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("ORG").cut(16).grows(14), |one, _| (&one.slug).into())
            .sorted(|a, b| a.slug.cmp(&b.slug)),
        Field::<Self>::new(Column::text("STATE").cells(8), |one, _| switched(one.enabled))
            .sorted(|a, b| a.enabled.cmp(&b.enabled)),
        Field::<Self>::new(Column::number("USERS"), |one, _| count(one.users.into()).into())
            .sorted(|a, b| a.users.cmp(&b.users)),
        Field::<Self>::new(Column::number("KEYS").cells(5), |one, _| count(one.keys.into()).into())
            .sorted(|a, b| a.keys.cmp(&b.keys)),
        Field::<Self>::new(Column::text("NODES").cut(10), |one, _| nodes(one).into()),
        Field::<Self>::new(Column::text("LIMITS").cells(9).optional(2), |one, _| {
            profile_name(one.limit_profile).into()
        }),
        Field::<Self>::new(Column::text("PRIVACY").optional(3), |one, _| privacy_name(one.privacy).into()),
        Field::<Self>::new(Column::text("NAME").cut(12).optional(1), |one, _| (&one.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("2FA").cells(8).optional(4), |one, _| {
            if one.require_totp { "required" } else { "optional" }.into()
        })
        .sorted(|a, b| a.require_totp.cmp(&b.require_totp))
        .in_console(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.slug)
    }

    #[expect(clippy::misnamed_getters, reason = "people name an organization by its slug")]
    fn name(&self) -> &str {
        &self.slug
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("organization", &self.slug);
        table.pair("name", &self.name);
        table.pair("id", &self.id);
        table.pair("state", switched(self.enabled));
        table.pair("users", self.users.to_string());
        table.pair("keys", self.keys.to_string());
        table.pair("two-factor", if self.require_totp { "required" } else { "as its users like" });
        table.list("models", any(&self.models, "all"));
        table.pair("nodes", nodes(self));
        if self.nodes != NodeAccess::Exclusive && self.exclusive_nodes > 0 {
            table.pair("nodes of its own", self.exclusive_nodes.to_string());
        }
        table.pair("cloud models", if self.cloud_models { "allowed" } else { "refused" });
        table.pair("privacy", privacy_name(self.privacy));
        table.pair("limits", profile_name(self.limit_profile));
        table.pair("added", view.time(self.created));
        table.pair("revision", self.revision.to_string());
        table
    }
}

/// Where its operators may place nodes, below the rest.
pub(crate) fn networks(table: &mut Table, networks: &[String]) {
    table.list("node networks", any(networks, "none"));
}

/// Whether its members see what it uses of its limits.
pub(crate) fn usage(table: &mut Table, hidden: bool) {
    table.pair("usage", if hidden { "hidden from its members" } else { "shown to its members" });
}

impl Subject for Organization {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "org" | "name" | "slug" => self.slug.clone(),
            "state" => enabled(self.enabled).to_owned(),
            "users" => self.users.to_string(),
            "keys" => self.keys.to_string(),
            "model" => self.models.join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.slug) || test(&self.name) || test(enabled(self.enabled))
    }
}
