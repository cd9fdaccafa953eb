//! How the scheduler chooses among the nodes that can serve a request.

use serde::{Deserialize, Serialize};

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

/// Requests about the strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StrategyRequest {
    /// Answered with `Reply::Strategy`.
    Show,
    /// Answered with `Reply::Strategy`.
    Set(Strategy),
}
