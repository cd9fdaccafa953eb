//! How many tokens the prompts of a model really have for each that the gateway estimates: learned from what nodes count.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Most models that are remembered. Names are the catalogue's, and only many changes of it come to so many.
const MODELS: usize = 4096;

/// What is left of the weight of a count with each that follows.
const KEEP: f64 = 0.9;

/// The least and the most tokens for one that was estimated: what is beyond is no count of the same text.
const BELIEVED: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// Most tokens that are estimated for what is learned from. Of longer prompts only the bytes may be known, and those may
/// be images.
const LONGEST: u64 = 4096;

/// What was counted, and what was estimated for it, later counts more than earlier ones.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    counted: f64,
    estimated: f64,
}

/// What was learned of each model.
#[derive(Debug, Default)]
pub struct TokenRates(Mutex<HashMap<Box<str>, Rate>>);

impl TokenRates {
    /// A node counted a prompt of `model`. What comes while another thread is learning is left out: nobody waits.
    pub(super) fn learn(&self, model: &str, estimated: u64, counted: u64) {
        if estimated > LONGEST {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (estimated, counted) = (estimated as f64, counted as f64);
        if !BELIEVED.contains(&(counted / estimated)) {
            return;
        }
        let Ok(mut rates) = self.0.try_lock() else { return };
        if let Some(rate) = rates.get_mut(model) {
            rate.counted = rate.counted * KEEP + counted;
            rate.estimated = rate.estimated * KEEP + estimated;
        } else if rates.len() < MODELS {
            rates.insert(model.into(), Rate { counted, estimated });
        }
    }

    /// The tokens that a node would probably count where so many are estimated: one at least.
    pub(super) fn corrected(&self, model: &str, estimated: u64) -> u64 {
        // Every entry is whole at each moment.
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rates.get(model).map_or(1.0, |rate| rate.counted / rate.estimated);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; saturates, and is not negative"
        )]
        let tokens = (estimated as f64 * rate).round() as u64;
        tokens.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_count_corrects_what_is_estimated() {
        let rates = TokenRates::default();
        assert_eq!((rates.corrected("m", 100), rates.corrected("m", 0)), (100, 1));
        rates.learn("m", 100, 200);
        assert_eq!((rates.corrected("m", 50), rates.corrected("other", 50)), (100, 50));
        for _ in 0..100 {
            rates.learn("m", 100, 50);
        }
        assert_eq!(rates.corrected("m", 1000), 500, "what is long ago counts no more");
        for (estimated, counted) in [(0, 0), (0, 5), (100, 0), (1, 1000), (7500, 2000)] {
            rates.learn("m", estimated, counted);
        }
        assert_eq!(rates.corrected("m", 1000), 500, "what cannot be believed does not count");
    }
}
