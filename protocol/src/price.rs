//! Prices: what tokens of a model cost.

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    money::MicroUsd,
    operation::operations,
};

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

operations! {
    /// Requests about prices.
    Request::Price(PriceRequest);

    /// All, in the order in which they are tried: the first that matches a model is its price.
    "price.list" List -> Vec<Price> as Prices, needs PriceRead;

    /// Set the price of a pattern, new or not.
    "price.set" Set {
        /// Glob of the models.
        model: String,
        /// Millionths of a US dollar per million tokens of the prompt.
        prompt: MicroUsd,
        /// Millionths of a US dollar per million tokens of output.
        output: MicroUsd,
    } -> Price as Price, needs PriceWrite,
        noted |op| Noted::new(Action::Update, "price", &op.model)
            .with("prompt_usd", op.prompt.to_string())
            .with("output_usd", op.output.to_string());

    /// Forget the price of a pattern.
    "price.remove" Remove {
        /// The pattern, as the list shows it.
        model: String,
    } -> () as Done, needs PriceWrite, noted |op| Noted::new(Action::Delete, "price", &op.model);
}
