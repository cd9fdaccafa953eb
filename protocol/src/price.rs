//! Prices: what tokens of a model cost.

use serde::{Deserialize, Serialize};

use crate::{UnixMillis, money::MicroUsd};

/// The price of the models that match a pattern. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Glob (`*`, `?`) of the models.
    pub model: String,
    /// Millionths of a US dollar per million tokens of the prompt.
    pub prompt: MicroUsd,
    /// Millionths of a US dollar per million tokens of output.
    pub output: MicroUsd,
    /// When it was set first.
    pub created: UnixMillis,
    /// Revision of the record.
    pub revision: u64,
}

/// Requests about prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PriceRequest {
    /// All, in the order in which they are tried: the first that matches a model is its price. Answered with
    /// `Reply::Prices`.
    List,
    /// Set the price of a pattern, new or not. Answered with `Reply::Price`.
    Set {
        /// Glob of the models.
        model: String,
        /// Millionths of a US dollar per million tokens of the prompt.
        prompt: MicroUsd,
        /// Millionths of a US dollar per million tokens of output.
        output: MicroUsd,
    },
    /// Forget the price of a pattern. Answered with `Reply::Done`.
    Remove {
        /// The pattern, as the list shows it.
        model: String,
    },
}
