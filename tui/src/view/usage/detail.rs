//! The limits of one, and how its usage went.

use aivonx_protocol::usage::UsageReport;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        frame,
        table::{details, say},
    },
    bars::{called, used_of},
};
use crate::{
    nouns::{
        LimitRow, Noun as _,
        limit::{source, unpriced},
        privacy_name, profile_name,
    },
    render::{
        Table, bar,
        cells::fit,
        text::{NONE, count, dollars, latency, plural, safe, short, span, time, wrap},
    },
    state::{
        Model, Right,
        list::{Load, Rows as _},
        usage::{OpenLimits, Tab},
    },
    theme::Tone,
    widgets::{chart::Chart, grid::Grid},
};

/// Rows of the chart, least and most.
const CHART: (u16, u16) = (7, 14);

/// Draws them.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let Some(whose) = &model.usage.open else { return };
    let limited = whose.target().is_some();
    let chart = match (limited, area.height) {
        (false, height) => height.saturating_sub(3).min(24),
        (true, ..14) => 2.min(area.height),
        (true, height) => (height / 2).saturating_sub(1).clamp(CHART.0, CHART.1),
    };
    let top = Rect { height: area.height.saturating_sub(chart), ..area };
    if limited {
        limits(buffer, top, model, whose);
    } else {
        served(buffer, top, model, whose);
    }
    steps(buffer, Rect { y: top.bottom(), height: chart, ..area }, model);
}

/// What a model or a node served in the time that is shown.
fn served(buffer: &mut Buffer, area: Rect, model: &Model, whose: &OpenLimits) {
    let usage = &model.usage;
    let list = if usage.tab == Tab::Models { &usage.models } else { &usage.nodes };
    let mut facts = Table::pairs();
    if let OpenLimits::One { id, .. } = whose
        && let Some(one) = list.all().iter().find(|one| one.id() == *id)
    {
        let row = &one.row;
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mean = one.mean().map_or_else(|| NONE.to_owned(), |mean| latency(mean as f64));
        let text = format!(
            "{} ({} failed, {} refused), {} tokens in, {} out, {} USD, {mean} each",
            plural(row.requests, "request"),
            count(row.failed),
            count(row.refused),
            short(row.prompt_tokens),
            short(row.output_tokens),
            dollars(row.spend)
        );
        facts.pair(usage.period.now(), text);
    }
    details(buffer, area, model, &whose.called(), &facts);
}

fn limits(buffer: &mut Buffer, area: Rect, model: &Model, whose: &OpenLimits) {
    let usage = &model.usage;
    let theme = model.settings.theme;
    let title = match &usage.limits_of {
        Some(limits) => format!("Limits of {} (profile {}),", called(limits), profile_name(limits.profile)),
        None => format!("Limits of {},", safe(&whose.called())),
    };
    frame::heading(buffer, area, model, &title);
    let known = usage.limits_of.as_ref().zip(usage.unpriced.as_ref());
    let unpriced = known.and_then(|(limits, found)| unpriced(limits, found));
    let room = usize::from(area.width);
    let unpriced = unpriced.map(|text| wrap(&text, "", "", Some(room))).unwrap_or_default();
    // About the chosen one, and what else there is to know.
    let about = u16::try_from(2 + unpriced.lines().count()).unwrap_or(u16::MAX);
    let about = about.min(area.height.saturating_sub(3));
    let rows = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + about), ..area };
    if usage.limits.all().is_empty() {
        let text = match (model.why_not(Right::LimitsRead), &usage.limits.load) {
            (Some(why), _) => format!("You cannot see limits: {why}."),
            (None, Load::Failed(fault)) => format!("No answer about the limits: {fault}"),
            (None, Load::Waiting) => "Asking for the limits".to_owned(),
            (None, Load::Ready(_)) => "It has no limits.".to_owned(),
        };
        return say(buffer, rows, &text);
    }
    let grid = Grid {
        columns: &LimitRow::columns(),
        sorted: Some(usage.limits.order()),
        count: usage.limits.counts().0,
        at: usage.limits.at(),
        filter: usage.limits.filter(),
        theme,
    };
    grid.draw(buffer, rows, |row| match usage.limits.shown(row) {
        Some(one) => (usage.limits.is_marked(one), one.cells(&model.view())),
        None => (false, Vec::new()),
    });
    let mut lines = Vec::new();
    if let Some(row) = usage.limits.chosen() {
        lines.push((sentence(model, row), row.share().map_or(Tone::Plain, bar::tone)));
    }
    lines.extend(unpriced.lines().map(|line| (line.to_owned(), Tone::Warn)));
    if let Some(privacy) = &usage.privacy {
        let words: Vec<&str> = privacy.categories.iter().map(|category| category.name()).collect();
        let from = if privacy.profile.is_some() { ", as the profile has it" } else { "" };
        let mode = privacy_name(privacy.mode);
        let answers = usage.answers.map(|mode| format!(", answers {}", mode.name())).unwrap_or_default();
        lines.push((format!("privacy: {mode}{answers} ({}){from}  v: change", words.join(", ")), Tone::Dim));
    }
    for ((text, tone), y) in lines.iter().zip(rows.bottom()..area.bottom()) {
        buffer.set_stringn(area.x, y, fit(text, room, theme.cut()), room, theme.style(*tone));
    }
}

