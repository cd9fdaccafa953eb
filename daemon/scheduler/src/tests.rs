//! Tests of the scheduler, in simulated time.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::{Answer, Ask, Block, Candidate, Chain, Here, JobId, ModelId, NodeId, Policy, Scheduler};

const MODEL: ModelId = ModelId(0);

fn ask(model: u32, prompt: u32, blocks: &[Block]) -> Ask<'_> {
    Ask {
        model: Some(ModelId(model)),
        variant: Some(0),
        prompt,
        blocks,
        output: Some(10.0),
        streams: true,
        embeds: false,
        band: 0,
        organization: 1,
        key: 2,
    }
}

fn candidates(nodes: u16) -> Vec<Candidate> {
    let candidate = |node| Candidate { node: NodeId(node), latency: None, weight: 1.0, held: false };
    (0..nodes).map(candidate).collect()
}

/// So many nodes that have so many models of 5 GB, none of them loaded.
fn fleet(nodes: u16, models: u32, parallel: Option<u32>) -> Scheduler {
    let mut fleet = Scheduler::default();
    for node in (0..nodes).map(NodeId) {
        let here = |model| {
            (ModelId(model), Here { weights: u64::from(model) + 1, bytes: 5_000_000_000, resident: false })
        };
        fleet.set_models(node, (0..models).map(here));
        fleet.set_node(node, true, parallel, None, 0.0);
    }
    fleet
}

/// Loaded, fast and measured: 1000 tokens of prefill a second, one prompt after the other.
fn measured(nodes: u16) -> Scheduler {
    let mut fleet = fleet(nodes, 1, None);
    for node in (0..nodes).map(NodeId) {
        fleet.teach(node, MODEL, 5.0, 1000.0, 100.0, 1_000_000);
        fleet.look(node, [(1, 5_000_000_000)].into_iter(), 0.0);
    }
    fleet
}

/// Submits; the node it is sent to at once.
fn submit(fleet: &mut Scheduler, ask: &Ask<'_>, nodes: u16, now: f64) -> (JobId, Option<u16>) {
    let (job, node) = fleet.submit(Policy::Cost, ask, &candidates(nodes), now).unwrap();
    (job, node.map(|node| node.0))
}

fn chain(seed: u64, text: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut chain = Chain::new(seed, 0.25, &mut blocks);
    chain.feed(text);
    chain.end();
    blocks
}

#[test]
fn ten_cold_requests_load_one_copy_and_a_long_wait_loads_a_second() {
    let mut fleet = fleet(4, 1, None);
    let first = submit(&mut fleet, &ask(0, 10, &[]), 4, 0.0).1.unwrap();
    for _ in 0..9 {
        submit(&mut fleet, &ask(0, 10, &[]), 4, 0.1);
    }
    assert_eq!((fleet.nodes[usize::from(first)].active(), fleet.queued()), (1, 9), "they wait for its load");
    for _ in 0..40 {
        submit(&mut fleet, &ask(0, 4000, &[]), 4, 0.2);
    }
    assert!(fleet.nodes.iter().filter(|on| on.active() > 0).count() > 1);
}

#[test]
fn what_a_node_holds_is_learned_from_what_had_to_leave() {
    let mut fleet = fleet(2, 4, None);
    let only = candidates(1);
    for model in 0..3 {
        let (job, _) = fleet.submit(Policy::Cost, &ask(model, 100, &[]), &only, f64::from(model)).unwrap();
        fleet.begun(job, f64::from(model) + 0.5);
        fleet.ended(job, Some(&Answer { load: Some(4.0), ..Answer::default() }), f64::from(model) + 0.6);
    }
    let gb = 5_000_000_000;
    fleet.look(NodeId(0), [(2, gb), (3, gb)].into_iter(), 5.0);
    assert!(!fleet.nodes[0].capacity.fits(3 * gb, 3) && fleet.nodes[0].capacity.fits(2 * gb, 2));
    assert!(
        !fleet.nodes[1].capacity.fits(3 * gb, 3),
        "the other is thought to be alike until it says otherwise"
    );
    // A third one drives out the least recently used, in the plan at once.
    let (job, _) = fleet.submit(Policy::Cost, &ask(0, 100, &[]), &only, 6.0).unwrap();
    let held: Vec<u64> = fleet.nodes[0].planned.iter().map(|held| held.weights).collect();
    assert_eq!(held, [3, 1]);
    fleet.ended(job, None, 6.1);
    assert!(fleet.doubted().is_some(), "who gives up a load aborts it: the node is looked at");
}

