//! A node's engine in simulated time: it takes requests first come first served, loads models into a memory that holds
//! a few, prefills one prompt after the other, caches blocks of prompts, and generates for several at once.

use std::collections::{HashMap, VecDeque};

use super::load::Request;

pub(crate) type Time = f64;

/// What an engine can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Tokens of prefill a second.
    pub(crate) prefill: f64,
    /// Tokens generated a second, for each request.
    pub(crate) decode: f64,
    /// Requests at once.
    pub(crate) places: usize,
    /// Models in memory.
    pub(crate) models: usize,
    /// Seconds to load one.
    pub(crate) load: f64,
    /// Tokens of prompts it caches.
    pub(crate) cache: u64,
}

impl Default for Machine {
    fn default() -> Self {
        Self { prefill: 7000.0, decode: 60.0, places: 16, models: 3, load: 8.0, cache: 800_000 }
    }
}

/// What a request took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    pub(crate) load: f64,
    pub(crate) prefill: f64,
    pub(crate) cached: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Loading(Time),
    Prefilling(Time),
}

/// What happened on an engine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happened {
    /// The first token of a request.
    Begun(usize),
    /// The last one.
    Ended(usize),
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) machine: Machine,
    waiting: VecDeque<usize>,
    step: Option<Step>,
    running: Vec<(Time, usize)>,
    /// Models in memory, the least recently used first.
    pub(crate) memory: Vec<u32>,
    cache: Cache,
    pub(crate) work: HashMap<usize, Work>,
    pub(crate) loads: usize,
    pub(crate) dead: bool,
}

impl Engine {
    pub(crate) fn new(machine: Machine) -> Self {
        let cache = Cache::new(machine.cache);
        Self {
            machine,
            cache,
            waiting: VecDeque::new(),
            step: None,
            running: Vec::new(),
            memory: Vec::new(),
            work: HashMap::new(),
            loads: 0,
            dead: false,
        }
    }

    /// Requests there.
    pub(crate) fn active(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    pub(crate) fn take(&mut self, request: usize) {
        self.waiting.push_back(request);
        self.work.insert(request, Work::default());
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<Time> {
        let step = self.step.map(|(Step::Loading(at) | Step::Prefilling(at))| at);
        step.into_iter().chain(self.running.iter().map(|(at, _)| *at)).min_by(Time::total_cmp)
    }

    /// Goes on to `now`, at which something happens.
    pub(crate) fn go_on(&mut self, now: Time, requests: &[Request], happened: &mut Vec<Happened>) {
        self.running.retain(|(at, request)| {
            let over = *at <= now;
            if over {
                happened.push(Happened::Ended(*request));
            }
            !over
        });
        match self.step {
            Some(Step::Loading(at)) if at <= now => {
                self.memory.push(requests[self.waiting[0]].model);
                self.step = None;
            }
            Some(Step::Prefilling(at)) if at <= now => {
                let request = self.waiting.pop_front().expect("it is prefilled");
                self.cache.insert(&requests[request]);
                let output = requests[request].output.max(1) as f64;
                self.running.push((now + output / self.machine.decode, request));
                happened.push(Happened::Begun(request));
                self.step = None;
            }
            _ => {}
        }
        self.start(now, requests);
    }

    /// Begins what can be begun.
    pub(crate) fn start(&mut self, now: Time, requests: &[Request]) {
        if self.step.is_some() || self.running.len() >= self.machine.places {
            return;
        }
        let Some(first) = self.waiting.front().copied() else { return };
        let request = &requests[first];
        let work = self.work.get_mut(&first).expect("it was taken");
        if let Some(at) = self.memory.iter().position(|model| *model == request.model) {
            let model = self.memory.remove(at);
            self.memory.push(model);
            work.cached = self.cache.find(request).min(request.input.saturating_sub(1));
            work.prefill = (request.input - work.cached) as f64 / self.machine.prefill;
            self.step = Some(Step::Prefilling(now + work.prefill));
            return;
        }
        if self.memory.len() >= self.machine.models {
            let idle = |model: &u32| !self.running.iter().any(|(_, other)| requests[*other].model == *model);
            let Some(victim) = self.memory.iter().position(idle) else { return };
            self.memory.remove(victim);
        }
        work.load = self.machine.load;
        self.loads += 1;
        self.step = Some(Step::Loading(now + work.load));
    }

    /// Everything that is there is lost.
    pub(crate) fn die(&mut self) -> Vec<usize> {
        self.dead = true;
        self.step = None;
        self.work.clear();
        let running = std::mem::take(&mut self.running).into_iter().map(|(_, request)| request);
        running.chain(std::mem::take(&mut self.waiting)).collect()
    }
}

/// Blocks of prompts, least recently used out first.
#[derive(Debug)]
struct Cache {
    room: u64,
    held: u64,
    clock: u64,
    blocks: HashMap<(u32, u64), (u64, u64)>,
    order: std::collections::BTreeMap<u64, (u32, u64)>,
}

impl Cache {
    fn new(room: u64) -> Self {
        Self { room, held: 0, clock: 0, blocks: HashMap::new(), order: std::collections::BTreeMap::new() }
    }

    fn find(&self, request: &Request) -> u64 {
        let there = |block: &&aivonx_scheduler::Block| self.blocks.contains_key(&(request.model, block.hash));
        request.blocks.iter().take_while(there).last().map_or(0, |block| u64::from(block.tokens))
    }

    fn insert(&mut self, request: &Request) {
        let mut before = 0;
        // The end of a prompt goes first: a beginning without its end is of use, an end alone is not.
        for block in &request.blocks {
            let size = u64::from(block.tokens) - before;
            before = u64::from(block.tokens);
            let key = (request.model, block.hash);
            self.clock += 1;
            match self.blocks.insert(key, (self.clock, size)) {
                Some((old, _)) => drop(self.order.remove(&old)),
                None => self.held += size,
            }
            self.order.insert(self.clock, key);
        }
        while self.held > self.room {
            let Some((_, key)) = self.order.pop_first() else { break };
            if let Some((_, size)) = self.blocks.remove(&key) {
                self.held -= size;
            }
        }
    }
}
