//! Jobs.
//!
//! ## job
//! | field | meaning |
//! |---|---|
//! | `id` | id, never reused |
//! | `kind` | `pull`, `rotate`, `load` or `unload` |
//! | `subject` | the model; of a rotation, the new data key |
//! | `state` | `running`, `done`, `failed` or `cancelled` |
//! | `started`, `ended` | times; `ended` is null while it runs |
//! | `targets` | array of targets |
//! | `completed`, `total` | bytes (of a rotation: secrets; of loading: nodes) done and in all, as far as known |
//!
//! ## target
//! | field | meaning |
//! |---|---|
//! | `node` | name of the node; of a rotation, the kind of secret |
//! | `state` | as of a job |
//! | `status` | the node's own last status line |
//! | `completed`, `total` | bytes (of a rotation: secrets; of loading: 1 for the node) done and in all there, as far as known |
//! | `error` | why it failed there, or null |

use std::borrow::Cow;

use aivonx_protocol::job::{Job, JobState};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone, bar,
        progress::{self, kind},
        text::span,
    },
};

/// Cells of a bar with its share.
const BAR: usize = 14;

/// Its state in a word.
pub(crate) fn state(state: JobState) -> Cell {
    Cell::toned(
        progress::state(state),
        match state {
            JobState::Running => Tone::Accent,
            JobState::Done => Tone::Good,
            JobState::Failed => Tone::Bad,
            JobState::Cancelled => Tone::Warn,
        },
    )
}

/// The part of it that is done; NaN while nobody knows how much there is to do.
fn share(completed: u64, total: u64) -> f64 {
    if total == 0 { f64::NAN } else { bar::share(completed, total) }
}

/// How much is done: in percent, and in the console as a bar of so many cells.
pub(crate) fn done(completed: u64, total: u64, cells: usize, view: &View<'_>) -> String {
    match view.theme {
        Some(theme) => bar::told(share(completed, total), cells, theme),
        None => progress::percent(completed, total),
    }
}

fn nodes(job: &Job) -> String {
    job.targets.iter().map(|target| &*target.node).collect::<Vec<_>>().join(", ")
}

impl Noun for Job {
    // The newest come first.
    const FIRST: usize = 5;

    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("ID").cells(5), |job, _| (&job.id).into())
            .sorted(|a, b| a.id.cmp(&b.id)),
        Field::<Self>::new(Column::text("KIND").cells(6).optional(2), |job, _| kind(job.kind).into())
            .sorted(|a, b| kind(a.kind).cmp(kind(b.kind))),
        Field::<Self>::new(Column::text("SUBJECT").cut(12), |job, _| (&job.subject).into())
            .sorted(|a, b| a.subject.cmp(&b.subject)),
        Field::<Self>::new(Column::text("STATE").cells(9), |job, _| state(job.state))
            .sorted(|a, b| progress::state(a.state).cmp(progress::state(b.state))),
        Field::<Self>::new(Column::number("DONE").cells(BAR as u16), |job, view| {
            done(job.completed, job.total, BAR, view).into()
        })
        .sorted(|a, b| {
            let done = |job: &Job| share(job.completed, job.total).max(0.0);
            done(a).total_cmp(&done(b))
        }),
        Field::<Self>::new(Column::number("STARTED").cells(11).optional(1), |job, view| {
            view.ago(Some(job.started))
        })
        .sorted(|a, b| b.started.cmp(&a.started)),
        Field::<Self>::new(Column::number("TOOK").cells(8).optional(1), |job, view| {
            span(job.ended.unwrap_or(view.now).saturating_sub(job.started)).into()
        }),
        Field::<Self>::new(Column::text("NODES").cut(8).optional(5), |job, _| nodes(job).into())
            .sorted(|a, b| a.targets.len().cmp(&b.targets.len())),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.id
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("id", &self.id);
        table.pair(kind(self.kind), &self.subject);
        table.pair("state", state(self.state));
        table.pair("done", progress::amount(self.kind, self.completed, self.total));
        table.pair("started", view.time(self.started));
        if let Some(ended) = self.ended {
            table.pair("ended", view.time(ended));
        }
        table.pair("took", span(self.ended.unwrap_or(view.now).saturating_sub(self.started)));
        table
    }
}

impl Subject for Job {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "job" | "id" => self.id.clone(),
            "kind" => kind(self.kind).to_owned(),
            "state" => progress::state(self.state).to_owned(),
            "model" | "subject" => self.subject.clone(),
            "node" => self.targets.iter().map(|target| &*target.node).collect::<Vec<_>>().join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.id)
            || test(&self.subject)
            || test(kind(self.kind))
            || test(progress::state(self.state))
            || self.targets.iter().any(|target| test(&target.node))
    }
}
