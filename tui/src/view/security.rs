//! Lockouts, sessions, the keys that secrets are kept under, the snapshots of the store, blocks, what looks like an
//! attack, and whether the gateway is set up safely.

use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Pane, tabs};
use crate::{
    render::{
        Cell, Table,
        cells::fit,
        text::{ago, safe, time},
    },
    state::{Model, Right, security::Tab},
    theme::Tone,
    time_arg,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let security = &model.security;
    let title = tabs(Tab::ALL.into_iter().map(|tab| (tab.title(), tab == security.tab)));
    // There are too many of them to say how one goes on.
    let mut title = title.trim_end_matches(" (tab)").to_owned();
    // Whose sessions they are needs the room.
    if let Some(newest) = security.newest_snapshot.filter(|_| security.tab != Tab::Sessions) {
        let tab = Tab::Snapshots.title();
        title = title.replacen(tab, &format!("{tab} {}", ago(newest.taken, model.now)), 1);
    }
    match security.tab {
        Tab::Lockouts => {
            let empty = "No login failed lately: nobody is locked out.";
            Pane::new(&title, "the lockouts", &security.lockouts, Right::LockoutsRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Sessions => {
            if let Some(whose) = &security.whose {
                title += &format!(" of {}:", safe(whose));
            }
            let empty = "There is no session. Those of another user: 5, users, v.";
            Pane::new(&title, "the sessions", &security.sessions, Right::Status, empty)
                .draw(buffer, area, model);
        }
        Tab::Secrets => Pane {
            facts: &|_, table| secrets(model, table),
            ..Pane::new(&title, "the secrets", &security.checks, Right::SecretsRead, "Nothing was checked.")
        }
        .draw(buffer, area, model),
        Tab::Snapshots => {
            let empty = "There is no snapshot yet: a takes one.";
            Pane::new(&title, "the snapshots", &security.snapshots, Right::SnapshotsRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Blocks => {
            let empty = "Nobody is blocked. Press a to block an address, a network, a user or a key.";
            Pane::new(&title, "the blocks", &security.blocks, Right::BlocksRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Incidents => {
            let when = match security.since.as_deref() {
                None => "in the last 24 hours".to_owned(),
                Some(since) if time_arg::span(since).is_some() => format!("in the last {since}"),
                Some(since) => format!("since {since}"),
            };
            let empty =
                format!("Nothing looked like an attack {when}. Press c to shut somebody off all the same.");
            let empty = empty.as_str();
            let next = security.findings.chosen().and_then(|one| one.contain.as_ref());
            let next = next.map(|command| format!("c: {command}"));
            let area = next_step(buffer, area, model, next.as_deref());
            Pane::new(&title, "incidents", &security.findings, Right::AuditVerify, empty)
                .draw(buffer, area, model);
        }
        Tab::Check => {
            let empty = "Nothing was checked.";
            let next = security.setup.chosen().and_then(|one| one.fix.as_deref());
            let area = next_step(buffer, area, model, next);
            Pane::new(&title, "the setup", &security.setup, Right::SecretsRead, empty)
                .draw(buffer, area, model);
        }
    }
}

/// Writes what to do about the chosen line below the list, while that is shown; where the list is.
fn next_step(buffer: &mut Buffer, area: Rect, model: &Model, next: Option<&str>) -> Rect {
    let theme = model.settings.theme;
    let Some(next) = next.filter(|_| !model.detail && area.height > 4) else { return area };
    let room = usize::from(area.width.saturating_sub(2));
    let line = fit(&safe(next), room, theme.cut());
    buffer.set_stringn(area.x + 2, area.bottom() - 1, line, room, theme.style(Tone::Accent));
    Rect { height: area.height - 1, ..area }
}

/// The keys that secrets are kept under, and what is to be done about them.
fn secrets(model: &Model, table: &mut Table) {
    let Some(status) = &model.security.secrets else { return };
    table.pair("master key", &status.master_key);
    for key in &status.data_keys {
        let text = format!("{} secrets, since {}", key.sealed, time(key.created, &model.zone));
        table.pair(&format!("data key {}", key.number), text);
    }
    if status.unfinished {
        table.pair("rotation", Cell::toned("begun and not finished: R finishes it", Tone::Warn));
    }
    if status.waiting_total > 0 {
        let text = format!("{} keys must be used before a deadline", status.waiting_total);
        table.pair("waiting", Cell::toned(text, Tone::Warn));
    }
    table.pair("snapshots", status.snapshots.len().to_string());
}