#[test]
fn a_model_that_is_wanted_is_not_driven_out_while_another_node_has_room() {
    let mut fleet = fleet(2, 3, None);
    for node in [0, 1] {
        fleet.set_node(NodeId(node), true, None, Some(1), 0.0);
    }
    fleet.look(NodeId(0), [(1, 5)].into_iter(), 0.0);
    fleet.look(NodeId(1), [(2, 5)].into_iter(), 0.0);
    for nth in 0..20 {
        let now = f64::from(nth);
        let (job, _) = submit(&mut fleet, &ask(0, 10, &[]), 2, now);
        fleet.begun(job, now);
        fleet.ended(job, Some(&Answer::default()), now);
    }
    let (_, node) = submit(&mut fleet, &ask(2, 10, &[]), 2, 20.0);
    assert_eq!(node, Some(1), "where the model that nobody asks for is");
}

#[test]
fn a_model_that_is_to_stay_is_driven_out_only_where_nothing_else_can_be() {
    for pinned in [0_u16, 1] {
        let mut fleet = fleet(2, 3, None);
        for node in [0, 1] {
            fleet.set_node(NodeId(node), true, None, Some(1), 0.0);
        }
        fleet.look(NodeId(0), [(1, 5)].into_iter(), 0.0);
        fleet.look(NodeId(1), [(2, 5)].into_iter(), 0.0);
        fleet.pin([(NodeId(pinned), ModelId(pinned.into()))].into_iter().collect());
        let (_, node) = submit(&mut fleet, &ask(2, 10, &[]), 2, 1.0);
        assert_eq!(node, Some(1 - pinned), "where the other one is");
        let only = &candidates(2)[pinned.into()..=pinned.into()];
        let (job, _) = fleet.submit(Policy::Cost, &ask(2, 10, &[]), only, 2.0).unwrap();
        assert!(fleet.terms_of(job).evict >= 600.0);
    }
}

#[test]
fn a_model_that_is_to_stay_on_one_node_may_be_driven_out_on_another() {
    let mut fleet = fleet(2, 3, None);
    for node in [0, 1] {
        fleet.set_node(NodeId(node), true, None, Some(1), 0.0);
        fleet.look(NodeId(node), [(1, 5)].into_iter(), 0.0);
    }
    fleet.pin([(NodeId(0), ModelId(0))].into_iter().collect());
    let (job, node) = submit(&mut fleet, &ask(2, 10, &[]), 2, 1.0);
    assert_eq!(node, Some(1));
    assert!(fleet.terms_of(job).evict < 600.0);
}

#[test]
fn a_higher_band_goes_first_and_the_queue_is_counted_by_model() {
    let mut fleet = fleet(1, 2, Some(1));
    let (first, _) = submit(&mut fleet, &ask(0, 10, &[]), 1, 0.0);
    let (low, _) = submit(&mut fleet, &ask(0, 10, &[]), 1, 0.1);
    let (high, _) = submit(&mut fleet, &Ask { band: 2, ..ask(0, 10, &[]) }, 1, 0.2);
    let (other, _) = submit(&mut fleet, &ask(1, 10, &[]), 1, 0.3);
    assert_eq!([low, high, other].map(|job| fleet.queued_beside(job)), [2, 2, 1]);
    fleet.ended(first, None, 1.0);
    assert_eq!(fleet.ready().map(|(job, _)| job), Some(high));
}

#[test]
fn a_prompt_goes_where_its_beginning_is_cached_and_nobody_elses_counts() {
    let mut fleet = measured(4);
    let text = vec![b'x'; 40_000];
    let blocks = chain(1, &text);
    let (job, node) = submit(&mut fleet, &ask(0, 10_000, &blocks), 4, 0.0);
    fleet.begun(job, 10.0);
    fleet.ended(job, Some(&Answer { load: Some(0.0), ..Answer::default() }), 11.0);
    let longer = chain(1, &[&text[..], &[b'y'; 4000]].concat());
    assert_eq!(longer[..blocks.len() - 1], blocks[..blocks.len() - 1]);
    let (again, other) = submit(&mut fleet, &ask(0, 11_000, &longer), 4, 12.0);
    assert_eq!(other, node);
    let cached = fleet.terms_of(again).cached;
    assert!((9_000..=10_000).contains(&cached), "{cached}");
    let (foreign, _) = submit(&mut fleet, &ask(0, 11_000, &chain(2, &text)), 4, 12.0);
    assert_eq!(
        fleet.terms_of(foreign).cached,
        0,
        "another organization's prompts have nothing in common with it"
    );
}

