//! Organizations, users and keys.

use std::borrow::Cow;

use aivonx_protocol::{
    key::Key,
    organization::{LimitProfile, NodeAccess, Organization, PrivacyMode},
    user::User,
};
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    table::{Facts, Table, listed, maybe, tabs},
    usage::limit_facts,
};
use crate::{
    cli::key::table::NO_SCOPES,
    model::{
        Model, Right,
        list::Record as _,
        people::{Tab, on},
    },
    render::text::{ago, count, safe, span, time},
    theme::Tone,
    widgets::{grid::Cell, rows::Row},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == model.people.tab)));
    match model.people.tab {
        Tab::Organizations => Table {
            title: &title,
            noun: "the organizations",
            list: &model.people.organizations,
            columns: Cow::Borrowed(Organization::COLUMNS),
            right: Right::OrganizationsRead,
            empty: "There is no organization yet: a tenant with users, keys and limits of its own.\n\nPress a to \
                    add one. Without any, keys and users are the fleet's.",
            cells: &organization_cells,
            facts: &|one| organization_facts(model, one),
        }
        .draw(buffer, area, model),
        Tab::Users => Table {
            title: &title,
            noun: "the users",
            list: &model.people.users,
            columns: Cow::Borrowed(User::COLUMNS),
            right: Right::UsersRead,
            empty: "There is no user yet.\n\nPress a to add one.",
            cells: &|user| user_cells(model, user),
            facts: &|user| user_facts(model, user),
        }
        .draw(buffer, area, model),
        Tab::Keys => Table {
            title: &title,
            noun: "the keys",
            list: &model.people.keys,
            columns: Cow::Borrowed(Key::COLUMNS),
            right: Right::KeysRead,
            empty: "There is no key yet: what clients prove themselves with.\n\nPress a to make one; you get a line \
                    for curl with it.",
            cells: &|key| key_cells(model, key),
            facts: &|key| key_facts(model, key),
        }
        .draw(buffer, area, model),
    }
}

fn switched(enabled: bool) -> Cell {
    Cell::toned(on(enabled), if enabled { Tone::Good } else { Tone::Warn })
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "no" }
}

fn privacy(mode: PrivacyMode) -> &'static str {
    match mode {
        PrivacyMode::Off => "off",
        PrivacyMode::Detect => "detect",
        PrivacyMode::Redact => "redact",
        PrivacyMode::Block => "block",
    }
}

fn profile(profile: LimitProfile) -> &'static str {
    match profile {
        LimitProfile::Standard => "standard",
        LimitProfile::Team => "team",
        LimitProfile::Unlimited => "unlimited",
    }
}

fn organization_cells(one: &Organization) -> Vec<Cell> {
    vec![
        Cell::new(safe(&one.slug)),
        switched(one.enabled),
        Cell::new(count(one.users.into())),
        Cell::new(count(one.keys.into())),
        Cell::new(profile(one.limit_profile)),
        Cell::new(privacy(one.privacy)),
        Cell::new(if one.require_totp { "required" } else { "optional" }),
        Cell::new(safe(&one.name)),
    ]
}

fn organization_facts(model: &Model, one: &Organization) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("name", &one.name);
    facts.toned("state", on(one.enabled), if one.enabled { Tone::Good } else { Tone::Warn });
    facts.put("users", format!("{} (tab: users; /org:{} shows them)", one.users, one.slug));
    facts.put("keys", one.keys.to_string());
    facts.put("limits", profile(one.limit_profile));
    facts.put("privacy", privacy(one.privacy));
    facts.put("2FA", if one.require_totp { "required of its users" } else { "not required" });
    facts.put("models", listed(&one.models, "all"));
    facts.put("cloud models", if one.cloud_models { "allowed" } else { "refused" });
    facts.put(
        "nodes",
        match &one.nodes {
            NodeAccess::Shared => "all shared ones".to_owned(),
            NodeAccess::Labels(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("shared ones with {}", labels.join(" "))
            }
            NodeAccess::Exclusive => "its own only".to_owned(),
        },
    );
    facts.put("own nodes", one.exclusive_nodes.to_string());
    limit_facts(model, &mut facts, &one.id);
    facts.put("since", time(one.created, &model.zone));
    facts.toned("id", format!("{} (revision {})", one.id, one.revision), Tone::Dim);
    facts.all()
}

