//! What was learned of a node, for people.

use crate::{ModelId, NodeId, Scheduler, Time, node::REACH};

/// What was learned of a node. Absent is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lessons {
    /// Requests it works on at once.
    pub parallel: Option<u32>,
    /// Whether that was stated, and not learned.
    pub parallel_stated: bool,
    /// The most models it held in memory at once, and whether one more did not fit.
    pub models: Option<(usize, bool)>,
    /// Tokens of prompts that it keeps cached.
    pub cached: Option<u64>,
    /// Whether it prefills one prompt after the other.
    pub one_by_one: Option<bool>,
    /// Speeds by model, in no order.
    pub speeds: Vec<(ModelId, Speed)>,
}

/// How fast a node is with a model. Absent before the first sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Speed {
    /// Seconds to load the model.
    pub load: Option<f64>,
    /// Seconds of prefill for a token that is not cached.
    pub prefill: Option<f64>,
    /// Seconds for a generated token.
    pub decode: Option<f64>,
}

impl Scheduler {
    /// What was learned of `node`.
    #[must_use]
    pub fn lessons(&self, node: NodeId, now: Time) -> Lessons {
        let Some(on) = self.nodes.get(usize::from(node.0)) else { return Lessons::default() };
        let one_by_one = match () {
            () if on.serial.is_seen(now) => Some(true),
            () if on.serial.is_refuted(now) => Some(false),
            () => None,
        };
        let speeds = self.pairs.iter().filter(|((on, _), _)| *on == node).map(|((_, model), learned)| {
            let speeds = &learned.speeds;
            let (load, prefill, decode) = (speeds.load.get(), speeds.prefill.get(), speeds.decode.get());
            (*model, Speed { load, prefill, decode })
        });
        Lessons {
            parallel: on.parallel.bound(),
            parallel_stated: on.parallel.stated.is_some(),
            models: on.capacity.models(),
            cached: Some(on.reach).filter(|reach| *reach != REACH),
            one_by_one,
            speeds: speeds.collect(),
        }
    }
}