#[test]
fn a_chain_is_the_same_however_its_bytes_come() {
    let text: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let whole = chain(7, &text);
    let mut blocks = Vec::new();
    let mut parts = Chain::new(7, 0.25, &mut blocks);
    text.chunks(333).for_each(|part| parts.feed(part));
    parts.end();
    assert_eq!(blocks, whole);
    assert_eq!(whole.last().unwrap().tokens, 2500);
}

#[test]
fn one_prompt_at_a_time_where_they_were_seen_to_wait_for_each_other() {
    let mut fleet = measured(1);
    let (first, node) = submit(&mut fleet, &ask(0, 2000, &[]), 1, 0.0);
    assert!(node.is_some());
    let (long, node) = submit(&mut fleet, &ask(0, 5000, &[]), 1, 0.1);
    assert_eq!(node, None);
    let (short, node) = submit(&mut fleet, &ask(0, 500, &[]), 1, 0.2);
    assert_eq!(node, None);
    let (tiny, node) = submit(&mut fleet, &ask(0, 10, &[]), 1, 0.2);
    assert_eq!(node, Some(0), "what nobody would notice waits for nobody");
    assert!(fleet.standing(long, 0.3).0 == 1 && fleet.standing(short, 0.3).0 == 0);
    fleet.begun(first, 2.0);
    assert_eq!(fleet.ready(), Some((short, NodeId(0))), "short ones first");
    fleet.ended(short, None, 2.1);
    assert_eq!(fleet.ready(), Some((long, NodeId(0))), "a client that leaves makes room at once");
    for job in [first, long, tiny] {
        fleet.ended(job, None, 3.0);
    }
}

#[test]
fn no_stream_of_short_prompts_starves_a_long_one() {
    let mut fleet = measured(1);
    let (mut running, _) = submit(&mut fleet, &ask(0, 1000, &[]), 1, 0.0);
    let (long, _) = submit(&mut fleet, &ask(0, 8000, &[]), 1, 0.0);
    let mut now = 0.0;
    for _ in 0..200 {
        submit(&mut fleet, &ask(0, 1000, &[]), 1, now);
        now += 1.0;
        fleet.begun(running, now);
        fleet.ended(running, None, now);
        (running, _) = fleet.ready().unwrap();
        if running == long {
            break;
        }
    }
    assert!(now <= 25.0, "it waited {now} s");
}

#[test]
fn whole_answers_count_as_begun_when_their_prefill_should_be_over() {
    let mut fleet = measured(1);
    let whole = Ask { streams: false, ..ask(0, 1000, &[]) };
    submit(&mut fleet, &whole, 1, 0.0);
    let (second, node) = submit(&mut fleet, &whole, 1, 0.0);
    assert_eq!(node, None);
    fleet.tick(0.9);
    assert_eq!(fleet.ready(), None);
    fleet.tick(1.0);
    assert_eq!(fleet.ready(), Some((second, NodeId(0))));
}

#[test]
fn a_bound_is_learned_from_a_full_node_and_more_is_tried_later() {
    let mut fleet = fleet(1, 1, None);
    fleet.look(NodeId(0), [(1, 5)].into_iter(), 0.0);
    let tiny = ask(0, 1, &[]);
    let jobs: Vec<JobId> = (0..4).map(|_| submit(&mut fleet, &tiny, 1, 0.0).0).collect();
    fleet.refused(jobs[3], 0.1);
    fleet.ended(jobs[3], None, 0.1);
    assert_eq!(submit(&mut fleet, &tiny, 1, 0.2).1, None, "three are all it takes");
    assert_eq!(submit(&mut fleet, &tiny, 1, 60.0).1, None);
    assert!(fleet.ready().is_some(), "one more is tried");
}

