//! The state of one job on nodes (a pull, loading, unloading), shared by those who carry it out and those who look
//! on.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aivonx_domain::now;
use aivonx_protocol::{
    UnixMillis,
    job::{Job, JobKind, JobState, JobTarget},
};
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{broadcast, watch};

use super::{
    contact::Contact,
    merge::{Cursor, Line, Merge},
};

/// Lines kept for slow readers before they have to start again from how it stands.
const LINES: usize = 1024;

/// What is done on every node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Deed {
    /// The model is downloaded.
    Pull {
        /// Whether from a registry without TLS.
        insecure: bool,
    },
    /// It is loaded into memory.
    Load {
        /// How long it stays, as the API writes it; None is the node's own habit.
        keep_alive: Option<serde_json::Value>,
    },
    /// It is taken out of memory.
    Unload,
    /// It is copied.
    Copy {
        /// Under this name.
        destination: String,
    },
    /// It is made.
    Create {
        /// The body of the request to a node.
        definition: Bytes,
    },
    /// It is sent to its registry.
    Push {
        /// Whether to one without TLS.
        insecure: bool,
    },
}

impl Deed {
    pub(super) fn kind(&self) -> JobKind {
        match self {
            Self::Pull { .. } => JobKind::Pull,
            Self::Load { .. } => JobKind::Load,
            Self::Unload => JobKind::Unload,
            Self::Copy { .. } => JobKind::Copy,
            Self::Create { .. } => JobKind::Create,
            Self::Push { .. } => JobKind::Push,
        }
    }

    /// For the log.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "pull",
            Self::Load { .. } => "load",
            Self::Unload => "unload",
            Self::Copy { .. } => "copy",
            Self::Create { .. } => "creation",
            Self::Push { .. } => "push",
        }
    }
}

#[derive(Debug)]
pub(super) struct OnNodes {
    id: String,
    model: String,
    key: String,
    deed: Deed,
    owner: Option<String>,
    started: UnixMillis,
    targets: Vec<Contact>,
    before: Vec<HeaderValue>,
    progress: Mutex<Progress>,
    steps: watch::Sender<Job>,
    cancelled: watch::Sender<bool>,
}

#[derive(Debug)]
struct Progress {
    merge: Merge,
    /// What was sent to `news`.
    told: Cursor,
    /// None once ended, which ends those who listen.
    news: Option<broadcast::Sender<Bytes>>,
    ended: Option<UnixMillis>,
}

/// What a reader needs: the lines that say how it stands, and those to come; the last one is [`OnNodes::last`].
pub(super) struct Feed {
    pub(super) so_far: Vec<Bytes>,
    pub(super) news: Option<broadcast::Receiver<Bytes>>,
}

impl OnNodes {
    /// `key` is the model's normal name, `owner` the organization it is for; `before` are the values of `Via` of the
    /// request that began it.
    pub(super) fn new(
        id: String,
        model: &str,
        key: String,
        deed: Deed,
        owner: Option<String>,
        targets: Vec<Contact>,
        before: Vec<HeaderValue>,
    ) -> Self {
        let progress = Progress {
            merge: Merge::new(targets.len()),
            told: Cursor::default(),
            news: Some(broadcast::channel(LINES).0),
            ended: None,
        };
        let started = now();
        let view = view(&id, &deed, model, started, &targets, &progress);
        Self {
            id,
            model: model.to_owned(),
            key,
            deed,
            owner,
            started,
            targets,
            before,
            steps: watch::Sender::new(view),
            cancelled: watch::Sender::new(false),
            progress: Mutex::new(progress),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn deed(&self) -> &Deed {
        &self.deed
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(super) fn targets(&self) -> &[Contact] {
        &self.targets
    }

    pub(super) fn before(&self) -> &[HeaderValue] {
        &self.before
    }

    /// Whether it does the same with this model on exactly these nodes, for the same organization.
    pub(super) fn is_same(&self, key: &str, deed: &Deed, owner: Option<&str>, targets: &[Contact]) -> bool {
        let ids = |nodes: &[Contact]| nodes.iter().map(|node| node.id.clone()).collect::<HashSet<_>>();
        self.key == key && self.deed == *deed && self.owner() == owner && ids(&self.targets) == ids(targets)
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

    pub(super) async fn until_cancelled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    /// Takes in a line that target `at` sent.
    pub(super) fn take(&self, at: usize, line: Line) {
        self.step(|merge| merge.take(at, line));
    }

    /// Target `at` is through.
    pub(super) fn end(&self, at: usize, state: JobState, error: Option<String>) {
        self.step(|merge| merge.end(at, state, error));
    }

    /// Why it failed.
    pub(super) fn error(&self) -> String {
        self.lock().merge.error(Some(&self.names()))
    }

    /// The last line, once it has ended; nodes are named in it if the reader may `see_nodes`.
    pub(super) fn last(&self, see_nodes: bool) -> Bytes {
        let merge = &self.lock().merge;
        match merge.state() {
            JobState::Done => Line::success(),
            _ => Line::failure(merge.error(see_nodes.then(|| self.names()).as_deref())),
        }
    }

    /// The progress so far in lines, and the lines to come; nothing is lost or sent twice in between.
    pub(super) fn feed(&self) -> Feed {
        let progress = self.lock();
        let so_far = progress.merge.news(&mut Cursor::default());
        Feed { so_far, news: progress.news.as_ref().map(broadcast::Sender::subscribe) }
    }

    fn names(&self) -> Vec<&str> {
        self.targets.iter().map(|node| node.name.as_str()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, step: impl FnOnce(&mut Merge)) {
        let mut progress = self.lock();
        let progress = &mut *progress;
        step(&mut progress.merge);
        let lines = progress.merge.news(&mut progress.told);
        let state = progress.merge.state();
        let ends = state != JobState::Running && progress.ended.is_none();
        if ends {
            progress.ended = Some(now());
        }
        if let Some(news) = &progress.news {
            for line in lines {
                // Nobody listening is fine.
                let _ = news.send(line);
            }
        }
        if ends {
            progress.news = None;
        }
        self.steps.send_replace(view(
            &self.id,
            &self.deed,
            &self.model,
            self.started,
            &self.targets,
            progress,
        ));
    }
}

fn view(
    id: &str,
    deed: &Deed,
    model: &str,
    started: UnixMillis,
    targets: &[Contact],
    progress: &Progress,
) -> Job {
    let merge = &progress.merge;
    let downloads = matches!(deed, Deed::Pull { .. } | Deed::Push { .. });
    let target = |(at, node): (usize, &Contact)| {
        let on = &merge.nodes()[at];
        // No API reports how much of a model is in memory by now.
        let whole = (u64::from(on.state == JobState::Done), 1);
        let (completed, total) = if downloads { merge.bytes_on(at) } else { whole };
        JobTarget {
            node: node.name.clone(),
            state: on.state,
            status: on.status.clone(),
            completed,
            total,
            error: on.error.clone(),
        }
    };
    let targets: Vec<JobTarget> = targets.iter().enumerate().map(target).collect();
    let sum = |of: fn(&JobTarget) -> u64| targets.iter().map(of).sum();
    let (completed, total) = if downloads { merge.bytes() } else { (sum(|t| t.completed), sum(|t| t.total)) };
    Job {
        id: id.to_owned(),
        kind: deed.kind(),
        subject: model.to_owned(),
        state: merge.state(),
        started,
        ended: progress.ended,
        targets,
        completed,
        total,
    }
}
