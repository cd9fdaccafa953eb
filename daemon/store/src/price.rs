//! Prices.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// The price of the models that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRecord {
    /// The pattern in the form in which names are compared: one price for each.
    pub id: String,
    /// The pattern as it was written.
    pub model: String,
    /// Micro-USD per million tokens of the prompt.
    pub prompt: u64,
    /// Micro-USD per million tokens of output.
    pub output: u64,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for PriceRecord {
    const COLLECTION: Collection = Collection::Price;
    const TREES: Trees = Trees { record: Tree::Price, name: None, owner: None };

    record_head!();
}
