//! The scheduler, driven in real time: the data path submits requests, says when answers begin and end, and waits here
//! for its turn. Its lock is held for some microseconds, never across an await.

pub(super) mod ticket;

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Instant,
};

use aivonx_domain::{model_name, table::NumberHasher};
use aivonx_protocol::node::Pool;
use aivonx_scheduler::{Ask, Candidate, Here, JobId, Lessons, ModelId, NodeId, Scheduler, Terms};
use tokio::sync::Notify;

use super::{
    Node,
    catalogue::Known,
    held::HeldNodes,
    inventory::{Inventory, SeenModel},
    recall::Memo,
    scheduler::policy,
    sleep::{Called, Cause},
    snapshot::Target,
};

/// What waits and runs on the nodes, and what was learned of them.
#[derive(Debug)]
pub struct Dispatch {
    state: Mutex<State>,
    began: Instant,
    numbers: NumberHasher,
}

#[derive(Debug, Default)]
struct State {
    scheduler: Scheduler,
    nodes: HashMap<Arc<str>, NodeId>,
    /// By a node's number.
    bells: Vec<Bells>,
    /// By normal name, and the names by number.
    models: HashMap<Arc<str>, ModelId>,
    names: Vec<Arc<str>>,
    /// By a request's number.
    seats: Vec<Seat>,
    held: HeldNodes,
}

/// How the one is reached who looks after a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Bells {
    /// Notified when it should be looked at.
    pub(super) look: Arc<Notify>,
    /// Called when it is to be woken.
    pub(super) wake: Arc<Called>,
}

/// Where a request that waits is sent.
#[derive(Debug, Default)]
struct Seat {
    node: Option<NodeId>,
    waker: Option<Waker>,
}

impl Default for Dispatch {
    fn default() -> Self {
        Self { state: Mutex::default(), began: Instant::now(), numbers: NumberHasher::default() }
    }
}

/// What is known of a request's work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work<'a> {
    /// Tokens of the prompt, about.
    pub prompt: u32,
    /// The prompt's blocks.
    pub blocks: &'a [aivonx_scheduler::Block],
    /// Most tokens of the answer, if it is bounded.
    pub output: Option<f64>,
    /// Options of the runner for which a node loads the model anew.
    pub variant: u64,
    /// The answer is a stream, whose beginning is seen.
    pub streams: bool,
    /// The answer only describes the model, which does not run for it.
    pub describes: bool,
    /// Nothing is generated.
    pub embeds: bool,
    /// The higher goes first.
    pub band: u8,
    /// Whose it is.
    pub organization: u64,
    /// By which key.
    pub key: u64,
}

