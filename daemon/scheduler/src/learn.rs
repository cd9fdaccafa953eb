//! What answers teach.

use crate::{
    Answer, JobId, ModelId, NodeId, Scheduler, Time,
    learned::Learned,
    memory::{Capacity, Held},
    scheduler::Stage,
};

/// Seconds of waiting that nothing but other requests explains.
const NOTICEABLE: f64 = 0.5;
/// Seconds within which one thing follows from another.
const SOON: f64 = 0.3;
/// Seconds for which two requests have to have met on a node.
const MET: f64 = 0.1;
/// Tokens of a prompt from which on its prefill says how fast prefill is.
const ENOUGH: f64 = 128.0;
/// Seconds of loading from which on a model was not in memory.
const LOADED: f64 = 0.5;

impl Scheduler {
    /// The first byte of a streamed answer is there: how far apart two begin that met says whether the second waited for
    /// the first.
    pub(crate) fn learn_begin(&mut self, id: JobId, now: Time) {
        let job = &self.jobs[id.0];
        if !job.streams || job.is_light() {
            return;
        }
        let (sent, load, behind, fresh) = (job.sent, job.terms.load, job.behind.is_some(), job.fresh);
        if let (true, Some(model)) = (load > 0.0 && !behind, job.model) {
            // At most: the prefill is part of it.
            let (node, took) = (job.node, now - sent);
            self.learn(node, model, |learned| learned.speeds.load.add(took, 1.0));
        }
        let job = &self.jobs[id.0];
        let uncached = f64::from(job.prompt - job.terms.cached.min(job.prompt)).max(1.0);
        let on = &mut self.nodes[usize::from(job.node.0)];
        if let Some((began, pace)) = on.pace
            && behind
            && fresh
            && load == 0.0
            && began - sent >= MET
        {
            let own = pace * uncached;
            let after = now - began;
            if after >= own / 2.0 {
                on.serial.vote(true, now);
            } else if after < own / 5.0 {
                on.serial.vote(false, now);
            }
        }
        let since = on.pace.map_or(sent, |(began, _)| began.max(sent));
        on.pace = (load == 0.0 && fresh).then_some((now, (now - since) / uncached));
    }

    /// How long a request waited on its node for others: what its load and prefill do not explain.
    fn saw_wait(&mut self, id: JobId, answer: &Answer, now: Time) {
        let job = &self.jobs[id.0];
        let Some(began) = job.began.filter(|_| job.streams && !job.is_light()) else { return };
        let explained = match (answer.load, answer.prefill) {
            (Some(load), Some(prefill)) => load + prefill,
            // What an answer does not say is not known well enough.
            _ => return,
        };
        let waited = began - job.sent - explained;
        let (behind, beside, sent) = (job.behind, job.beside, job.sent);
        let on = &mut self.nodes[usize::from(job.node.0)];
        match behind {
            Some(begins) if begins - sent >= NOTICEABLE && waited >= (begins - sent) / 2.0 => {
                on.serial.vote(true, now);
            }
            // It began when another had ended.
            None if waited >= NOTICEABLE && beside > 0 && !job.met => {
                let free = began - explained;
                if on.ended >= sent && (free - on.ended).abs() <= SOON {
                    on.parallel.full(beside, now);
                }
            }
            _ => {}
        }
    }

    /// A request was answered to its end.
    pub(crate) fn learn_end(&mut self, id: JobId, answer: &Answer, now: Time) {
        self.saw_wait(id, answer, now);
        let job = &self.jobs[id.0];
        let (Some(model), node) = (job.model, job.node) else { return };
        if let Some(load) = answer.load
            && !job.here.resident
        {
            let believed = job.terms.load < LOADED;
            let (weights, variant) = (job.here.weights, job.variant);
            if load >= LOADED {
                self.learn(node, model, |learned| learned.speeds.load.add(load, 1.0));
                self.doubted.push(node);
                let on = &mut self.nodes[usize::from(node.0)];
                if believed && on.unbegun.is_empty() && on.memory.get(weights, variant).is_some() {
                    // It had been driven out by what came after it.
                    let (bytes, count) = on.memory.total();
                    on.capacity.saw_eviction(bytes, count);
                    Capacity::share(self.nodes.iter_mut().map(|on| &mut on.capacity));
                }
            }
        }
        let job = &self.jobs[id.0];
        let prompt = answer.prompt.unwrap_or(f64::from(job.prompt));
        let known = job.known;
        let (embeds, stage) = (job.embeds, job.stage);
        let alone = job.behind.is_none() && !job.met && job.streams;
        let prefill = answer.prefill.or_else(|| {
            // The answer says nothing: the time to its first byte does, if nothing else was to be done.
            (alone && stage == Stage::Running && job.terms.load == 0.0).then(|| self.first_byte(id)).flatten()
        });
        if let Some(seconds) = prefill.filter(|_| !embeds) {
            let unknown = self.jobs[id.0].fresh && f64::from(known.tokens) <= prompt / 8.0;
            let cached = answer.cached.or(unknown.then_some(f64::from(known.tokens)));
            if let Some(cached) = cached
                && prompt - cached >= ENOUGH
            {
                self.learn(node, model, |learned| learned.speeds.prefill.add(seconds, prompt - cached));
            }
            let speed = self.prefill(node, model);
            let cached = answer.cached.unwrap_or(prompt - seconds / speed);
            let least = if answer.cached.is_some() { ENOUGH } else { ENOUGH.max(prompt / 4.0) };
            if f64::from(known.tokens) >= least {
                let hit = cached >= f64::from(known.tokens) / 2.0;
                self.nodes[usize::from(node.0)].saw_cache(known.ago, hit);
            }
        }
        if let (Some(output), Some(seconds)) = (answer.output, answer.decode)
            && output >= 2.0
        {
            self.learn(node, model, |learned| learned.speeds.decode.add(seconds, output));
        }
        if let Some(output) = answer.output.filter(|_| !embeds) {
            self.model(model).learned.output.add(output, 1.0);
        }
        self.correct_service(id, prompt, answer, now);
    }

