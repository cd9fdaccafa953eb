//! How the scheduler chooses among the nodes that can serve a request.

use serde::{Deserialize, Serialize};

use crate::{
    audit::{Action, Noted},
    operation::operations,
};

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

operations! {
    /// Requests about the strategy.
    Request::Strategy(StrategyRequest);

    /// The strategy in force.
    "strategy.show" Show -> Strategy as Strategy, needs FleetRead;

    /// Changes it.
    "strategy.set" Set(Strategy) -> Strategy as Strategy, needs StrategyWrite,
        noted |op| Noted::new(Action::Update, "strategy", "").with("strategy", op.0);
}
