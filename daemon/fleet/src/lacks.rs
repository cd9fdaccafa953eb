//! What requests found a node not to serve. It is believed for a while: the node may be set up otherwise by then.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aivonx_domain::model_name;
use arc_swap::ArcSwap;

/// How long that is.
const BELIEVED: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Default)]
struct Found {
    /// By the model's normal name, bits of APIs and routes, and until when each is believed.
    by_model: HashMap<Box<str>, Vec<(u64, Instant)>>,
    /// When the last of them is not believed any more.
    until: Option<Instant>,
}

impl Found {
    fn retain(&mut self, keep: impl Fn(&(u64, Instant)) -> bool) {
        self.by_model.retain(|_, lacks| {
            lacks.retain(&keep);
            !lacks.is_empty()
        });
    }
}

#[derive(Debug, Default)]
pub(super) struct Lacks {
    /// All bits in `found`: what is not among them need not be looked up.
    bits: AtomicU64,
    found: ArcSwap<Found>,
    /// Held while the two are changed.
    change: Mutex<()>,
}

impl Lacks {
    /// Takes in that the API or the route of this bit was not there for `model`.
    pub(super) fn add(&self, bit: u64, model: &str, now: Instant) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Found::clone(&self.found.load());
        found.retain(|(_, until)| *until > now);
        let (until, lacks) = (now + BELIEVED, found.by_model.entry(model_name::normalize(model).into()));
        let lacks = lacks.or_default();
        lacks.retain(|(other, _)| *other != bit);
        lacks.push((bit, until));
        found.until = Some(until);
        self.set(found);
    }

    /// Whether it was not there for `model`. A single load, as long as nothing is believed.
    pub(super) fn has(&self, bit: u64, model: &str, now: impl FnOnce() -> Instant) -> bool {
        if self.bits.load(Ordering::Relaxed) & bit == 0 {
            return false;
        }
        let (found, now) = (self.found.load(), now());
        if found.until.is_none_or(|until| until <= now) {
            // Nobody waits for it: if something is being added, that goes on without what is over.
            if let Ok(_change) = self.change.try_lock()
                && self.found.load().until.is_some_and(|until| until <= now)
            {
                self.set(Found::default());
            }
            return false;
        }
        model_name::with_normal(model, |normal| {
            let lacks = found.by_model.get(normal).map_or(&[][..], Vec::as_slice);
            lacks.iter().any(|(other, until)| other & bit != 0 && *until > now)
        })
    }

    /// It may be another server by now.
    pub(super) fn forget(&self) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        self.set(Found::default());
    }

    /// To be called while [`Self::change`] is held.
    fn set(&self, found: Found) {
        let bits = found.by_model.values().flatten().fold(0, |bits, (bit, _)| bits | bit);
        self.found.store(Arc::new(found));
        self.bits.store(bits, Ordering::Relaxed);
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
        assert_eq!(lacks.bits.load(Ordering::Relaxed), 0, "nothing is looked up once nothing is believed");
        lacks.add(2, "m", now);
        lacks.add(4, "m", later);
        assert_eq!(lacks.bits.load(Ordering::Relaxed), 4, "what is not believed any more is not kept");
        assert!(lacks.has(4, "m", || later));
        lacks.forget();
        assert!(!lacks.has(4, "m", || later));
    }
}
