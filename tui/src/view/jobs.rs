//! The jobs: what goes on for longer.

use aivonx_protocol::job::{Job, JobKind, JobState};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::Pane;
use crate::{
    nouns::{Noun as _, job::done},
    render::{
        Cell, Column, Table,
        cells::fit,
        progress::state,
        text::{bytes, count, safe, span, time},
    },
    state::{Model, Right},
    theme::Tone,
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let pane = Pane {
        columns: columns(),
        more: &|job: &Job| more(model, job),
        facts: &|job: &Job, table| facts(model, job, table),
        ..Pane::new(
            "Jobs (they go on when this console is closed)",
            "the jobs",
            &model.jobs.list,
            Right::JobsRead,
            "Nothing goes on, and nothing did since the gateway started.\n\nPulling a model (3, then p), loading it \
             (3, then L) and rotating keys (0) are jobs: they go on when this console is closed.",
        )
    };
    let Some(job) = model.jobs.list.chosen().filter(|_| !model.detail && area.height > 4) else {
        return pane.draw(buffer, area, model);
    };
    pane.draw(buffer, Rect { height: area.height - 1, ..area }, model);
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

/// The noun's columns, and how it goes.
pub(super) fn columns() -> Vec<Column> {
    let mut columns = Job::columns();
    columns.extend([
        Column::number("LEFT").cells(8).optional(3),
        Column::number("SPEED").cells(9).optional(4),
        Column::number("SO FAR").cells(8).optional(7),
    ]);
    columns
}

fn more(model: &Model, job: &Job) -> Vec<Cell> {
    let left = model.jobs.left(job).map_or_else(String::new, span);
    [left, speed(job, model.jobs.speed(job)), amount(job, job.completed)].map(Cell::new).into()
}

/// How fast, in a few words; nothing if that is not known.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown with two digits")]
pub(super) fn speed(job: &Job, per_second: Option<f64>) -> String {
    per_second.map_or_else(String::new, |speed| format!("{}/s", amount(job, speed as u64)))
}

pub(super) fn amount(job: &Job, number: u64) -> String {
    match job.kind {
        JobKind::Pull | JobKind::Push => bytes(number),
        JobKind::Rotate | JobKind::Load | JobKind::Unload | JobKind::Copy | JobKind::Create => count(number),
    }
}

fn facts(model: &Model, job: &Job, table: &mut Table) {
    let view = model.view();
    let of = |completed, total| {
        let bar = done(completed, total, 20, &view);
        format!("{bar}  {} of {}", amount(job, completed), amount(job, total))
    };
    let going = |per_second, left: Option<u64>| {
        let speed = speed(job, per_second);
        let left = left.map(|left| format!(", about {} left", span(left))).unwrap_or_default();
        if speed.is_empty() { String::new() } else { format!("  {speed}{left}") }
    };
    let all = of(job.completed, job.total) + &going(model.jobs.speed(job), model.jobs.left(job));
    table.pair("in all", all);
    for target in &job.targets {
        let mut text = format!("{} {}", of(target.completed, target.total), state(target.state));
        text += &going(model.jobs.speed_on(job, target), model.jobs.left_on(job, target));
        if !target.status.is_empty() && target.state == JobState::Running {
            text += &format!(": {}", target.status);
        }
        let tone = if target.error.is_some() { Tone::Bad } else { Tone::Plain };
        table.pair(&target.node, Cell::toned(text, tone));
        if let Some(error) = &target.error {
            table.lines("", error, Tone::Bad);
        }
    }
    if job.state == JobState::Running {
        table.pair("", Cell::toned("It goes on when this console is closed.", Tone::Dim));
    }
    // The newest first: the older ones are what there may be no room for.
    let mut steps: Vec<_> = model.jobs.steps(&job.id).collect();
    steps.reverse();
    for (nth, (at, text)) in steps.into_iter().enumerate() {
        let clock = time(*at, &model.zone);
        let clock = clock.split_once(' ').map_or(&*clock, |(_, clock)| clock);
        table.pair(if nth == 0 { "log" } else { "" }, Cell::toned(format!("{clock}  {text}"), Tone::Dim));
    }
}