#[test]
fn the_higher_band_goes_first_then_who_was_served_less() {
    let mut fleet = measured(1);
    let (running, _) = submit(&mut fleet, &ask(0, 1000, &[]), 1, 0.0);
    let (mine, _) = submit(&mut fleet, &ask(0, 1000, &[]), 1, 0.0);
    let (theirs, _) = submit(&mut fleet, &Ask { organization: 9, key: 8, ..ask(0, 3000, &[]) }, 1, 0.0);
    let (urgent, _) = submit(&mut fleet, &Ask { band: 1, ..ask(0, 5000, &[]) }, 1, 0.0);
    let mut order = Vec::new();
    let mut last = running;
    for _ in 0..3 {
        fleet.begun(last, 1.0);
        fleet.ended(last, None, 1.0);
        (last, _) = fleet.ready().unwrap();
        order.push(last);
    }
    assert_eq!(order, [urgent, theirs, mine]);
}

#[test]
fn the_higher_band_goes_first_wherever_it_waits() {
    let mut fleet = measured(2);
    let (here, _) = submit(&mut fleet, &ask(0, 5000, &[]), 1, 0.0);
    submit(&mut fleet, &ask(0, 1000, &[]), 1, 0.0);
    fleet.submit(Policy::Cost, &ask(0, 4000, &[]), &candidates(2)[1..], 0.0).unwrap();
    let (urgent, node) = submit(&mut fleet, &Ask { band: 1, ..ask(0, 1000, &[]) }, 2, 0.0);
    assert_eq!((node, fleet.nodes[1].queue.len()), (None, 1), "where it should begin sooner");
    fleet.begun(here, 1.0);
    assert_eq!(fleet.ready(), Some((urgent, NodeId(0))));
}

#[test]
fn the_higher_band_goes_first_to_a_node_that_nobody_waits_for() {
    let mut fleet = measured(2);
    let (here, _) = submit(&mut fleet, &ask(0, 9000, &[]), 1, 0.0);
    let both = candidates(2);
    let there = |fleet: &mut Scheduler, ask: &Ask<'_>, candidates: &[Candidate]| {
        fleet.submit(Policy::Cost, ask, candidates, 0.0).unwrap().0
    };
    there(&mut fleet, &ask(0, 4000, &[]), &both[1..]);
    // Node 1 is where they should begin sooner; the later one gains more by moving.
    let urgent = there(&mut fleet, &Ask { band: 1, ..ask(0, 1000, &[]) }, &both[..]);
    there(&mut fleet, &ask(0, 1000, &[]), &both[..]);
    assert_eq!((fleet.nodes[0].queue.len(), fleet.nodes[1].queue.len()), (0, 2));
    fleet.begun(here, 0.1);
    assert_eq!(fleet.ready(), Some((urgent, NodeId(0))));
}

#[test]
fn a_held_node_gets_of_those_that_wait_only_the_one_that_is_let_in() {
    let mut fleet = fleet(2, 1, Some(1));
    let mut both = candidates(2);
    both[1].held = true;
    let submit =
        |fleet: &mut Scheduler, now| fleet.submit(Policy::Cost, &ask(0, 10, &[]), &both, now).unwrap();
    assert_eq!(fleet.let_in(NodeId(1), Some(MODEL), 0.0), None, "nobody waits");
    let (first, node) = submit(&mut fleet, 0.0);
    assert_eq!(node, Some(NodeId(0)));
    fleet.begun(first, 0.1);
    let waiting = [0.2, 0.3, 0.4].map(|now| submit(&mut fleet, now).0);
    assert_eq!((fleet.queued(), fleet.ready()), (3, None), "nobody goes there by itself");
    assert_eq!(fleet.let_in(NodeId(1), Some(ModelId(7)), 0.5), None, "of another model");
    assert_eq!(fleet.let_in(NodeId(1), Some(MODEL), 0.5), Some(true));
    assert_eq!(fleet.ready(), Some((waiting[0], NodeId(1))), "the one that waits for longest");
    assert_eq!(fleet.let_in(NodeId(1), Some(MODEL), 0.6), Some(false), "it has no place");
    fleet.begun(waiting[0], 0.7);
    fleet.ended(waiting[0], None, 0.8);
    assert_eq!((fleet.queued(), fleet.ready()), (2, None));
    fleet.ended(first, None, 0.9);
    assert_eq!(fleet.ready(), Some((waiting[1], NodeId(0))));
}

