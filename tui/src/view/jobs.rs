//! The jobs: what goes on for longer.

use std::borrow::Cow;

use aivonx_protocol::job::{Job, JobKind, JobState};
use ratatui::{buffer::Buffer, layout::Rect};

use super::table::{Facts, Table};
use crate::{
    model::{
        Model, Right,
        jobs::{kind, state},
        list::Record as _,
    },
    render::text::{ago, bytes, count, safe, span, time},
    theme::{Theme, Tone},
    widgets::{grid::Cell, spark},
};

/// Draws the screen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model) {
    let table = Table {
        title: "Jobs",
        noun: "the jobs",
        list: &model.jobs.list,
        columns: Cow::Borrowed(Job::COLUMNS),
        right: Right::JobsRead,
        empty: "Nothing goes on, and nothing did since the gateway started.\n\nPulling a model (3, then p) and \
                rotating keys (0) are jobs: they go on when this console is closed.",
        cells: &|job| cells(model, job),
        facts: &|job| facts(model, job),
    };
    table.draw(buffer, area, model);
}

fn tone(state: JobState) -> Tone {
    match state {
        JobState::Running => Tone::Accent,
        JobState::Done => Tone::Good,
        JobState::Failed => Tone::Bad,
        JobState::Cancelled => Tone::Warn,
    }
}

/// How far, in a bar and a number.
fn progress(done: u64, total: u64, cells: usize, theme: Theme) -> String {
    let percent = if total == 0 { 0 } else { u128::from(done.min(total)) * 100 / u128::from(total) };
    format!("{} {percent:>3}%", spark::bar(done, total, cells, theme))
}

fn amount(job: &Job, number: u64) -> String {
    match job.kind {
        JobKind::Pull => bytes(number),
        JobKind::Rotate | JobKind::Load | JobKind::Unload => count(number),
    }
}

fn cells(model: &Model, job: &Job) -> Vec<Cell> {
    let theme = model.settings.theme;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown with two digits")]
    let speed =
        model.jobs.speed(job).map_or_else(String::new, |speed| format!("{}/s", amount(job, speed as u64)));
    let took = model.jobs.left(job).map_or_else(String::new, span);
    vec![
        Cell::new(ago(job.started, model.now)),
        Cell::new(safe(&job.id)),
        Cell::new(kind(job)),
        Cell::new(safe(&job.subject)),
        Cell::toned(state(job.state), tone(job.state)),
        Cell::new(progress(job.completed, job.total, 11, theme)),
        Cell::new(amount(job, job.completed)),
        Cell::new(speed),
        Cell::new(took),
    ]
}

fn facts(model: &Model, job: &Job) -> Vec<crate::widgets::rows::Row> {
    let theme = model.settings.theme;
    let mut facts = Facts::default();
    facts.put("job", format!("{}: {} {}", job.id, kind(job), job.subject));
    facts.toned("state", state(job.state), tone(job.state));
    facts.put("began", format!("{} ({})", time(job.started, &model.zone), ago(job.started, model.now)));
    if let Some(ended) = job.ended {
        facts.put("took", span(ended.saturating_sub(job.started)));
    } else if let Some(left) = model.jobs.left(job) {
        facts.put("left", format!("about {}", span(left)));
    }
    let of = |done, total| {
        format!("{}  {} of {}", progress(done, total, 20, theme), amount(job, done), amount(job, total))
    };
    facts.put("in all", of(job.completed, job.total));
    for target in &job.targets {
        let mut text = format!("{} {}", of(target.completed, target.total), state(target.state));
        if !target.status.is_empty() && target.state == JobState::Running {
            text += &format!(": {}", target.status);
        }
        facts.toned(&safe(&target.node), text, if target.error.is_some() { Tone::Bad } else { Tone::Plain });
        if let Some(error) = &target.error {
            facts.toned("", error.clone(), Tone::Bad);
        }
    }
    facts.all()
}
