//! Jobs: pulls and loading of models, and long operations of other parts, that go on when the one who began them
//! leaves.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_domain::TenantScope;
use aivonx_domain::{model_name, now};
use aivonx_protocol::{
    Untrusted,
    job::{Job, JobKind, JobState},
    node::{AdminState, NodeKind},
};
use bytes::Bytes;
use http::HeaderValue;
use tokio::{
    runtime::Handle,
    sync::{broadcast::error::RecvError, mpsc, watch},
};

use super::{
    blobs::{Digest, Kind},
    contact::Contact,
    error::FleetError,
    health::Checker,
    job_run,
    job_state::{Deed, Feed, OnNodes},
    node_scope::NodeScope,
    record::check_model_name,
    task::{Ended, Task},
};

/// Finished jobs kept, of each organization and of the fleet itself: nobody pushes out what is another's.
const KEPT: usize = 100;

/// Jobs on nodes at work at once.
pub(super) const AT_ONCE: usize = 64;

/// Of them, those for one organization.
pub(super) const AT_ONCE_FOR_ONE: usize = 16;

/// Uploaded files of one organization of which it is remembered what they are.
const FILES: usize = 4096;

/// Lines a reader may be behind before it waits in its own task.
const READER: usize = 64;

/// The jobs of this daemon's life.
#[derive(Debug)]
pub struct Jobs {
    checker: Arc<Checker>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    jobs: VecDeque<Entry>,
    last_id: u64,
    stopping: bool,
    /// The id of the node that an organization, or the fleet itself, uploaded to last.
    uploads: HashMap<Option<String>, String>,
    /// What the files are that an organization, or the fleet itself, uploaded.
    kinds: HashMap<Option<String>, HashMap<Digest, Kind>>,
}

/// One job of either kind.
#[derive(Debug, Clone)]
enum Entry {
    OnNodes(Arc<OnNodes>),
    Task(Arc<Task>),
}

impl Entry {
    fn is(&self, id: &str) -> bool {
        match self {
            Self::OnNodes(job) => job.id() == id,
            Self::Task(job) => job.is(id),
        }
    }

    /// The organization it is for.
    fn owner(&self) -> Option<&str> {
        match self {
            Self::OnNodes(job) => job.owner(),
            Self::Task(job) => job.owner(),
        }
    }

    fn running(&self) -> bool {
        match self {
            Self::OnNodes(job) => job.running(),
            Self::Task(job) => job.running(),
        }
    }

    fn view(&self) -> Job {
        match self {
            Self::OnNodes(job) => job.view(),
            Self::Task(job) => job.view(),
        }
    }

    fn follow(&self) -> watch::Receiver<Job> {
        match self {
            Self::OnNodes(job) => job.follow(),
            Self::Task(job) => job.follow(),
        }
    }

    fn cancel(&self) {
        match self {
            Self::OnNodes(job) => job.cancel(),
            Self::Task(job) => job.cancel(),
        }
    }

    fn on_nodes(&self) -> Option<&Arc<OnNodes>> {
        match self {
            Self::OnNodes(job) => Some(job),
            Self::Task(_) => None,
        }
    }
}

impl State {
    /// Time makes ids that no earlier life of the daemon gave out; the step keeps them apart within one.
    fn new_id(&mut self) -> String {
        self.last_id = now().max(self.last_id + 1);
        base36(self.last_id)
    }

    /// Takes a job in, and forgets the oldest of those that ended long ago.
    fn keep(&mut self, job: Entry) {
        let owner = job.owner().map(str::to_owned);
        self.jobs.push_back(job);
        let over = |job: &Entry| job.owner() == owner.as_deref() && !job.running();
        for _ in KEPT..self.jobs.iter().filter(|job| over(job)).count() {
            if let Some(at) = self.jobs.iter().position(over) {
                self.jobs.remove(at);
            }
        }
    }
}

