//! Those who decide: the scheduler, the scheduler that knows everything, and what plain proxies do.

use std::collections::HashMap;

use aivonx_scheduler::{Answer, Ask, Candidate, Here, JobId, ModelId, NodeId, Policy, Scheduler};

use super::drive::{Driver, Fleet};

/// Bytes of a model.
const BYTES: u64 = 5_000_000_000;

/// The scheduler of the gateway.
pub(crate) struct Ours {
    scheduler: Scheduler,
    /// It is told everything about the engines, as it is.
    knows: bool,
    jobs: HashMap<usize, JobId>,
    requests: HashMap<JobId, usize>,
    /// How requests are chosen for.
    policy: Policy,
    begun: bool,
}

impl Ours {
    pub(crate) fn new(policy: Policy, knows: bool) -> Self {
        Self {
            scheduler: Scheduler::default(),
            knows,
            jobs: HashMap::new(),
            requests: HashMap::new(),
            policy,
            begun: false,
        }
    }

    fn begin(&mut self, fleet: &Fleet<'_>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let models = fleet.requests.iter().map(|request| request.model).max().unwrap_or(0);
        for (at, engine) in (0..).zip(&fleet.engines) {
            let machine = engine.machine;
            let (parallel, most) =
                (self.knows.then_some(machine.places as u32), self.knows.then_some(machine.models));
            self.scheduler.set_node(NodeId(at), true, parallel, most, fleet.now);
            let here = |model| {
                (ModelId(model), Here { weights: u64::from(model) + 1, bytes: BYTES, resident: false })
            };
            self.scheduler.set_models(NodeId(at), (0..=models).map(here));
            if self.knows {
                for model in 0..=models {
                    self.scheduler.teach(
                        NodeId(at),
                        ModelId(model),
                        machine.load,
                        machine.prefill,
                        machine.decode,
                        machine.cache,
                    );
                }
            }
        }
    }

    fn submit(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>) {
        let of = &fleet.requests[request];
        let ask = Ask {
            model: Some(ModelId(of.model)),
            variant: None,
            prompt: of.input as u32,
            blocks: &of.blocks,
            output: self.knows.then_some(of.output as f64),
            streams: true,
            embeds: false,
            band: 0,
            organization: of.organization + 1,
            key: of.organization + 100,
        };
        let candidates: Vec<Candidate> = (0..fleet.engines.len())
            .filter(|at| !fleet.engines[*at].dead)
            .map(|at| Candidate { node: NodeId(at as u16), latency: Some(0.001), weight: 1.0, held: false })
            .collect();
        let (job, node) =
            self.scheduler.submit(self.policy, &ask, &candidates, fleet.now).expect("a node is there");
        self.jobs.insert(request, job);
        self.requests.insert(job, request);
        if let Some(node) = node {
            sends.push((request, usize::from(node.0)));
        }
        self.after(fleet, sends);
    }

    fn after(&mut self, fleet: &Fleet<'_>, sends: &mut Vec<(usize, usize)>) {
        while let Some((job, node)) = self.scheduler.ready() {
            sends.push((self.requests[&job], usize::from(node.0)));
        }
        while let Some(node) = self.scheduler.doubted() {
            self.look(fleet, node);
        }
    }

    fn look(&mut self, fleet: &Fleet<'_>, node: NodeId) {
        let there =
            fleet.engines[usize::from(node.0)].memory.iter().map(|model| (u64::from(*model) + 1, BYTES));
        self.scheduler.look(node, there, fleet.now);
    }

    fn end(&mut self, request: usize, answer: Option<&Answer>, now: f64) {
        if let Some(job) = self.jobs.remove(&request) {
            self.requests.remove(&job);
            self.scheduler.ended(job, answer, now);
        }
    }
}

impl Driver for Ours {
    fn arrive(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>) {
        self.begin(fleet);
        self.submit(fleet, request, sends);
    }

    fn begun(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>) {
        let Some(job) = self.jobs.get(&request).copied() else { return };
        self.scheduler.begun(job, fleet.now);
        self.after(fleet, sends);
    }

    fn ended(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>) {
        let of = &fleet.requests[request];
        let engine =
            fleet.engines.iter().find(|engine| engine.work.contains_key(&request)).expect("it ran there");
        let work = engine.work[&request];
        let answer = Answer {
            prompt: Some(of.input as f64),
            cached: self.knows.then_some(work.cached as f64),
            load: Some(work.load),
            prefill: Some(work.prefill),
            output: Some(of.output as f64),
            decode: Some(of.output as f64 / engine.machine.decode),
        };
        self.end(request, Some(&answer), fleet.now);
        self.after(fleet, sends);
    }

    fn failed(&mut self, fleet: &Fleet<'_>, node: usize, request: usize, sends: &mut Vec<(usize, usize)>) {
        self.scheduler.set_node(NodeId(node as u16), false, None, None, fleet.now);
        self.end(request, None, fleet.now);
        self.submit(fleet, request, sends);
    }

    fn poll(&mut self, fleet: &Fleet<'_>, sends: &mut Vec<(usize, usize)>) {
        self.begin(fleet);
        for at in 0..fleet.engines.len() as u16 {
            self.look(fleet, NodeId(at));
        }
        self.after(fleet, sends);
    }
}

/// What proxies do that know nothing of engines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Plain {
    RoundRobin,
    LeastConnections,
    /// By conversation.
    Sticky,
}

pub(crate) struct Simple {
    how: Plain,
    turn: usize,
}

impl Simple {
    pub(crate) fn new(how: Plain) -> Self {
        Self { how, turn: 0 }
    }
}

impl Driver for Simple {
    fn arrive(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>) {
        let alive: Vec<usize> =
            (0..fleet.engines.len()).filter(|at| fleet.fails || !fleet.engines[*at].dead).collect();
        self.turn += 1;
        let sent = |at: usize| sends.iter().filter(|(_, node)| *node == at).count();
        let node = match self.how {
            Plain::RoundRobin => alive[self.turn % alive.len()],
            Plain::LeastConnections => {
                let least = |at: &&usize| {
                    (fleet.engines[**at].active() + sent(**at), (**at + self.turn) % alive.len())
                };
                *alive.iter().min_by_key(least).expect("one is alive")
            }
            Plain::Sticky => alive[(fleet.requests[request].session % alive.len() as u64) as usize],
        };
        sends.push((request, node));
    }

    /// A plain proxy passes a 500 on; a node that is gone it knows.
    fn retries(&self) -> bool {
        false
    }

    fn failed(&mut self, fleet: &Fleet<'_>, _: usize, request: usize, sends: &mut Vec<(usize, usize)>) {
        self.arrive(fleet, request, sends);
    }
}
