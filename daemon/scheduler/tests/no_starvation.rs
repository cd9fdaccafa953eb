//! Every request that waits begins, whatever else arrives and whatever becomes of the nodes: in simulated time.

use std::collections::HashSet;

use aivonx_scheduler::{Ask, Candidate, Here, JobId, ModelId, NodeId, Policy, Scheduler};
use proptest::prelude::*;

const MODELS: u32 = 3;
const NODES: u16 = 2;
/// Seconds that a node works on a request; it takes one at a time.
const WORK: f64 = 1.0;

fn fleet() -> Scheduler {
    let mut fleet = Scheduler::default();
    for node in (0..NODES).map(NodeId) {
        let here = |model| (ModelId(model), Here { weights: u64::from(model), bytes: 5, resident: false });
        fleet.set_models(node, (0..MODELS).map(here));
        fleet.set_node(node, true, Some(1), Some(1), 0.0);
    }
    fleet
}

fn all() -> Vec<Candidate> {
    let candidate = |node| Candidate { node: NodeId(node), latency: None, weight: 1.0, held: false };
    (0..NODES).map(candidate).collect()
}

fn ask(model: u32, prompt: u32, band: u8, organization: u64) -> Ask<'static> {
    Ask {
        model: Some(ModelId(model)),
        variant: None,
        prompt,
        blocks: &[],
        output: Some(10.0),
        streams: true,
        embeds: false,
        band,
        organization,
        key: organization + 1_000_000,
    }
}

/// A request, so many seconds after the one before.
#[derive(Debug, Clone)]
struct Arrival {
    after: f64,
    model: u32,
    prompt: u32,
    band: u8,
    organization: u64,
    /// Whether the second node is there then.
    both: bool,
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let parts = (0.05..0.8, 0..MODELS, 0..4000_u32, 0..3_u8, 0..40_u64, any::<bool>());
    parts.prop_map(|(after, model, prompt, band, organization, both)| Arrival {
        after,
        model,
        prompt,
        band,
        organization,
        both,
    })
}

/// Nodes that answer what they are sent.
struct Running {
    fleet: Scheduler,
    at_work: Vec<(f64, JobId)>,
    /// Those that wait of the ones that are watched.
    watched: HashSet<JobId>,
    now: f64,
}

impl Running {
    fn new() -> Self {
        Self { fleet: fleet(), at_work: Vec::new(), watched: HashSet::new(), now: 0.0 }
    }

    fn submit(&mut self, ask: &Ask<'_>, watched: bool) {
        let (job, node) = self.fleet.submit(Policy::Cost, ask, &all(), self.now).expect("nodes are there");
        match node {
            Some(_) => self.at_work.push((self.now + WORK, job)),
            None if watched => drop(self.watched.insert(job)),
            None => {}
        }
    }

    fn go_on(&mut self, until: f64) {
        loop {
            while let Some((job, _)) = self.fleet.ready() {
                self.watched.remove(&job);
                self.at_work.push((self.now + WORK, job));
            }
            self.at_work.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            match self.at_work.first().copied() {
                Some((at, job)) if at <= until => {
                    self.at_work.remove(0);
                    self.now = at;
                    self.fleet.begun(job, at);
                    self.fleet.ended(job, None, at);
                }
                _ => break,
            }
        }
        self.now = until;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The lowest band, somebody who was served much, and a stream of others without an end: of higher bands, of
    /// organizations that were served nothing, for other models, on nodes of which one comes and goes.
    #[test]
    fn a_request_begins_within_the_stated_bound_whatever_arrives(
        before in prop::collection::vec(arrival(), 0..12),
        after in prop::collection::vec(arrival(), 1..30),
        model in 0..MODELS,
        prompt in 0..8000_u32,
    ) {
        let mut nodes = Running::new();
        for nth in 0..20 {
            nodes.submit(&ask(nth % MODELS, 4000, 0, 1), false);
            nodes.go_on(f64::from(nth));
        }
        for Arrival { model, prompt, band, organization, .. } in before {
            nodes.submit(&ask(model, prompt, band, organization), false);
        }
        let mut older = nodes.fleet.queued();
        nodes.submit(&ask(model, prompt, 0, 1), true);
        // Three times its own work at the speed that is assumed, with the load of its model.
        let ages = 3.0 * (f64::from(prompt) / 4000.0 + 5.0);
        let arrived = nodes.now;
        for (nth, next) in (0_u64..).zip(after.iter().cycle()) {
            let waited = nodes.now - arrived;
            #[expect(clippy::cast_precision_loss, reason = "some dozens")]
            let bound = ages.max(30.0) + 8.0 * WORK * (older + 2) as f64;
            if nodes.watched.is_empty() {
                break;
            }
            prop_assert!(waited <= bound, "it waited {waited:.0} s with {older} before it");
            nodes.fleet.set_node(NodeId(1), next.both, Some(1), Some(1), nodes.now);
            nodes.go_on(nodes.now + next.after);
            older += usize::from(waited < ages);
            let organization = next.organization + 100 * (nth + 1);
            let Arrival { model, prompt, band, .. } = *next;
            nodes.submit(&ask(model, prompt, band, organization), false);
        }
    }
}

#[test]
fn a_lower_band_gets_every_eighth_turn_once_it_has_waited() {
    let mut nodes = Running::new();
    (0..22).for_each(|_| nodes.submit(&ask(0, 10, 0, 1), true));
    assert_eq!(nodes.watched.len(), 20);
    for second in 1..=120 {
        // There are two turns in a second, and the higher band wants both.
        (0..2).for_each(|_| nodes.submit(&ask(0, 10, 2, 2), false));
        nodes.go_on(f64::from(second));
        match second {
            29 => assert_eq!(nodes.watched.len(), 20, "until then the higher band goes first"),
            75 => assert!((5..15).contains(&nodes.watched.len()), "{} wait", nodes.watched.len()),
            _ => {}
        }
    }
    assert!(nodes.watched.is_empty());
}

#[test]
fn who_waits_when_the_last_node_leaves_goes_to_the_first_that_is_back() {
    let mut fleet = fleet();
    fleet.look(NodeId(0), [(0, 5)].into_iter(), 0.0);
    let submit =
        |fleet: &mut Scheduler| fleet.submit(Policy::Cost, &ask(0, 10, 0, 1), &all(), 0.0).expect("a node");
    let (_, first) = submit(&mut fleet);
    let (waiting, second) = submit(&mut fleet);
    assert_eq!((first, second), (Some(NodeId(0)), None), "where its model is");
    fleet.set_node(NodeId(1), false, Some(1), Some(1), 1.0);
    fleet.set_node(NodeId(0), false, Some(1), Some(1), 1.0);
    assert_eq!(fleet.ready(), None);
    fleet.set_node(NodeId(1), true, Some(1), Some(1), 2.0);
    assert_eq!(fleet.ready(), Some((waiting, NodeId(1))), "though it has to load the model there");
}
