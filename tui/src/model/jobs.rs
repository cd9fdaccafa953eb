//! The jobs as the console knows them.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use aivonx_protocol::{
    UnixMillis,
    job::{Job, JobKind, JobState},
};

use super::list::{Column, List, Record, Width};
use crate::filter::Subject;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// All jobs.
    pub(crate) list: List<Job>,
    /// How far each was when, and how fast it goes, in bytes (or secrets) a second.
    speeds: BTreeMap<String, (UnixMillis, u64, Option<f64>)>,
}

impl Jobs {
    /// Notes how far the jobs are.
    pub(crate) fn note(&mut self, jobs: &[Job], now: UnixMillis) {
        self.speeds.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        for job in jobs {
            let known = self.speeds.get(&job.id).copied();
            let speed = match known {
                Some((at, done, before)) if now > at => {
                    #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
                    let speed = job.completed.saturating_sub(done) as f64 * 1000.0 / (now - at) as f64;
                    // Half of what it was: a node reports in bursts.
                    Some(before.map_or(speed, |before| before.midpoint(speed)))
                }
                Some((_, _, before)) => before,
                None => None,
            };
            self.speeds.insert(job.id.clone(), (now, job.completed, speed));
        }
    }

    /// How fast a running job goes, a second.
    pub(crate) fn speed(&self, job: &Job) -> Option<f64> {
        if job.state != JobState::Running {
            return None;
        }
        self.speeds.get(&job.id).and_then(|(_, _, speed)| *speed)
    }

    /// How long it still takes, milliseconds, if it goes on like this.
    pub(crate) fn left(&self, job: &Job) -> Option<u64> {
        let speed = self.speed(job).filter(|speed| *speed >= 1.0)?;
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let left = (job.total.checked_sub(job.completed)? as f64 * 1000.0 / speed) as u64;
        (job.total > 0).then_some(left)
    }

    /// Whether any is at work.
    pub(crate) fn running(&self) -> bool {
        self.list.all().iter().any(|job| job.state == JobState::Running)
    }
}

/// What it does, in a word.
pub(crate) fn kind(job: &Job) -> &'static str {
    match job.kind {
        JobKind::Pull => "pull",
        JobKind::Rotate => "rotate",
        JobKind::Load => "load",
        JobKind::Unload => "unload",
    }
}

/// Where it stands, in a word.
pub(crate) fn state(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

impl Subject for Job {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "job" | "id" => self.id.clone(),
            "kind" => kind(self).to_owned(),
            "state" => state(self.state).to_owned(),
            "model" | "subject" => self.subject.clone(),
            "node" => self.targets.iter().map(|target| &*target.node).collect::<Vec<_>>().join(" "),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.id)
            || test(&self.subject)
            || test(kind(self))
            || test(state(self.state))
            || self.targets.iter().any(|target| test(&target.node))
    }
}

impl Record for Job {
    const COLUMNS: &'static [Column] = &[
        Column::new("STARTED", Width::Fixed(10), 3),
        Column::new("JOB", Width::Fixed(5), 4),
        Column::new("WHAT", Width::Fixed(6), 5),
        Column::new("OF", Width::Fill(16), 0),
        Column::new("STATE", Width::Fixed(9), 0),
        Column::new("PROGRESS", Width::Fixed(16), 0),
        Column::number("DONE", 8, 2),
        Column::number("SPEED", 9, 6),
        Column::number("LEFT", 7, 1),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        &self.id
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        match column {
            1 => self.id.cmp(&other.id),
            2 => kind(self).cmp(kind(other)),
            3 => self.subject.cmp(&other.subject),
            4 => state(self.state).cmp(state(other.state)),
            5 | 6 => self.completed.cmp(&other.completed),
            // The newest first.
            _ => other.started.cmp(&self.started),
        }
    }
}
