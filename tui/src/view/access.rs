//! Organizations, users and keys.

use aivonx_protocol::{key::Key, organization::Organization, user::User};
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    table::{Pane, tabs},
    usage::limit_facts,
};
use crate::{
    nouns::organization::{networks, usage},
    state::{Model, Right, access::Tab},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let access = &model.access;
    let title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == access.tab)));
    match access.tab {
        Tab::Organizations => Pane {
            facts: &|one: &Organization, table| {
                if let Some(known) = access.networks.as_ref().and_then(|all| all.get(&one.id)) {
                    networks(table, known);
                }
                if access.hidden_usage.as_ref().is_some_and(|all| all.contains(&one.id)) {
                    usage(table, true);
                }
                limit_facts(model, table, &one.id);
            },
            ..Pane::new(
                &title,
                "the organizations",
                &access.organizations,
                Right::OrganizationsRead,
                "There is no organization yet: a tenant with users, keys and limits of its own.\n\nPress a to add \
                 one. Without any, keys and users are the fleet's.",
            )
        }
        .draw(buffer, area, model),
        Tab::Users => Pane {
            facts: &|user: &User, table| limit_facts(model, table, &user.id),
            ..Pane::new(
                &title,
                "the users",
                &access.users,
                Right::UsersRead,
                "There is no user yet.\n\nPress a to add one.",
            )
        }
        .draw(buffer, area, model),
        Tab::Keys => Pane {
            facts: &|key: &Key, table| limit_facts(model, table, &key.id),
            ..Pane::new(
                &title,
                "the keys",
                &access.keys,
                Right::KeysRead,
                "There is no key yet: what clients prove themselves with.\n\nPress a to make one; you get a line \
                 for curl with it.",
            )
        }
        .draw(buffer, area, model),
    }
}
