//! What needs somebody, a line each: what, since when, and the key that leads to the cure.

use aivonx_protocol::{
    daemon::Status,
    pulse::{Alert, Budget},
};
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::heading;
use crate::{
    render::{
        bar,
        cells::{fill, fit, width, wrap},
        text::{count, safe, span},
    },
    state::{
        Model, Right,
        list::Rows as _,
        overview::{Concern, What},
        steps,
    },
    theme::Tone,
    widgets::grid::offset,
};

/// Cells of a bar with its words.
const BAR: usize = 14;

/// Cells of "since" and of the key.
const SINCE: usize = 5;
const KEY: usize = 2;

/// The lines, at most `rows` of them.
pub(super) fn lines(model: &Model, status: &Status, columns: u16, rows: usize) -> Vec<Line<'static>> {
    if rows < 2 {
        return Vec::new();
    }
    if model.overview.pulse.is_none() {
        return warnings(model, status, columns, rows);
    }
    let concerns = &model.overview.concerns;
    let (total, _) = concerns.counts();
    if total == 0 {
        return quiet(model, columns);
    }
    let shown = total.min(rows - 1);
    // Without a next step enter goes where the first line leads.
    let cursor = concerns.picked || steps::next(model).is_none();
    let first = offset(total, if cursor { concerns.list.at() } else { 0 }, shown);
    let more = if shown < total { format!("{shown} of {total}, j k") } else { String::new() };
    let mut lines = vec![heading(model, &format!("Needs attention {total}"), &more, columns)];
    for at in first..first + shown {
        if let Some(concern) = concerns.list.shown(at) {
            lines.push(line(model, concern, cursor && at == concerns.list.at(), columns));
        }
    }
    lines
}

/// All is well, which is worth a line.
fn quiet(model: &Model, columns: u16) -> Vec<Line<'static>> {
    if steps::next(model).is_some() {
        return Vec::new();
    }
    let theme = model.settings.theme;
    vec![
        heading(model, "Needs attention", "", columns),
        Line::from(Span::styled("  nothing", theme.style(Tone::Good))),
    ]
}

/// The warnings of the status, for users who may see no more than these.
fn warnings(model: &Model, status: &Status, columns: u16, rows: usize) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    if status.warnings.is_empty()
        || (steps::next(model).is_some() && model.why_not(Right::NodesRead).is_some())
    {
        return Vec::new();
    }
    let mut lines = vec![heading(model, "Needs attention", "", columns)];
    for warning in &status.warnings {
        for (at, part) in wrap(&safe(warning), usize::from(columns.saturating_sub(6))).into_iter().enumerate()
        {
            let sign = if at == 0 { "  ! " } else { "    " };
            lines.push(Line::from(Span::styled(format!("{sign}{part}"), theme.style(Tone::Warn))));
        }
    }
    lines.truncate(rows);
    lines
}

fn line(model: &Model, concern: &Concern, chosen: bool, columns: u16) -> Line<'static> {
    let theme = model.settings.theme;
    let room = usize::from(columns);
    let key = concern.screen().map_or("", |screen| screen.key());
    let right =
        format!("{} {}", fill(&when(model, concern), SINCE, true, theme.cut()), fill(key, KEY, true, ' '));
    // The cursor, the sign, and a blank before what stands at the right.
    let text = room.saturating_sub(2 + 3 + 1 + width(&right));
    let (sign, tone, spans) = match &concern.what {
        What::Alert(alert) => alerts(model, alert, text),
        What::Budget(budget) => budgets(model, budget, text),
    };
    let base = if chosen { theme.style(Tone::Chosen) } else { Style::new() };
    // On the chosen line colours would fight with its own.
    let style = |tone: Tone| if chosen { base } else { theme.style(tone) };
    let mut line = vec![
        Span::styled(if chosen { "> " } else { "  " }, base),
        Span::styled(format!("{sign:<3}"), style(tone)),
    ];
    line.extend(spans.into_iter().map(|(text, tone)| Span::styled(text, style(tone))));
    line.push(Span::styled(" ", base));
    let (since, key) = right.split_at(right.len() - KEY.min(right.len()));
    line.push(Span::styled(since.to_owned(), style(Tone::Dim)));
    line.push(Span::styled(key.to_owned(), style(Tone::Accent)));
    Line::from(line)
}

type Pieces = (&'static str, Tone, Vec<(String, Tone)>);

fn alerts(model: &Model, alert: &Alert, room: usize) -> Pieces {
    let cut = model.settings.theme.cut();
    let (sign, tone) = if alert.grave { ("!!", Tone::Bad) } else { ("!", Tone::Warn) };
    (sign, tone, vec![(fill(&safe(&alert.text), room, false, cut), tone)])
}

fn budgets(model: &Model, budget: &Budget, room: usize) -> Pieces {
    let theme = model.settings.theme;
    let share = bar::share(budget.used, budget.allowed);
    let tone = bar::tone(share);
    let sign = if share >= 1.0 { "!!" } else { "!" };
    let name = match &budget.organization {
        Some(organization) => format!("{}/{}", safe(organization), safe(&budget.name)),
        None => safe(&budget.name),
    };
    let used = |number: u64| match budget.limit.is_spend() {
        true => aivonx_protocol::money::MicroUsd(number).to_string(),
        false => count(number),
    };
    let said =
        format!("{} {}: {} of {}", budget.of.as_str(), budget.limit, used(budget.used), used(budget.allowed));
    let bar_cells = if room >= BAR + 30 { BAR } else { 5 };
    let left = room.saturating_sub(bar_cells + 1);
    let name = fit(&name, left / 2, theme.cut());
    let text = fill(&format!("{name}, {said}"), left, false, theme.cut());
    (sign, tone, vec![(format!("{text} "), Tone::Plain), (bar::told(share, bar_cells, theme), tone)])
}

/// Since when, or after how long it begins anew, in its largest unit.
fn when(model: &Model, concern: &Concern) -> String {
    let largest = |millis: u64| span(millis).split(' ').next().unwrap_or_default().to_owned();
    match &concern.what {
        What::Alert(alert) => {
            alert.since.map(|since| largest(model.now.saturating_sub(since))).unwrap_or_default()
        }
        What::Budget(budget) => format!("-{}", largest(budget.resets.saturating_sub(model.now))),
    }
}
