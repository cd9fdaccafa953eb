//! Assigning requests to nodes, sending them when it is their turn, and moving those that another node would begin
//! sooner.

use std::hash::BuildHasher as _;

use crate::{
    JobId, NodeId, Scheduler, Time,
    cost::Terms,
    memory::Held,
    node::Here,
    order::Rank,
    policy::{Policy, Standing},
    prefix::Block,
    scheduler::{Candidate, Job, Stage},
};

/// Requests of another node's queue that are looked at for one that is better off elsewhere.
const LOOKED_AT: usize = 64;
/// Seconds that moving a request has to save.
const WORTH_MOVING: f64 = 0.1;

impl Scheduler {
    /// The best of the candidates for `job`, whose prompt was looked up.
    pub(crate) fn choose(
        &mut self,
        policy: Policy,
        job: &Job,
        candidates: &[Candidate],
        beginning: u64,
        now: Time,
    ) -> Option<(usize, Terms)> {
        let lots = foldhash::quality::FixedState::with_seed(0);
        let mut best: Option<(Standing<'_>, usize)> = None;
        for (at, candidate) in candidates.iter().enumerate() {
            let Some(on) = self.nodes.get(usize::from(candidate.node.0)).filter(|on| on.usable) else { continue };
            let (active, last) = (on.active() + on.queue.len(), on.last);
            let terms = self.terms(job, candidate.node, now);
            let lot = lots.hash_one((beginning, candidate.node.0));
            let standing = Standing { terms, candidate, active, lot, last };
            if best.as_ref().is_none_or(|(best, _)| policy.prefers(&standing, best)) {
                best = Some((standing, at));
            }
        }
        best.map(|(standing, at)| (at, standing.terms))
    }

    /// Puts a request into a node's queue: from now on it counts there.
    pub(crate) fn assign(&mut self, id: JobId, node: NodeId, terms: Terms, blocks: &[Block], now: Time) {
        let known = self.known.get(usize::from(node.0)).copied().unwrap_or_default();
        let on = &mut self.nodes[usize::from(node.0)];
        let job = &mut self.jobs[id.0];
        job.here = job.model.and_then(|model| on.here.get(&model).copied()).unwrap_or(Here::UNKNOWN);
        (job.node, job.terms, job.known) = (node, terms, known);
        on.queue.push(id);
        self.turn += 1;
        on.last = self.turn;
        job.first = blocks.get(known.blocks as usize).map(|block| (*block, on.sent));
        self.prefixes.insert(blocks, node, on.sent);
        on.sent += u64::from(job.prompt - terms.cached.min(job.prompt));
        if let Some(held) = held(job, now + terms.wait + terms.load, now) {
            let there = on.planned.take(held, &on.capacity, |_| false);
            if !there {
                self.count_copies();
            }
        }
    }

    /// Sends what can be sent to `node` now; if it could do more, takes over from others.
    pub(crate) fn pump(&mut self, node: NodeId, now: Time) {
        loop {
            let next = self.next(node, now).or_else(|| self.taken_over(node, now));
            let Some(id) = next else { return };
            self.send(id, now);
        }
    }

    /// The first in the queue of those that may be sent now.
    fn next(&mut self, node: NodeId, now: Time) -> Option<JobId> {
        let mut best: Option<(Rank, JobId, bool)> = None;
        let on = &self.nodes[usize::from(node.0)];
        for id in &on.queue {
            let job = &self.jobs[id.0];
            let warm = job.here.resident
                || job.model.is_none()
                || on.memory.get(job.here.weights, job.variant).is_some();
            let load = match job.model {
                Some(model) if !warm => self.load(node, model, job.here.bytes),
                _ => 0.0,
            };
            let rank = self.rank(job, load + job.terms.prefill, now);
            if best.is_none_or(|(best, ..)| rank.cmp(&best).is_lt()) {
                best = Some((rank, *id, job.is_light()));
            }
        }
        let (_, id, light) = best?;
        self.can_take(node, light, now).then_some(id)
    }

    fn can_take(&mut self, node: NodeId, light: bool, now: Time) -> bool {
        let on = &self.nodes[usize::from(node.0)];
        let before = || on.unbegun.iter().map(|id| &self.jobs[id.0]).filter(|job| !job.is_light());
        let (before, loading) = (before().count(), before().any(|job| job.terms.load > 0.0));
        let on = &mut self.nodes[usize::from(node.0)];
        on.usable && on.takes(light, before, loading, now)
    }

    /// A node that has nothing to begin takes over the request that gains most of those that wait elsewhere.
    fn taken_over(&mut self, node: NodeId, now: Time) -> Option<JobId> {
        let idle = self.nodes[usize::from(node.0)].queue.is_empty() && self.can_take(node, false, now);
        if !idle || self.nodes.iter().all(|on| on.queue.is_empty()) {
            return None;
        }
        let mut best: Option<(f64, JobId, Terms)> = None;
        for other in 0..self.nodes.len() {
            let waiting = self.nodes[other].queue.len().min(LOOKED_AT);
            for at in 0..waiting {
                let id = self.nodes[other].queue[at];
                if !self.jobs[id.0].candidates.iter().any(|candidate| candidate.node == node) {
                    continue;
                }
                // Out of the slab while it is compared: the cost is asked of the whole scheduler.
                let blocks = std::mem::take(&mut self.jobs[id.0].blocks);
                self.find_prefixes(&blocks);
                self.jobs[id.0].blocks = blocks;
                let Some(job) = self.jobs.get(id.0).map(Job::alike) else { continue };
                let here = self.terms(&job, node, now);
                let there = NodeId(u16::try_from(other).unwrap_or(u16::MAX));
                let wait = self.wait(Some(id), &job, job.work(), there, now);
                let gain = wait + job.work() - here.total();
                if gain > WORTH_MOVING && best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                    best = Some((gain, id, here));
                }
            }
        }
        let (_, id, terms) = best?;
        let from = self.jobs[id.0].node;
        self.nodes[usize::from(from.0)].queue.retain(|other| *other != id);
        self.plan_anew(from);
        let blocks = std::mem::take(&mut self.jobs[id.0].blocks);
        self.find_prefixes(&blocks);
        self.assign(id, node, terms, &blocks, now);
        self.jobs[id.0].blocks = blocks;
        Some(id)
    }

