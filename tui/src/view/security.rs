//! Lockouts, sessions, the keys that secrets are kept under, and the snapshots of the store.

use std::borrow::Cow;

use aivonx_protocol::{
    lockout::Lockout,
    secrets::{Check, CheckOutcome},
    session::Session,
    snapshot::Snapshot,
};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table, maybe, tabs};
use crate::{
    cli::snapshot::contents,
    model::{
        Model, Right,
        list::Record as _,
        security::{Tab, kind, outcome, state},
    },
    render::text::{ago, bytes, count, safe, span, time},
    theme::Tone,
    widgets::{grid::Cell, rows::Row},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let security = &model.security;
    let mut title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == security.tab)));
    if let Some(newest) = security.newest_snapshot {
        let tab = Tab::Snapshots.title();
        title = title.replacen(tab, &format!("{tab} {}", ago(newest.taken, model.now)), 1);
    }
    match security.tab {
        Tab::Lockouts => Table {
            title: &title,
            noun: "the lockouts",
            list: &security.lockouts,
            columns: Cow::Borrowed(Lockout::COLUMNS),
            right: Right::LockoutsRead,
            empty: "No login failed lately: nobody is locked out.",
            cells: &|one| lockout_cells(model, one),
            facts: &|one| lockout_facts(model, one),
        }
        .draw(buffer, area, model),
        Tab::Sessions => {
            if let Some(whose) = &security.whose {
                title += &format!(" of {}:", safe(whose));
            }
            Table {
                title: &title,
                noun: "the sessions",
                list: &security.sessions,
                columns: Cow::Borrowed(Session::COLUMNS),
                right: Right::Status,
                empty: "There is no session. Those of another user: 5, users, v.",
                cells: &|one| session_cells(model, one),
                facts: &|one| session_facts(model, one),
            }
            .draw(buffer, area, model);
        }
        Tab::Secrets => Table {
            title: &title,
            noun: "the secrets",
            list: &security.checks,
            columns: Cow::Borrowed(Check::COLUMNS),
            right: Right::SecretsRead,
            empty: "Nothing was checked.",
            cells: &check_cells,
            facts: &|check| check_facts(model, check),
        }
        .draw(buffer, area, model),
        Tab::Snapshots => Table {
            title: &title,
            noun: "the snapshots",
            list: &security.snapshots,
            columns: Cow::Borrowed(Snapshot::COLUMNS),
            right: Right::SnapshotsRead,
            empty: "There is no snapshot yet: a takes one.",
            cells: &|one| snapshot_cells(model, one),
            facts: &|one| snapshot_facts(model, one),
        }
        .draw(buffer, area, model),
    }
}

fn locked(model: &Model, one: &Lockout) -> Option<String> {
    one.locked_until.filter(|at| *at > model.now).map(|at| format!("{} more", span(at - model.now)))
}

fn lockout_cells(model: &Model, one: &Lockout) -> Vec<Cell> {
    let until = locked(model, one);
    let tone = if until.is_some() { Tone::Bad } else { Tone::Plain };
    vec![
        Cell::new(safe(&one.user)),
        Cell::new(safe(&one.address)),
        Cell::new(one.failures.to_string()),
        Cell::new(ago(one.last, model.now)),
        Cell::toned(until.unwrap_or_else(|| "not (yet)".into()), tone),
    ]
}

fn lockout_facts(model: &Model, one: &Lockout) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("user tried", &one.user);
    facts.put("from", &one.address);
    facts.put("failures", one.failures.to_string());
    facts.put("last one", time(one.last, &model.zone));
    facts.put("locked", locked(model, one).unwrap_or_else(|| "not (yet)".into()));
    facts.all()
}

fn session_cells(model: &Model, one: &Session) -> Vec<Cell> {
    let from = match (&one.address, one.peer_uid) {
        (Some(address), _) => safe(address),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => "-".to_owned(),
    };
    vec![
        Cell::new(safe(&one.user)),
        Cell::new(kind(one)),
        Cell::new(maybe(one.name.as_deref())),
        Cell::new(one.role.as_str()),
        Cell::new(from),
        Cell::new(ago(one.last_used, model.now)),
        Cell::new(span(one.expires.saturating_sub(model.now))),
    ]
}

fn session_facts(model: &Model, one: &Session) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("user", &one.user);
    facts.put("kind", kind(one));
    facts.put("name", one.name.clone().unwrap_or_else(|| "-".into()));
    facts.put("role", one.role.as_str());
    facts.put("organization", one.organization.clone().unwrap_or_else(|| "the whole fleet".into()));
    if let Some(address) = &one.address {
        facts.put("from", address);
    }
    if let Some(uid) = one.peer_uid {
        facts.put("bound to", format!("uid {uid}"));
    }
    facts.put("began", time(one.created, &model.zone));
    facts.put("last used", time(one.last_used, &model.zone));
    facts.put("ends", time(one.expires, &model.zone));
    facts.toned("id", &one.id, Tone::Dim);
    facts.all()
}

fn check_cells(check: &Check) -> Vec<Cell> {
    let tone = match check.outcome {
        CheckOutcome::Ok => Tone::Good,
        CheckOutcome::Warn => Tone::Warn,
        CheckOutcome::Fail => Tone::Bad,
    };
    vec![Cell::toned(outcome(check), tone), Cell::new(safe(&check.name)), Cell::new(safe(&check.finding))]
}

fn check_facts(model: &Model, check: &Check) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("checked", &check.name);
    facts.put("result", outcome(check));
    facts.put("found", &check.finding);
    if let Some(fix) = &check.fix {
        facts.toned("to do", fix.clone(), Tone::Accent);
    }
    if let Some(status) = &model.security.secrets {
        facts.put("master key", &status.master_key);
        for key in &status.data_keys {
            let text = format!("{} secrets, since {}", key.sealed, time(key.created, &model.zone));
            facts.put(&format!("data key {}", key.number), text);
        }
        if status.unfinished {
            facts.toned("rotation", "begun and not finished: R finishes it", Tone::Warn);
        }
        if status.waiting_total > 0 {
            let text = format!("{} keys must be used before a deadline", status.waiting_total);
            facts.toned("waiting", text, Tone::Warn);
        }
        facts.put("snapshots", status.snapshots.len().to_string());
    }
    facts.all()
}

fn snapshot_cells(model: &Model, one: &Snapshot) -> Vec<Cell> {
    let tone = if one.problem.is_some() { Tone::Bad } else { Tone::Good };
    vec![
        Cell::new(one.taken.map_or_else(|| "-".to_owned(), |at| ago(at, model.now))),
        Cell::toned(state(one), tone),
        Cell::new(one.behind.map_or_else(|| "-".to_owned(), count)),
        Cell::new(bytes(one.bytes)),
        Cell::new(one.problem.as_deref().map_or_else(|| contents(one), safe)),
    ]
}

fn snapshot_facts(model: &Model, one: &Snapshot) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("file", &one.file);
    facts.put("size", bytes(one.bytes));
    if let Some(taken) = one.taken {
        facts.put("taken", time(taken, &model.zone));
    }
    if let (Some(change), Some(behind)) = (one.change, one.behind) {
        facts.put("last change", format!("{}, {} were made since", count(change), count(behind)));
    }
    if let Some(why) = &one.problem {
        facts.toned("damaged", safe(why), Tone::Bad);
    }
    for part in &one.contents {
        facts.put(&part.kind, count(part.count));
    }
    facts.put("put back by", "aivonxd recover --snapshot FILE, while the daemon is stopped");
    facts.all()
}
