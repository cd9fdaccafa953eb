//! The log: followed while it is looked at.

use aivonx_protocol::{
    Event, Request,
    log::{LogFilter, LogRequest},
};

use super::load;
use crate::{
    filter::Filter,
    keymap::Do,
    model::{Model, Right, Screen, Topic, list::Rows as _, logs::word},
    msg::Effect,
};

/// Events of the past to begin with.
const PAST: u32 = 2000;

/// Follows the log while its screen is shown, and not otherwise.
pub(super) fn attend(model: &mut Model, out: &mut Vec<Effect>) {
    let wanted = model.screen == Screen::Logs && model.why_not(Right::LogsRead).is_none();
    match (wanted, model.logs.feed) {
        (true, None) => {
            let ticket = model.calls.ticket();
            model.logs.feed = Some(ticket);
            // What came while nobody looked comes now.
            let since = model.logs.newest().map(|time| time + 1);
            let filter = LogFilter { level: Some(model.logs.level), since, ..LogFilter::default() };
            let request = Request::Log(LogRequest::Follow { filter, lines: PAST });
            out.push(Effect::Follow { ticket, request });
        }
        (false, Some(ticket)) => {
            model.logs.feed = None;
            out.push(Effect::Drop(ticket));
        }
        _ => {}
    }
}

/// A step of the feed.
pub(super) fn event(model: &mut Model, event: Event) {
    match event {
        Event::Log(event) => model.logs.push(event),
        Event::LogMissed(count) => model.logs.missed += count,
        _ => {}
    }
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Follow if model.logs.follow => model.logs.follow = false,
        Do::Follow => model.logs.last(),
        Do::Wrap => model.logs.wrap = !model.logs.wrap,
        Do::Level => {
            model.logs.next_level();
            model.logs.clear();
            if let Some(ticket) = model.logs.feed.take() {
                out.push(Effect::Drop(ticket));
            }
            attend(model, out);
            model.tell(format!("events of level {} and above", word(model.logs.level)));
        }
        Do::Request => {
            use crate::filter::Subject as _;
            let id = model.logs.chosen().and_then(|event| event.field("request_id"));
            let text = id.map(|id| format!("request_id:^{id}$"));
            match text.as_deref().map(Filter::parse) {
                Some(Ok(filter)) => model.logs.set_filter(filter),
                _ => model.warn("this event belongs to no request"),
            }
        }
        Do::Refresh => load(model, out, Topic::Status),
        _ => {}
    }
}
