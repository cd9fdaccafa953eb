//! The scheduler's state, and what happens to a request there: submitted, assigned, sent, begun, ended.

use std::collections::VecDeque;

use foldhash::{HashMap, HashSet};
use slab::Slab;

use crate::{
    Time,
    ask::{Answer, Ask, Candidate, JobId, ModelId, NodeId},
    learned::{Assumed, Learned, Rate},
    memory::Memory,
    node::{Here, Node},
    policy::Policy,
    prefix::{Block, Index, Known},
    service::Service,
    terms::Terms,
};

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Queued,
    Unbegun,
    Running,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) policy: Policy,
    pub(crate) model: Option<ModelId>,
    pub(crate) variant: Option<u64>,
    pub(crate) here: Here,
    pub(crate) prompt: u32,
    pub(crate) output: f64,
    pub(crate) streams: bool,
    pub(crate) embeds: bool,
    pub(crate) band: u8,
    pub(crate) organization: u64,
    pub(crate) key: u64,
    pub(crate) arrived: Time,
    pub(crate) node: NodeId,
    pub(crate) stage: Stage,
    /// As predicted when it was assigned.
    pub(crate) terms: Terms,
    pub(crate) known: Known,
    pub(crate) sent: Time,
    pub(crate) began: Option<Time>,
    /// When its answer should begin, and end.
    pub(crate) begins: Time,
    pub(crate) ends: Time,
    /// Requests that were at work on the node when it was sent there, and whether one had not begun to answer.
    pub(crate) beside: usize,
    pub(crate) behind: Option<Time>,
    /// Whether another was sent there that had not begun to answer before it did: once it has begun.
    pub(crate) met: bool,
    /// Requests that were sent there before, and this one.
    pub(crate) sends: u64,
    /// The load that it causes goes on without it.
    pub(crate) outlived: bool,
    /// The first block of its prompt that the node had not been sent, and when it was sent it for this one.
    pub(crate) first: Option<(Block, u64)>,
    /// Nobody else sent that block there in between.
    pub(crate) fresh: bool,
    /// When one that waits arrived, for moving it: its candidates and blocks.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) blocks: Vec<Block>,
}

/// What is known of a model on all nodes.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) learned: Learned,
    pub(crate) asked: Rate,
    /// When the last load of it is over that was assigned.
    pub(crate) loads: Time,
    /// Nodes that hold it once everything assigned has begun.
    pub(crate) copies: u32,
}

/// The nodes, the requests that wait and run there, and what was learned of them.
#[derive(Debug, Default)]
pub struct Scheduler {
    pub(crate) nodes: Vec<Node>,
    pub(crate) models: Vec<Model>,
    pub(crate) pairs: HashMap<(NodeId, ModelId), Learned>,
    /// Models that are to stay loaded, by node.
    pub(crate) pinned: HashSet<(NodeId, ModelId)>,
    pub(crate) jobs: Slab<Job>,
    pub(crate) prefixes: Index,
    pub(crate) service: Service,
    /// Requests that waited and may be sent now.
    pub(crate) ready: VecDeque<(JobId, NodeId)>,
    /// Nodes whose memory is not as it was thought to be.
    pub(crate) doubted: Vec<NodeId>,
    /// Nodes that sleep and are to be woken.
    pub(crate) called: Vec<NodeId>,
    // What a call works with, kept from one to the next so that none allocates.
    pub(crate) known: Vec<Known>,
    pub(crate) times: Vec<Time>,
    pub(crate) others: Vec<JobId>,
    pub(crate) turn: u64,
    /// Organizations and bands of the requests that wait, and how many.
    pub(crate) waiting: Vec<((u64, u8), u32)>,
    /// Seconds of work that were sent to all nodes.
    pub(crate) work: Rate,
}

impl Job {
    /// The same request without what it needs only to be moved.
    pub(crate) fn alike(&self) -> Self {
        Self { candidates: Vec::new(), blocks: Vec::new(), ..*self }
    }
}