#[test]
fn a_node_that_sleeps_is_called_only_when_waiting_for_it_costs_least() {
    let mut fleet = measured(2);
    fleet.set_node(NodeId(0), true, Some(1), None, 0.0);
    fleet.set_sleeps(NodeId(1), true, 0.0);
    let (first, node) = submit(&mut fleet, &ask(0, 1000, &[]), 2, 0.0);
    assert_eq!((node, fleet.called()), (Some(0), None));
    let (second, node) = submit(&mut fleet, &ask(0, 1000, &[]), 2, 0.1);
    assert_eq!((node, fleet.called()), (None, None), "the first is over before the other is awake");
    let waiting: Vec<JobId> = (0..40).map(|_| submit(&mut fleet, &ask(0, 10_000, &[]), 2, 0.2).0).collect();
    assert_eq!((fleet.called(), fleet.called()), (Some(NodeId(1)), None), "once");
    assert!(fleet.nodes[1].queue.len() > 1 && fleet.ready().is_none());
    // Awake after nine seconds, which is what it is thought to take from then on.
    fleet.set_sleeps(NodeId(1), false, 9.2);
    let sent = fleet.ready().map(|(_, node)| node);
    assert_eq!(sent, Some(NodeId(1)));
    for job in waiting.into_iter().chain([first, second]) {
        fleet.ended(job, None, 10.0);
    }
    fleet.set_sleeps(NodeId(1), true, 20.0);
    assert!((fleet.nodes[1].wakes_in(20.0) - 9.0).abs() < 0.1);
}

#[test]
fn a_held_node_that_sleeps_is_called_for_the_one_that_is_to_be_let_in() {
    let mut fleet = fleet(2, 1, Some(1));
    let mut both = candidates(2);
    both[1].held = true;
    fleet.set_sleeps(NodeId(1), true, 0.0);
    let submit =
        |fleet: &mut Scheduler, now| fleet.submit(Policy::Cost, &ask(0, 10, &[]), &both, now).unwrap();
    submit(&mut fleet, 0.0);
    let (waiting, _) = submit(&mut fleet, 0.1);
    assert_eq!((fleet.called(), fleet.let_in(NodeId(1), Some(MODEL), 0.2)), (None, Some(false)));
    assert_eq!(fleet.let_in(NodeId(1), Some(MODEL), 0.4), Some(false));
    assert_eq!((fleet.called(), fleet.called()), (Some(NodeId(1)), None), "once");
    fleet.set_sleeps(NodeId(1), false, 9.0);
    assert_eq!(fleet.let_in(NodeId(1), Some(MODEL), 9.1), Some(true));
    assert_eq!(fleet.ready(), Some((waiting, NodeId(1))));
}

#[test]
fn who_waits_for_a_node_that_leaves_goes_to_another() {
    let mut fleet = measured(2);
    let jobs: Vec<(JobId, Option<u16>)> =
        (0..6).map(|_| submit(&mut fleet, &ask(0, 3000, &[]), 2, 0.0)).collect();
    assert_eq!(fleet.queued(), 4);
    fleet.set_node(NodeId(0), false, None, None, 0.1);
    assert_eq!((fleet.nodes[0].queue.len(), fleet.queued()), (0, 4));
    let there = jobs.iter().find(|(_, node)| *node == Some(1)).unwrap().0;
    fleet.begun(there, 3.0);
    assert_eq!(fleet.ready().map(|(_, node)| node), Some(NodeId(1)));
}

/// What may happen to a fleet.
#[derive(Debug, Clone)]
enum Event {
    Submit { model: u32, prompt: u32, organization: u64, streams: bool, of: u16 },
    Begun(usize),
    Ended(usize, bool),
    Refused(usize),
    Usable(u16, bool),
    LetIn(u16, u32),
    Sleeps(u16, bool),
    Look(u16, Vec<u64>),
    Later(f64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3_u32, 0..20_000_u32, 0..3_u64, any::<bool>(), 1..4_u16).prop_map(
            |(model, prompt, organization, streams, of)| Event::Submit { model, prompt, organization, streams, of }
        ),
        3 => any::<usize>().prop_map(Event::Begun),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(at, answered)| Event::Ended(at, answered)),
        1 => any::<usize>().prop_map(Event::Refused),
        1 => (0..3_u16, any::<bool>()).prop_map(|(node, usable)| Event::Usable(node, usable)),
        1 => (0..3_u16, 0..3_u32).prop_map(|(node, model)| Event::LetIn(node, model)),
        1 => (0..3_u16, any::<bool>()).prop_map(|(node, sleeps)| Event::Sleeps(node, sleeps)),
        1 => (0..3_u16, prop::collection::vec(1..4_u64, 0..3)).prop_map(|(node, there)| Event::Look(node, there)),
        2 => (0.0..5.0).prop_map(Event::Later),
    ]
}