impl Jobs {
    pub(super) fn new(checker: Arc<Checker>, runtime: Handle) -> Self {
        Self { checker, runtime, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls `model` on `nodes` (names or ids; empty is every active Ollama node), which are the caller's own:
    /// a [`TenantScope`](aivonx_domain::TenantScope), or a client's [`RoutingRules`](super::RoutingRules). If the same is being
    /// pulled on the same nodes for the same organization already, that job is answered. Returns as soon as the
    /// job has begun.
    ///
    /// # Errors
    /// A model or a node that cannot be, a node that is not there or not the caller's, nowhere to put it, or
    /// too much being pulled.
    pub async fn pull(
        &self,
        realm: impl Into<NodeScope>,
        model: &str,
        nodes: &[String],
        insecure: bool,
    ) -> Result<Job, FleetError> {
        self.pull_after(Vec::new(), realm, model, nodes, insecure).await
    }

    /// The same for a request that came with these values of `Via`.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn pull_after(
        &self,
        before: Vec<HeaderValue>,
        realm: impl Into<NodeScope>,
        model: &str,
        nodes: &[String],
        insecure: bool,
    ) -> Result<Job, FleetError> {
        check_model_name(model)?;
        let realm = realm.into();
        let targets = self.targets(&realm, nodes)?;
        self.start(&realm, model, Deed::Pull { insecure }, targets, before)
    }

    /// Does something with `model` on `targets`, which are the caller's own, for a request that came by `before`. The
    /// same that is at work already is answered.
    pub(super) fn start(
        &self,
        realm: &NodeScope,
        model: &str,
        deed: Deed,
        targets: Vec<Contact>,
        before: Vec<HeaderValue>,
    ) -> Result<Job, FleetError> {
        let owner = realm.organization();
        let key = model_name::normalize(model).into_owned();
        let mut state = self.lock();
        if state.stopping {
            return Err(FleetError::Stopping);
        }
        let same = |job: &OnNodes| job.is_same(&key, &deed, owner, &targets);
        let running = || state.jobs.iter().filter_map(Entry::on_nodes).filter(|job| job.running());
        if let Some(job) = running().find(|job| same(job)) {
            return Ok(job.view());
        }
        for (most, at_work) in [
            (AT_ONCE, running().count()),
            (AT_ONCE_FOR_ONE, running().filter(|job| owner.is_some() && job.owner() == owner).count()),
        ] {
            if at_work >= most {
                return Err(FleetError::TooMany(most));
            }
        }
        let owner = owner.map(str::to_owned);
        let job = Arc::new(OnNodes::new(state.new_id(), model, key, deed, owner, targets, before));
        state.keep(Entry::OnNodes(job.clone()));
        drop(state);
        let view = job.view();
        tracing::info!(event = "job_started", job = %view.id, organization = job.owner(), model = %Untrusted::new(model),
            nodes = job.targets().len(), "{} started", job.deed().word());
        self.runtime.spawn(job_run::run(job, self.checker.clone()));
        Ok(view)
    }

    /// Begins a job that `work` carries out, which reports to the task it is given and looks at it to see
    /// whether it is to end. One of a kind runs at a time, for each organization and for the fleet itself.
    /// Returns as soon as it has begun.
    ///
    /// # Errors
    /// One of this kind is at work, or the daemon is stopping.
    pub fn begin<W, F>(
        &self,
        reach: &TenantScope,
        kind: JobKind,
        subject: &str,
        work: W,
    ) -> Result<Job, FleetError>
    where
        W: FnOnce(Arc<Task>) -> F,
        F: Future<Output = Ended> + Send + 'static,
    {
        let mut state = self.lock();
        if state.stopping {
            return Err(FleetError::Stopping);
        }
        let owner = NodeScope::from(reach).organization().map(str::to_owned);
        let same = |job: &&Entry| {
            matches!(job, Entry::Task(job)
                if job.kind() == kind && job.owner() == owner.as_deref() && job.running())
        };
        if let Some(job) = state.jobs.iter().find(same) {
            return Err(FleetError::JobRuns(job.view().id));
        }
        let task = Arc::new(Task::new(state.new_id(), kind, subject, owner));
        state.keep(Entry::Task(task.clone()));
        drop(state);
        let view = task.view();
        tracing::info!(event = "job_started", job = %view.id, organization = task.owner(),
            subject = %Untrusted::new(subject), "job started");
        let work = self.runtime.spawn(work(task.clone()));
        self.runtime.spawn(async move {
            // A job whose work panicked must not look as if it ran for ever.
            let ended = work.await.unwrap_or_else(|e| Ended::Failed(format!("a mistake in aivonxd: {e}")));
            match &ended {
                Ended::Done => {
                    tracing::info!(event = "job_done", job = %task.view().id, organization = task.owner(),
                        "job done");
                }
                Ended::Cancelled => {
                    tracing::warn!(event = "job_ended", job = %task.view().id, organization = task.owner(),
                        "job ended before it was through");
                }
                Ended::Failed(error) => {
                    let error = Untrusted::new(error);
                    tracing::error!(event = "job_ended", job = %task.view().id, organization = task.owner(),
                        %error, "job failed");
                }
            }
            task.end(ended);
        });
        Ok(view)
    }

    /// Running and recent jobs within reach, newest first.
    #[must_use]
    pub fn list(&self, reach: &TenantScope) -> Vec<Job> {
        let realm = NodeScope::from(reach);
        self.lock().jobs.iter().rev().filter(|job| realm.covers(job.owner())).map(Entry::view).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// [`FleetError::UnknownJob`].
    pub fn show(&self, reach: &TenantScope, id: &str) -> Result<Job, FleetError> {
        Ok(self.find(&reach.into(), id)?.view())
    }

    /// A job as it goes on: the value is how it stands, and the last one has a state other than running. A
    /// slow reader misses steps, never the end.
    ///
    /// # Errors
    /// [`FleetError::UnknownJob`].
    pub fn follow(&self, realm: impl Into<NodeScope>, id: &str) -> Result<watch::Receiver<Job>, FleetError> {
        Ok(self.find(&realm.into(), id)?.follow())
    }

    /// Ends a job: its connections are closed. Answers with how it ended; one that had ended already stays
    /// as it was.
    ///
    /// # Errors
    /// [`FleetError::UnknownJob`].
    pub async fn cancel(&self, reach: &TenantScope, id: &str) -> Result<Job, FleetError> {
        let job = self.find(&reach.into(), id)?;
        job.cancel();
        let mut steps = job.follow();
        let ended = steps.wait_for(|job| job.state != JobState::Running).await;
        Ok(ended.map_or_else(|_| job.view(), |job| job.clone()))
    }

    /// A job's progress in the form of Ollama's own `/api/pull`, lines of NDJSON each with its line feed,
    /// beginning with how it stands and ending with the job. A reader that is slow gets fewer steps and holds
    /// up nobody; one that leaves changes nothing. An error names nodes if the reader may `see_nodes`.
    ///
    /// # Errors
    /// [`FleetError::UnknownJob`], also for a job that has no such progress.
    pub async fn lines(
        &self,
        realm: impl Into<NodeScope>,
        id: &str,
        see_nodes: bool,
    ) -> Result<mpsc::Receiver<Bytes>, FleetError> {
        let found = self.find(&realm.into(), id)?;
        let unknown = || FleetError::UnknownJob { wanted: id.to_owned(), foreign: false };
        let tells = |job: &&Arc<OnNodes>| !matches!(job.deed(), Deed::Load { .. } | Deed::Unload);
        let job = found.on_nodes().filter(tells).ok_or_else(unknown)?.clone();
        let (lines, reader) = mpsc::channel(READER);
        self.runtime.spawn(async move {
            // The reader's leaving is the only way this fails.
            let _ = tell(&job, &lines, see_nodes).await;
        });
        Ok(reader)
    }

    /// Ends every job, and takes no new ones.
    pub(super) async fn stop(&self) {
        let jobs: Vec<_> = {
            let mut state = self.lock();
            state.stopping = true;
            state.jobs.iter().filter(|job| job.running()).cloned().collect()
        };
        jobs.iter().for_each(|job| job.cancel());
        for job in jobs {
            // The sender lives in `job`, so waiting cannot fail.
            let _ = job.follow().wait_for(|job| job.state != JobState::Running).await;
        }
    }

    fn find(&self, realm: &NodeScope, id: &str) -> Result<Entry, FleetError> {
        let found = self.lock().jobs.iter().find(|job| job.is(id)).cloned();
        let foreign = found.is_some();
        found
            .filter(|job| realm.covers(job.owner()))
            .ok_or_else(|| FleetError::UnknownJob { wanted: id.to_owned(), foreign })
    }

    /// The node that uploads go to: all of what a model is made of has to be on one.
    pub(super) fn upload_to(&self, realm: &NodeScope) -> Result<Contact, FleetError> {
        let mut targets = self.targets(realm, &[])?;
        let mut state = self.lock();
        let owner = realm.organization().map(str::to_owned);
        let last = state.uploads.get(&owner);
        let at = targets.iter().position(|node| Some(&node.id) == last).unwrap_or(0);
        let node = targets.swap_remove(at);
        // What one client chose is not where the files of others are.
        if !realm.is_chosen() {
            state.uploads.insert(owner, node.id.clone());
        }
        Ok(node)
    }

    /// The file of this digest was uploaded by one with this scope, and is of this kind.
    pub(super) fn is_of_kind(&self, realm: &NodeScope, digest: Digest, kind: Kind) {
        let mut state = self.lock();
        let kinds = state.kinds.entry(realm.organization().map(str::to_owned)).or_default();
        if kinds.len() >= FILES {
            kinds.clear();
        }
        kinds.insert(digest, kind);
    }

    /// What the file of this digest is, if it was uploaded by one of the same organization.
    pub(super) fn kind_of(&self, realm: &NodeScope, digest: &Digest) -> Option<Kind> {
        self.lock().kinds.get(&realm.organization().map(str::to_owned))?.get(digest).copied()
    }

    /// Whether the caller has nodes of its own: models are managed on those alone.
    ///
    /// # Errors
    /// [`FleetError::NoOwnNodes`], [`FleetError::ChosenNotOwn`].
    pub(super) fn has_own(&self, realm: &NodeScope) -> Result<(), FleetError> {
        if realm.organization().is_none() || !self.checker.registry.contacts(realm).is_empty() {
            return Ok(());
        }
        Err(if realm.is_chosen() { FleetError::ChosenNotOwn } else { FleetError::NoOwnNodes })
    }

    pub(super) fn targets(&self, realm: &NodeScope, nodes: &[String]) -> Result<Vec<Contact>, FleetError> {
        let registry = &self.checker.registry;
        if nodes.is_empty() {
            let mut targets = registry.contacts(realm);
            self.has_own(realm)?;
            if realm.is_chosen() {
                targets.iter().try_for_each(fit_for_models)?;
            }
            targets.retain(|node| node.kind == NodeKind::Ollama && node.active);
            return if targets.is_empty() { Err(FleetError::NowhereToPull) } else { Ok(targets) };
        }
        let mut targets = Vec::new();
        let mut seen = HashSet::new();
        for wanted in nodes {
            let id = registry.resolve(realm, wanted)?;
            let Some(node) = registry.contact(&id).filter(|_| seen.insert(id)) else { continue };
            fit_for_models(&node)?;
            targets.push(node);
        }
        Ok(targets)
    }
}

/// Whether models can be put on and taken off `node`.
pub(super) fn fit_for_models(node: &Contact) -> Result<(), FleetError> {
    if node.kind == NodeKind::Openai {
        let why = "speaks the OpenAI API alone, which has no way to manage models";
        let fix = "manage its models on the machine itself".into();
        return Err(FleetError::Unfit { node: node.name.clone(), why, fix });
    }
    in_service(node)
}

/// Whether anything can be done on `node`.
pub(super) fn in_service(node: &Contact) -> Result<(), FleetError> {
    if node.admin_state != AdminState::Disabled {
        return Ok(());
    }
    let fix = format!("enable it first: aivonx node enable {}", node.name);
    Err(FleetError::Unfit { node: node.name.clone(), why: "is disabled", fix })
}

/// Sends `reader` the job's progress so far and then what is new, until the job ends.
async fn tell(
    job: &OnNodes,
    reader: &mpsc::Sender<Bytes>,
    see_nodes: bool,
) -> Result<(), mpsc::error::SendError<Bytes>> {
    'stand: loop {
        let Feed { so_far, news } = job.feed();
        for line in so_far {
            reader.send(line).await?;
        }
        let Some(mut news) = news else { return reader.send(job.last(see_nodes)).await };
        loop {
            match news.recv().await {
                Ok(line) => reader.send(line).await?,
                Err(RecvError::Lagged(_)) => continue 'stand,
                Err(RecvError::Closed) => return reader.send(job.last(see_nodes)).await,
            }
        }
    }
}

fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    while n > 0 || digits.is_empty() {
        digits.push(char::from_digit(u32::try_from(n % 36).unwrap_or(0), 36).unwrap_or('0'));
        n /= 36;
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
