//! What tokens cost, as the data path looks it up.

use std::sync::Arc;

use aivonx_domain::{Globs, model_name};
use arc_swap::ArcSwap;

/// What tokens of one model cost, in micro-USD per million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Of the prompt.
    pub prompt: u64,
    /// Of the output.
    pub output: u64,
}

impl Price {
    /// Nothing.
    pub const FREE: Self = Self { prompt: 0, output: 0 };

    /// The higher of two, for prompt and output each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { prompt: self.prompt.max(other.prompt), output: self.output.max(other.output) }
    }

    /// What these tokens cost, in micro-USD, rounded up.
    #[must_use]
    pub fn cost(self, prompt: u64, output: u64) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let micros = of(prompt, self.prompt).saturating_add(of(output, self.output)).div_ceil(1_000_000);
        u64::try_from(micros).unwrap_or(u64::MAX)
    }

    /// Most tokens of output that cost no more than `micros`; None if any number does.
    pub(super) fn output_for(self, micros: u64) -> Option<u64> {
        let tokens = (u128::from(micros) * 1_000_000).checked_div(u128::from(self.output))?;
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }
}

/// The price table. The first pattern that matches a model decides; a model without one costs nothing.
#[derive(Debug, Default)]
pub struct Prices(ArcSwap<Vec<(Globs, Price)>>);

impl Prices {
    /// Puts another table in place: globs of models, as organizations have them, in the order in which they are
    /// tried.
    pub fn set(&self, table: impl IntoIterator<Item = (String, Price)>) {
        let table = table.into_iter().map(|(glob, price)| (Globs::new(&[glob]), price)).collect();
        self.0.store(Arc::new(table));
    }

    /// The price of a model, as a client or the catalogue writes it; nothing if it has none.
    #[must_use]
    pub fn of(&self, model: &str) -> Price {
        self.find(model).unwrap_or(Price::FREE)
    }

    /// The same; None if it has none.
    #[must_use]
    pub fn find(&self, model: &str) -> Option<Price> {
        let table = self.0.load();
        if table.is_empty() {
            return None;
        }
        model_name::with_normal(model, |normal| {
            table.iter().find(|(globs, _)| globs.allow_normal(normal)).map(|(_, price)| *price)
        })
    }

    /// Whether no model has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// What these tokens of `model` cost, in micro-USD, rounded up.
    #[must_use]
    pub fn cost(&self, model: &str, prompt: u64, output: u64) -> u64 {
        self.of(model).cost(prompt, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let prices = Prices::default();
        assert_eq!(prices.cost("m", 1_000_000, 1_000_000), 0);
        let price = |prompt, output| Price { prompt, output };
        prices
            .set([("llama3:70b".into(), price(2_000_000, 4_000_000)), ("llama3*".into(), price(100_000, 3))]);
        assert_eq!(prices.cost("Llama3:70B", 1_000, 500), 2_000 + 2_000);
        assert_eq!(prices.of("llama3"), price(100_000, 3));
        assert_eq!((prices.of("qwen3"), prices.find("qwen3")), (Price::FREE, None));
        assert_eq!(prices.cost("llama3", 1, 0), 1, "rounded up");
    }

    #[test]
    fn what_is_affordable_costs_no_more() {
        let price = Price { prompt: 0, output: 3_000_000 };
        assert_eq!(price.output_for(10), Some(3));
        assert!(price.cost(0, 3) <= 10);
        assert_eq!(Price::FREE.output_for(0), None);
        assert_eq!(Price { prompt: u64::MAX, output: u64::MAX }.cost(u64::MAX, u64::MAX), u64::MAX);
    }
}
