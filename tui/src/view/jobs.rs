//! The jobs: what goes on for longer.

use std::borrow::Cow;

use aivonx_protocol::job::{Job, JobKind, JobState};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table};
use crate::{
    model::{Model, Right, list::Record as _},
    render::{
        progress::{kind, state},
        text::{ago, bytes, count, safe, span, time},
    },
    theme::{Theme, Tone},
    widgets::{bar, grid::Cell, text::fit},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let table = Table {
        title: "Jobs (they go on when this console is closed)",
        noun: "the jobs",
        list: &model.jobs.list,
        columns: Cow::Borrowed(Job::COLUMNS),
        right: Right::JobsRead,
        empty: "Nothing goes on, and nothing did since the gateway started.\n\nPulling a model (3, then p), \
                loading it (3, then L) and rotating keys (0) are jobs: they go on when this console is closed.",
        cells: &|job| cells(model, job),
        facts: &|job| facts(model, job),
    };
    let Some(job) = model.jobs.list.chosen().filter(|_| !model.detail && area.height > 4) else {
        return table.draw(buffer, area, model);
    };
    table.draw(buffer, Rect { height: area.height - 1, ..area }, model);
    let (text, tone) = note(job, model);
    let line = fit(&text, usize::from(area.width.saturating_sub(2)), model.settings.theme.cut());
    let style = model.settings.theme.style(tone);
    buffer.set_stringn(area.x + 2, area.bottom() - 1, line, usize::from(area.width), style);
}

/// What the chosen job is at, or how it came out.
fn note(job: &Job, model: &Model) -> (String, Tone) {
    let at = |state| job.targets.iter().find(move |target| target.state == state);
    let text = match job.state {
        JobState::Running => at(JobState::Running)
            .filter(|target| !target.status.is_empty())
            .map_or_else(|| "waiting".to_owned(), |target| format!("{}: {}", target.node, target.status)),
        JobState::Failed => job
            .targets
            .iter()
            .find_map(|target| Some(format!("{}: {}", target.node, target.error.as_deref()?)))
            .unwrap_or_else(|| "failed".to_owned()),
        JobState::Done | JobState::Cancelled => {
            let took = span(job.ended.unwrap_or(model.now).saturating_sub(job.started));
            format!("{} after {took}", state(job.state))
        }
    };
    let tone = if job.state == JobState::Failed { Tone::Bad } else { Tone::Dim };
    (format!("{}: {}", safe(&job.id), safe(&text)), tone)
}

fn tone(state: JobState) -> Tone {
    match state {
        JobState::Running => Tone::Accent,
        JobState::Done => Tone::Good,
        JobState::Failed => Tone::Bad,
        JobState::Cancelled => Tone::Warn,
    }
}

/// How far, in a bar and in words.
pub(super) fn progress(done: u64, total: u64, cells: usize, theme: Theme) -> String {
    // Of nothing nobody knows how much is done.
    bar::told(if total == 0 { f64::NAN } else { bar::share(done, total) }, cells, theme)
}

/// How fast, in a few words; nothing if that is not known.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown with two digits")]
pub(super) fn speed(job: &Job, per_second: Option<f64>) -> String {
    per_second.map_or_else(String::new, |speed| format!("{}/s", amount(job, speed as u64)))
}

pub(super) fn amount(job: &Job, number: u64) -> String {
    match job.kind {
        JobKind::Pull => bytes(number),
        JobKind::Rotate | JobKind::Load | JobKind::Unload => count(number),
    }
}

fn cells(model: &Model, job: &Job) -> Vec<Cell> {
    let theme = model.settings.theme;
    let left = match job.ended {
        Some(ended) => span(ended.saturating_sub(job.started)),
        None => model.jobs.left(job).map_or_else(String::new, span),
    };
    let nodes: Vec<String> = job.targets.iter().map(|target| safe(&target.node)).collect();
    vec![
        Cell::new(ago(job.started, model.now)),
        Cell::new(kind(job.kind)),
        Cell::new(safe(&job.subject)),
        Cell::toned(state(job.state), tone(job.state)),
        Cell::new(progress(job.completed, job.total, 14, theme)),
        Cell::new(amount(job, job.completed)),
        Cell::new(speed(job, model.jobs.speed(job))),
        Cell::new(left),
        Cell::new(nodes.join(", ")),
        Cell::new(safe(&job.id)),
    ]
}

fn facts(model: &Model, job: &Job) -> Vec<crate::widgets::rows::Row> {
    let theme = model.settings.theme;
    let mut facts = Facts::default();
    facts.put("job", format!("{}: {} {}", job.id, kind(job.kind), job.subject));
    facts.toned("state", state(job.state), tone(job.state));
    facts.put("began", format!("{} ({})", time(job.started, &model.zone), ago(job.started, model.now)));
    if let Some(ended) = job.ended {
        facts.put("took", span(ended.saturating_sub(job.started)));
    }
    let of = |done, total| {
        format!("{}  {} of {}", progress(done, total, 20, theme), amount(job, done), amount(job, total))
    };
    let going = |per_second, left: Option<u64>| {
        let speed = speed(job, per_second);
        let left = left.map(|left| format!(", about {} left", span(left))).unwrap_or_default();
        if speed.is_empty() { String::new() } else { format!("  {speed}{left}") }
    };
    let all = of(job.completed, job.total) + &going(model.jobs.speed(job), model.jobs.left(job));
    facts.put("in all", all);
    for target in &job.targets {
        let mut text = format!("{} {}", of(target.completed, target.total), state(target.state));
        text += &going(model.jobs.speed_on(job, target), model.jobs.left_on(job, target));
        if !target.status.is_empty() && target.state == JobState::Running {
            text += &format!(": {}", target.status);
        }
        facts.toned(&safe(&target.node), text, if target.error.is_some() { Tone::Bad } else { Tone::Plain });
        if let Some(error) = &target.error {
            facts.toned("", error.clone(), Tone::Bad);
        }
    }
    if job.state == JobState::Running {
        facts.toned("", "It goes on when this console is closed.", Tone::Dim);
    }
    // The newest first: the older ones are what there may be no room for.
    let mut steps: Vec<_> = model.jobs.steps(&job.id).collect();
    steps.reverse();
    for (nth, (at, text)) in steps.into_iter().enumerate() {
        let clock = time(*at, &model.zone);
        let clock = clock.split_once(' ').map_or(&*clock, |(_, clock)| clock);
        facts.toned(if nth == 0 { "log" } else { "" }, format!("{clock}  {text}"), Tone::Dim);
    }
    facts.all()
}
