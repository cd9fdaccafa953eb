//! Lockouts, sessions, the keys that secrets are kept under, the snapshots of the store, blocks, what looks like an
//! attack, and whether the gateway is set up safely.

use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Pane, tabs};
use crate::{
    render::{
        Cell, Table,
        text::{ago, safe, time},
    },
    state::{Model, Right, security::Tab},
    theme::Tone,
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
            let empty = "Nobody is blocked. a blocks an address, a network, a user or a key.";
            Pane::new(&title, "the blocks", &security.blocks, Right::BlocksRead, empty)
                .draw(buffer, area, model);
        }
        Tab::Incidents => {
            let empty =
                "Nothing looked like an attack in the last 24 hours. c shuts somebody off all the same.";
            Pane::new(&title, "incidents", &security.findings, Right::AuditVerify, empty)
                .draw(buffer, area, model);
        }
        Tab::Check => {
            let empty = "Nothing was checked.";
            Pane::new(&title, "the setup", &security.setup, Right::SecretsRead, empty)
                .draw(buffer, area, model);
        }
    }
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
