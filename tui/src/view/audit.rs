//! The audit log.

use std::borrow::Cow;

use aivonx_protocol::audit::{AuditEntry, AuditFilter, Outcome};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table};
use crate::{
    model::{
        Model, Right,
        audit::{actor, from, object, organization},
        list::Record as _,
    },
    render::text::{safe, time},
    theme::Tone,
    widgets::{grid::Cell, rows::Row},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let queried = if model.audit.query == AuditFilter::default() { "" } else { " (queried; f changes it)" };
    let more = if model.audit.next.is_some() { ", m: older ones" } else { "" };
    let title = format!("Audit{queried}{more}:");
    let table = Table {
        title: &title,
        noun: "the audit log",
        list: &model.audit.list,
        columns: Cow::Borrowed(AuditEntry::COLUMNS),
        right: Right::AuditRead,
        empty: "No entry is what was asked for. f asks for something else.",
        cells: &|entry| cells(model, entry),
        facts: &|entry| facts(model, entry),
    };
    table.draw(buffer, area, model);
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Ok => Tone::Plain,
        Outcome::Denied => Tone::Warn,
        Outcome::Failed => Tone::Bad,
    }
}

fn cells(model: &Model, entry: &AuditEntry) -> Vec<Cell> {
    vec![
        Cell::new(entry.seq.to_string()),
        Cell::new(time(entry.time, &model.zone)),
        Cell::new(safe(actor(entry))),
        Cell::toned(
            entry.action.as_str(),
            if entry.action.is_security() { Tone::Strong } else { Tone::Plain },
        ),
        Cell::toned(entry.outcome.as_str(), tone(entry.outcome)),
        Cell::new(safe(&object(entry))),
        Cell::new(safe(organization(entry))),
        Cell::new(safe(&from(entry))),
    ]
}

fn facts(model: &Model, entry: &AuditEntry) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("number", entry.seq.to_string());
    facts.put("time", time(entry.time, &model.zone));
    facts.put("action", entry.action.as_str());
    facts.toned("outcome", entry.outcome.as_str(), tone(entry.outcome));
    let claimed = if entry.actor.id.is_some() { "" } else { " (claimed, not proven)" };
    facts.put("who", format!("{}{claimed}", entry.actor.name));
    facts.put("from", from(entry));
    let mut put = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.put(label, value);
        }
    };
    put("process", entry.source.pid.map(|pid| pid.to_string()));
    put("software", entry.source.user_agent.clone());
    put("organization", Some(organization(entry).to_owned()));
    put("on", Some(object(entry)));
    put("its id", entry.object.as_ref().and_then(|object| object.id.clone()));
    put("via", entry.via.clone());
    put("request", entry.request_id.clone());
    for (key, value) in &entry.details {
        put(key, Some(value.clone()));
    }
    facts.toned("hash", entry.hash.to_string(), Tone::Dim);
    facts.all()
}
