//! Keeping copies of models loaded: which nodes are to load which model now. What is done there is in `copies.rs`.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use aivonx_store::CopiesRecord;

use super::jobs::{AT_ONCE, AT_ONCE_FOR_ONE};

/// First pause before a model is loaded again where it was just loaded, and the longest; each is twice the one before.
/// A node that has no room for what is to be kept there drives one model out with another.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A copy that stayed so long was not driven out by another.
const STAYED: Duration = Duration::from_secs(300);

/// Time left of a copy's below which it is asked to stay on.
const EXPIRES_SOON: Duration = Duration::from_secs(5 * 60);

/// Time after which a copy that still would leave soon is asked again to stay: its node may not heed that.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Loads at once, and for one organization: the other jobs are for what people ask for.
const LOADS: usize = AT_ONCE / 4;
const LOADS_FOR_ONE: usize = AT_ONCE_FOR_ONE / 4;

/// A node that a model may be kept on, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// Id of the node.
    pub(super) node: String,
    /// Whether it has the model.
    pub(super) has: bool,
    /// Until when it holds the model in memory, if it does; `Some(None)` is without an end.
    pub(super) held: Option<Option<Duration>>,
    /// It has to be woken first.
    pub(super) sleeps: bool,
    /// Models it holds in memory.
    pub(super) loaded: usize,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Load the model, after it was pulled if the node does not have it.
    Load {
        /// Id of the node.
        node: String,
        /// Whether it has to be pulled.
        pull: bool,
    },
    /// Have it stay.
    Stay {
        /// Id of the node.
        node: String,
    },
}

impl Step {
    pub(super) fn node(&self) -> &str {
        match self {
            Self::Load { node, .. } | Self::Stay { node } => node,
        }
    }
}

/// What was tried on a node for a model.
#[derive(Debug, Clone, Default)]
struct Tried {
    times: u32,
    last: Option<Instant>,
    /// Why it did not work.
    error: Option<String>,
}

/// What is at work on a node for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum UnderWay {
    /// A load, for the organization with this id or the fleet.
    Load(Option<String>),
    Stay,
}

/// What is at work, and what was tried.
#[derive(Debug, Default)]
pub(super) struct Efforts {
    under_way: HashMap<(String, String), UnderWay>,
    tried: HashMap<(String, String), Tried>,
    /// When a copy was last asked to stay.
    asked: HashMap<(String, String), Instant>,
}

impl Efforts {
    /// The steps for one placement, whose nodes are `spots`. Steps of `record` that are under way count as done; `placed`
    /// says how many placements a node carries already.
    pub(super) fn steps(
        &mut self,
        record: &CopiesRecord,
        spots: &[Spot],
        placed: &HashMap<String, usize>,
        now: Instant,
    ) -> Vec<Step> {
        let key = |node: &str| (node.to_owned(), record.normal.clone());
        let mut steps = Vec::new();
        let mut holding = 0;
        for spot in spots.iter().filter(|spot| spot.held.is_some()) {
            holding += 1;
            let tried = self.tried.get_mut(&key(&spot.node));
            if tried.as_ref().is_some_and(|tried| tried.last.is_none_or(|last| last + STAYED <= now)) {
                self.tried.remove(&key(&spot.node));
            }
            let ends = spot.held.flatten();
            let soon = ends.is_some_and(|left| left < EXPIRES_SOON);
            // One that is to stay for ever is asked once for that.
            let due = if record.pin { ends.is_some() } else { soon };
            let within = holding <= record.copies as usize;
            let recent = self.asked.get(&key(&spot.node)).is_some_and(|at| *at + ASK_AGAIN > now);
            if due && within && !recent && !self.under_way.contains_key(&key(&spot.node)) {
                self.asked.insert(key(&spot.node), now);
                steps.push(Step::Stay { node: spot.node.clone() });
            }
        }
        let idle = |spot: &&Spot| spot.held.is_none();
        let at_work = spots.iter().filter(idle).filter(|spot| self.under_way.contains_key(&key(&spot.node)));
        let missing = (record.copies as usize).saturating_sub(holding + at_work.count());
        let mut free: Vec<&Spot> = spots
            .iter()
            .filter(idle)
            .filter(|spot| spot.has || record.pull)
            .filter(|spot| {
                // A machine is woken for what may work, and not again for what did not.
                let in_vain = spot.sleeps && self.error(&spot.node, &record.normal).is_some();
                let key = key(&spot.node);
                !in_vain && !self.under_way.contains_key(&key) && self.is_due(&key, now)
            })
            .collect();
        // Those that have it first, then those that are awake, then those that carry least.
        free.sort_by_key(|spot| {
            let carries = placed.get(&spot.node).copied().unwrap_or(0);
            (!spot.has, spot.sleeps, carries, spot.loaded, spot.node.clone())
        });
        let load = |spot: &Spot| Step::Load { node: spot.node.clone(), pull: !spot.has };
        steps.extend(free.into_iter().take(missing).map(load));
        steps
    }

