//! The log: followed while it is looked at, and further back read from the journal.

use aivonx_protocol::{
    Event, Request,
    log::{self, LogFilter},
};
use jiff::{Timestamp, Zoned};

use super::keys;
use crate::{
    filter::Filter,
    journal::{Part, Past},
    keymap::Do,
    msg::{Effect, Ticket},
    render::text::time,
    state::{
        Dialog, LineInput, Model, Purpose, Right, Screen, dialog::Text, line::LineKind, list::Rows as _,
        logs::word,
    },
    time_arg,
};

/// More events of the past than the daemon has: all it has are wanted.
const ALL: u32 = 1_000_000;
/// What is said while the journal is read.
const READING: &str = "Reading the journal";
/// What there is in its place.
const HERE: &str = "what the daemon itself holds is all there is to see here";
/// Events of the journal asked for at a time.
const OLDER: usize = 2000;
/// The same for those that begin at a given time.
const FROM: usize = 20_000;

/// Follows the log while its screen is shown, and not otherwise.
pub(super) fn attend(model: &mut Model, out: &mut Vec<Effect>) {
    let logs = &mut model.logs;
    if logs.held && logs.follow {
        logs.release();
    }
    let held = logs.held;
    let wanted = model.screen == Screen::Logs && !held && model.why_not(Right::LogsRead).is_none();
    match (wanted, model.logs.feed) {
        (true, None) => {
            let ticket = model.calls.ticket();
            model.logs.feed = Some(ticket);
            // What came while nobody looked comes now, and what of it is gone is counted.
            let (since, after) = model.logs.newest().unzip();
            let filter = LogFilter { level: Some(model.logs.level), since, after, ..LogFilter::default() };
            let request = Request::from(log::Follow { filter, lines: ALL });
            out.push(Effect::Follow { ticket, request });
        }
        (false, Some(ticket)) => {
            model.logs.feed = None;
            out.push(Effect::Drop(ticket));
        }
        _ => {}
    }
}

/// Steps of the feed.
pub(super) fn events(model: &mut Model, out: &mut Vec<Effect>, ticket: Ticket, events: Vec<Event>) {
    for event in events {
        let taken = match event {
            Event::Log(event) => model.logs.push(&event),
            Event::LogMissed(count) => {
                model.logs.lost(count, model.now);
                true
            }
            _ => true,
        };
        if !taken {
            // Asked for again when there is room, with all behind it.
            model.logs.feed = None;
            out.push(Effect::Drop(ticket));
            return;
        }
    }
}

/// To be called after every message: a filter searches on, and a view that follows again gets what is new.
pub(super) fn after(model: &mut Model, out: &mut Vec<Effect>) {
    // Nor does the feed go on behind a hole.
    if model.logs.held && (model.logs.follow || model.logs.feed.is_some()) {
        attend(model, out);
    }
    if model.logs.is_searching() && !out.contains(&Effect::Search) {
        out.push(Effect::Search);
    }
}

/// Shows what was logged about one request, and what will be.
pub(super) fn follow_request(model: &mut Model, out: &mut Vec<Effect>, id: &str) {
    if model.screen != Screen::Logs {
        keys::go(model, out, Screen::Logs);
    }
    // What the daemon gives out is plain; what else a log may hold is not.
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let exact = if plain { id.to_owned() } else { regex::escape(id) };
    if let Ok(filter) = Filter::parse(&format!("request_id:^{exact}$")) {
        model.logs.set_filter(filter);
        model.detail = false;
    }
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Follow if model.logs.follow => model.logs.pause(),
        Do::Follow => model.logs.last(),
        Do::Wrap => model.logs.wrap = !model.logs.wrap,
        Do::Level => {
            model.logs.next_level();
            model.logs.clear();
            model.logs.follow = true;
            if let Some(ticket) = model.logs.feed.take() {
                out.push(Effect::Drop(ticket));
            }
            attend(model, out);
            model.tell(format!("events of level {} and above", word(model.logs.level)));
        }
        Do::Request => match model.logs.chosen().and_then(|event| event.value("request_id")) {
            Some(id) => {
                let id = id.to_owned();
                follow_request(model, out, &id);
            }
            None => model.warn("this event belongs to no request"),
        },
        Do::More => older(model, out, None),
        Do::Time => model.line = Some(LineInput::new(LineKind::Command, "time ")),
        _ => {}
    }
}

/// Goes to a time that was typed.
pub(super) fn go_to(model: &mut Model, out: &mut Vec<Effect>, text: &str) {
    let now = Timestamp::from_millisecond(i64::try_from(model.now).unwrap_or(0)).unwrap_or_default();
    let now: Zoned = now.to_zoned(model.zone.clone());
    let at = match time_arg::since(text, &now) {
        Ok(at) => at,
        Err(why) => return model.warn(format!("\"{text}\" is {why}")),
    };
    if model.screen != Screen::Logs {
        keys::go(model, out, Screen::Logs);
    }
    if model.logs.oldest().is_some_and(|oldest| oldest <= at) || model.logs.all {
        stand(model, at);
    } else {
        older(model, out, Some(at));
    }
}

fn stand(model: &mut Model, at: u64) {
    if model.logs.go_to(at) {
        let there = time(at, &model.zone);
        model.tell(format!("at {there}; f follows the newest again"));
    } else {
        model.tell("nothing later is shown");
    }
}

/// Asks the journal for what is older than what is there, or for all from this time on.
fn older(model: &mut Model, out: &mut Vec<Effect>, from: Option<u64>) {
    if let Some(why) = model.why_not(Right::LogsRead) {
        return model.warn(why);
    }
    if model.calls.works(READING) {
        return;
    }
    if model.logs.all {
        return model.tell("there is nothing older in the journal");
    }
    let oldest = model.logs.oldest().unwrap_or(model.now);
    let Some(status) = &model.status else { return model.warn("the daemon has not told where it logs to") };
    if status.log_sink != "journald" {
        let place = crate::journal::older_events(&status.log_sink);
        let told = format!("{place}; the daemon holds those since {}", time(oldest, &model.zone));
        model.warn(told);
        if let Some(at) = from {
            model.logs.go_to(at);
        }
        return;
    }
    let part = Part {
        level: model.logs.level,
        since: from,
        until: oldest,
        lines: if from.is_some() { FROM } else { OLDER },
        pid: Some(status.pid),
    };
    let ticket = model.calls.begin(Purpose::Work(READING), model.now);
    model.logs.goal = from;
    out.push(Effect::Past { ticket, part });
}

/// A part of the journal was read, or could not be.
pub(super) fn past(model: &mut Model, ticket: Ticket, result: Result<Past, String>) {
    let goal = model.logs.goal.take();
    if model.calls.end(ticket).is_none() {
        return;
    }
    let past = match result {
        Ok(past) => past,
        Err(why) => {
            let rows = vec![("why".to_owned(), why), ("older events".to_owned(), HERE.to_owned())];
            let title = "The journal cannot be read".to_owned();
            model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
            // The nearest there is.
            if let Some(at) = goal {
                model.logs.go_to(at);
            }
            return;
        }
    };
    let found = past.events.len() as u64;
    match goal {
        Some(at) => {
            if past.more {
                model.logs.instead(&past.events);
            } else {
                model.logs.older(&past.events, false);
            }
            stand(model, at);
        }
        None => {
            model.logs.older(&past.events, !past.more);
            let found = crate::render::text::plural(found, "older event");
            model.tell(format!(
                "{found} from the journal{}",
                if past.more { "" } else { ", which has no others" }
            ));
        }
    }
}