fn user_cells(model: &Model, user: &User) -> Vec<Cell> {
    vec![
        Cell::new(safe(&user.name)),
        Cell::new(user.role.as_str()),
        Cell::new(maybe(user.organization.as_deref())),
        switched(user.enabled),
        Cell::toned(yes(user.totp), if user.totp { Tone::Plain } else { Tone::Warn }),
        Cell::new(user.last_login.map_or_else(|| "never".to_owned(), |at| ago(at, model.now))),
        Cell::new(maybe(user.display_name.as_deref())),
    ]
}

fn user_facts(model: &Model, user: &User) -> Vec<Row> {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let mut facts = Facts::default();
    facts.put("name", text(&user.display_name));
    facts.put("e-mail", text(&user.email));
    facts.put("role", user.role.as_str());
    facts.put("organization", user.organization.clone().unwrap_or_else(|| "the whole fleet".into()));
    facts.toned("state", on(user.enabled), if user.enabled { Tone::Good } else { Tone::Warn });
    let codes = format!("set up, {} backup codes left", user.backup_codes);
    facts.put("2FA", if user.totp { codes } else { "not set up".into() });
    if user.must_change_password {
        facts.toned("password", "must be changed at the next login", Tone::Warn);
    }
    let last = user.last_login.map(|at| format!("{} ({})", time(at, &model.zone), ago(at, model.now)));
    facts.put("last login", last.unwrap_or_else(|| "never".into()));
    limit_facts(model, &mut facts, &user.id);
    facts.put("since", time(user.created, &model.zone));
    facts.toned("id", format!("{} (revision {})", user.id, user.revision), Tone::Dim);
    facts.all()
}

fn key_cells(model: &Model, key: &Key) -> Vec<Cell> {
    let state = key.state(model.now);
    let tone = match state {
        "valid" => Tone::Good,
        "rotating" | "demoted" => Tone::Warn,
        _ => Tone::Dim,
    };
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let expires = match key.expires {
        None => "never".to_owned(),
        Some(at) if at <= model.now => "expired".to_owned(),
        Some(at) => span(at - model.now),
    };
    vec![
        Cell::new(safe(&key.name)),
        Cell::new(maybe(key.organization.as_deref())),
        Cell::new(maybe(key.user.as_deref())),
        Cell::toned(state, tone),
        Cell::new(scopes.join(" ")),
        Cell::new(expires),
        Cell::new(key.last_used.map_or_else(|| "not yet".to_owned(), |at| ago(at, model.now))),
        Cell::new(safe(&key.prefix)),
    ]
}

fn key_facts(model: &Model, key: &Key) -> Vec<Row> {
    let mut facts = Facts::default();
    let at = |at: u64| time(at, &model.zone);
    facts.put("state", key.state(model.now));
    facts.put("organization", key.organization.clone().unwrap_or_else(|| "the whole fleet".into()));
    facts.put("acts for", key.user.clone().unwrap_or_else(|| "itself".into()));
    facts.put("begins with", &key.prefix);
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    facts.put("scopes", if scopes.is_empty() { NO_SCOPES.to_owned() } else { scopes.join(", ") });
    facts.put("models", listed(&key.models, "what its organization may"));
    facts.put("from", listed(&key.networks, "anywhere"));
    facts.put("expires", key.expires.map_or_else(|| "never".to_owned(), at));
    if let Some(revoked) = key.revoked {
        facts.toned("revoked", at(revoked), Tone::Bad);
    }
    if let Some(until) = key.grace_until {
        facts.toned("old secret", format!("works until {}", at(until)), Tone::Warn);
    }
    if key.old_pepper {
        facts.toned("hash", "under an old pepper, renewed at its next use", Tone::Warn);
    }
    limit_facts(model, &mut facts, &key.id);
    facts.put("last used", key.last_used.map_or_else(|| "no use is known".to_owned(), at));
    facts.put("since", at(key.created));
    facts.toned("id", format!("{} (revision {})", key.id, key.revision), Tone::Dim);
    facts.all()
}