impl Dispatch {
    /// Nothing in here leaves the state half changed, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the scheduler, then wakes those who can be sent now.
    fn with<T>(&self, work: impl FnOnce(&mut State, f64) -> T) -> T {
        let mut state = self.lock();
        // Read under the lock: the scheduler's time never goes back.
        let now = self.began.elapsed().as_secs_f64();
        let result = work(&mut state, now);
        let State { scheduler, seats, bells, .. } = &mut *state;
        let mut wakers: Vec<Waker> = Vec::new();
        while let Some((job, node)) = scheduler.ready() {
            let seat = seat(seats, job);
            seat.node = Some(node);
            wakers.extend(seat.waker.take());
        }
        while let Some(node) = scheduler.doubted() {
            if let Some(bells) = bells.get(usize::from(node.0)) {
                bells.look.notify_one();
            }
        }
        while let Some(node) = scheduler.called() {
            if let Some(bells) = bells.get(usize::from(node.0)) {
                bells.wake.call(Cause::Request);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// A number for anything that is told apart by its text.
    #[must_use]
    pub fn number(&self, text: &str) -> u64 {
        self.numbers.hash_one(text)
    }

    /// The number of a model, by its normal name.
    pub(super) fn model(&self, normal: &str) -> ModelId {
        let State { models, names, .. } = &mut *self.lock();
        if let Some(model) = models.get(normal) {
            return *model;
        }
        let model = ModelId(u32::try_from(names.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = normal.into();
        names.push(name.clone());
        models.insert(name, model);
        model
    }

    /// Takes in what nodes there are and what they have. Their numbers, in the same order.
    pub(super) fn take_in(&self, known: &[Known], looks: impl Fn(&str) -> Option<Bells>) -> Vec<NodeId> {
        let numbers: Vec<NodeId> = known.iter().map(|(node, _)| self.node(node, looks(&node.id))).collect();
        let models: Vec<Vec<(ModelId, Here)>> = known.iter().map(|known| self.models_of(known)).collect();
        self.with(|state, now| {
            let gone = state.nodes.iter().filter(|(_, number)| !numbers.contains(number));
            let gone: Vec<NodeId> = gone.map(|(_, number)| *number).collect();
            state.nodes.retain(|_, number| numbers.contains(number));
            for node in gone {
                state.scheduler.set_node(node, false, None, None, now);
            }
            for (((node, _), number), models) in known.iter().zip(&numbers).zip(models) {
                let stated = Some(node.max_parallel).filter(|most| *most > 0);
                state.scheduler.set_models(*number, models.into_iter());
                let models = node.models_at_once.and_then(|most| usize::try_from(most).ok());
                // Nothing is sent to one that is neither usable nor awake in between.
                let sleeps = node.pool == Pool::Asleep;
                if sleeps {
                    state.scheduler.set_sleeps(*number, true, now);
                }
                state.scheduler.set_node(*number, node.takes_requests(), stated, models, now);
                if !sleeps {
                    state.scheduler.set_sleeps(*number, false, now);
                }
            }
        });
        numbers
    }

    fn node(&self, node: &Node, rings: Option<Bells>) -> NodeId {
        let State { nodes, bells, .. } = &mut *self.lock();
        if let Some(number) = nodes.get(&node.id) {
            return *number;
        }
        let number = NodeId(u16::try_from(bells.len()).unwrap_or(u16::MAX));
        bells.push(rings.unwrap_or_default());
        nodes.insert(node.id.clone(), number);
        number
    }

    fn models_of(&self, (_, sight): &Known) -> Vec<(ModelId, Here)> {
        let Some(sight) = sight else { return Vec::new() };
        let here = |model: &SeenModel| {
            let normal = model_name::normalize(&model.name);
            let here = Here {
                weights: self.weights(model.facts.digest.as_deref(), &normal),
                bytes: model.facts.size.unwrap_or(0),
                resident: !sight.tells,
            };
            (self.model(&normal), here)
        };
        sight.models.iter().map(here).collect()
    }

    /// What tells weights apart on a node: names with the same digest share a runner.
    fn weights(&self, digest: Option<&str>, normal: &str) -> u64 {
        self.number(digest.filter(|digest| !digest.is_empty()).unwrap_or(normal))
    }

    /// Takes in what a node held in memory when it was asked at `asked`.
    pub(super) fn look(&self, id: &str, sight: &Inventory, asked: Instant) {
        let there: Vec<(u64, u64)> = sight
            .loaded
            .iter()
            .map(|loaded| {
                let normal = model_name::normalize(&loaded.name);
                let model = sight.models.iter().find(|model| model_name::normalize(&model.name) == normal);
                let digest = model.and_then(|model| model.facts.digest.as_deref());
                (self.weights(digest, &normal), loaded.facts.size_vram.unwrap_or(0))
            })
            .collect();
        let seen = asked.saturating_duration_since(self.began).as_secs_f64();
        self.with(|state, _| {
            if let Some(node) = state.nodes.get(id).copied() {
                state.scheduler.look(node, there.into_iter(), seen);
            }
        });
    }

    /// Takes in that a node took the model of this normal name out of its memory because it was asked to.
    pub(super) fn unloaded(&self, id: &str, normal: &str) {
        let model = self.model(normal);
        self.with(|state, _| {
            if let Some(node) = state.nodes.get(id).copied() {
                state.scheduler.unloaded(node, model);
            }
        });
    }

    /// From now on these, ids of nodes with normal names of models, and no others are not driven out of memory for others.
    pub(super) fn pin(&self, pairs: &[(String, String)]) {
        let models: Vec<ModelId> = pairs.iter().map(|(_, normal)| self.model(normal)).collect();
        self.with(|state, _| {
            let nodes = pairs.iter().map(|(id, _)| state.nodes.get(&**id).copied());
            let pinned = nodes.zip(models).filter_map(|(node, model)| Some((node?, model)));
            state.scheduler.pin(pinned.collect());
        });
    }

    /// What was learned of the nodes there are.
    pub(super) fn memo(&self) -> Memo {
        let ((mut nodes, models), ids, names) = {
            let state = self.lock();
            (state.scheduler.memo(), state.nodes.clone(), state.names.clone())
        };
        let name = |model: ModelId| names.get(model.0 as usize).map(ToString::to_string);
        let nodes = ids.into_iter().filter_map(|(id, node)| {
            let memo = nodes.remove(&node)?.rename(name);
            Some((id.to_string(), memo))
        });
        let models = models.into_iter().filter_map(|(model, memo)| Some((name(model)?, memo)));
        Memo { nodes: nodes.collect(), models: models.collect() }
    }

    /// Takes in what was learned of nodes, those that are there, by another process.
    pub(super) fn recall(&self, Memo { nodes, models }: Memo) {
        for (id, memo) in nodes {
            let memo = memo.rename(|name| Some(self.model(&name)));
            self.with(|state, now| {
                if let Some(node) = state.nodes.get(&*id).copied() {
                    state.scheduler.recall_node(node, memo, now);
                }
            });
        }
        for (name, memo) in models {
            let model = self.model(&name);
            self.with(|state, _| state.scheduler.recall_model(model, memo));
        }
    }

    /// Time goes on; to be called some times a second.
    pub fn tick(&self) {
        self.with(|state, now| {
            state.scheduler.tick(now);
            state.held.let_in(&mut state.scheduler, now);
        });
    }

    /// Requests that wait for a node.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().scheduler.queued()
    }

    /// What sending a request to each of the candidates would cost, and which of them would be chosen.
    pub(super) fn explain(
        &self,
        target: Target,
        work: Work<'_>,
        candidates: &[Candidate],
    ) -> (Option<usize>, Vec<Terms>) {
        let policy = policy(target.strategy);
        self.with(|state, now| state.scheduler.explain(policy, &ask(target.model, work), candidates, now))
    }

    /// What was learned of a node, by its id, and the normal names of the models that were.
    pub(super) fn lessons(&self, id: &str) -> (Lessons, Vec<String>) {
        self.with(|state, now| {
            let lessons = state.nodes.get(id).map(|node| state.scheduler.lessons(*node, now));
            let lessons = lessons.unwrap_or_default();
            let name = |model: &ModelId| {
                state.names.get(model.0 as usize).map(ToString::to_string).unwrap_or_default()
            };
            let names = lessons.speeds.iter().map(|(model, _)| name(model)).collect();
            (lessons, names)
        })
    }
}

fn ask(model: Option<ModelId>, work: Work<'_>) -> Ask<'_> {
    let Work { prompt, blocks, output, variant, streams, describes, embeds, band, organization, key } = work;
    let model = model.filter(|_| !describes);
    Ask { model, variant: Some(variant), prompt, blocks, output, streams, embeds, band, organization, key }
}

fn seat(seats: &mut Vec<Seat>, job: JobId) -> &mut Seat {
    if job.index() >= seats.len() {
        seats.resize_with(job.index() + 1, Seat::default);
    }
    &mut seats[job.index()]
}
