//! Keys as tables.

use aivonx_protocol::key::Key;
use jiff::tz::TimeZone;

use crate::render::{Cell, Column, Table, Tone, text};

fn state_cell(key: &Key, now: u64) -> Cell {
    let state = key.state(now);
    Cell::new(state).tone(match state {
        "valid" => Tone::Good,
        "rotating" | "demoted" => Tone::Warn,
        _ => Tone::Dim,
    })
}

/// Why a key has no scopes.
pub(crate) const NO_SCOPES: &str = "none: the role of its user has none of them any more";

fn scopes(key: &Key) -> Option<String> {
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    (!scopes.is_empty()).then(|| scopes.join(","))
}

fn used(key: &Key, now: u64) -> String {
    key.last_used.map_or_else(|| text::NONE.to_owned(), |at| text::ago(at, now))
}

/// `key list` as a table.
#[must_use]
pub fn overview(keys: &[Key], now: u64) -> Table {
    let mut table = Table::new([
        Column::text("NAME").cut(16),
        Column::text("ORG").cut(10),
        Column::text("STATE"),
        Column::text("USER").cut(8).optional(2),
        Column::text("SECRET").optional(4),
        Column::text("SCOPES").cut(8).optional(1),
        Column::number("USED").optional(3),
        Column::text("EXPIRES").optional(5),
    ]);
    for key in keys {
        let expires = key.expires.map(|at| match at.checked_sub(now) {
            Some(left) => format!("in {}", text::span(left)),
            None => text::ago(at, now),
        });
        table.row([
            (&key.name).into(),
            Cell::optional(key.organization.as_deref()),
            state_cell(key, now),
            Cell::optional(key.user.as_deref()),
            format!("{}…", key.prefix).into(),
            Cell::optional(scopes(key)),
            used(key, now).into(),
            Cell::optional(expires),
        ]);
    }
    table
}

/// `key show` as a table.
#[must_use]
pub fn details(key: &Key, now: u64, zone: &TimeZone) -> Table {
    let at = |at: Option<u64>| at.map(|at| text::time(at, zone));
    let any = |list: &[String], all: &str| {
        if list.is_empty() { vec![all.to_owned()] } else { list.to_vec() }
    };
    let mut table = Table::pairs();
    table.pair("name", &key.name);
    table.pair("id", &key.id);
    table.pair("organization", key.organization.as_deref().unwrap_or("none: the whole fleet"));
    table.pair("acts for", key.user.as_deref().unwrap_or("itself"));
    table.pair("state", state_cell(key, now));
    table.pair("secret", format!("{}…", key.prefix));
    table.pair("scopes", scopes(key).unwrap_or_else(|| NO_SCOPES.to_owned()));
    table.list("models", any(&key.models, "what its organization may use"));
    table.list("networks", any(&key.networks, "anywhere"));
    table.pair("expires", at(key.expires).unwrap_or_else(|| "never".to_owned()));
    if let Some(revoked) = at(key.revoked) {
        table.pair("revoked", revoked);
    }
    if let Some(until) = key.grace_until.filter(|until| *until > now) {
        table.pair("old secret", format!("works until {}", text::time(until, zone)));
    }
    if key.old_pepper {
        table.pair("hash", Cell::new("under a retiring pepper; renewed at its next use").tone(Tone::Warn));
    }
    table.pair(
        "last used",
        key.last_used.map_or_else(|| "no use is known".to_owned(), |at| text::ago(at, now)),
    );
    table.pair("made", text::time(key.created, zone));
    table.pair("revision", key.revision.to_string());
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn keys_at_eighty_columns() {
        insta::assert_snapshot!(overview(&samples::keys(), samples::NOW).render(Some(80), false));
    }

    #[test]
    fn a_key_of_a_demoted_user_says_why_it_opens_nothing() {
        let key = Key { scopes: Vec::new(), ..samples::keys().remove(0) };
        let shown = details(&key, samples::NOW, &TimeZone::UTC).render(Some(80), false);
        assert!(shown.contains("demoted") && shown.contains(NO_SCOPES), "{shown}");
        let listed = overview(&[key], samples::NOW).render(Some(80), false);
        assert!(listed.contains("demoted"), "{listed}");
    }

    #[test]
    fn one_key() {
        let shown: Vec<String> = samples::keys()
            .iter()
            .map(|key| details(key, samples::NOW, &TimeZone::UTC).render(Some(80), false))
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