    fn is_due(&self, key: &(String, String), now: Instant) -> bool {
        self.tried.get(key).is_none_or(|tried| {
            let pause = PAUSE * 2_u32.saturating_pow(tried.times.saturating_sub(1).min(16));
            tried.last.is_none_or(|last| last + pause.min(LONGEST_PAUSE) <= now)
        })
    }

    /// A step for a placement begins. False if one is under way on the node, or too many loads are at work.
    pub(super) fn begin(&mut self, record: &CopiesRecord, step: &Step) -> bool {
        let key = (step.node().to_owned(), record.normal.clone());
        let new = match step {
            Step::Load { .. } => UnderWay::Load(record.organization.clone()),
            Step::Stay { .. } => UnderWay::Stay,
        };
        if let UnderWay::Load(owner) = &new {
            let loads = self.under_way.values().filter(|other| **other != UnderWay::Stay).count();
            let own = self.under_way.values().filter(|other| owner.is_some() && **other == new).count();
            if loads >= LOADS || own >= LOADS_FOR_ONE {
                return false;
            }
        }
        if self.under_way.contains_key(&key) {
            return false;
        }
        self.under_way.insert(key, new);
        true
    }

    /// A step on `node` is over; `loaded` if it was a load, with what came of it.
    pub(super) fn end(&mut self, node: &str, normal: &str, loaded: Option<Result<(), String>>, now: Instant) {
        let key = (node.to_owned(), normal.to_owned());
        self.under_way.remove(&key);
        if let Some(result) = loaded {
            let tried = self.tried.entry(key).or_default();
            *tried = Tried { times: tried.times + 1, last: Some(now), error: result.err() };
        }
    }

    /// Whether a step is under way on `node`.
    pub(super) fn is_under_way(&self, node: &str, normal: &str) -> bool {
        self.under_way.contains_key(&(node.to_owned(), normal.to_owned()))
    }

    /// Why the model is not loaded on `node`, as far as that was tried.
    pub(super) fn error(&self, node: &str, normal: &str) -> Option<&str> {
        self.tried.get(&(node.to_owned(), normal.to_owned()))?.error.as_deref()
    }

    /// Forgets what was tried for a model, which somebody set anew.
    pub(super) fn anew(&mut self, normal: &str) {
        self.tried.retain(|(_, model), _| model != normal);
        self.asked.retain(|(_, model), _| model != normal);
    }

