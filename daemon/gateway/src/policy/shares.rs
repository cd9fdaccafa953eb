//! Which of the models of a weighted alias a key is served, and what came of the requests for each.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use aivonx_domain::access::{AccessRecord, Outcome};
use aivonx_protocol::policy::Share;

/// What came of the requests for one model of an alias, since the daemon started.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    errors: AtomicU64,
    /// Of those that did not fail, in microseconds.
    first_byte: AtomicU64,
    duration: AtomicU64,
}

impl Tally {
    /// Counts a request that is over.
    pub fn count(&self, record: &AccessRecord) {
        self.requests.fetch_add(1, Relaxed);
        let left = record.outcome == Outcome::ClientGone;
        if !left && (record.outcome != Outcome::Complete || record.status >= 400) {
            self.errors.fetch_add(1, Relaxed);
            return;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.first_byte.fetch_add(micros(record.first_byte.unwrap_or(record.duration)), Relaxed);
        self.duration.fetch_add(micros(record.duration), Relaxed);
    }

    /// What was counted for `model`.
    pub(super) fn share(&self, model: &str, weight: u32) -> Share {
        let (requests, errors) = (self.requests.load(Relaxed), self.errors.load(Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "shown with a digit after the point")]
        let average = |sum: &AtomicU64| {
            let count = requests.saturating_sub(errors);
            (count > 0).then(|| sum.load(Relaxed) as f64 / count as f64 / 1000.0)
        };
        Share {
            model: model.to_owned(),
            weight,
            requests,
            errors,
            first_byte_ms: average(&self.first_byte),
            duration_ms: average(&self.duration),
        }
    }
}

/// Which of several weights somebody falls to: the same for as long as the weights are, and after a change nobody moves
/// but those that the change is about. None if all are 0.
pub(super) fn falls_to(alias: &str, who: &[u8], weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let point = (u128::from(hash(alias, who)) * u128::from(sum)) >> 64;
    let mut reached = 0_u128;
    weights.into_iter().position(|weight| {
        reached += u128::from(weight);
        point < reached
    })
}

/// FNV-1a with the last step of MurmurHash3: the same in every process and version, evenly spread over the upper bits.
fn hash(alias: &str, who: &[u8]) -> u64 {
    let bytes = alias.bytes().chain([0]).chain(who.iter().copied());
    let mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let step = |hash: u64, factor: u64| (hash ^ (hash >> 33)).wrapping_mul(factor);
    let mixed = step(step(mixed, 0xff51_afd7_ed55_8ccd), 0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(weights: &[u32], count: u32) -> Vec<usize> {
        let of = |n: u32| falls_to("chat", format!("0190-key-{n}").as_bytes(), weights.iter().copied());
        (0..count).map(|n| of(n).unwrap()).collect()
    }

    #[test]
    fn keys_are_shared_out_by_weight() {
        let served = served(&[90, 10], 10_000);
        let few = served.iter().filter(|at| **at == 1).count();
        assert!((900..1100).contains(&few), "{few}");
    }

    #[test]
    fn a_change_of_weights_moves_those_alone_that_it_is_about() {
        let (before, after) = (served(&[90, 10], 1000), served(&[80, 20], 1000));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(before, after)| (*before, *after) == (0, 1)));
        assert!((50..150).contains(&moved.count()));
    }

    #[test]
    fn what_has_no_weight_is_nobodys() {
        assert!(served(&[0, 7, 0], 100).iter().all(|at| *at == 1));
        assert_eq!(falls_to("chat", b"k", [0, 0].into_iter()), None);
    }
}
