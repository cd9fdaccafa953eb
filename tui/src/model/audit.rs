//! The audit log as the console knows it.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::{
    UnixMillis,
    audit::{AuditEntry, AuditFilter},
};

use super::list::{Column, List, Record, Width};
use crate::{filter::Subject, msg::Ticket};

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct AuditLog {
    /// The entries asked for, the newest first.
    pub(crate) list: List<AuditEntry>,
    /// What was asked for.
    pub(crate) query: AuditFilter,
    /// Where the next older ones begin; None if there are none.
    pub(crate) next: Option<u64>,
    /// Whether new entries are to come as they are written.
    pub(crate) follow: bool,
    /// The feed, while there is one.
    pub(crate) feed: Option<Ticket>,
    /// The walk of the whole chain, while there is one.
    pub(crate) walk: Option<Ticket>,
}

impl AuditLog {
    /// Entries of the feed: those that are not there yet.
    pub(crate) fn add(&mut self, entries: impl Iterator<Item = AuditEntry>, now: UnixMillis) {
        let newest = self.list.all().iter().map(|entry| entry.seq).max().unwrap_or(0);
        let fresh: Vec<AuditEntry> = entries.filter(|entry| entry.seq > newest).collect();
        if !fresh.is_empty() {
            self.list.extend(fresh, now);
        }
    }
}

/// Who did it.
pub(crate) fn actor(entry: &AuditEntry) -> &str {
    &entry.actor.name
}

/// What it was done to.
pub(crate) fn object(entry: &AuditEntry) -> String {
    entry.object.as_ref().map_or_else(String::new, |object| {
        let name = object.name.as_deref().or(object.id.as_deref()).unwrap_or_default();
        format!("{} {name}", object.kind).trim_end().to_owned()
    })
}

/// From where.
pub(crate) fn from(entry: &AuditEntry) -> String {
    match (&entry.source.address, entry.source.uid) {
        (Some(address), _) => address.clone(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => String::new(),
    }
}

/// Which organization.
pub(crate) fn organization(entry: &AuditEntry) -> &str {
    entry.organization.as_ref().map_or("", |one| one.name.as_deref().unwrap_or(&one.id))
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
        test(actor(self))
            || test(self.action.as_str())
            || test(self.outcome.as_str())
            || test(&object(self))
            || test(organization(self))
            || test(&from(self))
            || self.details.values().any(|value| test(value))
    }
}

impl Record for AuditEntry {
    const COLUMNS: &'static [Column] = &[
        Column::number("NUMBER", 7, 3),
        Column::new("TIME", Width::Fixed(19), 0),
        Column::new("WHO", Width::Fill(10), 0),
        Column::new("ACTION", Width::Fixed(17), 0),
        Column::new("OUTCOME", Width::Fixed(7), 0),
        Column::new("ON", Width::Fill(12), 1),
        Column::new("ORG", Width::Fixed(10), 4),
        Column::new("FROM", Width::Fixed(16), 2),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(self.seq.to_string())
    }

    fn name(&self) -> &str {
        &self.actor.name
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            2 => actor(self).cmp(actor(other)),
            3 => self.action.as_str().cmp(other.action.as_str()),
            4 => self.outcome.cmp(&other.outcome),
            5 => object(self).cmp(&object(other)),
            6 => organization(self).cmp(organization(other)),
            7 => from(self).cmp(&from(other)),
            // The newest first.
            _ => other.seq.cmp(&self.seq),
        }
    }
}
