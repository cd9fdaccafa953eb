//! The log, as it happens.

use aivonx_protocol::log::Level;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    frame,
    table::{details, say},
};
use crate::{
    render::{
        Cell, Table,
        cells::{fit, width, wrap},
        text::{count, safe, time},
    },
    state::{
        Model, Right,
        list::Rows as _,
        logs::{Entry, word},
    },
    theme::Tone,
    widgets::grid::offset,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    if let Some(event) = model.logs.chosen().filter(|_| model.detail) {
        return details(buffer, area, model, event.message(), &facts(model, &event));
    }
    let logs = &model.logs;
    let state = match (logs.follow, logs.held) {
        (true, _) => "following",
        (false, false) => "PAUSED (f: follow)",
        // There is no room for them beside what is looked at.
        (false, true) => "PAUSED, newer ones not taken (f: follow)",
    };
    let missed = match logs.missed {
        0 => String::new(),
        missed => format!(", {} dropped", count(missed)),
    };
    let searching = if logs.is_searching() { ", searching" } else { "" };
    let title = format!("Log, {state}, {} and above{missed}{searching}:", word(logs.level));
    frame::heading(buffer, area, model, &title);
    let inner = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if logs.count() == 0 {
        let text = match (model.why_not(Right::LogsRead), logs.counts().1) {
            (Some(why), _) => format!("You cannot see the log: {why}."),
            (None, _) if logs.is_searching() => "Searching".to_owned(),
            (None, _) if logs.filter().is_some_and(|filter| filter.text().starts_with("request_id:")) => {
                "Nothing was logged about this request yet: its line comes when it ends. m looks further back, \
                 esc shows all again."
                    .to_owned()
            }
            (None, 0) => "Nothing was logged yet at this level. l shows more.".to_owned(),
            (None, _) => "No event passes the filter. m looks further back, esc shows all again.".to_owned(),
        };
        return say(buffer, inner, &text);
    }
    let height = usize::from(inner.height);
    // While following, the newest event is the last line; looking back, there is something on either side.
    let from = if logs.follow && !logs.wrap {
        logs.count().saturating_sub(height)
    } else {
        offset(logs.count(), logs.at(), if logs.wrap { height / 2 } else { height })
    };
    let mut lines = Vec::new();
    for row in from..logs.count() {
        let Some(event) = logs.shown(row) else { break };
        lines.extend(written(model, &event, row == logs.at(), inner.width));
        if lines.len() >= height && row >= logs.at() {
            break;
        }
    }
    // Broken lines before it must not push the chosen event out of sight.
    let end = lines.iter().rposition(|line| line.chosen).map_or(0, |last| last + 1);
    let skip = end.saturating_sub(height);
    for (line, y) in lines.into_iter().skip(skip).zip(inner.y..inner.bottom()) {
        put(buffer, inner, y, model, &line);
    }
}

/// A line: its text, where the level stands in it, and what it is.
struct Written {
    text: String,
    level: Option<(usize, usize, Tone)>,
    chosen: bool,
}

fn tone(level: Level) -> Tone {
    match level {
        Level::Error => Tone::Bad,
        Level::Warn => Tone::Warn,
        Level::Info => Tone::Good,
        Level::Debug | Level::Trace => Tone::Dim,
    }
}

fn written(model: &Model, event: &Entry<'_>, chosen: bool, columns: u16) -> Vec<Written> {
    let at = time(event.time, &model.zone);
    let today = time(model.now, &model.zone);
    // Today is what one mostly looks at; of another day the year is in the details.
    let same = today.get(..10) == at.get(..10);
    let clock = at.get(if same { 11 } else { 5 }..).unwrap_or(&at);
    let sign = if chosen { ">" } else { " " };
    let level = word(event.level);
    let head = format!("{sign}{clock}.{:03} ", event.time % 1000);
    let mut text = format!("{level:<5} {}: {}", safe(event.target()), safe(event.message()));
    for (key, value) in event.fields() {
        text += &format!(" {}={}", safe(key), safe(value));
    }
    let room = usize::from(columns);
    let place = (width(&head), level.len(), tone(event.level));
    if !model.logs.wrap {
        let text = fit(&format!("{head}{text}"), room, model.settings.theme.cut());
        return vec![Written { text, level: Some(place), chosen }];
    }
    let indent = width(&head);
    let lines = wrap(&text, room.saturating_sub(indent));
    let line = |(at, text): (usize, String)| {
        let text = if at == 0 { format!("{head}{text}") } else { format!("{}{text}", " ".repeat(indent)) };
        Written { text, level: (at == 0).then_some(place), chosen }
    };
    lines.into_iter().enumerate().map(line).collect()
}

fn put(buffer: &mut Buffer, area: Rect, y: u16, model: &Model, line: &Written) {
    let theme = model.settings.theme;
    let room = usize::from(area.width);
    let base = theme.style(if line.chosen { Tone::Chosen } else { Tone::Plain });
    if line.chosen {
        buffer.set_style(Rect { y, height: 1, ..area }, base);
    }
    buffer.set_stringn(area.x, y, &line.text, room, base);
    let at = |cells: usize| area.x + u16::try_from(cells).unwrap_or(u16::MAX - area.x).min(area.width);
    if let Some((from, cells, tone)) = line.level
        && !line.chosen
    {
        let cells = u16::try_from(cells).unwrap_or(0).min(area.right().saturating_sub(at(from)));
        buffer.set_style(Rect { x: at(from), y, width: cells, height: 1 }, theme.style(tone));
    }
    for (from, to) in model.logs.filter().map(|filter| filter.found(&line.text)).unwrap_or_default() {
        let x = at(width(&line.text[..from]));
        let cells = u16::try_from(width(&line.text[from..to])).unwrap_or(0);
        let cells = cells.min(area.right().saturating_sub(x));
        buffer.set_style(Rect { x, y, width: cells, height: 1 }, theme.style(Tone::Found));
    }
}

fn facts(model: &Model, event: &Entry<'_>) -> Table {
    let mut table = Table::pairs();
    table.pair("time", format!("{}.{:03}", time(event.time, &model.zone), event.time % 1000));
    table.pair("level", Cell::toned(word(event.level), tone(event.level)));
    table.pair("part", event.target());
    table.lines("message", event.message(), Tone::Plain);
    for (key, value) in event.fields() {
        table.lines(key, value, Tone::Plain);
    }
    if event.seq > 0 {
        table.pair("number", Cell::toned(event.seq.to_string(), Tone::Dim));
    }
    table
}