/// The chosen limit in words.
fn sentence(model: &Model, row: &LimitRow) -> String {
    let limit = &row.limit;
    let text = used_of(row);
    let word = row.share().map_or("", bar::word);
    let word = if word.is_empty() { String::new() } else { format!(", {word}") };
    let anew = limit.resets.filter(|_| limit.limit.is_some()).map_or_else(String::new, |at| {
        format!(", anew in {} ({})", span(at.saturating_sub(model.now)), time(at, &model.zone))
    });
    let of = match row.of() {
        "itself" => String::new(),
        others => format!(" of {others}"),
    };
    format!("{}{of}, from {}: {text}{word}{anew}", limit.name, source(limit.source))
}

/// How its usage went.
fn steps(buffer: &mut Buffer, area: Rect, model: &Model) {
    let usage = &model.usage;
    let (period, measure) = (usage.period, usage.measure);
    let theme = model.settings.theme;
    let offset = model.day_offset();
    let begins = period.steps(model.now, offset);
    let what = format!("{} per {} (UTC)", measure.word(), period.word());
    let Some(report) = &usage.steps else {
        let text = match model.why_not(Right::UsageRead) {
            Some(why) => format!("You cannot see usage: {why}."),
            None => format!("Asking for {what}"),
        };
        buffer.set_stringn(area.x, area.y, text, usize::from(area.width), theme.style(Tone::Dim));
        return;
    };
    let values: Vec<u64> = begins.iter().map(|at| value(report, *at, |row| measure.of(row))).collect();
    let labels: Vec<String> = begins.iter().map(|at| period.label(*at, offset)).collect();
    let sum = values.iter().fold(0_u64, |sum, value| sum.saturating_add(*value));
    let most = values.iter().zip(&labels).max_by_key(|(value, _)| **value);
    let most = most.filter(|(value, _)| **value > 0);
    let most = most.map(|(value, label)| format!(", most {} ({label})", measure.whole(*value)));
    let title = format!(
        "{what}: {} in {}, {} {}{}",
        measure.whole(sum),
        plural(begins.len() as u64, period.word()),
        measure.whole(values.last().copied().unwrap_or(0)),
        period.now(),
        most.unwrap_or_default(),
    );
    let shown = |number| measure.short(number);
    Chart { title: &title, values: &values, labels: &labels, shown: &shown, theme }.draw(buffer, area);
}

fn value(report: &UsageReport, at: u64, of: impl Fn(&aivonx_protocol::usage::UsageRow) -> u64) -> u64 {
    report.rows.iter().filter(|row| row.time == Some(at)).map(of).fold(0, u64::saturating_add)
}
