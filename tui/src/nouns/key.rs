//! API keys.
//!
//! ## key
//! | field | meaning |
//! |---|---|
//! | `id` | stable id, never reused |
//! | `name` | name, unique in its organization |
//! | `organization` | slug, or null for a key of the fleet |
//! | `user` | name of the user it acts for, or null |
//! | `prefix` | first characters of its secret |
//! | `scopes` | array of `infer`, `models:read`, `models:write`, `admin:read`, `nodes:choose` |
//! | `models` | array of globs of the models it may use; empty allows what its organization may |
//! | `networks` | array of networks it may be used from; empty is anywhere |
//! | `expires`, `revoked` | times, or null |
//! | `grace_until` | until when the secret before the last rotation works, or null |
//! | `old_pepper` | whether its hash waits to be renewed |
//! | `last_used` | time, or null if no use is known |
//! | `created` | time |
//! | `revision` | rises with every change; see `key set --revision` |
//! | `priority` | which of the requests that wait go first: `low`, `normal` or `high`; not printed by `key create` and `key rotate` |
//! | `keep_waiting` | whether streams begin while they wait; not printed by `key create` and `key rotate` |
//! | `certificate` | name of the client certificate that stands for it, or null; not printed by `key create` and `key rotate` |
//! | `enabled` | whether it may be used; printed by `key list`, `show` and `set` |

use std::borrow::Cow;

use aivonx_protocol::key::{Key, Priority};

use super::{Field, Noun, View, any};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{ago, span},
    },
};

/// Why a key has no scopes.
pub(crate) const NO_SCOPES: &str = "none: the role of its user has none of them any more";

fn state(key: &Key, view: &View<'_>) -> Cell {
    let state = match key.state(view.now) {
        gone @ ("revoked" | "expired") => gone,
        _ if view.disabled_keys.contains(&key.id) => "disabled",
        other => other,
    };
    Cell::toned(
        state,
        match state {
            "valid" => Tone::Good,
            "rotating" | "demoted" | "disabled" => Tone::Warn,
            _ => Tone::Dim,
        },
    )
}

/// Lines of the details that say how its requests wait.
pub(crate) fn waits(table: &mut Table, priority: Priority, keep_waiting: bool) {
    table.pair("priority", priority.as_str());
    table.pair("streams", if keep_waiting { "begin while they wait" } else { "begin with their answer" });
}

/// Adds which client certificate stands for it, if one does.
pub(crate) fn certificate(table: &mut Table, name: Option<&str>) {
    if let Some(name) = name {
        table.pair("certificate", name);
    }
}

fn scopes(key: &Key) -> Option<String> {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    (!scopes.is_empty()).then(|| scopes.join(","))
}

impl Noun for Key {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(16).grows(14), |key, _| (&key.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("ORG").cut(10), |key, _| Cell::optional(key.organization.as_deref()))
            .sorted(|a, b| a.organization.cmp(&b.organization)),
        Field::<Self>::new(Column::text("STATE").cells(8), state)
            .sorted(|a, b| a.revoked.is_some().cmp(&b.revoked.is_some())),
        Field::<Self>::new(Column::text("USER").cut(8).optional(2), |key, _| {
            Cell::optional(key.user.as_deref())
        })
        .sorted(|a, b| a.user.cmp(&b.user)),
        Field::<Self>::new(Column::text("SECRET").cells(14).optional(4), |key, _| {
            format!("{}…", key.prefix).into()
        })
        .sorted(|a, b| a.prefix.cmp(&b.prefix)),
        Field::<Self>::new(Column::text("SCOPES").cut(8).optional(1), |key, _| Cell::optional(scopes(key))),
        Field::<Self>::new(Column::number("USED").cells(11).optional(3), |key, view| view.ago(key.last_used))
            .sorted(|a, b| b.last_used.cmp(&a.last_used)),
        Field::<Self>::new(Column::text("EXPIRES").cells(11).optional(5), |key, view| {
            Cell::optional(key.expires.map(|at| match at.checked_sub(view.now) {
                Some(left) => format!("in {}", span(left)),
                None => ago(at, view.now),
            }))
        })
        .sorted(|a, b| a.expires.unwrap_or(u64::MAX).cmp(&b.expires.unwrap_or(u64::MAX))),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("name", &self.name);
        table.pair("id", &self.id);
        table.pair("organization", self.organization.as_deref().unwrap_or("none: the whole fleet"));
        table.pair("acts for", self.user.as_deref().unwrap_or("itself"));
        table.pair("state", state(self, view));
        table.pair("secret", format!("{}…", self.prefix));
        table.pair("scopes", scopes(self).unwrap_or_else(|| NO_SCOPES.to_owned()));
        table.list("models", any(&self.models, "what its organization may use"));
        table.list("networks", any(&self.networks, "anywhere"));
        table.pair("expires", self.expires.map_or_else(|| "never".to_owned(), |at| view.time(at)));
        if let Some(revoked) = self.revoked {
            table.pair("revoked", view.time(revoked));
        }
        if let Some(until) = self.grace_until.filter(|until| *until > view.now) {
            table.pair("old secret", Cell::toned(format!("works until {}", view.time(until)), Tone::Warn));
        }
        if self.old_pepper {
            let text = "under a retiring pepper; renewed at its next use";
            table.pair("hash", Cell::toned(text, Tone::Warn));
        }
        let used = self.last_used.map(|at| format!("{} ({})", ago(at, view.now), view.time(at)));
        table.pair("last used", used.unwrap_or_else(|| "no use is known".to_owned()));
        table.pair("made", view.time(self.created));
        table.pair("revision", self.revision.to_string());
        table
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{VIEW, keys};

    #[test]
    fn a_disabled_key_is_not_valid() {
        let key = keys().into_iter().find(|key| key.state(VIEW.now) == "valid").unwrap();
        let shown = |disabled_keys| {
            let view = View { disabled_keys, ..VIEW };
            (key.details(&view).render(None, false), crate::nouns::table([&key], &view).render(None, false))
        };
        let (details, list) = shown(&[]);
        assert!(!details.contains("disabled") && !list.contains("disabled"), "{details}{list}");
        let ids = [key.id.clone()];
        let (details, list) = shown(&ids);
        assert!(details.contains("disabled") && !details.contains("valid"), "{details}");
        assert!(list.contains("disabled"), "{list}");
    }
}
