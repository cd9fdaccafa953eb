//! The event loop: requests come, a driver sends them to engines, and what happens there is reported to it.

use super::{
    engine::{Engine, Happened, Machine, Time},
    load::Request,
};

/// Who decides where requests go.
pub(crate) trait Driver {
    /// A request is there. What is to be sent where goes to `sends`, as everywhere below.
    fn arrive(&mut self, fleet: &Fleet<'_>, request: usize, sends: &mut Vec<(usize, usize)>);
    fn begun(&mut self, _: &Fleet<'_>, _: usize, _: &mut Vec<(usize, usize)>) {}
    fn ended(&mut self, _: &Fleet<'_>, _request: usize, _: &mut Vec<(usize, usize)>) {}
    /// A node failed over a request, or was found to.
    fn failed(&mut self, _: &Fleet<'_>, _node: usize, _request: usize, _: &mut Vec<(usize, usize)>) {}
    /// Whether a request that a node failed over goes to another one.
    fn retries(&self) -> bool {
        true
    }
    /// Health checks came round.
    fn poll(&mut self, _: &Fleet<'_>, _: &mut Vec<(usize, usize)>) {}
}

pub(crate) struct Fleet<'a> {
    pub(crate) now: Time,
    pub(crate) engines: Vec<Engine>,
    pub(crate) requests: &'a [Request],
    /// A dead node answers, with 500.
    pub(crate) fails: bool,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    None,
    /// The busiest node dies after so many seconds.
    Dies(Time),
    /// It answers 500 at once from then on.
    Fails(Time),
    /// It becomes five times as slow.
    Slows(Time),
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds to the first token, by request; infinite if it never came.
    pub(crate) first: Vec<Time>,
    pub(crate) loads: usize,
    pub(crate) cached: f64,
    /// Tokens served to each of two organizations while both had something to do.
    pub(crate) shares: [f64; 2],
}

/// Seconds between health checks.
const POLL: Time = 10.0;

pub(crate) fn run(
    driver: &mut dyn Driver,
    machines: &[Machine],
    requests: &[Request],
    trouble: Trouble,
) -> Outcome {
    let mut fleet = Fleet {
        now: 0.0,
        engines: machines.iter().copied().map(Engine::new).collect(),
        requests,
        fails: false,
    };
    let mut outcome = Outcome { first: vec![Time::INFINITY; requests.len()], ..Outcome::default() };
    let mut next = 0;
    let mut poll = 0.5;
    let mut left = requests.len();
    let (mut tokens, mut cached) = (0_u64, 0_u64);
    let mut waiting = [0_usize; 2];
    let mut sends = Vec::new();
    let mut happened = Vec::new();
    let mut trouble_at = match trouble {
        Trouble::None => None,
        Trouble::Dies(at) | Trouble::Fails(at) | Trouble::Slows(at) => Some(at),
    };
    while left > 0 {
        let arrival = requests.get(next).map_or(Time::INFINITY, |request| request.at);
        let engine = fleet.engines.iter().filter_map(Engine::next).fold(Time::INFINITY, Time::min);
        let bad = trouble_at.unwrap_or(Time::INFINITY);
        let now = arrival.min(engine).min(poll).min(bad);
        if now > 20_000.0 {
            break;
        }
        fleet.now = now;
        if bad <= now {
            trouble_at = None;
            let nodes = 0..fleet.engines.len();
            let Some(node) = nodes.max_by_key(|at| fleet.engines[*at].active()) else { break };
            if let Trouble::Slows(_) = trouble {
                fleet.engines[node].machine.prefill /= 5.0;
                fleet.engines[node].machine.decode /= 5.0;
            } else {
                fleet.fails = matches!(trouble, Trouble::Fails(_));
                for request in fleet.engines[node].die() {
                    driver.failed(&fleet, node, request, &mut sends);
                }
            }
        } else if poll <= now {
            poll += POLL;
            driver.poll(&fleet, &mut sends);
        } else if arrival <= now {
            waiting[usize::from(requests[next].organization != 0)] += 1;
            driver.arrive(&fleet, next, &mut sends);
            next += 1;
        } else {
            for at in 0..fleet.engines.len() {
                if fleet.engines[at].next().is_some_and(|time| time <= now) {
                    fleet.engines[at].go_on(now, requests, &mut happened);
                }
            }
            for what in happened.drain(..) {
                match what {
                    Happened::Begun(request) => {
                        let Request { at, organization, .. } = requests[request];
                        let first = &mut outcome.first[request];
                        *first = first.min(now - at);
                        let both = waiting.iter().all(|waiting| *waiting > 1);
                        let of = usize::from(organization != 0);
                        waiting[of] = waiting[of].saturating_sub(1);
                        if both {
                            outcome.shares[of] += (requests[request].input + requests[request].output) as f64;
                        }
                        driver.begun(&fleet, request, &mut sends);
                    }
                    Happened::Ended(request) => {
                        left -= 1;
                        driver.ended(&fleet, request, &mut sends);
                    }
                }
            }
        }
        let mut at = 0;
        while at < sends.len() {
            let (request, node) = sends[at];
            at += 1;
            if fleet.engines[node].dead && fleet.fails && !driver.retries() {
                left -= 1;
                continue;
            }
            if fleet.engines[node].dead {
                driver.failed(&fleet, node, request, &mut sends);
                continue;
            }
            fleet.engines[node].take(request);
            fleet.engines[node].start(now, requests);
        }
        sends.clear();
    }
    for engine in &fleet.engines {
        outcome.loads += engine.loads;
        for (request, work) in &engine.work {
            tokens += requests[*request].input;
            cached += work.cached;
        }
    }
    outcome.cached = cached as f64 / tokens.max(1) as f64;
    outcome
}
