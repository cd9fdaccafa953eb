//! How the gateway does, what needs attention, and what to do next.

mod next;

use aivonx_protocol::daemon::Status;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::{Paragraph, Widget as _},
};

use super::table::say;
use crate::{
    model::{Link, Model, nodes::Standing},
    render::text::{bytes, count, plural, safe, span},
    theme::Tone,
    widgets::{spark, text::wrap},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(status) = &model.status else {
        let text = match &model.link {
            Link::Down { why, .. } => why.clone(),
            _ => "Asking the gateway how it does".to_owned(),
        };
        return say(buffer, area, &text);
    };
    let mut lines = vitals(model, status, area.width);
    lines.extend(attention(model, status, area.width));
    lines.extend(next::lines(model, area.width));
    Paragraph::new(lines).render(area, buffer);
}

fn label(model: &Model, text: &str) -> Span<'static> {
    Span::styled(format!("  {text:<12}"), model.settings.theme.style(Tone::Dim))
}

fn vitals(model: &Model, status: &Status, width: u16) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let cells = usize::from(width.saturating_sub(42)).min(120);
    let rate = model.overview.rate.back().copied().unwrap_or(0.0);
    let mut lines = vec![Line::default()];
    let state = if status.draining {
        Span::styled("shutting down: finishing what runs", theme.style(Tone::Warn))
    } else {
        Span::raw(format!("up {}", span(model.now.saturating_sub(status.started))))
    };
    lines.push(Line::from(vec![label(model, "gateway"), state, Span::raw(listening(status))]));
    let graph = |name: &str, value: String, readings: &std::collections::VecDeque<f64>| {
        Line::from(vec![
            label(model, name),
            Span::raw(format!("{value:<26}")),
            Span::styled(spark::line(readings.iter().copied(), cells, theme), theme.style(Tone::Accent)),
        ])
    };
    lines.push(graph(
        "requests",
        format!("{rate:.1}/s, {} in all", count(status.requests_total)),
        &model.overview.rate,
    ));
    let active = format!("{} now", count(status.active_requests.into()));
    lines.push(graph("at work", active, &model.overview.active));
    let states = [
        (status.nodes_active, Standing::Active, Tone::Good),
        (status.nodes_standby, Standing::Standby, Tone::Bad),
        (status.nodes_draining, Standing::Draining, Tone::Warn),
        (status.nodes_disabled, Standing::Disabled, Tone::Dim),
    ];
    let mut spans = vec![label(model, "nodes")];
    if nodes(status) == 0 {
        spans.push(Span::raw("none"));
    }
    for (number, standing, tone) in states {
        if number > 0 {
            spans.push(Span::styled(format!("{number} {}  ", standing.as_str()), theme.style(tone)));
        }
    }
    lines.push(Line::from(spans));
    lines.push(Line::from(vec![
        label(model, "models"),
        Span::raw(format!("{}, node chosen by {}", count(status.models.into()), status.strategy.name())),
    ]));
    if status.resident_bytes > 0 {
        lines.push(Line::from(vec![label(model, "memory"), Span::raw(bytes(status.resident_bytes))]));
    }
    lines.push(Line::default());
    lines
}

fn listening(status: &Status) -> String {
    if status.listen.is_empty() {
        return String::new();
    }
    let on: Vec<String> = status.listen.iter().map(|address| safe(address)).collect();
    format!(", on {}", on.join(", "))
}

fn nodes(status: &Status) -> u32 {
    status.nodes_active + status.nodes_standby + status.nodes_draining + status.nodes_disabled
}

fn heading(model: &Model, text: &str) -> Line<'static> {
    Line::from(Span::styled(format!("  {text}"), model.settings.theme.style(Tone::Strong)))
}

fn attention(model: &Model, status: &Status, width: u16) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let mut all: Vec<(String, Tone)> =
        status.warnings.iter().map(|warning| (safe(warning), Tone::Warn)).collect();
    let down = status.nodes_standby;
    if down > 0 {
        let verb = if down == 1 { "does" } else { "do" };
        all.push((format!("{} {verb} not answer (2: see why)", plural(down.into(), "node")), Tone::Bad));
    }
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading(model, "Needs attention")];
    for (text, tone) in all {
        for (at, part) in wrap(&text, usize::from(width.saturating_sub(6))).into_iter().enumerate() {
            let sign = if at == 0 { "  ! " } else { "    " };
            lines.push(Line::from(Span::styled(format!("{sign}{part}"), theme.style(tone))));
        }
    }
    lines.push(Line::default());
    lines
}
