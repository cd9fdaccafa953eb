//! What was learned, in a form that outlives the process. What happens at the moment is no part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ModelId, NodeId, Scheduler, Time,
    learned::{Learned, Mean},
    memory::Capacity,
    node::{LEAST_REACH, REACH},
};

/// What was learned of a node, and of models on it by their names or numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeMemo<M: Ord> {
    #[serde(default)]
    learned: Learned,
    #[serde(default)]
    capacity: Capacity,
    /// Tokens after which a prompt is no longer cached.
    #[serde(default)]
    reach: Option<u64>,
    /// Requests at once.
    #[serde(default)]
    parallel: Option<u32>,
    /// Whether prompts are prefilled one after the other.
    #[serde(default)]
    serial: f64,
    /// Seconds to wake.
    #[serde(default)]
    waking: Mean,
    #[serde(default = "BTreeMap::new")]
    models: BTreeMap<M, ModelMemo>,
}

/// What was learned of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelMemo(Learned);

impl<M: Ord> NodeMemo<M> {
    /// The same with other names for the models; those that `name` does not know are left out.
    pub fn rename<N: Ord>(self, name: impl Fn(M) -> Option<N>) -> NodeMemo<N> {
        let models = self.models.into_iter().filter_map(|(model, memo)| Some((name(model)?, memo))).collect();
        let Self { learned, capacity, reach, parallel, serial, waking, .. } = self;
        NodeMemo { learned, capacity, reach, parallel, serial, waking, models }
    }
}

impl Scheduler {
    /// What was learned of every node and of every model.
    #[must_use]
    pub fn memo(&self) -> (BTreeMap<NodeId, NodeMemo<ModelId>>, BTreeMap<ModelId, ModelMemo>) {
        let nodes = self.nodes.iter().zip(0..).map(|(on, at)| {
            let memo = NodeMemo {
                learned: on.learned.sane(),
                capacity: on.capacity,
                reach: (on.reach != REACH).then_some(on.reach),
                parallel: on.parallel.learned(),
                serial: on.serial.learned(),
                waking: on.waking.sane(),
                models: BTreeMap::new(),
            };
            (NodeId(at), memo)
        });
        let mut nodes: BTreeMap<_, _> = nodes.collect();
        for ((node, model), learned) in &self.pairs {
            if let Some(memo) = nodes.get_mut(node) {
                memo.models.insert(*model, ModelMemo(learned.sane()));
            }
        }
        let models = self.models.iter().zip(0..);
        let models = models.map(|(model, at)| (ModelId(at), ModelMemo(model.learned.sane())));
        let models = models.filter(|(_, memo)| *memo != ModelMemo::default());
        (nodes, models.collect())
    }

    /// Takes in what was learned of a node at another time.
    pub fn recall_node(&mut self, node: NodeId, memo: NodeMemo<ModelId>, now: Time) {
        let on = self.node(node);
        on.learned = memo.learned.sane();
        on.capacity.recall(memo.capacity);
        on.reach = memo.reach.unwrap_or(REACH).max(LEAST_REACH);
        on.parallel.recall(memo.parallel, now);
        on.serial.recall(memo.serial, now);
        on.waking = memo.waking.sane();
        for (model, ModelMemo(learned)) in memo.models {
            self.pairs.insert((node, model), learned.sane());
        }
        Capacity::share(self.nodes.iter_mut().map(|on| &mut on.capacity));
    }

    /// Takes in what was learned of a model at another time.
    pub fn recall_model(&mut self, model: ModelId, ModelMemo(learned): ModelMemo) {
        self.model(model).learned = learned.sane();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ask, Candidate, Here, Policy};

    const NODE: NodeId = NodeId(0);
    const MODEL: ModelId = ModelId(0);

    fn ask() -> Ask<'static> {
        Ask {
            model: Some(MODEL),
            variant: None,
            prompt: 5000,
            blocks: &[],
            output: None,
            streams: true,
            embeds: false,
            band: 0,
            organization: 0,
            key: 0,
        }
    }

    fn fresh() -> Scheduler {
        let mut fleet = Scheduler::default();
        let here = |weights| Here { weights, bytes: 5, resident: false };
        fleet.set_models(NODE, (0..3).map(|model| (ModelId(model), here(u64::from(model) + 1))));
        fleet.set_node(NODE, true, None, None, 0.0);
        fleet
    }

    #[test]
    fn what_was_learned_is_known_after_a_restart() {
        let mut before = fresh();
        before.teach(NODE, MODEL, 30.0, 500.0, 20.0, 50_000);
        let only = [Candidate { node: NODE, latency: None, weight: 1.0, held: false }];
        let (job, _) = before.submit(Policy::Cost, &ask(), &only, 0.0).unwrap();
        before.refused(job, 0.0);
        before.ended(job, None, 0.0);
        before.look(NODE, [(1, 5), (2, 5)].into_iter(), 1.0);
        before.nodes[0].capacity.saw_eviction(15, 3);
        let (mut nodes, models) = before.memo();
        let memo = nodes.remove(&NODE).unwrap();
        // As it is kept: by names, as text.
        let named = memo.rename(|model| Some(format!("m{}", model.0)));
        let text = serde_json::to_string(&named).unwrap();
        let read: NodeMemo<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, named);

        let mut after = fresh();
        // The numbers are others in each process, and so is the time.
        after.recall_node(NODE, read.rename(|name| name[1..].parse().ok().map(ModelId)), 0.0);
        models.into_iter().for_each(|(model, memo)| after.recall_model(model, memo));
        // But for what goes on at the moment.
        let terms = |fleet: &mut Scheduler| {
            let terms = fleet.explain(Policy::Cost, &ask(), &only, 10.0).1[0];
            (terms.load, terms.prefill)
        };
        before.look(NODE, std::iter::empty(), 5.0);
        assert_eq!(terms(&mut after), terms(&mut before));
        assert!((terms(&mut after).0 - 30.0).abs() < 1e-6);
        let on = &after.nodes[0];
        assert_eq!((on.reach, on.parallel.bound()), (50_000, Some(1)));
        assert!(on.serial.is_seen(0.0) && on.capacity.fits(10, 2) && !on.capacity.fits(15, 3));
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut fleet = fresh();
        fleet.teach(NODE, MODEL, f64::INFINITY, 500.0, 20.0, 50_000);
        let (mut nodes, _) = fleet.memo();
        let memo = nodes.remove(&NODE).unwrap().rename(|model| Some(model.0.to_string()));
        let text = serde_json::to_string(&memo).unwrap();
        let read: NodeMemo<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, memo);
        let empty: NodeMemo<String> = serde_json::from_str("{}").unwrap();
        fleet.recall_node(NODE, empty.rename(|_| None), 0.0);
        assert_eq!(fleet.nodes[0].reach, REACH);
    }
}
