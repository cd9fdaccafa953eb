//! The cost of sending a request to a node: the predicted seconds to its first token.

use std::cell::LazyCell;

use crate::{
    JobId, ModelId, NodeId, Scheduler, Time,
    learned::{Assumed, Learned},
    memory::Held,
    node::Here,
    order::{AGEING, Rank},
    scheduler::{Job, Stage},
    terms::Terms,
};

/// Seconds of prefill below which a request waits for no other's: it would not be noticed.
pub(crate) const LIGHT: f64 = 0.05;

/// Seconds that a request is thought to wait for each by which there would be more at once than ever were: nobody knows
/// whether the node does so many.
const UNSEEN: f64 = 1.0;

/// Seconds after which an answer that has not begun is not merely late.
const OVERDUE: f64 = 0.25;

/// Share of the time that a fleet is thought to be busy at most.
const MOST_BUSY: f64 = 0.95;

/// How many times its own length the prefill of a request counts to those after it. More than once: a prompt that is
/// prefilled where it is not cached is then in two caches, and drives out another there, which is prefilled again in turn.
/// The number is the one with which the fleet bench met its targets.
const CACHED_AGAIN: f64 = 1.1;

/// Seconds within which a request for a model that had to leave is thought to come.
const WANTED_WITHIN: f64 = 60.0;

/// Seconds that it costs to drive a model out of memory that is to stay there: other nodes are taken for as long as they
/// have work for less.
const PINNED: f64 = 600.0;

impl Job {
    /// Work that other prompts need not wait for.
    pub(crate) fn is_light(&self) -> bool {
        self.embeds || self.terms.load + self.terms.prefill < LIGHT
    }

    /// What the node does before its answer begins.
    pub(crate) fn work(&self) -> f64 {
        self.terms.load + self.terms.prefill
    }

    /// When its answer begins, of one that was sent: the longer it is overdue, the less is known.
    fn begins_in(&self, now: Time) -> f64 {
        (self.begins - now).max((now - self.sent) / 10.0).max(0.0)
    }

    fn ends_in(&self, now: Time) -> f64 {
        (self.ends - now).max(0.1)
    }
}

impl Scheduler {
    /// What it costs to send `job` to `node`; its prompt was looked up.
    pub(crate) fn terms(&mut self, job: &Job, node: NodeId, now: Time) -> Terms {
        let on = &self.nodes[usize::from(node.0)];
        let known = self.known.get(usize::from(node.0)).copied().unwrap_or_default();
        let Some(model) = job.model else {
            return Terms { wait: self.wait(None, job, 0.0, node, now), ..Terms::default() };
        };
        let here = on.here.get(&model).copied().unwrap_or(Here::UNKNOWN);
        let (load, evict, ready) = if here.resident {
            (0.0, 0.0, now)
        } else if let Some(held) = on.planned.get(here.weights, job.variant) {
            (0.0, 0.0, held.ready)
        } else {
            (self.load(node, model, here.bytes), self.eviction(node, here, now), now)
        };
        let cached = known.cached.min(job.prompt);
        let prefill =
            if job.embeds { 0.0 } else { f64::from(job.prompt - cached) * self.prefill(node, model) };
        let wait = self.wait(None, job, load + prefill, node, now);
        let gain = if load > 0.0 && evict == 0.0 { self.gain(model, load, now) } else { 0.0 };
        let load = load.max(ready - now - wait);
        let others = self.delayed(node, now) * (load + CACHED_AGAIN * prefill) - gain;
        Terms { wait, load, evict, prefill, others, cached }
    }

