//! The jobs as the console knows them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
};

use aivonx_protocol::{
    UnixMillis,
    job::{Job, JobKind, JobState, JobTarget},
};

use super::list::List;
use crate::{msg::Ticket, render::progress::state};

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    /// All jobs.
    pub(crate) list: List<Job>,
    /// How far each was when, and how fast it goes, in bytes (or secrets) a second; by its id, and by its id and a
    /// part of it.
    speeds: BTreeMap<String, (UnixMillis, u64, Option<f64>)>,
    /// What was said of each, and when, the oldest first.
    steps: BTreeMap<String, VecDeque<(UnixMillis, String)>>,
    /// The one that is followed, and under which number.
    pub(crate) feed: Option<(Ticket, String)>,
}

/// Steps kept of one job.
const STEPS: usize = 64;

fn part(job: &str, name: &str) -> String {
    format!("{job}/{name}")
}

impl Jobs {
    /// These are all jobs, as of now.
    pub(crate) fn set(&mut self, jobs: Vec<Job>, now: UnixMillis) {
        let known = |id: &str| jobs.iter().any(|job| job.id == id);
        self.speeds.retain(|key, _| known(key.split_once('/').map_or(&**key, |(id, _)| id)));
        self.steps.retain(|id, _| known(id));
        jobs.iter().for_each(|job| self.note(job, now));
        self.list.set(jobs, now);
    }

    /// One is new, or has gone on.
    pub(crate) fn put(&mut self, job: Job, now: UnixMillis) {
        self.note(&job, now);
        self.list.put(job, now);
    }

    /// Notes how far a job is, and what is said of it.
    fn note(&mut self, job: &Job, now: UnixMillis) {
        gauge(&mut self.speeds, job.id.clone(), job.completed, now);
        let before = self.list.all().iter().find(|known| known.id == job.id);
        // What was over before it was first seen was not said just now.
        let at = if before.is_none() { job.ended.unwrap_or(now) } else { now };
        let mut said = Vec::new();
        for target in &job.targets {
            gauge(&mut self.speeds, part(&job.id, &target.node), target.completed, now);
            let known = before.and_then(|job| job.targets.iter().find(|known| known.node == target.node));
            let same =
                known.is_some_and(|known| known.state == target.state && known.status == target.status);
            if same {
                continue;
            }
            let text = match (target.state, target.error.as_deref()) {
                (JobState::Running, _) => target.status.clone(),
                (_, Some(why)) => format!("{}: {why}", state(target.state)),
                (ended, None) => state(ended).to_owned(),
            };
            if !text.is_empty() {
                said.push(format!("{}: {text}", target.node));
            }
        }
        let steps = self.steps.entry(job.id.clone()).or_default();
        for text in said {
            if steps.len() == STEPS {
                steps.pop_front();
            }
            steps.push_back((at, text));
        }
    }

    /// What was said of a job, and when, the oldest first.
    pub(crate) fn steps(&self, id: &str) -> impl Iterator<Item = &(UnixMillis, String)> {
        self.steps.get(id).into_iter().flatten()
    }

    /// How fast a running job goes, a second.
    pub(crate) fn speed(&self, job: &Job) -> Option<f64> {
        self.speed_of(job, &job.id, job.state)
    }

    /// How fast one part of it goes.
    pub(crate) fn speed_on(&self, job: &Job, target: &JobTarget) -> Option<f64> {
        self.speed_of(job, &part(&job.id, &target.node), target.state)
    }

    fn speed_of(&self, job: &Job, key: &str, state: JobState) -> Option<f64> {
        // A node loads a model in one piece.
        let known = state == JobState::Running && matches!(job.kind, JobKind::Pull | JobKind::Rotate);
        self.speeds.get(key).and_then(|(_, _, speed)| *speed).filter(|_| known)
    }

    /// How long it still takes, milliseconds, if it goes on like this.
    pub(crate) fn left(&self, job: &Job) -> Option<u64> {
        left(self.speed(job)?, job.completed, job.total)
    }

    /// The same for one part of it.
    pub(crate) fn left_on(&self, job: &Job, target: &JobTarget) -> Option<u64> {
        left(self.speed_on(job, target)?, target.completed, target.total)
    }

    /// The jobs at work on this model.
    pub(crate) fn on_model<'a>(&'a self, model: &'a str) -> impl Iterator<Item = &'a Job> {
        let model = tagged(model);
        self.at_work().filter(move |job| tagged(&job.subject) == model)
    }

    /// The jobs at work on models.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = &Job> {
        let running = self.list.all().iter().filter(|job| job.state == JobState::Running);
        running.filter(|job| job.kind != JobKind::Rotate)
    }

    /// Whether any is at work.
    pub(crate) fn running(&self) -> bool {
        self.list.all().iter().any(|job| job.state == JobState::Running)
    }
}

/// A model's name with its tag.
fn tagged(name: &str) -> Cow<'_, str> {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.into() } else { format!("{name}:latest").into() }
}

fn gauge(
    speeds: &mut BTreeMap<String, (UnixMillis, u64, Option<f64>)>,
    key: String,
    completed: u64,
    now: UnixMillis,
) {
    let speed = match speeds.get(&key).copied() {
        // Steps may come faster than the clock shows.
        Some((at, _, _)) if now <= at => return,
        Some((at, done, before)) => {
            #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
            let speed = completed.saturating_sub(done) as f64 * 1000.0 / (now - at) as f64;
            // Half of what it was: a node reports in bursts.
            Some(before.map_or(speed, |before| before.midpoint(speed)))
        }
        None => None,
    };
    speeds.insert(key, (now, completed, speed));
}

fn left(speed: f64, completed: u64, total: u64) -> Option<u64> {
    if speed < 1.0 || total == 0 {
        return None;
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    let left = (total.checked_sub(completed)? as f64 * 1000.0 / speed) as u64;
    Some(left)
}
