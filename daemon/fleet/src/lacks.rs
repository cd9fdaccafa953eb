//! What requests found a node not to serve. It is believed for a while: the node may be set up otherwise by then.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aivonx_domain::model_name;

/// How long that is.
const BELIEVED: Duration = Duration::from_secs(300);

/// By the model's normal name, bits of APIs and routes, and until when each is believed.
type Found = HashMap<Box<str>, Vec<(u64, Instant)>>;

#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// All bits in `found`: what is not among them need not be looked up.
    bits: AtomicU64,
    found: Mutex<Found>,
}

impl Lacks {
    /// Takes in that the API or the route of this bit was not there for `model`.
    pub(super) fn add(&self, bit: u64, model: &str, now: Instant) {
        let mut found = self.found();
        found.retain(|_, lacks| {
            lacks.retain(|(_, until)| *until > now);
            !lacks.is_empty()
        });
        let lacks = found.entry(model_name::normalize(model).into()).or_default();
        lacks.retain(|(other, _)| *other != bit);
        lacks.push((bit, now + BELIEVED));
        let bits = found.values().flatten().fold(0, |bits, (bit, _)| bits | bit);
        self.bits.store(bits, Ordering::Relaxed);
    }

    /// Whether it was not there for `model`. A single load, as long as nothing was found.
    pub(super) fn has(&self, bit: u64, model: &str, now: impl FnOnce() -> Instant) -> bool {
        if self.bits.load(Ordering::Relaxed) & bit == 0 {
            return false;
        }
        let (found, now) = (self.found(), now());
        model_name::with_normal(model, |normal| {
            let lacks = found.get(normal).map_or(&[][..], Vec::as_slice);
            lacks.iter().any(|(other, until)| other & bit != 0 && *until > now)
        })
    }

    /// It may be another server by now.
    pub(super) fn forget(&self) {
        let mut found = self.found();
        found.clear();
        self.bits.store(0, Ordering::Relaxed);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // Every entry is whole at each moment.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_there_for_one_model_is_believed_of_that_one_and_for_a_while() {
        let (lacks, now) = (Lacks::default(), Instant::now());
        let later = now + BELIEVED;
        assert!(!lacks.has(2, "m", || now));
        lacks.add(2, "m", now);
        lacks.add(4, "n", now);
        for (bit, model, at, expected) in [
            (2, "m", now, true),
            (2, "M:latest", now, true),
            (2, "n", now, false),
            (4, "m", now, false),
            (0, "m", now, false),
            (2, "m", later, false),
        ] {
            assert_eq!(lacks.has(bit, model, || at), expected, "{bit} {model}");
        }
        lacks.add(4, "m", later);
        assert_eq!(lacks.found().len(), 1, "what is not believed any more is not kept");
        lacks.forget();
        assert!(!lacks.has(4, "m", || later));
    }
}