impl Scheduler {
    /// Submits a request to the best of its candidates. The node, if it can be sent there now; else it waits until
    /// [`Self::ready`] names it, and so does whatever else this let go. None without a candidate that can be used.
    pub fn submit(
        &mut self,
        policy: Policy,
        ask: &Ask<'_>,
        candidates: &[Candidate],
        now: Time,
    ) -> Option<(JobId, Option<NodeId>)> {
        self.find_prefixes(ask.blocks);
        if let Some(model) = ask.model {
            self.model(model).asked.count(now);
        }
        let job = self.job(policy, ask, now);
        let beginning = ask.blocks.first().map_or(self.turn, |block| block.hash);
        let (at, terms) = self.choose(policy, &job, candidates, beginning, now)?;
        let id = JobId(self.jobs.insert(job));
        let who = (ask.organization, ask.band);
        match self.waiting.iter_mut().find(|(other, _)| *other == who) {
            Some((_, waiting)) => *waiting += 1,
            None => self.waiting.push((who, 1)),
        }
        self.assign(id, candidates[at].node, terms, ask.blocks, now);
        let node = candidates[at].node;
        self.pump(node, now);
        let sent = self.ready.iter().position(|(ready, _)| *ready == id);
        if let Some(sent) = sent {
            self.ready.remove(sent);
            return Some((id, Some(node)));
        }
        let job = &mut self.jobs[id.0];
        job.candidates.extend_from_slice(candidates);
        job.blocks.extend_from_slice(ask.blocks);
        Some((id, None))
    }

    /// Sends the first of the requests for `model` that wait, and for which `node` is held, to `node`, if it takes one now.
    /// None if no such request waits.
    pub fn let_in(&mut self, node: NodeId, model: Option<ModelId>, now: Time) -> Option<bool> {
        let waits = |id: &&JobId| {
            let job = &self.jobs[id.0];
            job.model == model && job.candidates.iter().any(|one| one.held && one.node == node)
        };
        let rank = |id: &JobId| (*id, self.rank(&self.jobs[id.0], self.jobs[id.0].work(), now));
        let waiting = self.nodes.iter().flat_map(|on| &on.queue).filter(waits).map(rank);
        let (id, _) = waiting.min_by(|(_, a), (_, b)| a.cmp(b))?;
        if !self.can_take(node, false, now) {
            self.call(node, now);
            return Some(false);
        }
        let terms = self.terms_of_waiting(id, node, now);
        self.move_to(id, node, terms, now);
        self.send(id, now);
        Some(true)
    }

    /// The next request that waited and may be sent now, and where.
    pub fn ready(&mut self) -> Option<(JobId, NodeId)> {
        self.ready.pop_front()
    }

    /// Whether a node's memory should be looked at: it is not as it was thought to be.
    pub fn doubted(&mut self) -> Option<NodeId> {
        self.doubted.pop()
    }

    /// A node that sleeps and is to be woken: a request waits for it.
    pub fn called(&mut self) -> Option<NodeId> {
        self.called.pop()
    }

    /// Says whether a node sleeps. One that does gets requests only where waiting for it costs least, and not before it is
    /// awake; what it held in memory is thought to be lost.
    pub fn set_sleeps(&mut self, node: NodeId, sleeps: bool, now: Time) {
        let on = self.node(node);
        if on.sleeps == sleeps {
            return;
        }
        on.sleeps = sleeps;
        let called = on.called.take();
        if sleeps {
            on.memory = Memory::default();
            if !on.queue.is_empty() {
                on.called = Some(now);
                self.called.push(node);
            }
            self.plan_anew(node);
        } else {
            // One that is not usable then did not wake.
            if let Some(called) = called.filter(|_| on.usable) {
                on.waking.add(now - called, 1.0);
            }
            self.pump(node, now);
        }
    }

