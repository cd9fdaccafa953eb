//! How many tokens the prompts of a model really have for each that the gateway estimates: learned from what nodes count.

use std::{
    hash::BuildHasher as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aivonx_domain::table::NumberHasher;

/// Most models that are remembered. Names are the catalogue's, and only many changes of it come to so many.
const MODELS: usize = 4096;

/// Slots that are looked at for one model: where all are others', nothing is learned of it.
const SLOTS: usize = 8;

/// What is left of the weight of a count with each that follows.
const KEEP: f32 = 0.9;

/// The least and the most tokens for one that was estimated: what is beyond is no count of the same text.
const BELIEVED: std::ops::RangeInclusive<f32> = 0.25..=4.0;

/// Most tokens that are estimated for what is learned from. Of longer prompts only the bytes may be known, and those may
/// be images.
const LONGEST: u64 = 4096;

/// What was counted, and what was estimated for it, later counts more than earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rate {
    counted: f32,
    estimated: f32,
}

impl Rate {
    fn packed(self) -> u64 {
        u64::from(self.counted.to_bits()) << 32 | u64::from(self.estimated.to_bits())
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
    fn unpacked(bits: u64) -> Self {
        Self { counted: f32::from_bits((bits >> 32) as u32), estimated: f32::from_bits(bits as u32) }
    }
}

/// A model, by a hash of its name, and its rate. 0 is nobody, and nothing.
#[derive(Debug, Default)]
struct Slot {
    model: AtomicU64,
    rate: AtomicU64,
}

/// What was learned of each model. Every answer that is counted comes by here, on any thread, so nobody locks.
#[derive(Debug)]
pub struct TokenRates {
    slots: Box<[Slot]>,
    numbers: NumberHasher,
}

impl Default for TokenRates {
    fn default() -> Self {
        Self { slots: (0..MODELS).map(|_| Slot::default()).collect(), numbers: NumberHasher::default() }
    }
}

impl TokenRates {
    /// A node counted a prompt of `model`.
    pub(super) fn learn(&self, model: &str, estimated: u64, counted: u64) {
        if estimated > LONGEST {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (estimated, counted) = (estimated as f32, counted as f32);
        if !BELIEVED.contains(&(counted / estimated)) {
            return;
        }
        let (number, slots) = self.slots_of(model);
        let is_its = |slot: &&Slot| match slot.model.load(Relaxed) {
            0 => {
                slot.model.compare_exchange(0, number, Relaxed, Relaxed).is_ok()
                    || slot.model.load(Relaxed) == number
            }
            other => other == number,
        };
        let Some(slot) = slots.into_iter().find(is_its) else { return };
        let update = |bits| {
            let rate = Rate::unpacked(bits);
            let rate =
                Rate { counted: rate.counted * KEEP + counted, estimated: rate.estimated * KEEP + estimated };
            Some(rate.packed())
        };
        // It never says no.
        let _ = slot.rate.fetch_update(Relaxed, Relaxed, update);
    }

    /// The tokens that a node would probably count where so many are estimated: one at least.
    pub(super) fn corrected(&self, model: &str, estimated: u64) -> u64 {
        let (number, slots) = self.slots_of(model);
        let slot = slots.into_iter().find(|slot| slot.model.load(Relaxed) == number);
        let rate = slot.map(|slot| Rate::unpacked(slot.rate.load(Relaxed)));
        // The slot is taken before the first rate is written.
        let rate = rate.filter(|rate| rate.estimated > 0.0).map_or(1.0, |rate| rate.counted / rate.estimated);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; saturates, and is not negative"
        )]
        let tokens = (estimated as f64 * f64::from(rate)).round() as u64;
        tokens.max(1)
    }

    /// The number of a model, and the slots that may be its.
    fn slots_of(&self, model: &str) -> (u64, [&Slot; SLOTS]) {
        let number = self.numbers.hash_one(model).max(1);
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let first = number as usize;
        (number, std::array::from_fn(|at| &self.slots[first.wrapping_add(at) % MODELS]))
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

    #[test]
    fn threads_that_learn_at_once_tear_no_rate_and_more_models_than_there_is_room_for_do_no_harm() {
        let rates = TokenRates::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let rates = &rates;
                scope.spawn(move || {
                    for model in 0..3 * MODELS {
                        rates.learn("m", 100, 200);
                        rates.learn(&format!("{thread}-{model}"), 100, 50);
                    }
                });
            }
        });
        assert_eq!(rates.corrected("m", 100), 200);
        // Whichever thread was last: its models take the places of others'.
        let all = (0..4).flat_map(|thread| (0..3 * MODELS).map(move |model| format!("{thread}-{model}")));
        let learned = all.filter(|model| rates.corrected(model, 100) == 50).count();
        assert!((1..=MODELS).contains(&learned), "{learned}");
    }
}
