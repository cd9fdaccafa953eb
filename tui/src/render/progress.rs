//! A job's progress: one line per node, drawn again on a terminal, else one line per change.

use std::{collections::HashMap, fmt::Write as _};

use aivonx_protocol::job::{Job, JobKind, JobState, JobTarget};

use super::cells::fit;
use super::{
    table::CUT,
    text::{bytes, count, plural, safe},
};

/// Cells of the bar.
const BAR: usize = 20;
/// Without a terminal a line is written at every so many percent.
const STEP: u64 = 10;

/// The word for a state.
#[must_use]
pub fn state(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// The word for what a job does.
#[must_use]
pub fn kind(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Pull => "pull",
        JobKind::Rotate => "rotate",
        JobKind::Load => "load",
        JobKind::Unload => "unload",
        JobKind::Copy => "copy",
        JobKind::Create => "create",
        JobKind::Push => "push",
    }
}

/// How much is done, in whole percent: 100 only when everything is.
fn share(completed: u64, total: u64) -> Option<u64> {
    (total > 0)
        .then(|| u64::try_from(u128::from(completed.min(total)) * 100 / u128::from(total)).unwrap_or(100))
}

/// How much is done: `42%`, or `-` while nobody knows.
#[must_use]
pub fn percent(completed: u64, total: u64) -> String {
    share(completed, total).map_or_else(|| super::text::NONE.to_owned(), |share| format!("{share}%"))
}

/// How much is done: `42% of 4.7 GB`, or `-` while nobody knows.
#[must_use]
pub fn amount(kind: JobKind, completed: u64, total: u64) -> String {
    share(completed, total).map_or_else(
        || super::text::NONE.to_owned(),
        |share| format!("{share}% of {}", quantity(kind, total)),
    )
}

/// So much of what a job of this kind works on.
fn quantity(kind: JobKind, amount: u64) -> String {
    match kind {
        JobKind::Pull | JobKind::Push => bytes(amount),
        JobKind::Rotate => count(amount),
        JobKind::Load | JobKind::Unload | JobKind::Copy | JobKind::Create => plural(amount, "node"),
    }
}

/// What was drawn so far.
pub struct Progress {
    terminal: bool,
    width: usize,
    drawn: usize,
    /// Per node the last line's step and status, so that a log of it stays short.
    said: HashMap<String, (JobState, Option<u64>, String)>,
}

impl Progress {
    /// Nothing drawn yet.
    #[must_use]
    pub fn new(terminal: bool, width: Option<usize>) -> Self {
        Self { terminal, width: width.unwrap_or(80), drawn: 0, said: HashMap::new() }
    }

    /// What to write so that `job` is shown as it is now; may be empty.
    pub fn step(&mut self, job: &Job) -> String {
        if self.terminal { self.redraw(job) } else { self.lines(job) }
    }

    fn redraw(&mut self, job: &Job) -> String {
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\u{1b}[{}A", self.drawn);
        }
        let names = job.targets.iter().map(|target| safe(&target.node).chars().count()).max().unwrap_or(0);
        for target in &job.targets {
            let line = format!("{:names$}  {}", safe(&target.node), describe(job.kind, target, true));
            // One cell stays free: a line that fills the last one wraps on some terminals.
            let _ = writeln!(text, "\r\u{1b}[2K{}", fit(&line, self.width.saturating_sub(1), CUT));
        }
        self.drawn = job.targets.len();
        text
    }

    fn lines(&mut self, job: &Job) -> String {
        let mut text = String::new();
        for target in &job.targets {
            let step = share(target.completed, target.total).map(|share| share / STEP);
            // The status of a download names each blob anew, which is progress as well.
            let now = (target.state, step, target.status.clone());
            let nothing = target.state == JobState::Running && step.is_none() && target.status.is_empty();
            if !nothing && self.said.get(&target.node) != Some(&now) {
                let line = format!("{}  {}", safe(&target.node), describe(job.kind, target, false));
                let _ = writeln!(text, "{}", line.trim_end());
                self.said.insert(target.node.clone(), now);
            }
        }
        text
    }
}

fn describe(kind: JobKind, target: &JobTarget, bar: bool) -> String {
    match target.state {
        JobState::Done if kind.counts_nodes() => "done".to_owned(),
        JobState::Done => format!("done, {}", quantity(kind, target.total.max(target.completed))),
        JobState::Failed => format!("failed: {}", safe(target.error.as_deref().unwrap_or("no reason given"))),
        JobState::Cancelled => "cancelled".to_owned(),
        JobState::Running => {
            // A node that loads is at 0 of 1 until it is through: its words say more.
            let known = share(target.completed, target.total).filter(|_| !kind.counts_nodes());
            let Some(share) = known else {
                return if target.status.is_empty() { "waiting".to_owned() } else { safe(&target.status) };
            };
            let (done, all) = (quantity(kind, target.completed), quantity(kind, target.total));
            let sizes = format!("{share:>3}%  {done} of {all}");
            if bar {
                let full = usize::try_from(share).unwrap_or(0) * BAR / 100;
                format!("[{}{}] {sizes}  {}", "#".repeat(full), "-".repeat(BAR - full), safe(&target.status))
            } else {
                format!("{sizes}  {}", safe(&target.status))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn job(completed: u64) -> Job {
        let mut job = samples::jobs().remove(0);
        job.targets[0].completed = completed;
        job
    }

    #[test]
    fn a_terminal_is_redrawn_in_place() {
        let mut progress = Progress::new(true, Some(60));
        let text = progress.step(&job(0)) + &progress.step(&job(2_000_000_000));
        insta::assert_snapshot!(text.replace('\u{1b}', "^[").replace('\r', "^M"));
    }

    #[test]
    fn a_pipe_gets_a_line_per_tenth() {
        let mut progress = Progress::new(false, None);
        let text: String = (0..=100).map(|part| progress.step(&job(part * 46_612_246))).collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_node_that_has_not_answered_yet() {
        let mut job = job(0);
        (job.targets[0].status, job.targets[0].total) = (String::new(), 0);
        job.targets.truncate(1);
        assert_eq!(Progress::new(false, None).step(&job), "");
        assert!(Progress::new(true, None).step(&job).contains("gpu1  waiting"));
    }

    #[test]
    fn percentages() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(999, 1000), "99%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100%");
        assert_eq!(percent(2, 1), "100%");
    }
}
