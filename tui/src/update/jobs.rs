//! What can be done with jobs.

use aivonx_protocol::{
    Request,
    job::{self, JobKind, JobState},
};

use super::dialogs;
use crate::{
    keymap::Do,
    msg::Effect,
    state::{Model, Screen, Topic, calls::Act},
};

/// Follows the job whose details are shown, while it runs.
pub(super) fn attend(model: &mut Model, out: &mut Vec<Effect>) {
    let chosen = model.jobs.list.chosen().filter(|job| job.state == JobState::Running);
    let wanted = chosen
        .filter(|_| model.screen == Screen::Jobs && model.detail && model.is_up())
        .map(|job| job.id.clone());
    if model.jobs.feed.as_ref().map(|(_, id)| id) == wanted.as_ref() {
        return;
    }
    if let Some((ticket, _)) = model.jobs.feed.take() {
        out.push(Effect::Drop(ticket));
    }
    if let Some(job) = wanted {
        let ticket = model.calls.ticket();
        model.jobs.feed = Some((ticket, job.clone()));
        out.push(Effect::Follow { ticket, request: Request::from(job::Follow { job }) });
    }
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    if does != Do::Remove {
        return;
    }
    let jobs: Vec<_> = model.jobs.list.targets().into_iter().cloned().collect();
    let running: Vec<_> = jobs.into_iter().filter(|job| job.state == JobState::Running).collect();
    let title = match &*running {
        [] => return model.warn("it is not running any more"),
        [job] => format!("Cancel job {}: {}?", job.id, job.subject),
        jobs => format!("Cancel {} jobs?", jobs.len()),
    };
    let consequence = match running.first().map(|job| job.kind) {
        Some(kind) if kind.counts_nodes() => "A node that has begun may still finish it.",
        Some(JobKind::Rotate) => "What was encrypted anew stays so; a later rotation finishes the rest.",
        _ => "What the nodes have loaded of it they may keep; a later pull goes on from there.",
    };
    let requests = running
        .iter()
        .map(|job| {
            let act = Act {
                doing: format!("Cancelling job {}", job.id),
                done: format!("job {} is cancelled", job.id),
                reload: vec![Topic::Jobs],
            };
            (Request::from(job::Cancel { job: job.id.clone() }), act)
        })
        .collect();
    dialogs::confirm(model, title, vec![consequence.into()], "Cancel it", None, requests);
}
