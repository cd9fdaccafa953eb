//! Organizations as tables.

use aivonx_protocol::organization::{NodeAccess, Organization};
use jiff::tz::TimeZone;

use super::{
    Described,
    options::{nodes_name, privacy_name, profile_name},
};
use crate::render::{Cell, Column, Table, Tone, text};

fn state_cell(organization: &Organization) -> Cell {
    if organization.enabled {
        Cell::new("enabled").tone(Tone::Good)
    } else {
        Cell::new("disabled").tone(Tone::Dim)
    }
}

/// `org list` as a table.
#[must_use]
pub fn overview<'o>(organizations: impl IntoIterator<Item = &'o Organization>) -> Table {
    let mut table = Table::new([
        Column::text("ORG").cut(16),
        Column::text("STATE"),
        Column::number("USERS"),
        Column::number("KEYS"),
        Column::text("NODES").cut(10),
        Column::text("LIMITS").optional(2),
        Column::text("PRIVACY").optional(3),
        Column::text("NAME").cut(12).optional(1),
    ]);
    for organization in organizations {
        table.row([
            (&organization.slug).into(),
            state_cell(organization),
            organization.users.to_string().into(),
            organization.keys.to_string().into(),
            nodes(organization).into(),
            profile_name(organization.limit_profile).into(),
            privacy_name(organization.privacy).into(),
            (&organization.name).into(),
        ]);
    }
    table
}

fn nodes(organization: &Organization) -> String {
    match organization.nodes {
        NodeAccess::Exclusive => format!("exclusive ({})", organization.exclusive_nodes),
        _ => nodes_name(&organization.nodes),
    }
}

/// `org show` as a table.
#[must_use]
pub fn details(described: &Described, zone: &TimeZone) -> Table {
    let organization = &described.organization;
    let mut table = Table::pairs();
    table.pair("organization", &organization.slug);
    table.pair("name", &organization.name);
    table.pair("id", &organization.id);
    table.pair("state", state_cell(organization));
    table.pair("users", organization.users.to_string());
    table.pair("keys", organization.keys.to_string());
    table.pair("two-factor", if organization.require_totp { "required" } else { "as its users like" });
    if organization.models.is_empty() {
        table.pair("models", "all");
    } else {
        table.list("models", &organization.models);
    }
    table.pair("nodes", nodes(organization));
    if organization.nodes != NodeAccess::Exclusive && organization.exclusive_nodes > 0 {
        table.pair("nodes of its own", organization.exclusive_nodes.to_string());
    }
    if described.node_networks.is_empty() {
        table.pair("node networks", "none");
    } else {
        table.list("node networks", &described.node_networks);
    }
    table.pair("cloud models", if organization.cloud_models { "allowed" } else { "refused" });
    table.pair("privacy", privacy_name(organization.privacy));
    table.pair("limits", profile_name(organization.limit_profile));
    table.pair("added", text::time(organization.created, zone));
    table.pair("revision", organization.revision.to_string());
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn organizations_at_eighty_columns() {
        insta::assert_snapshot!(overview(&samples::organizations()).render(Some(80), false));
    }

    #[test]
    fn one_organization() {
        let networks = [vec!["10.1.0.0/16".into(), "fd00:1::/32".into()], Vec::new()];
        let shown: Vec<String> = samples::organizations()
            .into_iter()
            .zip(networks)
            .map(|(organization, node_networks)| Described { organization, node_networks })
            .map(|described| details(&described, &TimeZone::UTC).render(Some(80), false))
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
