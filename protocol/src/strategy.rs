//! How the scheduler chooses among the nodes that can serve a request, why, and what it has learned of them.

use serde::{Deserialize, Serialize};

use crate::{
    WireSecret,
    audit::{Action, Noted},
    operation::operations,
};

/// Most bytes of a prompt that is explained.
pub const PROMPT_MAX: usize = 1_000_000;

/// A scheduling strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The node with the fewest requests at work.
    LeastActive,
    /// The node with the lowest average latency.
    LowestLatency,
    /// The node where the first token is predicted to come soonest.
    #[default]
    Cost,
    /// One node after the other.
    RoundRobin,
    /// The node with the fewest requests for its label `weight`, which is 1 where it has none.
    Weighted,
}

impl Strategy {
    /// Every strategy, in the order shown to people.
    pub const ALL: [Self; 5] =
        [Self::Cost, Self::LeastActive, Self::LowestLatency, Self::RoundRobin, Self::Weighted];

    /// What it chooses, for people.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::LeastActive => "the node with the fewest requests at work",
            Self::LowestLatency => "the node with the lowest average latency",
            Self::Cost => "the node where the first token is predicted to come soonest",
            Self::RoundRobin => "one node after the other",
            Self::Weighted => "the node with the fewest requests for its label 'weight'",
        }
    }

    /// The name used in commands and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastActive => "least_active",
            Self::LowestLatency => "lowest_latency",
            Self::Cost => "cost",
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
        }
    }
}

/// A strategy for some of the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStrategy {
    /// Pattern of the models' names.
    pub model: String,
    /// How a node is chosen for them.
    pub strategy: Strategy,
}

/// Which node a request would go to now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Model that the node would be asked for.
    pub model: String,
    /// Strategy in force for it.
    pub strategy: Strategy,
    /// Tokens of the prompt, estimated.
    pub prompt_tokens: u64,
    /// In one sentence, why that node, or why none.
    pub why: String,
    /// The chosen node, then the other candidates from the least cost on, then those that are none.
    pub nodes: Vec<Considered>,
}

/// A node, as it was considered for a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    /// Node name.
    pub node: String,
    /// Whether it would be chosen.
    pub chosen: bool,
    /// What the request would cost there; None if it is no candidate.
    pub cost: Option<Cost>,
    /// Why it is no candidate.
    pub reason: Option<String>,
}

/// What a request would cost on a node, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// All of it.
    pub total_ms: i64,
    /// Until the node has a place for it.
    pub wait_ms: i64,
    /// To load the model, or until it is loaded.
    pub load_ms: i64,
    /// What the next requests lose for models that have to leave the node's memory.
    pub evict_ms: i64,
    /// What requests that wait there lose; negative where they gain by the load.
    pub others_ms: i64,
    /// Prefill of the tokens that are not cached.
    pub prefill_ms: i64,
    /// Tokens of the prompt that are cached there, as far as is known.
    pub cached_tokens: u32,
}

/// What was learned of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Requests it works on at once; None if nobody knows.
    pub parallel: Option<u32>,
    /// Whether an administrator stated that.
    pub parallel_stated: bool,
    /// The most models it was seen to hold in memory at once; None before that was seen.
    pub models_at_once: Option<u32>,
    /// Whether one more did not fit.
    pub models_at_most: bool,
    /// Tokens of prompts that it keeps cached; None before that was seen.
    pub cached_tokens: Option<u64>,
    /// Whether it prefills one prompt after the other; None if nobody knows.
    pub one_by_one: Option<bool>,
    /// Speeds by model, by name.
    pub models: Vec<LearnedModel>,
}

/// How fast a node is with a model. Absent before it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedModel {
    /// Model name.
    pub model: String,
    /// Milliseconds to load it.
    pub load_ms: Option<u64>,
    /// Tokens of prompts read a second.
    pub prefill_per_second: Option<f64>,
    /// Tokens generated a second.
    pub decode_per_second: Option<f64>,
}

operations! {
    /// Requests about the strategy.
    Request::Strategy(StrategyRequest);

    /// The strategy in force.
    "strategy.show" Show -> Strategy as Strategy, needs FleetRead;

    /// Changes it.
    "strategy.set" Set(Strategy) -> Strategy as Strategy, needs StrategyWrite,
        noted |op| Noted::new(Action::Update, "strategy", "").with("strategy", op.0);

    /// Which node a chat with a model would go to now, and why. Nothing is sent.
    "strategy.explain" Explain {
        /// Model name, or an alias.
        model: String,
        /// Slug or id of the organization whose request it is; None is the caller's own, or none.
        organization: Option<String>,
        /// Text of the one message from the user, at most [`PROMPT_MAX`] bytes. It is not kept.
        prompt: WireSecret,
    } -> Explained as Explained, needs FleetRead;

    /// What was learned of a node.
    "strategy.learned" ShowLearned {
        /// Node name or id.
        node: String,
    } -> Learned as Learned, needs FleetRead;

    /// The models with a strategy of their own, the most specific pattern first.
    "strategy.models" ShowModels -> Vec<ModelStrategy> as ModelStrategies, needs FleetRead;

    /// Changes the strategy of the models that a pattern matches.
    "strategy.set_model" SetModel {
        /// The pattern.
        model: String,
        /// The strategy; None is the fleet's.
        strategy: Option<Strategy>,
    } -> Vec<ModelStrategy> as ModelStrategies, needs StrategyWrite,
        noted |op| Noted::new(Action::Update, "strategy", &op.model)
            .with("strategy", op.strategy.map_or("default", Strategy::name));
}
