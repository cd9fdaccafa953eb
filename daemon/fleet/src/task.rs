//! A job that is not about nodes, such as a rotation of keys: how it stands, for those who look on, and whether
//! it is to end. Who carries it out knows what it does; nothing here does.

use aivonx_domain::now;
use aivonx_protocol::job::{Job, JobKind, JobState, JobTarget};
use tokio::sync::watch;

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All of it is done.
    Done,
    /// It was cancelled before it was through.
    Cancelled,
    /// It failed, with the reason.
    Failed(String),
}

/// The state of one such job, shared by the one who carries it out and those who look on.
#[derive(Debug)]
pub struct Task {
    owner: Option<String>,
    steps: watch::Sender<Job>,
    cancelled: watch::Sender<bool>,
}

impl Task {
    /// `owner` is the organization it is for.
    pub(super) fn new(id: String, kind: JobKind, subject: &str, owner: Option<String>) -> Self {
        let job = Job {
            id,
            kind,
            subject: subject.to_owned(),
            state: JobState::Running,
            started: now(),
            ended: None,
            targets: Vec::new(),
            completed: 0,
            total: 0,
        };
        Self { owner, steps: watch::Sender::new(job), cancelled: watch::Sender::new(false) }
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(super) fn is(&self, id: &str) -> bool {
        self.steps.borrow().id == id
    }

    pub(super) fn kind(&self) -> JobKind {
        self.steps.borrow().kind
    }

    pub(super) fn running(&self) -> bool {
        self.steps.borrow().state == JobState::Running
    }

    pub(super) fn view(&self) -> Job {
        self.steps.borrow().clone()
    }

    pub(super) fn follow(&self) -> watch::Receiver<Job> {
        self.steps.subscribe()
    }

    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Whether it is to end: looked at between two steps that are whole in themselves.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Says what it is about, once that is known.
    pub fn subject(&self, subject: &str) {
        self.steps.send_modify(|job| subject.clone_into(&mut job.subject));
    }

    /// Says how far it is: for each part its name, how much is done, and how much there is.
    pub fn progress(&self, parts: &[(&str, u64, u64)]) {
        self.steps.send_modify(|job| {
            job.targets =
                parts.iter().map(|(name, completed, total)| part(name, *completed, *total)).collect();
            job.completed = parts.iter().map(|(_, completed, _)| completed).sum();
            job.total = parts.iter().map(|(_, _, total)| total).sum();
        });
    }

    pub(super) fn end(&self, ended: Ended) {
        self.steps.send_modify(|job| {
            let (state, error) = match ended {
                Ended::Done => (JobState::Done, None),
                Ended::Cancelled => (JobState::Cancelled, None),
                Ended::Failed(why) => (JobState::Failed, Some(why)),
            };
            if error.is_some() && job.targets.iter().all(|target| target.state == JobState::Done) {
                job.targets.push(part(&job.subject, 0, 1));
            }
            if let Some(target) = job.targets.iter_mut().find(|target| target.state == JobState::Running) {
                (target.state, target.error) = (state, error);
            }
            for target in job.targets.iter_mut().filter(|target| target.state == JobState::Running) {
                target.state = if state == JobState::Done { state } else { JobState::Cancelled };
            }
            (job.state, job.ended) = (state, Some(now()));
        });
    }
}

fn part(name: &str, completed: u64, total: u64) -> JobTarget {
    let state = if completed >= total { JobState::Done } else { JobState::Running };
    JobTarget { node: name.to_owned(), state, status: String::new(), completed, total, error: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task::new("j".into(), JobKind::Rotate, "data key 2", None)
    }

    #[test]
    fn parts_add_up_and_end_with_the_job() {
        let task = task();
        task.progress(&[("a", 2, 2), ("b", 1, 3)]);
        let view = task.view();
        assert_eq!((view.completed, view.total, view.state), (3, 5, JobState::Running));
        assert_eq!(
            view.targets.iter().map(|t| t.state).collect::<Vec<_>>(),
            [JobState::Done, JobState::Running]
        );
        task.end(Ended::Done);
        let view = task.view();
        assert!(view.ended.is_some() && view.targets.iter().all(|t| t.state == JobState::Done));
    }

    #[test]
    fn a_failure_says_why_even_if_no_part_is_open() {
        for parts in [&[][..], &[("a", 1, 1)], &[("a", 0, 1), ("b", 0, 1)]] {
            let task = task();
            task.progress(parts);
            task.end(Ended::Failed("disk full".into()));
            let view = task.view();
            let said: Vec<_> = view.targets.iter().filter_map(|t| t.error.as_deref()).collect();
            assert_eq!((said, view.state), (vec!["disk full"], JobState::Failed));
            assert!(view.targets.iter().all(|t| t.state != JobState::Running));
        }
    }

    #[test]
    fn it_hears_that_it_is_to_end() {
        let task = task();
        assert!(!task.is_cancelled());
        task.cancel();
        assert!(task.is_cancelled() && task.running());
        task.end(Ended::Cancelled);
        assert!(!task.running());
    }
}
