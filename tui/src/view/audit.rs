//! The audit log.

use aivonx_protocol::audit::AuditFilter;
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Pane;
use crate::state::{Model, Right};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let queried = if model.audit.query == AuditFilter::default() { "" } else { " (queried; f changes it)" };
    let more = if model.audit.next.is_some() { ", m: older ones" } else { "" };
    let title = format!("Audit{queried}{more}:");
    let empty = "No entry is what was asked for. f asks for something else.";
    Pane::new(&title, "the audit log", &model.audit.list, Right::AuditRead, empty).draw(buffer, area, model);
}
