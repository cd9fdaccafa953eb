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
    #[default]
    LeastActive,
    /// The node with the lowest average latency.
    LowestLatency,
}

impl Strategy {
    /// Every strategy, in the order shown to people.
    pub const ALL: [Self; 2] = [Self::LeastActive, Self::LowestLatency];

    /// The name used in commands and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastActive => "least_active",
            Self::LowestLatency => "lowest_latency",
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