    /// The answer to a request has begun.
    pub fn begun(&mut self, id: JobId, now: Time) {
        let job = &mut self.jobs[id.0];
        if job.stage != Stage::Unbegun {
            return;
        }
        let node = job.node;
        (job.stage, job.began) = (Stage::Running, Some(now));
        let weights = job.here.weights;
        if job.terms.load > 0.0 {
            // What left for it shows now.
            self.doubted.push(node);
        }
        let on = &mut self.nodes[usize::from(node.0)];
        job.met |= on.sends != job.sends;
        on.memory.is_ready(weights, now);
        on.planned.is_ready(weights, now);
        self.learn_begin(id, now);
        let decode = self.decode(node, self.jobs[id.0].model);
        let job = &mut self.jobs[id.0];
        job.ends = now + job.output * decode;
        let on = &mut self.nodes[usize::from(node.0)];
        on.remove_unbegun(id);
        on.running.push(id);
        on.parallel.saw(on.running.len());
        self.pump(node, now);
    }

    /// The load that a request causes goes on when it ends.
    pub fn outlives(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(id.0) {
            job.outlived = true;
        }
    }

    /// A request is over, or its client left: wherever it is, it leaves no trace but what its answer taught.
    pub fn ended(&mut self, id: JobId, answer: Option<&Answer>, now: Time) {
        self.ready.retain(|(ready, _)| *ready != id);
        if let Some(answer) = answer {
            self.learn_end(id, answer, now);
        }
        let job = self.jobs.remove(id.0);
        let node = job.node;
        if job.stage == Stage::Unbegun && job.terms.load > 0.0 && !job.outlived {
            // Who gives up a load aborts it.
            self.nodes[usize::from(node.0)].memory.remove(job.here.weights);
            self.doubted.push(node);
            self.plan_anew(node);
        }
        let on = &mut self.nodes[usize::from(node.0)];
        on.ended = now;
        match job.stage {
            Stage::Queued => on.queue.retain(|other| *other != id),
            Stage::Unbegun => on.remove_unbegun(id),
            Stage::Running => on.running.retain(|other| *other != id),
        }
        if job.stage == Stage::Queued {
            self.waits_no_more(job.organization, job.band);
            self.plan_anew(node);
        }
        self.pump(node, now);
    }

    /// The node did not take a request now, being full; call [`Self::ended`] besides.
    pub fn refused(&mut self, id: JobId, now: Time) {
        let job = &self.jobs[id.0];
        let on = &mut self.nodes[usize::from(job.node.0)];
        let beside = on.active().saturating_sub(1);
        on.parallel.full(beside, now);
    }

    /// Time goes on: whole answers that should have begun count as begun.
    pub fn tick(&mut self, now: Time) {
        for at in 0..self.nodes.len() {
            while let Some(id) = self.nodes[at].unbegun.iter().copied().find(|id| {
                let job = &self.jobs[id.0];
                !job.streams && job.begins <= now
            }) {
                self.begun(id, now);
            }
        }
    }

    /// Says what is known of a node: whether requests may be sent there, how many at once if anybody stated it, how many
    /// models it holds if an administrator did.
    pub fn set_node(
        &mut self,
        node: NodeId,
        usable: bool,
        parallel: Option<u32>,
        models: Option<usize>,
        now: Time,
    ) {
        let on = self.node(node);
        let was_usable = std::mem::replace(&mut on.usable, usable);
        (on.parallel.stated, on.capacity.most) = (parallel, models);
        if usable && !was_usable {
            // What had nowhere else to go still waits where nothing is sent.
            for other in (0..).map(NodeId).take(self.nodes.len()) {
                if !self.nodes[usize::from(other.0)].usable {
                    self.leave(other, now);
                }
            }
        }
        if usable {
            self.pump(node, now);
        } else {
            self.leave(node, now);
        }
    }

    /// Says which models are to stay loaded on which nodes.
    pub fn pin(&mut self, pinned: HashSet<(NodeId, ModelId)>) {
        self.pinned = pinned;
    }

    /// Says what models a node has.
    pub fn set_models(&mut self, node: NodeId, models: impl Iterator<Item = (ModelId, Here)>) {
        let on = self.node(node);
        on.here.clear();
        on.here.extend(models);
    }

