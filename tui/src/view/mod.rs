//! What is shown: pure functions of the model, one file per pane.

mod access;
mod account;
#[cfg(test)]
mod account_tests;
mod audit;
mod dialogs;
#[cfg(test)]
mod fleet_tests;
mod frame;
mod jobs;
mod logs;
mod models;
mod nodes;
mod overview;
#[cfg(test)]
mod overview_tests;
mod requests;
mod security;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod usage;

use ratatui::{Frame, buffer::Buffer, layout::Rect};

pub(crate) use self::models::columns as node_columns;
use crate::{
    state::{Dialog, Link, Model, Screen, dialog::Order, models::Tab},
    widgets::grid,
};

/// Rows that are not the screen's own: two above, two below.
const CHROME: u16 = 4;

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    paint(frame.buffer_mut(), area, model);
}

/// The same, into a buffer.
pub(crate) fn paint(buffer: &mut Buffer, area: Rect, model: &Model) {
    if let Some(lock) = &model.account.lock {
        return account::lock(buffer, area, model, lock);
    }
    if area.height < CHROME + 2 || area.width < 20 {
        let (x, y) = (area.x, area.y);
        if area.width > 0 && area.height > 0 {
            buffer.set_stringn(
                x,
                y,
                "too small; q quits",
                usize::from(area.width),
                ratatui::style::Style::new(),
            );
        }
        return;
    }
    let banner = u16::from(!matches!(model.link, Link::Up { .. }));
    let top = Rect { height: 2 + banner, ..area };
    let body = Rect { y: area.y + top.height, height: area.height - CHROME - banner, ..area };
    let bottom = Rect { y: area.bottom() - 2, height: 2, ..area };
    frame::top(buffer, top, model);
    match model.screen {
        Screen::Overview => overview::draw(buffer, body, model),
        Screen::Nodes => nodes::draw(buffer, body, model),
        Screen::Models => models::draw(buffer, body, model),
        Screen::Jobs => jobs::draw(buffer, body, model),
        Screen::Access => access::draw(buffer, body, model),
        Screen::Usage => usage::draw(buffer, body, model),
        Screen::Logs => logs::draw(buffer, body, model),
        Screen::Audit => audit::draw(buffer, body, model),
        Screen::Requests => requests::draw(buffer, body, model),
        Screen::Security => security::draw(buffer, body, model),
    }
    for (at, dialog) in model.dialogs.iter().enumerate() {
        // A question stands in place of the form that it is about.
        let about_it = |next: &Dialog| matches!(next, Dialog::Confirm(next) if next.order != Order::Together);
        if model.dialogs.get(at + 1).is_some_and(about_it) {
            continue;
        }
        dialogs::draw(buffer, body, model, dialog);
    }
    frame::bottom(buffer, bottom, model);
    // Its picture may need all of the screen.
    if let Some(Dialog::Enrol(enrol)) = model.dialogs.last() {
        account::enrol(buffer, area, body, model, enrol);
    }
}

/// The rows a list has room for.
pub(crate) fn page((_, rows): (u16, u16)) -> usize {
    usize::from(rows.saturating_sub(CHROME + 2)).max(1)
}

/// The positions of the columns that the list at hand is seen with; a terminal may be too narrow for all.
pub(crate) fn columns(model: &Model) -> Vec<usize> {
    // Limits lie in the place of details, and take all of it.
    let across = if model.is_limits() || model.is_patterns() { model.size.0 } else { table::across(model) };
    match (model.screen, model.rows_ref()) {
        (Screen::Models, _) if model.models.tab == Tab::Models => {
            grid::seen(&models::shown(model, model.size.0), across)
        }
        (Screen::Nodes, _) => grid::seen(&nodes::columns(), across),
        (Screen::Jobs, _) => grid::seen(&jobs::columns(), across),
        (_, Some(rows)) => grid::seen(&rows.columns(), across),
        (_, None) => Vec::new(),
    }
}

/// How far the top dialog can be scrolled.
pub(crate) fn most(model: &Model) -> usize {
    let (columns, rows) = model.size;
    let banner = u16::from(!matches!(model.link, Link::Up { .. }));
    let body = Rect { x: 0, y: 0, width: columns, height: rows.saturating_sub(CHROME + banner) };
    match model.dialogs.last() {
        Some(Dialog::Text(_) | Dialog::Help(_)) => dialogs::most(model, body),
        _ => 0,
    }
}
