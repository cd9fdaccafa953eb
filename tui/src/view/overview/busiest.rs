//! The models, organizations and keys that had the most to do in the last minutes.

use aivonx_protocol::pulse::Busy;
use ratatui::text::{Line, Span};

use super::heading;
use crate::{
    render::{
        cells::{fill, fit, width},
        text::{count, safe},
    },
    state::Model,
    theme::Tone,
};

fn lists(model: &Model) -> [(&'static str, &[Busy]); 3] {
    let Some(pulse) = &model.overview.pulse else {
        return [("models", &[]), ("organizations", &[]), ("keys", &[])];
    };
    [("models", &pulse.models), ("organizations", &pulse.organizations), ("keys", &pulse.keys)]
}

/// How many rows the longest list has.
pub(super) fn rows(model: &Model) -> usize {
    lists(model).iter().map(|(_, list)| list.len()).max().unwrap_or(0)
}

/// Tokens in few cells: `950`, `12k`, `3.4M`.
fn short(number: u64) -> String {
    match number {
        0..=9_999 => number.to_string(),
        10_000..=999_999 => format!("{}k", number / 1000),
        _ => format!("{}.{}M", number / 1_000_000, number / 100_000 % 10),
    }
}

/// The name; of a key with its organization.
fn name(busy: &Busy) -> String {
    match &busy.organization {
        Some(organization) => format!("{}/{}", safe(organization), safe(&busy.name)),
        None => safe(&busy.name),
    }
}

/// The lists in columns, in at most `most` rows with their heading.
pub(super) fn beside_each_other(model: &Model, columns: u16, most: usize) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let cells = usize::from(columns.saturating_sub(1)) / 3;
    let cell = |text: String, number: &str, tone: Tone| {
        let room = cells.saturating_sub(width(number) + 3);
        let text = format!(" {} {number} ", fill(&text, room, false, theme.cut()));
        Span::styled(text, theme.style(tone))
    };
    let mut lines = vec![heading(model, "Busiest", "tokens in 5m", columns)];
    for row in 0..rows(model).min(most.saturating_sub(1)) {
        let spans = lists(model).into_iter().map(|(_, list)| match list.get(row) {
            Some(busy) => cell(name(busy), &short(busy.tokens), Tone::Plain),
            None => cell(String::new(), "", Tone::Plain),
        });
        lines.push(Line::from(spans.collect::<Vec<_>>()));
    }
    lines
}

/// The lists one after another, in at most `most` rows.
pub(super) fn below_each_other(model: &Model, columns: u16, most: u16) -> Vec<Line<'static>> {
    const NUMBER: usize = 9;
    let theme = model.settings.theme;
    let room = usize::from(columns);
    let cells = room.saturating_sub(3 * (NUMBER + 1) + 2);
    let each = (usize::from(most) / 3).saturating_sub(2).max(1);
    let mut lines = Vec::new();
    for (title, list) in lists(model) {
        lines.push(heading(model, &format!("Busiest {title}"), "last 5m", columns));
        let titles =
            ["requests", "failed", "tokens"].map(|text| fill(text, NUMBER, true, theme.cut())).join(" ");
        let head = format!(" {} {titles}", fill("", cells, false, ' '));
        lines.push(Line::from(Span::styled(fit(&head, room, theme.cut()), theme.style(Tone::Dim))));
        for busy in list.iter().take(each.saturating_sub(1)) {
            let number = |number: u64| fill(&count(number), NUMBER, true, theme.cut());
            let failed = if busy.errors > 0 { Tone::Bad } else { Tone::Dim };
            lines.push(Line::from(vec![
                Span::raw(format!(
                    " {} {} ",
                    fill(&name(busy), cells, false, theme.cut()),
                    number(busy.requests)
                )),
                Span::styled(number(busy.errors), theme.style(failed)),
                Span::raw(format!(" {}", fill(&short(busy.tokens), NUMBER, true, theme.cut()))),
            ]));
        }
        if list.is_empty() {
            lines.push(Line::from(Span::styled(" none", theme.style(Tone::Dim))));
        }
        lines.push(Line::default());
    }
    lines
}
