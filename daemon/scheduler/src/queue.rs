//! Assigning requests to nodes, sending them when it is their turn, and moving those that another node would begin
//! sooner.

use std::hash::BuildHasher as _;

use crate::{
    Candidate, JobId, NodeId, Scheduler, Time,
    memory::Held,
    node::Here,
    order::{PASSED_OVER, PATIENCE, Rank},
    policy::{Policy, Standing},
    prefix::Block,
    scheduler::{Job, Stage},
    terms::Terms,
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
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| !candidate.held) {
            let Some(on) = self.nodes.get(usize::from(candidate.node.0)).filter(|on| on.usable) else {
                continue;
            };
            let (active, last) = (on.active() + on.queue.len(), on.last);
            let full = on.parallel.bound().is_some_and(|bound| active >= bound as usize);
            let terms = self.terms(job, candidate.node, now);
            let lot = lots.hash_one((beginning, candidate.node.0));
            let standing = Standing { terms, candidate, active, full, lot, last };
            if best.as_ref().is_none_or(|(best, _)| policy.prefers(&standing, best)) {
                best = Some((standing, at));
            }
        }
        best.map(|(standing, at)| (at, standing.terms))
    }

    /// Has a node woken that sleeps, unless it is called already.
    pub(crate) fn call(&mut self, node: NodeId, now: Time) {
        let on = &mut self.nodes[usize::from(node.0)];
        if on.usable && on.sleeps && on.called.is_none() {
            on.called = Some(now);
            self.called.push(node);
        }
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
            let there = on.planned.take(held, &on.capacity);
            if !there {
                let (model, ready) = (held.model, held.ready);
                self.count_copies();
                self.model(model).loads = ready;
            }
        }
        self.call(node, now);
    }

    /// Sends what can be sent to `node` now; takes over what is due there sooner than where it waits.
    pub(crate) fn pump(&mut self, node: NodeId, now: Time) {
        while !self.waiting.is_empty() {
            let next = self.next(node, now);
            let light = next.is_some_and(|(id, _)| self.jobs[id.0].is_light() && !self.waits_for_load(id));
            if !self.can_take(node, light, now) {
                return;
            }
            let other = match next {
                Some((id, false)) => self.more_due(node, id, now),
                Some((_, true)) => None,
                None => self.better_here(node, now),
            };
            match (other, next) {
                (Some((id, terms)), _) => {
                    self.move_to(id, node, terms, now);
                    self.send(id, now);
                }
                (None, Some((id, by_age))) => {
                    if let Some((idle, terms)) = self.better_idle(id, node, now) {
                        self.move_to(id, idle, terms, now);
                    }
                    self.send(id, now);
                    if by_age {
                        self.nodes[usize::from(node.0)].passed_over = 0;
                    }
                }
                (None, None) => return,
            }
        }
    }

    /// A node with nothing to do, which takes anything, that would begin a request sooner that waited for `node`: what it
    /// was assigned for may have turned out otherwise.
    fn better_idle(&mut self, id: JobId, node: NodeId, now: Time) -> Option<(NodeId, Terms)> {
        let job = &self.jobs[id.0];
        let idle = |other: &NodeId| {
            let on = &self.nodes[usize::from(other.0)];
            *other != node && on.usable && !on.sleeps && on.active() == 0 && on.queue.is_empty()
        };
        let free = job.candidates.iter().filter(|other| !other.held).map(|other| other.node);
        let idle: Vec<NodeId> = free.filter(idle).collect();
        if idle.is_empty() || job.policy != Policy::Cost {
            return None;
        }
        let here = {
            let job = job.alike();
            let wait = self.wait(Some(id), &job, job.work(), node, now);
            wait + self.loads(&job, node, now) + job.terms.prefill
        };
        let others = idle.into_iter().map(|other| (other, self.terms_of_waiting(id, other, now)));
        let best = others.min_by(|(_, a), (_, b)| a.total().total_cmp(&b.total()))?;
        (best.1.total() + WORTH_MOVING < here).then_some(best)
    }

    /// The first in the queue of a node, and whether it is that by its age alone.
    fn next(&self, node: NodeId, now: Time) -> Option<(JobId, bool)> {
        let on = &self.nodes[usize::from(node.0)];
        let late = |id: &JobId| now - self.jobs[id.0].arrived >= PATIENCE;
        let by_age = on.passed_over >= PASSED_OVER && on.queue.iter().any(late);
        // Mostly nobody else waits.
        if let [only] = *on.queue {
            return Some((only, by_age));
        }
        let order = |a: &Rank, b: &Rank| if by_age { a.at.total_cmp(&b.at) } else { a.cmp(b) };
        let ranks = on.queue.iter().map(|id| (*id, self.rank_here(*id, node, now)));
        ranks.min_by(|(_, a), (_, b)| order(a, b)).map(|(id, _)| (id, by_age))
    }

    /// Where a request stands that waits for `node`, by the work that is known to be left.
    fn rank_here(&self, id: JobId, node: NodeId, now: Time) -> Rank {
        let job = &self.jobs[id.0];
        self.rank(job, self.loads(job, node, now) + job.terms.prefill, now)
    }

    /// Seconds until the model of `job` is in a node's memory.
    fn loads(&self, job: &Job, node: NodeId, now: Time) -> f64 {
        let Some(model) = job.model.filter(|_| !job.here.resident) else { return 0.0 };
        match self.nodes[usize::from(node.0)].memory.get(job.here.weights, job.variant) {
            Some(held) => (held.ready - now).max(0.0),
            None => self.load(node, model, job.here.bytes),
        }
    }

    /// Whether its model is loaded for another request, which has not begun: it may turn out otherwise yet.
    fn waits_for_load(&self, id: JobId) -> bool {
        let job = &self.jobs[id.0];
        let loads = |other: &JobId| {
            let other = &self.jobs[other.0];
            other.terms.load > 0.0 && other.here.weights == job.here.weights
        };
        !job.here.resident && self.nodes[usize::from(job.node.0)].heavy.iter().any(loads)
    }

    pub(crate) fn can_take(&mut self, node: NodeId, light: bool, now: Time) -> bool {
        let on = &self.nodes[usize::from(node.0)];
        let before = on.heavy.len();
        let loading = on.heavy.iter().any(|id| self.jobs[id.0].terms.load > 0.0);
        let on = &mut self.nodes[usize::from(node.0)];
        on.usable && !on.sleeps && on.takes(light, before, loading, now)
    }

    /// A request that waits elsewhere, of a higher band or of somebody who was served less than whoever is next here.
    fn more_due(&mut self, node: NodeId, next: JobId, now: Time) -> Option<(JobId, Terms)> {
        if self.waiting.len() < 2 {
            return None;
        }
        let next = self.rank_here(next, node, now);
        let rank = |id: JobId| (id, self.rank(&self.jobs[id.0], self.jobs[id.0].work(), now));
        let due = self.elsewhere(node, usize::MAX).map(rank).filter(|(_, rank)| rank.is_more_due_than(&next));
        let (id, _) = due.min_by(|(_, a), (_, b)| a.cmp(b))?;
        let terms = self.terms_of_waiting(id, node, now);
        Some((id, terms))
    }

    /// The request that gains most by moving here of those that wait elsewhere: one of the highest band, if one of it gains.
    fn better_here(&mut self, node: NodeId, now: Time) -> Option<(JobId, Terms)> {
        let mut others = std::mem::take(&mut self.others);
        others.clear();
        others.extend(self.elsewhere(node, LOOKED_AT));
        let highest = self.waiting.iter().map(|((_, band), _)| *band).max();
        let is_highest = |id: &JobId| Some(self.jobs[id.0].band) == highest;
        if !others.iter().any(is_highest) {
            others.extend(self.elsewhere(node, usize::MAX).filter(is_highest).take(LOOKED_AT));
        }
        let mut best: Option<((u8, f64), JobId, Terms)> = None;
        for id in others.iter().copied() {
            let here = self.terms_of_waiting(id, node, now);
            let job = self.jobs[id.0].alike();
            let gain = self.wait(Some(id), &job, job.work(), job.node, now) + job.work() - here.total();
            let gain = (self.jobs[id.0].band, gain);
            if gain.1 > WORTH_MOVING && best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                best = Some((gain, id, here));
            }
        }
        self.others = others;
        best.map(|(_, id, terms)| (id, terms))
    }

    /// The requests that wait for other nodes and could go to `node`, at most so many of each queue.
    fn elsewhere(&self, node: NodeId, most: usize) -> impl Iterator<Item = JobId> {
        let queues = self.nodes.iter().map(move |on| on.queue.iter().take(most)).enumerate();
        let others = queues.filter(move |(at, _)| *at != usize::from(node.0)).flat_map(|(_, queue)| queue);
        let goes = move |id: &&JobId| {
            self.jobs[id.0].candidates.iter().any(|other| other.node == node && !other.held)
        };
        others.filter(goes).copied()
    }

    pub(crate) fn terms_of_waiting(&mut self, id: JobId, node: NodeId, now: Time) -> Terms {
        let blocks = std::mem::take(&mut self.jobs[id.0].blocks);
        self.find_prefixes(&blocks);
        self.jobs[id.0].blocks = blocks;
        let job = self.jobs[id.0].alike();
        self.terms(&job, node, now)
    }

    /// Moves a request that waits to another queue; its prompt was looked up.
    pub(crate) fn move_to(&mut self, id: JobId, node: NodeId, terms: Terms, now: Time) {
        let from = self.jobs[id.0].node;
        self.nodes[usize::from(from.0)].queue.retain(|other| *other != id);
        self.plan_anew(from);
        let blocks = std::mem::take(&mut self.jobs[id.0].blocks);
        self.find_prefixes(&blocks);
        self.assign(id, node, terms, &blocks, now);
        self.jobs[id.0].blocks = blocks;
    }

    /// What waits for a node that takes nothing any more goes to others, as far as there are any.
    pub(crate) fn leave(&mut self, node: NodeId, now: Time) {
        for id in self.nodes[usize::from(node.0)].queue.clone() {
            // Another node may have taken it over meanwhile.
            if !self.nodes[usize::from(node.0)].queue.contains(&id) {
                continue;
            }
            let blocks = std::mem::take(&mut self.jobs[id.0].blocks);
            self.find_prefixes(&blocks);
            self.jobs[id.0].blocks = blocks;
            let candidates = std::mem::take(&mut self.jobs[id.0].candidates);
            let job = self.jobs[id.0].alike();
            let best = self.choose(job.policy, &job, &candidates, 0, now);
            let to = best.map(|(at, terms)| (candidates[at].node, terms));
            self.jobs[id.0].candidates = candidates;
            if let Some((to, terms)) = to {
                self.move_to(id, to, terms, now);
                self.pump(to, now);
            }
        }
    }

    pub(crate) fn send(&mut self, id: JobId, now: Time) {
        let job = &self.jobs[id.0];
        let node = job.node;
        let on = &self.nodes[usize::from(node.0)];
        let behind = on.heavy.iter().map(|id| self.jobs[id.0].begins).max_by(Time::total_cmp);
        let (beside, met) = (on.active(), !on.unbegun.is_empty());
        let fresh = job.first.is_some_and(|(block, at)| self.prefixes.mark(&block, node) == Some(at));
        let decode = self.decode(node, job.model);
        let load = self.loads(job, node, now);
        let job = &mut self.jobs[id.0];
        let after = if job.is_light() { now } else { behind.unwrap_or(now).max(now) };
        job.terms.load = load;
        job.begins = after + load + job.terms.prefill;
        job.ends = job.begins + job.output * decode;
        (job.stage, job.sent, job.beside, job.behind) = (Stage::Unbegun, now, beside, behind);
        (job.met, job.fresh) = (met, fresh);
        let held = held(job, after + load, now);
        let (organization, key, band) = (job.organization, job.key, job.band);
        let (light, work) = (job.is_light(), job.work());
        let tokens = f64::from(job.prompt) + job.output;
        self.waits_no_more(organization, band);
        let on = &mut self.nodes[usize::from(node.0)];
        on.queue.retain(|other| *other != id);
        on.passed_over = on.passed_over.saturating_add(1);
        on.sends += 1;
        self.jobs[id.0].sends = on.sends;
        on.unbegun.push(id);
        if !light {
            on.heavy.push(id);
        }
        if let Some(held) = held {
            on.memory.take(held, &on.capacity);
        }
        self.work.add(work, now);
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
                on.planned.take(held, &on.capacity);
            }
        }
        self.count_copies();
    }

    /// One request less of an organization waits in a band.
    pub(crate) fn waits_no_more(&mut self, organization: u64, band: u8) {
        if let Some(at) = self.waiting.iter().position(|(who, _)| *who == (organization, band)) {
            self.waiting[at].1 -= 1;
            if self.waiting[at].1 == 0 {
                self.waiting.swap_remove(at);
            }
        }
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