    /// Requests that come later for what `node` does now: those that wait there, and as many as come in the meantime
    /// when the fleet is as busy as it is.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    fn delayed(&self, node: NodeId, now: Time) -> f64 {
        let usable = self.nodes.iter().filter(|on| on.usable).count().max(1);
        let busy = (self.work.per_second(now) / usable as f64).min(MOST_BUSY);
        self.nodes[usize::from(node.0)].queue.len() as f64 + busy / (1.0 - busy) / 2.0
    }

    /// What a load into free memory is worth to the requests that follow: about half of it, if they are many.
    fn gain(&self, model: ModelId, load: f64, now: Time) -> f64 {
        // While one is under way nobody knows yet whether it will not do for all.
        let Some(model) = self.models.get(model.0 as usize).filter(|model| model.loads <= now) else {
            return 0.0;
        };
        let served = model.asked.per_second(now) * load / f64::from(model.copies + 1);
        load * served / (1.0 + served) / 2.0
    }

    /// Seconds until `node` can begin with `job`, which takes `work` then; `id` is its number if it waits there.
    pub(crate) fn wait(&mut self, id: Option<JobId>, job: &Job, work: f64, node: NodeId, now: Time) -> f64 {
        let mut times = std::mem::take(&mut self.times);
        let on = &self.nodes[usize::from(node.0)];
        let one_by_one = !job.embeds && !on.serial.is_refuted(now);
        let mut serial = 0.0_f64;
        if one_by_one {
            let heavy = on.heavy.iter().map(|id| &self.jobs[id.0]);
            serial = heavy.map(|job| job.begins_in(now)).fold(0.0, f64::max);
        }
        // Mostly nobody waits.
        let rank = LazyCell::new(|| self.rank(job, work, now));
        let mut ahead = 0;
        for other in on.queue.iter().filter(|other| Some(**other) != id) {
            let other = &self.jobs[other.0];
            if self.rank(other, other.work(), now).cmp(&rank).is_le() {
                ahead += 1;
                serial += if one_by_one { other.work() } else { 0.0 };
            }
        }
        let places = match on.parallel.bound() {
            None => 0.0,
            Some(bound) => {
                let bound = bound as usize;
                let missing = (on.active() + ahead + 1).saturating_sub(bound);
                times.clear();
                let at_work = on.running.iter().chain(&on.unbegun).map(|id| &self.jobs[id.0]);
                times.extend(at_work.map(|job| match job.stage {
                    Stage::Running => job.ends_in(now),
                    _ => job.begins_in(now) + (job.ends - job.begins),
                }));
                times.sort_unstable_by(Time::total_cmp);
                #[expect(clippy::cast_precision_loss, reason = "a few hundred requests")]
                match (missing, times.last()) {
                    (0, _) | (_, None) => 0.0,
                    (missing, _) if missing <= times.len() => times[missing - 1],
                    // Each place that becomes free is taken again by one that is as long as the others.
                    (missing, Some(last)) => {
                        last * (1.0 + (missing - times.len()) as f64 / bound.max(1) as f64)
                    }
                }
            }
        };
        self.times = times;
        // What should have begun long ago takes a place, too. They stand in the order in which they were sent.
        let sent = on.unbegun.iter().map(|id| &self.jobs[id.0]).take_while(|job| job.sent + OVERDUE < now);
        let overdue = sent.filter(|job| job.begins + OVERDUE < now);
        let at_once = on.running.len() + overdue.count();
        serial.max(places) + f64::from(on.parallel.beyond_seen(at_once)) * UNSEEN + on.wakes_in(now)
    }

    /// Where a request stands in a queue when the node has to do so much for it.
    pub(crate) fn rank(&self, job: &Job, work: f64, now: Time) -> Rank {
        Rank {
            band: job.band,
            organization: self.service.of(job.organization, now),
            key: self.service.of(job.key, now),
            at: job.arrived + AGEING * work,
        }
    }

    /// What the next requests for the models lose that have to leave `node` for `new`: the time to load each, as often
    /// as it will be wanted, shared by its copies.
    fn eviction(&self, node: NodeId, new: Here, now: Time) -> f64 {
        let on = &self.nodes[usize::from(node.0)];
        let (bytes, count) = on.planned.total();
        // Where nobody knows, it is as likely as not that one has to leave.
        let (known, risk) = match on.capacity.is_known(bytes + new.bytes, count + 1) {
            true => (None, 1.0),
            false => (on.planned.iter().next(), 0.5),
        };
        let leaving = on.planned.evicts(new.weights, new.bytes, &on.capacity).chain(known);
        let loss = |held: &Held| {
            let model = self.models.get(held.model.0 as usize);
            let copies = model.map_or(1, |model| model.copies).max(1);
            let wanted = model.map_or(0.0, |model| model.asked.per_second(now) * WANTED_WITHIN);
            let pinned = if self.pinned.contains(&(node, held.model)) { PINNED } else { 0.0 };
            self.load(node, held.model, held.bytes) * wanted / f64::from(copies) + pinned
        };
        leaving.map(loss).sum::<f64>() * risk
    }

    /// Seconds to load a model of so many bytes.
    pub(crate) fn load(&self, node: NodeId, model: ModelId, bytes: u64) -> f64 {
        self.learned(node, model, |learned| learned.speeds.load.get()).unwrap_or(Assumed::load(bytes))
    }

    /// Seconds of prefill for a token.
    pub(crate) fn prefill(&self, node: NodeId, model: ModelId) -> f64 {
        self.learned(node, model, |learned| learned.speeds.prefill.get()).unwrap_or(Assumed::PREFILL)
    }

    /// Seconds to generate a token.
    pub(crate) fn decode(&self, node: NodeId, model: Option<ModelId>) -> f64 {
        let learned = model.and_then(|model| self.learned(node, model, |l| l.speeds.decode.get()));
        learned.unwrap_or(Assumed::DECODE)
    }

    /// What is known of the model on this node, else on any, else of the node with any model.
    fn learned(&self, node: NodeId, model: ModelId, what: impl Fn(&Learned) -> Option<f64>) -> Option<f64> {
        let pair = || self.pairs.get(&(node, model)).and_then(&what);
        let model = || self.models.get(model.0 as usize).and_then(|model| what(&model.learned));
        let any = || self.nodes.get(usize::from(node.0)).and_then(|node| what(&node.learned));
        pair().or_else(model).or_else(any)
    }
}