    fn first_byte(&self, id: JobId) -> Option<f64> {
        let job = &self.jobs[id.0];
        Some(job.began? - job.sent)
    }

    /// What was counted as served when it was sent becomes what it was.
    fn correct_service(&mut self, id: JobId, prompt: f64, answer: &Answer, now: Time) {
        let job = &self.jobs[id.0];
        let (organization, key) = (job.organization, job.key);
        let output = answer.output.unwrap_or(job.output);
        let more = prompt - f64::from(job.prompt) + output - job.output;
        self.service.add(organization, more, now);
        self.service.add(key, more, now);
    }

    fn learn(&mut self, node: NodeId, model: ModelId, sample: impl Fn(&mut Learned)) {
        sample(self.pairs.entry((node, model)).or_default());
        sample(&mut self.model(model).learned);
        sample(&mut self.nodes[usize::from(node.0)].learned);
    }

    /// States how fast a node is with a model: seconds to load it, tokens of prefill and generated tokens a second, tokens
    /// of prompts that it caches.
    pub fn teach(&mut self, node: NodeId, model: ModelId, load: f64, prefill: f64, decode: f64, cache: u64) {
        self.learn(node, model, |learned| {
            learned.speeds.load.add(load * 1e6, 1e6);
            learned.speeds.prefill.add(1e6, 1e6 * prefill);
            learned.speeds.decode.add(1e6, 1e6 * decode);
        });
        let on = &mut self.nodes[usize::from(node.0)];
        on.reach = cache;
        on.serial.vote(true, 0.0);
    }

    /// A model was loaded by request.
    pub fn loaded(&mut self, node: NodeId, model: ModelId, now: Time) {
        let Some(on) = self.nodes.get_mut(usize::from(node.0)) else { return };
        if let Some(here) = on.here.get(&model) {
            on.memory.is_ready(here.weights, now);
            self.plan_anew(node);
        }
    }

    /// A model was taken out of a node's memory by request: nothing had to leave for want of room.
    pub fn unloaded(&mut self, node: NodeId, model: ModelId) {
        let Some(on) = self.nodes.get_mut(usize::from(node.0)) else { return };
        if let Some(here) = on.here.get(&model) {
            on.memory.remove(here.weights);
            self.plan_anew(node);
        }
    }

    /// Takes in what a node holds in memory, as it was at `seen`: weights, and bytes if it says so.
    pub fn look(&mut self, node: NodeId, there: impl Iterator<Item = (u64, u64)>, seen: Time) {
        let Some(on) = self.nodes.get_mut(usize::from(node.0)) else { return };
        let model_of = |weights: u64| {
            let of = on.here.iter().find(|(_, here)| here.weights == weights);
            of.map(|(model, here)| (*model, here.bytes))
        };
        let there: Vec<Held> = there
            .filter_map(|(weights, bytes)| {
                let (model, assumed) = model_of(weights)?;
                let bytes = if bytes > 0 { bytes } else { assumed };
                Some(Held { weights, variant: None, model, bytes, ready: seen, since: None })
            })
            .collect();
        let pending = |held: &Held| {
            let here = |id: &JobId| self.jobs[id.0].here.weights == held.weights;
            held.since.is_some_and(|since| since >= seen) || on.unbegun.iter().any(here)
        };
        let known = || on.memory.iter().filter(|held| !pending(held));
        let before = on.memory.total();
        let loaded = known().any(|held| held.since.is_some());
        let gone = on.memory.correct(&there, pending);
        let total = there.iter().fold((0, 0), |sum, held| (sum.0 + held.bytes, sum.1 + 1));
        on.capacity.saw_held(total.0, total.1);
        if gone && loaded {
            on.capacity.saw_eviction(before.0, before.1);
            Capacity::share(self.nodes.iter_mut().map(|on| &mut on.capacity));
        }
        self.plan_anew(node);
    }
}
