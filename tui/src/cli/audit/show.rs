//! Entries of the audit log as people read them.

use aivonx_protocol::audit::{AuditEntry, AuditObject, Outcome};
use jiff::tz::TimeZone;

use super::long;
use crate::render::{Cell, Column, Table, Tone, text};

/// The colour of an entry.
pub(super) fn tone(entry: &AuditEntry) -> Tone {
    match entry.outcome {
        Outcome::Ok => Tone::Plain,
        Outcome::Denied => Tone::Warn,
        Outcome::Failed => Tone::Bad,
    }
}

/// What was acted on: `node gpu1`.
fn object(object: &AuditObject) -> String {
    match object.name.as_ref().or(object.id.as_ref()) {
        Some(name) => format!("{} {name}", object.kind),
        None => object.kind.clone(),
    }
}

/// From where: an address, or the user of the peer.
fn from(entry: &AuditEntry) -> String {
    match (&entry.source.address, entry.source.uid) {
        (Some(address), _) => address.clone(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => String::new(),
    }
}

fn organization(entry: &AuditEntry) -> Option<&str> {
    entry.organization.as_ref().map(|o| o.name.as_deref().unwrap_or(&o.id))
}

/// `audit list` as a table.
pub(super) fn overview(entries: &[AuditEntry], zone: &TimeZone) -> Table {
    let mut table = Table::new([
        Column::number("SEQ"),
        Column::text("TIME"),
        Column::text("ACTOR").cut(10),
        Column::text("FROM").cut(10).optional(2),
        Column::text("ORG").cut(8).optional(1),
        Column::text("ACTION"),
        Column::text("OBJECT").cut(10),
        Column::text("OUTCOME"),
    ]);
    for entry in entries {
        table.row([
            entry.seq.to_string().into(),
            text::time(entry.time, zone).into(),
            (&entry.actor.name).into(),
            from(entry).into(),
            organization(entry).unwrap_or_default().into(),
            entry.action.as_str().into(),
            entry.object.as_ref().map(object).unwrap_or_default().into(),
            Cell::new(entry.outcome.as_str()).tone(tone(entry)),
        ]);
    }
    table
}

/// `audit show`.
pub(super) fn details(entry: &AuditEntry, zone: &TimeZone) -> Table {
    let mut table = Table::pairs();
    let mut pair = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.pair(name, value);
        }
    };
    let named = |name: &str, id: Option<&String>| match id {
        Some(id) => format!("{name} ({id})"),
        None => name.to_owned(),
    };
    pair("seq", Some(entry.seq.to_string()));
    pair("time", Some(text::time(entry.time, zone)));
    pair("action", Some(entry.action.to_string()));
    pair("outcome", Some(entry.outcome.to_string()));
    pair("actor", Some(named(&entry.actor.name, entry.actor.id.as_ref())));
    let source = &entry.source;
    pair("uid", source.uid.map(|uid| uid.to_string()));
    pair("gid", source.gid.map(|gid| gid.to_string()));
    pair("pid", source.pid.map(|pid| pid.to_string()));
    pair("address", source.address.clone());
    pair("user agent", source.user_agent.clone());
    let organization = entry.organization.as_ref();
    pair(
        "organization",
        organization.map(|o| o.name.as_ref().map_or(o.id.clone(), |name| named(name, Some(&o.id)))),
    );
    let object = entry.object.as_ref();
    pair(
        "object",
        object.map(|o| {
            let name = o.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            named(&format!("{}{name}", o.kind), o.id.as_ref())
        }),
    );
    pair("via", entry.via.clone());
    pair("request", entry.request_id.clone());
    for (name, value) in &entry.details {
        pair(name, Some(value.clone()));
    }
    pair("prev", Some(entry.prev.to_string()));
    pair("hash", Some(entry.hash.to_string()));
    table
}

/// One entry on one line.
pub(super) fn line(entry: &AuditEntry, zone: &TimeZone) -> String {
    let mut line = format!(
        "{} {} {} {} by {}",
        text::time(entry.time, zone),
        entry.seq,
        entry.action,
        entry.outcome,
        long(&entry.actor.name)
    );
    let from = from(entry);
    if !from.is_empty() {
        line += &format!(" from {}", long(&from));
    }
    if let Some(object) = entry.object.as_ref().map(object) {
        line += &format!(": {}", long(&object));
    }
    if let Some(organization) = organization(entry) {
        line += &format!(" org={}", long(organization));
    }
    for (name, value) in &entry.details {
        line += &format!(" {}={}", long(name), long(value));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn entries_for_people() {
        let entries = samples::audit_entries();
        let zone = TimeZone::UTC;
        let wide = overview(&entries, &zone).render(Some(120), false);
        let narrow = overview(&entries, &zone).render(Some(80), false);
        let lines: Vec<String> = entries.iter().map(|entry| line(entry, &zone)).collect();
        let details = details(&entries[1], &zone).render(Some(80), false);
        insta::assert_snapshot!(format!("{wide}\n\n{narrow}\n\n{}\n\n{details}", lines.join("\n")));
    }
}