    fn send(&mut self, id: JobId, now: Time) {
        let job = &self.jobs[id.0];
        let node = job.node;
        let on = &self.nodes[usize::from(node.0)];
        let behind = on.unbegun.iter().map(|id| &self.jobs[id.0]).filter(|job| !job.is_light());
        let behind = behind.map(|job| job.begins).max_by(Time::total_cmp);
        let (beside, met) = (on.active(), !on.unbegun.is_empty());
        let fresh = job.first.is_some_and(|(block, at)| self.prefixes.mark(&block, node) == Some(at));
        let decode = self.decode(node, job.model);
        let load = match job.model {
            Some(model) if !job.here.resident => match on.memory.get(job.here.weights, job.variant) {
                Some(held) => (held.ready - now).max(0.0),
                None => self.load(node, model, job.here.bytes),
            },
            _ => 0.0,
        };
        let job = &mut self.jobs[id.0];
        let after = if job.is_light() { now } else { behind.unwrap_or(now).max(now) };
        job.terms.load = load;
        job.begins = after + load + job.terms.prefill;
        job.ends = job.begins + job.output * decode;
        (job.stage, job.sent, job.beside, job.behind) = (Stage::Unbegun, now, beside, behind);
        (job.met, job.fresh) = (met, fresh);
        let held = held(job, after + load, now);
        let (organization, key, tokens) = (job.organization, job.key, f64::from(job.prompt - job.terms.cached.min(job.prompt)) + job.output);
        let on = &mut self.nodes[usize::from(node.0)];
        on.queue.retain(|other| *other != id);
        for other in &on.unbegun {
            self.jobs[other.0].met = true;
        }
        on.unbegun.push(id);
        if let Some(held) = held {
            on.memory.take(held, &on.capacity, |_| false);
        }
        self.work.add(self.jobs[id.0].work(), now);
        self.service.add(organization, tokens, now);
        self.service.add(key, tokens, now);
        self.ready.push_back((id, node));
    }

    /// Plans a node's memory anew from what it is and what waits there.
    pub(crate) fn plan_anew(&mut self, node: NodeId) {
        let on = &mut self.nodes[usize::from(node.0)];
        on.planned.clone_from(&on.memory);
        for at in 0..on.queue.len() {
            let job = &self.jobs[on.queue[at].0];
            if let Some(held) = held(job, job.arrived + job.terms.wait + job.terms.load, job.arrived) {
                on.planned.take(held, &on.capacity, |_| false);
            }
        }
        self.count_copies();
    }

    /// Counts the nodes that hold each model once everything assigned has begun.
    pub(crate) fn count_copies(&mut self) {
        self.models.iter_mut().for_each(|model| model.copies = 0);
        for held in self.nodes.iter().flat_map(|on| on.planned.iter()) {
            if let Some(model) = self.models.get_mut(held.model.0 as usize) {
                model.copies += 1;
            }
        }
    }
}

/// What a request keeps in memory, which is there from `ready` on.
fn held(job: &Job, ready: Time, since: Time) -> Option<Held> {
    let model = job.model.filter(|_| !job.here.resident)?;
    let Here { weights, bytes, .. } = job.here;
    Some(Held { weights, variant: job.variant, model, bytes, ready, since: Some(since) })
}
