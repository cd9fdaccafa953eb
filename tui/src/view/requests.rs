//! The requests that run now.

use aivonx_protocol::running::Running;
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Pane;
use crate::{
    nouns::running::place,
    render::text::{ago, time},
    state::{Model, Right, list::Load},
};

/// From how old the list is on that is said, milliseconds.
const OLD: u64 = 5000;

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let list = &model.requests.list;
    // Running requests change by the second: the title says whether the list is current.
    let title = match list.load {
        Load::Ready(at) if model.now.saturating_sub(at) > OLD => {
            format!("Requests as of {} (r: look again):", ago(at, model.now))
        }
        Load::Failed(_) if !list.all().is_empty() => "Requests as they were; no answer now:".to_owned(),
        _ => "Requests:".to_owned(),
    };
    let pane = Pane {
        facts: &|request: &Running, table| {
            if let Load::Ready(at) = list.load {
                table.pair("began", time(at.saturating_sub(request.age_ms), &model.zone));
            }
            if let Some(queued) = model.requests.queued.get(&request.id) {
                table.pair("in the queue", place(queued));
            }
        },
        ..Pane::new(
            &title,
            "what runs",
            list,
            Right::RunningRead,
            "Nothing is running.\n\nWhat clients ask for shows here while the gateway works on it; it is looked at \
             again every second.",
        )
    };
    pane.draw(buffer, area, model);
}
