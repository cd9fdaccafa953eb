//! Entries of the audit log.
//!
//! ## audit entry
//! | field | meaning |
//! |---|---|
//! | `seq` | position in the log, from 1, without gaps |
//! | `time` | when |
//! | `action` | what: `login`, `login_failed`, `create`, `key_revoke`, `cross_org_denied`, `inference_summary`, ... |
//! | `outcome` | `ok`, `denied` or `failed` |
//! | `actor` | who: object with `id` (null for who has none) and `name` |
//! | `source` | from where: object with `uid`, `gid`, `pid` or `address`, `user_agent`; in an `inference_summary` the address is null for what came from more than a few |
//! | `organization` | object with `id` and `name`, or null for the fleet |
//! | `object` | to what: object with `kind`, `id` and `name`, or null |
//! | `via` | the control request, or method and route |
//! | `request_id` | id of the request, or null |
//! | `details` | object of further facts, all text |
//! | `prev` | hash of the entry before |
//! | `hash` | SHA-256 over `prev` and the canonical form of the entry |

use std::borrow::Cow;

use aivonx_protocol::audit::{AuditEntry, Outcome};
use jiff::tz::TimeZone;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{safe, time},
    },
};

/// How it looks.
pub(crate) fn tone(entry: &AuditEntry) -> Tone {
    match entry.outcome {
        Outcome::Ok => Tone::Plain,
        Outcome::Denied => Tone::Warn,
        Outcome::Failed => Tone::Bad,
    }
}

/// What was acted on: `node gpu1`.
pub(crate) fn object(entry: &AuditEntry) -> String {
    entry.object.as_ref().map_or_else(String::new, |object| {
        let name = object.name.as_deref().or(object.id.as_deref()).unwrap_or_default();
        format!("{} {name}", object.kind).trim_end().to_owned()
    })
}

/// From where: an address, or the user of the peer.
fn from(entry: &AuditEntry) -> String {
    match (&entry.source.address, entry.source.uid) {
        (Some(address), _) => address.clone(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => String::new(),
    }
}

fn organization(entry: &AuditEntry) -> &str {
    entry.organization.as_ref().map_or("", |one| one.name.as_deref().unwrap_or(&one.id))
}

fn action(entry: &AuditEntry) -> Cell {
    Cell::toned(entry.action.as_str(), if entry.action.is_security() { Tone::Strong } else { Tone::Plain })
}

fn outcome(entry: &AuditEntry) -> Cell {
    Cell::toned(entry.outcome.as_str(), tone(entry))
}

/// One entry on one line.
pub(crate) fn line(entry: &AuditEntry, zone: &TimeZone) -> String {
    let mut line = format!(
        "{} {} {} {} by {}",
        time(entry.time, zone),
        entry.seq,
        entry.action,
        entry.outcome,
        safe(&entry.actor.name)
    );
    for (before, text) in
        [(" from ", from(entry)), (": ", object(entry)), (" org=", organization(entry).to_owned())]
    {
        if !text.is_empty() {
            line += &format!("{before}{}", safe(&text));
        }
    }
    for (name, value) in &entry.details {
        line += &format!(" {}={}", safe(name), safe(value));
    }
    line
}

impl Noun for AuditEntry {
    const FIELDS: &'static [Field<Self>] = &[
        // The command line names an entry by it.
        Field::<Self>::new(Column::number("SEQ"), |entry, _| entry.seq.to_string().into()).on_command_line(),
        // The newest first.
        Field::<Self>::new(Column::number("SEQ").cells(7).optional(3), |entry, _| {
            entry.seq.to_string().into()
        })
        .sorted(|a, b| b.seq.cmp(&a.seq))
        .in_console(),
        Field::<Self>::new(Column::text("TIME").cells(19), |entry, view| view.time(entry.time).into())
            .sorted(|a, b| b.seq.cmp(&a.seq)),
        Field::<Self>::new(Column::text("ACTOR").cut(10), |entry, _| (&entry.actor.name).into())
            .sorted(|a, b| a.actor.name.cmp(&b.actor.name)),
        Field::<Self>::new(Column::text("FROM").cut(10).optional(4), |entry, _| from(entry).into())
            .sorted(|a, b| from(a).cmp(&from(b))),
        Field::<Self>::new(Column::text("ORG").cut(8).optional(2), |entry, _| organization(entry).into())
            .sorted(|a, b| organization(a).cmp(organization(b))),
        Field::<Self>::new(Column::text("ACTION").cells(17), |entry, _| action(entry))
            .sorted(|a, b| a.action.as_str().cmp(b.action.as_str())),
        Field::<Self>::new(Column::text("OBJECT").cut(10), |entry, _| object(entry).into())
            .sorted(|a, b| object(a).cmp(&object(b))),
        Field::<Self>::new(Column::text("OUTCOME"), |entry, _| outcome(entry))
            .sorted(|a, b| a.outcome.cmp(&b.outcome)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.seq.to_string())
    }

    fn name(&self) -> &str {
        &self.actor.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let named = |name: &str, id: Option<&String>| match id {
            Some(id) if !name.is_empty() => format!("{name} ({id})"),
            id => id.map_or(name, String::as_str).to_owned(),
        };
        let mut table = Table::pairs();
        table.pair("seq", self.seq.to_string());
        table.pair("time", view.time(self.time));
        table.pair("action", action(self));
        table.pair("outcome", outcome(self));
        let claimed = if self.actor.id.is_some() { "" } else { " (claimed, not proven)" };
        table.pair("actor", named(&self.actor.name, self.actor.id.as_ref()) + claimed);
        let mut pair = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                table.pair(name, value);
            }
        };
        let source = &self.source;
        pair("uid", source.uid.map(|uid| uid.to_string()));
        pair("gid", source.gid.map(|gid| gid.to_string()));
        pair("pid", source.pid.map(|pid| pid.to_string()));
        pair("address", source.address.clone());
        pair("user agent", source.user_agent.clone());
        let organization = self.organization.as_ref();
        pair("organization", organization.map(|one| named(one.name.as_deref().unwrap_or(""), Some(&one.id))));
        pair(
            "object",
            self.object.as_ref().map(|object| {
                let name = object.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
                named(&format!("{}{name}", object.kind), object.id.as_ref())
            }),
        );
        pair("via", self.via.clone());
        pair("request", self.request_id.clone());
        for (name, value) in &self.details {
            pair(name, Some(value.clone()));
        }
        pair("prev", Some(self.prev.to_string()));
        pair("hash", Some(self.hash.to_string()));
        table
    }
}

impl Subject for AuditEntry {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "seq" => self.seq.to_string(),
            "actor" | "user" => self.actor.name.clone(),
            "action" => self.action.to_string(),
            "outcome" => self.outcome.to_string(),
            "org" => organization(self).to_owned(),
            "object" => object(self),
            "from" => from(self),
            other => self.details.get(other)?.clone(),
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.actor.name)
            || test(self.action.as_str())
            || test(self.outcome.as_str())
            || test(&object(self))
            || test(organization(self))
            || test(&from(self))
            || self.details.values().any(|value| test(value))
    }
}
