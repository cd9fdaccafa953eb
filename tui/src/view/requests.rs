//! The requests that run now.

use std::borrow::Cow;

use aivonx_protocol::running::{Phase, Running};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table, maybe};
use crate::{
    cli::running::{phase, rate},
    model::{
        Model, Right,
        list::{Load, Record as _},
    },
    render::text::{NONE, ago, count, safe, span, time},
    theme::Tone,
    widgets::{grid::Cell, rows::Row},
};

/// From how old the list is on that is said, milliseconds.
const OLD: u64 = 5000;

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let list = &model.requests.list;
    // What runs changes by the second: a list that does not is told from one that does.
    let title = match list.load {
        Load::Ready(at) if model.now.saturating_sub(at) > OLD => {
            format!("Requests as of {} (r: look again):", ago(at, model.now))
        }
        Load::Failed(_) if !list.all().is_empty() => "Requests as they were; no answer now:".to_owned(),
        _ => "Requests:".to_owned(),
    };
    let table = Table {
        title: &title,
        noun: "what runs",
        list,
        columns: Cow::Borrowed(Running::COLUMNS),
        right: Right::RunningRead,
        empty: "Nothing is running.\n\nWhat clients ask for shows here while the gateway works on it; it is \
                looked at again every second.",
        cells: &|request| cells(request),
        facts: &|request| facts(model, request),
    };
    table.draw(buffer, area, model);
}

fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Receiving => Tone::Plain,
        Phase::Waiting => Tone::Warn,
        Phase::Answering => Tone::Good,
    }
}

fn speed(request: &Running) -> String {
    rate(request).map_or_else(|| NONE.to_owned(), |rate| format!("{rate:.1}"))
}

fn cells(request: &Running) -> Vec<Cell> {
    let text = |text: &Option<String>| Cell::new(maybe(text.as_deref()));
    vec![
        Cell::new(span(request.age_ms)),
        text(&request.organization),
        text(&request.user),
        text(&request.key),
        text(&request.model),
        text(&request.node),
        Cell::toned(phase(request.phase), tone(request.phase)),
        Cell::new(request.tokens.to_string()),
        Cell::new(speed(request)),
        Cell::new(safe(&request.client)),
        Cell::new(safe(&request.route)),
    ]
}

fn facts(model: &Model, request: &Running) -> Vec<Row> {
    let mut facts = Facts::default();
    facts.put("request", &request.id);
    let about = match request.phase {
        Phase::Receiving => "its body is still coming in",
        Phase::Waiting => "its node has not answered yet",
        Phase::Answering => "the answer is being passed on",
    };
    facts.toned("phase", format!("{}: {about}", phase(request.phase)), tone(request.phase));
    if let Load::Ready(at) = model.requests.list.load {
        let began = time(at.saturating_sub(request.age_ms), &model.zone);
        facts.put("began", format!("{began}, {} ago", span(request.age_ms)));
    }
    if let Some(answering) = request.answering_ms {
        let waited = request.age_ms.saturating_sub(answering);
        facts.put("answer began", format!("after {}", crate::render::text::latency(millis(waited))));
    }
    facts.put("tokens so far", count(request.tokens));
    facts.put("tokens a second", speed(request));
    facts.put("model", request.model.as_deref().unwrap_or(NONE));
    facts.put("node", request.node.as_deref().unwrap_or(NONE));
    facts.put("route", &request.route);
    facts.put("client", &request.client);
    facts.put("organization", request.organization.as_deref().unwrap_or(NONE));
    facts.put("user", request.user.as_deref().unwrap_or(NONE));
    facts.put("key", request.key.as_deref().unwrap_or(NONE));
    facts.all()
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn millis(number: u64) -> f64 {
    number as f64
}