    /// Forgets what was tried on nodes and for models that are gone.
    pub(super) fn keep_only(&mut self, nodes: &HashSet<&str>, models: &HashSet<&str>) {
        let there = |(node, model): &(String, String)| nodes.contains(&**node) && models.contains(&**model);
        self.tried.retain(|key, _| there(key));
        self.asked.retain(|key, _| there(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(copies: u32) -> CopiesRecord {
        CopiesRecord {
            id: "0190".into(),
            organization: None,
            model: "m".into(),
            normal: "m:latest".into(),
            copies,
            on: None,
            pin: false,
            pull: false,
            created: 0,
            revision: 1,
        }
    }

    fn has(node: &str) -> Spot {
        Spot { node: node.into(), has: true, ..Spot::default() }
    }

    fn holds(node: &str, left: Option<u64>) -> Spot {
        Spot { held: Some(left.map(Duration::from_secs)), loaded: 1, ..has(node) }
    }

    fn nodes(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(Step::node).collect()
    }

    fn load(node: &str) -> Step {
        Step::Load { node: node.into(), pull: false }
    }

    #[test]
    fn as_many_are_loaded_as_are_missing_where_there_is_least() {
        let mut efforts = Efforts::default();
        let now = Instant::now();
        let busy = Spot { loaded: 3, ..has("b") };
        let spots = [has("a"), busy, has("c"), Spot { node: "d".into(), ..Spot::default() }];
        let placed = HashMap::from([("a".to_owned(), 1)]);
        assert_eq!(efforts.steps(&record(2), &spots, &placed, now), [load("c"), load("b")]);
        assert!(efforts.begin(&record(2), &load("c")) && !efforts.begin(&record(2), &load("c")));
        assert_eq!(efforts.steps(&record(2), &spots, &placed, now), [load("b")]);
        // More than there are.
        assert_eq!(nodes(&efforts.steps(&record(9), &spots, &placed, now)), ["b", "a"]);
        // One that sleeps is woken where those that are awake do not do.
        let asleep = [Spot { sleeps: true, ..has("a") }, has("b"), has("c")];
        let none = HashMap::new();
        assert_eq!(nodes(&Efforts::default().steps(&record(2), &asleep, &none, now)), ["b", "c"]);
        assert_eq!(nodes(&Efforts::default().steps(&record(3), &asleep, &none, now)), ["b", "c", "a"]);
        // But not for what did not work there, until somebody asks for it anew.
        let mut tried = Efforts::default();
        tried.end("a", "m:latest", Some(Err("no room".into())), now);
        let later = now + LONGEST_PAUSE;
        assert_eq!(nodes(&tried.steps(&record(3), &asleep, &none, later)), ["b", "c"]);
        tried.anew("m:latest");
        assert_eq!(nodes(&tried.steps(&record(3), &asleep, &none, later)), ["b", "c", "a"]);
        let pull = CopiesRecord { pull: true, ..record(9) };
        let steps = efforts.steps(&pull, &spots, &placed, now);
        assert_eq!(steps.last(), Some(&Step::Load { node: "d".into(), pull: true }));
    }

    #[test]
    fn what_is_held_is_left_alone_until_it_would_leave() {
        let mut efforts = Efforts::default();
        let (now, none) = (Instant::now(), HashMap::new());
        let spots = [holds("a", Some(3600)), holds("b", Some(10)), has("c")];
        assert_eq!(efforts.steps(&record(2), &spots, &none, now), [Step::Stay { node: "b".into() }]);
        assert!(efforts.steps(&record(2), &spots, &none, now).is_empty(), "it was asked just now");
        // What is more than is wanted may leave.
        assert!(efforts.steps(&record(1), &spots, &none, now).is_empty());
        let pinned = CopiesRecord { pin: true, ..record(1) };
        assert_eq!(nodes(&efforts.steps(&pinned, &spots, &none, now + ASK_AGAIN)), ["a"]);
        assert!(efforts.steps(&pinned, &[holds("a", None)], &none, now).is_empty());
    }

    #[test]
    fn what_fails_or_is_driven_out_is_tried_less_and_less_often_and_elsewhere_at_once() {
        let mut efforts = Efforts::default();
        let (mut now, none) = (Instant::now(), HashMap::new());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            efforts.begin(&record(1), &load("a"));
            efforts.end("a", "m:latest", Some(Err("no room".into())), now);
            assert_eq!(nodes(&efforts.steps(&record(1), &[has("a"), has("b")], &none, now)), ["b"]);
            let began = now;
            while efforts.steps(&record(1), &[has("a")], &none, now).is_empty() {
                now += PAUSE;
            }
            pauses.push((now - began).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(efforts.error("a", "m:latest"), Some("no room"));
        efforts.anew("m:latest");
        assert_eq!(nodes(&efforts.steps(&record(1), &[has("a")], &none, now)), ["a"]);
        // One that stayed begins anew, too.
        efforts.end("a", "m:latest", Some(Ok(())), now);
        efforts.steps(&record(1), &[holds("a", None)], &none, now + STAYED);
        assert_eq!(nodes(&efforts.steps(&record(1), &[has("a")], &none, now)), ["a"]);
    }

    #[test]
    fn loads_leave_room_for_other_jobs_and_other_organizations() {
        let mut efforts = Efforts::default();
        let mut begun = |owner: &str, node: usize| {
            let record = CopiesRecord {
                organization: (!owner.is_empty()).then(|| owner.to_owned()),
                normal: format!("{owner}:latest"),
                ..record(9)
            };
            efforts.begin(&record, &load(&format!("n{node}")))
        };
        assert_eq!((0..99).filter(|node| begun("a", *node)).count(), LOADS_FOR_ONE);
        assert_eq!((0..99).filter(|node| begun("b", *node)).count(), LOADS_FOR_ONE);
        assert_eq!((0..99).filter(|node| begun("", *node)).count(), LOADS - 2 * LOADS_FOR_ONE);
        assert!(!begun("c", 0));
        assert!(efforts.begin(&record(9), &Step::Stay { node: "n".into() }), "that is no load");
        efforts.end("n0", "a:latest", None, Instant::now());
        assert_eq!(efforts.error("n0", "a:latest"), None);
        assert!(efforts.begin(&record(9), &load("n0")));
    }
}
