//! Models with a strategy of their own.
//!
//! ## model strategy
//! | field | meaning |
//! |---|---|
//! | `model` | pattern of the models' names |
//! | `strategy` | `cost`, `least_active`, `lowest_latency`, `round_robin` or `weighted` |

use aivonx_protocol::strategy::ModelStrategy;

use crate::render::{Column, Table};

/// The patterns, the most specific first.
pub(crate) fn table(all: &[ModelStrategy]) -> Table {
    let mut table = Table::new([Column::text("MODELS"), Column::text("STRATEGY")]);
    for one in all {
        table.row([one.model.as_str().into(), one.strategy.name().into()]);
    }
    table
}