    pub(crate) fn node(&mut self, node: NodeId) -> &mut Node {
        let at = usize::from(node.0);
        if at >= self.nodes.len() {
            self.nodes.resize_with(at + 1, Node::new);
        }
        &mut self.nodes[at]
    }

    fn job(&self, policy: Policy, ask: &Ask<'_>, now: Time) -> Job {
        let model = ask.model.and_then(|model| self.models.get(model.0 as usize));
        let output = model.and_then(|model| model.learned.output.get()).unwrap_or(Assumed::OUTPUT);
        let output = ask.output.map_or(output, |most| most.min(output));
        Job {
            policy,
            model: ask.model,
            variant: ask.variant,
            here: Here::UNKNOWN,
            prompt: ask.prompt,
            output: if ask.embeds { 0.0 } else { output },
            streams: ask.streams,
            embeds: ask.embeds,
            band: ask.band,
            organization: ask.organization,
            key: ask.key,
            arrived: now,
            node: NodeId(0),
            stage: Stage::Queued,
            terms: Terms::default(),
            known: Known::default(),
            sent: now,
            began: None,
            begins: now,
            ends: now,
            beside: 0,
            behind: None,
            met: false,
            sends: 0,
            outlived: false,
            first: None,
            fresh: false,
            candidates: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// Requests that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.nodes.iter().map(|on| on.queue.len()).sum()
    }

    /// Requests that wait for the same model as this one, which is counted too.
    #[must_use]
    pub fn queued_beside(&self, id: JobId) -> usize {
        let Some(job) = self.jobs.get(id.0) else { return 0 };
        let queued = self.nodes.iter().flat_map(|on| &on.queue);
        queued.filter(|other| self.jobs[other.0].model == job.model).count()
    }

    /// What was predicted of a request when it was assigned.
    #[must_use]
    pub fn terms_of(&self, id: JobId) -> Terms {
        self.jobs.get(id.0).map_or_else(Terms::default, |job| job.terms)
    }

    /// Where a request stands that waits: those before it, and the seconds until its turn.
    pub fn standing(&mut self, id: JobId, now: Time) -> (usize, f64) {
        let Some(job) = self.jobs.get(id.0).filter(|job| job.stage == Stage::Queued).map(Job::alike) else {
            return (0, 0.0);
        };
        let rank = self.rank(&job, job.work(), now);
        let queue = self.nodes[usize::from(job.node.0)].queue.iter().map(|other| &self.jobs[other.0]);
        let before = queue.filter(|other| self.rank(other, other.work(), now).cmp(&rank).is_lt()).count();
        (before, self.wait(Some(id), &job, job.work(), job.node, now))
    }

    /// What it would cost to send a request to each of the candidates, and which of them would be chosen.
    pub fn explain(
        &mut self,
        policy: Policy,
        ask: &Ask<'_>,
        candidates: &[Candidate],
        now: Time,
    ) -> (Option<usize>, Vec<Terms>) {
        self.find_prefixes(ask.blocks);
        let job = self.job(policy, ask, now);
        let beginning = ask.blocks.first().map_or(self.turn, |block| block.hash);
        let chosen = self.choose(policy, &job, candidates, beginning, now).map(|(at, _)| at);
        (chosen, candidates.iter().map(|candidate| self.terms(&job, candidate.node, now)).collect())
    }

    /// Looks the prompt up once for all nodes.
    pub(crate) fn find_prefixes(&mut self, blocks: &[Block]) {
        self.known.resize(self.nodes.len(), Known::default());
        let nodes = &self.nodes;
        let sent = |at: usize| nodes.get(at).map_or((0, 0), |node| (node.sent, node.reach));
        self.prefixes.find(blocks, sent, &mut self.known);
    }

    pub(crate) fn model(&mut self, model: ModelId) -> &mut Model {
        let at = model.0 as usize;
        if at >= self.models.len() {
            self.models.resize_with(at + 1, Model::default);
        }
        &mut self.models[at]
    }
}
