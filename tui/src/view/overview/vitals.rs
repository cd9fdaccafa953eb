//! Rates, tokens, errors and times, each as a number and as a graph of the last minutes; the nodes by state.

use aivonx_protocol::{
    daemon::Status,
    pulse::{Pulse, WINDOW},
};
use ratatui::text::{Line, Span};

use super::{TALL, TALLER, heading};
use crate::{
    nouns::Standing,
    render::{
        cells::{fill, fit, width},
        text::{bytes, count, latency, safe, span},
    },
    state::{Model, Right, list::Load, overview::Measure},
    theme::Tone,
    widgets::spark,
};

/// Cells of the labels.
const LABEL: usize = 12;

/// Cells of the numbers, and where there is little room.
const VALUE: usize = 25;
const VALUE_NARROW: usize = 20;

/// Cells that graphs have at most: one for each second.
const GRAPH_MAX: usize = 300;

/// The lines, the more of them the more rows there are.
pub(super) fn lines(model: &Model, status: &Status, columns: u16, rows: u16) -> Vec<Line<'static>> {
    // With few rows some lines are left to what needs somebody.
    let short = rows < 16;
    let mut lines = vec![title(model, status, columns)];
    if !short {
        lines.push(gateway(model, status, columns));
    }
    match &model.overview.pulse {
        Some(pulse) => graphs(model, pulse, columns, rows, &mut lines),
        None => lines.push(without(model, columns)),
    }
    if model.why_not(Right::NodesRead).is_none() {
        lines.push(nodes(model, status, columns));
    }
    lines
}

fn title(model: &Model, status: &Status, columns: u16) -> Line<'static> {
    let whose = model.overview.pulse.as_ref().and_then(|pulse| pulse.organization.as_deref());
    let title = match whose {
        Some(organization) => format!("Requests of {}", safe(organization)),
        None => "Requests".to_owned(),
    };
    let note = match &model.overview.pulse {
        Some(pulse) if u64::from(pulse.lasted) >= WINDOW => "last 5m".to_owned(),
        Some(pulse) => format!("last {}", span(u64::from(pulse.lasted) * 1000)),
        None if status.draining => "shutting down".to_owned(),
        None => String::new(),
    };
    heading(model, &title, &note, columns)
}

fn label(model: &Model, text: &str) -> Span<'static> {
    Span::styled(format!(" {}", fill(text, LABEL, false, ' ')), model.settings.theme.style(Tone::Dim))
}

fn gateway(model: &Model, status: &Status, columns: u16) -> Line<'static> {
    let theme = model.settings.theme;
    let on: Vec<String> = status.listen.iter().map(|address| safe(address)).collect();
    let on = if on.is_empty() { String::new() } else { format!(", on {}", on.join(", ")) };
    let memory = match status.resident_bytes {
        0 => String::new(),
        resident => format!(", {}", bytes(resident)),
    };
    let all = match status.requests_total {
        0 => String::new(),
        total => format!(", {} requests", count(total)),
    };
    let (state, tone) = if status.draining {
        ("shutting down: finishing what runs".to_owned(), Tone::Warn)
    } else {
        (format!("up {}", span(model.now.saturating_sub(status.started))), Tone::Plain)
    };
    let text = fit(
        &format!("{state}{all}{memory}{on}"),
        usize::from(columns).saturating_sub(LABEL + 2),
        theme.cut(),
    );
    Line::from(vec![label(model, "gateway"), Span::styled(text, theme.style(tone))])
}

/// What is said where nothing is known.
fn without(model: &Model, columns: u16) -> Line<'static> {
    let theme = model.settings.theme;
    let (text, tone) = match (model.why_not(Right::NodesRead), &model.overview.load) {
        (Some(why), _) => (format!("You cannot see what the gateway does: {why}."), Tone::Dim),
        (None, Load::Failed(fault)) => {
            (format!("No answer about requests: {}", safe(&fault.message)), Tone::Bad)
        }
        (None, _) => ("Asking what the gateway does".to_owned(), Tone::Dim),
    };
    let text = fit(&text, usize::from(columns).saturating_sub(2), theme.cut());
    Line::from(Span::styled(format!(" {text}"), theme.style(tone)))
}