proptest! {
    #[test]
    fn places_are_given_once_and_nobody_is_forgotten(events in prop::collection::vec(event(), 1..120)) {
        let mut fleet = fleet(3, 3, Some(2));
        let mut now = 0.0;
        let mut usable = [true; 3];
        // The node each request was sent to, if it was.
        let mut jobs: Vec<(JobId, Option<NodeId>, Vec<Candidate>)> = Vec::new();
        for event in events {
            match event {
                Event::Submit { model, prompt, organization, streams, of } => {
                    let ask = Ask { organization, streams, ..ask(model, prompt, &[]) };
                    let candidates = candidates(of);
                    match fleet.submit(Policy::Cost, &ask, &candidates, now) {
                        Some((job, node)) => jobs.push((job, node, candidates)),
                        None => prop_assert!(usable[..usize::from(of)].iter().all(|usable| !usable)),
                    }
                }
                Event::Begun(at) if !jobs.is_empty() => {
                    let (job, node, _) = &jobs[at % jobs.len()];
                    if node.is_some() {
                        fleet.begun(*job, now);
                    }
                }
                Event::Ended(at, answered) if !jobs.is_empty() => {
                    let (job, ..) = jobs.swap_remove(at % jobs.len());
                    let answer = Answer { load: Some(1.0), prefill: Some(0.5), output: Some(5.0), ..Answer::default() };
                    fleet.ended(job, answered.then_some(&answer), now);
                }
                Event::Refused(at) if !jobs.is_empty() => {
                    let (job, node, _) = &jobs[at % jobs.len()];
                    if node.is_some() {
                        fleet.refused(*job, now);
                    }
                }
                Event::Usable(node, is) => {
                    usable[usize::from(node)] = is;
                    fleet.set_node(NodeId(node), is, Some(2), None, now);
                }
                Event::LetIn(node, model) => {
                    fleet.let_in(NodeId(node), Some(ModelId(model)), now);
                }
                Event::Sleeps(node, sleeps) => fleet.set_sleeps(NodeId(node), sleeps, now),
                Event::Look(node, there) => {
                    fleet.look(NodeId(node), there.into_iter().map(|weights| (weights, 5)), now);
                }
                Event::Later(seconds) => {
                    now += seconds;
                    fleet.tick(now);
                }
                _ => {}
            }
            while let Some((job, node)) = fleet.ready() {
                let known = jobs.iter_mut().find(|(other, ..)| *other == job);
                let (_, sent, candidates) = known.expect("only those that are there are sent");
                prop_assert!(sent.is_none(), "sent twice");
                prop_assert!(candidates.iter().any(|candidate| candidate.node == node));
                *sent = Some(node);
            }
            let mut at_work: HashMap<NodeId, usize> = HashMap::new();
            jobs.iter().filter_map(|(_, node, _)| *node).for_each(|node| *at_work.entry(node).or_default() += 1);
            for (node, on) in (0..).map(NodeId).zip(&fleet.nodes) {
                prop_assert_eq!(on.active(), at_work.get(&node).copied().unwrap_or(0));
                prop_assert!(on.active() <= 2, "a place was given twice");
                let heavy = |id: &&JobId| !fleet.jobs[id.0].is_light();
                prop_assert!(on.heavy.iter().eq(on.unbegun.iter().filter(heavy)));
            }
            let waiting = jobs.iter().filter(|(_, node, _)| node.is_none());
            prop_assert_eq!(waiting.clone().count(), fleet.queued());
            for (job, _, candidates) in waiting {
                let waits_on = &fleet.nodes[usize::from(fleet.jobs[job.0].node.0)];
                let could = |candidate: &Candidate| usable[usize::from(candidate.node.0)];
                prop_assert!(waits_on.usable || !candidates.iter().any(could), "it waits where nothing is sent");
                let idle = |candidate: &Candidate| {
                    let on = &fleet.nodes[usize::from(candidate.node.0)];
                    on.usable && on.active() == 0 && on.queue.is_empty()
                };
                prop_assert!(!candidates.iter().all(idle), "it waits though every node is idle");
            }
        }
        for (job, ..) in jobs {
            fleet.ended(job, None, now);
        }
        let left = fleet.nodes.iter().map(|on| on.active() + on.queue.len()).sum::<usize>();
        prop_assert_eq!((left, fleet.jobs.len(), fleet.waiting.len()), (0, 0, 0));
    }
}
