//! A request for which a place is free costs no allocation, from its submission to its end: the scheduler's lock is held
//! meanwhile. In a program of its own, because its allocator counts.

use aivonx_scheduler::{
    Answer, Ask, Block, Candidate, Chain, Here, JobId, ModelId, NodeId, Policy, Scheduler,
};

const NODES: u16 = 8;
const MODELS: u32 = 12;
/// So large that nobody loads it while it can be waited for.
const LARGE: ModelId = ModelId(MODELS);
const POLICIES: [Policy; 5] =
    [Policy::Cost, Policy::LeastActive, Policy::LowestLatency, Policy::RoundRobin, Policy::Weighted];

/// Nodes that have all models in memory, but for the large one, which the first alone has there.
fn fleet(parallel: Option<u32>) -> Scheduler {
    let mut fleet = Scheduler::default();
    for node in (0..NODES).map(NodeId) {
        let here = |model| {
            let bytes = if model == MODELS { 900_000_000_000 } else { 5 };
            (ModelId(model), Here { weights: u64::from(model), bytes, resident: false })
        };
        fleet.set_models(node, (0..=MODELS).map(here));
        fleet.set_node(node, true, parallel, None, 0.0);
        let there = u64::from(MODELS) + u64::from(node == NodeId(0));
        fleet.look(node, (0..there).map(|weights| (weights, 0)), 0.0);
    }
    fleet
}

fn candidates() -> Vec<Candidate> {
    let candidate = |node| Candidate { node: NodeId(node), latency: Some(0.01), weight: 1.0, held: false };
    (0..NODES).map(candidate).collect()
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut chain = Chain::new(1, 0.25, &mut blocks);
    chain.feed(&[b'x'; 1600]);
    chain.end();
    blocks
}

fn ask(nth: u32, blocks: &[Block]) -> Ask<'_> {
    Ask {
        model: Some(ModelId(nth % MODELS)),
        variant: Some(0),
        prompt: 400 + nth % 64,
        blocks,
        output: Some(40.0),
        streams: !nth.is_multiple_of(3),
        embeds: nth.is_multiple_of(7),
        band: 0,
        organization: u64::from(nth % 5),
        key: 10 + u64::from(nth % 20),
    }
}

/// Four hundred requests, of which twenty are at work at once.
fn traffic(fleet: &mut Scheduler, at_work: &mut Vec<JobId>, all: &[Candidate], blocks: &[Block], from: f64) {
    let answer = Answer {
        prompt: Some(420.0),
        cached: Some(10.0),
        load: Some(0.0),
        prefill: Some(0.1),
        output: Some(40.0),
        decode: Some(1.0),
    };
    for nth in 0..400 {
        let now = from + f64::from(nth);
        let policy = POLICIES[nth as usize % POLICIES.len()];
        let (job, node) = fleet.submit(policy, &ask(nth, blocks), all, now).expect("nodes are there");
        assert!(node.is_some(), "a place is free");
        fleet.begun(job, now + 0.1);
        fleet.tick(now + 0.2);
        at_work.push(job);
        if at_work.len() > 20 {
            fleet.ended(at_work.remove(0), Some(&answer), now + 0.3);
        }
        while fleet.doubted().is_some() || fleet.called().is_some() {}
    }
    at_work.drain(..).for_each(|job| fleet.ended(job, Some(&answer), from + 400.0));
}

/// Allocations of as much traffic as there was before: tables of nodes, models, keys and prefixes have their size then.
fn allocations(fleet: &mut Scheduler) -> u64 {
    let (all, blocks, mut at_work) = (candidates(), blocks(), Vec::with_capacity(64));
    traffic(fleet, &mut at_work, &all, &blocks, 10.0);
    allocation_counter::measure(|| traffic(fleet, &mut at_work, &all, &blocks, 1000.0)).count_total
}

#[test]
fn a_request_that_finds_a_place_allocates_nothing() {
    for parallel in [None, Some(16)] {
        assert_eq!(allocations(&mut fleet(parallel)), 0, "with {parallel:?} places stated");
    }
}

#[test]
fn nor_does_one_while_others_wait_that_are_better_off_where_they_are() {
    let (mut fleet, blocks) = (fleet(Some(8)), blocks());
    let large = Ask { model: Some(LARGE), embeds: true, ..ask(1, &blocks) };
    for _ in 0..30 {
        fleet.submit(Policy::Cost, &large, &candidates(), 0.0).expect("nodes are there");
    }
    let waiting = fleet.queued();
    assert!(waiting > 0);
    assert_eq!(allocations(&mut fleet), 0);
    assert_eq!(fleet.queued(), waiting, "none was taken over");
}