fn graphs(model: &Model, pulse: &Pulse, columns: u16, rows: u16, lines: &mut Vec<Line<'static>>) {
    let overview = &model.overview;
    let minute = &pulse.minute;
    let rate = |per_second: f64| match per_second {
        many if many >= 99.5 => count(whole(many)),
        some => format!("{some:.1}"),
    };
    let requests = rate(overview.now(|one| one.requests.into()));
    let tokens = rate(overview.now(|one| one.output_tokens));
    let prompts = rate(overview.now(|one| one.prompt_tokens));
    let all: [(&str, String, Measure, Tone); 6] = [
        ("requests", format!("{requests}/s"), Measure::Requests, Tone::Plain),
        (
            "failed",
            format!("{} in 1m, {} refused", count(minute.errors), count(minute.refused)),
            Measure::Errors,
            if minute.errors > 0 { Tone::Bad } else { Tone::Plain },
        ),
        ("tokens", format!("{tokens}/s, {prompts}/s in"), Measure::Tokens, Tone::Plain),
        (
            "at work",
            match model.requests.queued.len() as u64 {
                0 => format!("{} now, {} streaming", count(pulse.active.into()), count(pulse.streams.into())),
                waiting => format!("{} now, {} waiting", count(pulse.active.into()), count(waiting)),
            },
            Measure::Active,
            Tone::Plain,
        ),
        ("first byte", format!("p50 {}", time(minute.first_byte_p50_ms)), Measure::Half, Tone::Plain),
        ("", format!("p95 {}", time(minute.first_byte_p95_ms)), Measure::Most, Tone::Plain),
    ];
    let columns = usize::from(columns);
    let value = if columns < 72 { VALUE_NARROW } else { VALUE };
    let cells = columns.saturating_sub(1 + LABEL + value + 2).min(GRAPH_MAX);
    let high = match rows {
        0..TALL => 1,
        TALL..TALLER => 2,
        TALLER.. => 4,
    };
    for (name, text, measure, tone) in all {
        graph(model, (name, text, tone), (value, cells, high), measure, lines);
    }
}

/// A number with its graph, which may be several rows high.
fn graph(
    model: &Model,
    (name, text, tone): (&str, String, Tone),
    (value, cells, high): (usize, usize, usize),
    measure: Measure,
    lines: &mut Vec<Line<'static>>,
) {
    let theme = model.settings.theme;
    let readings = model.overview.graph(measure, cells);
    let drawn = spark::tall(&readings, high, theme);
    let graph_tone = if measure == Measure::Errors { Tone::Bad } else { Tone::Accent };
    for (row, bars) in drawn.into_iter().enumerate() {
        let (name, text) = if row + 1 == high { (name, &*text) } else { ("", "") };
        lines.push(Line::from(vec![
            label(model, name),
            Span::styled(fill(text, value, false, theme.cut()), theme.style(tone)),
            Span::raw(" "),
            Span::styled(bars, theme.style(graph_tone)),
        ]));
    }
}

fn time(millis: Option<u32>) -> String {
    millis.map_or_else(|| "-".to_owned(), |millis| latency(millis.into()))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of a few digits, not negative"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn nodes(model: &Model, status: &Status, columns: u16) -> Line<'static> {
    let theme = model.settings.theme;
    let states = [
        (status.nodes_active, Standing::Active),
        // Counted as active by the status.
        (0, Standing::Asleep),
        (status.nodes_standby, Standing::Standby),
        (status.nodes_draining, Standing::Draining),
        (status.nodes_disabled, Standing::Disabled),
    ];
    // A user bound to an organization sees its nodes, which the status does not count.
    let own = |standing: Standing| {
        let all = model.nodes.list.all().iter();
        u32::try_from(all.filter(|node| Standing::of(node) == standing).count()).unwrap_or(u32::MAX)
    };
    let told = states.iter().any(|(number, _)| *number > 0);
    let mut spans = vec![label(model, "nodes")];
    let mut none = true;
    for (number, standing) in states {
        let number = if told { number } else { own(standing) };
        if number > 0 {
            none = false;
            spans.push(Span::styled(
                format!("{number} {}  ", standing.as_str()),
                theme.style(standing.tone()),
            ));
        }
    }
    if none {
        spans.push(Span::raw("none  "));
    }
    let simulated = model.nodes.list.all().iter().filter(|node| node.simulated).count();
    if simulated > 0 {
        spans.push(Span::styled(format!("{simulated} simulated  "), theme.style(Tone::Dim)));
    }
    if status.models > 0 {
        let models = [format!("{} models", count(status.models.into())), status.strategy.name().to_owned()];
        for text in models {
            let taken: usize = spans.iter().map(|span| width(&span.content)).sum();
            if taken + width(&text) <= usize::from(columns) {
                spans.push(Span::styled(format!("{text}  "), theme.style(Tone::Dim)));
            }
        }
    }
    Line::from(spans)
}
