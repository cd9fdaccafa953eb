//! What a node holds in memory, and how much it can hold. Neither is stated by the node: the first follows from what
//! is sent there and is corrected by what the node says of itself, the second from what had to leave.

use serde::{Deserialize, Serialize};

use crate::{ModelId, Time};

/// Weights in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Held {
    /// Names that share weights share a runner.
    pub(crate) weights: u64,
    /// Options of the runner: others mean loading anew.
    pub(crate) variant: Option<u64>,
    /// The name it was last asked for by.
    pub(crate) model: ModelId,
    pub(crate) bytes: u64,
    /// When it can be used.
    pub(crate) ready: Time,
    /// When it was sent for; None once the node was seen to hold it.
    pub(crate) since: Option<Time>,
}

/// The weights in memory, the one that was not used for longest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Vec<Held>);

/// How much fits, from what was seen. Bytes, or the number of models where sizes are unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// The most that was held at once.
    held: Option<(u64, usize)>,
    /// The least that did not fit.
    too_much: Option<(u64, usize)>,
    /// The most of what did not fit on other nodes: assumed until this one says otherwise.
    #[serde(skip)]
    elsewhere: Option<(u64, usize)>,
    /// Stated by an administrator: models at once.
    #[serde(skip)]
    pub(crate) most: Option<usize>,
}

impl Capacity {
    /// Whether so many bytes of so many models fit, as far as is known. What was never tried is assumed to fit.
    pub(crate) fn fits(&self, bytes: u64, count: usize) -> bool {
        if let Some(most) = self.most {
            return count <= most;
        }
        count <= 1
            || self.held.is_some_and(|held| bytes <= held.0 && count <= held.1)
            || self.too_much.or(self.elsewhere).is_none_or(|(too_many, of)| bytes < too_many && count < of)
    }

    /// What was learned at another time; what is stated stays.
    pub(crate) fn recall(&mut self, learned: Self) {
        *self = Self { most: self.most, ..learned };
    }

    /// Whether so much was ever tried, here or elsewhere.
    pub(crate) fn is_known(&self, bytes: u64, count: usize) -> bool {
        let tried = |(most, of): (u64, usize)| bytes <= most && count <= of;
        self.most.is_some() || count <= 1 || self.held.is_some_and(tried) || !self.fits(bytes, count)
    }

    /// Models at once, as far as is known: the most that were held, and whether more were tried in vain.
    pub(crate) fn models(&self) -> Option<(usize, bool)> {
        match (self.most, self.held) {
            (Some(most), _) => Some((most, true)),
            (None, Some((_, held))) => Some((held, self.too_much.is_some_and(|(_, of)| of == held + 1))),
            (None, None) => None,
        }
    }

    /// The most of what did not fit on any of the nodes.
    pub(crate) fn share<'a>(all: impl Iterator<Item = &'a mut Self>) {
        let all: Vec<&mut Self> = all.collect();
        let most = all.iter().filter_map(|capacity| capacity.too_much).max();
        all.into_iter().for_each(|capacity| capacity.elsewhere = most);
    }

    pub(crate) fn saw_held(&mut self, bytes: u64, count: usize) {
        let held = self.held.map_or((bytes, count), |held| (held.0.max(bytes), held.1.max(count)));
        self.held = Some(held);
        if self.too_much.is_some_and(|too_much| too_much.0 <= held.0 && too_much.1 <= held.1) {
            self.too_much = None;
        }
    }

    pub(crate) fn saw_eviction(&mut self, bytes: u64, count: usize) {
        let least = self.too_much.map_or((bytes, count), |least| (least.0.min(bytes), least.1.min(count)));
        self.too_much = Some(least);
        if self.held.is_some_and(|held| held.0 >= least.0 && held.1 >= least.1) {
            self.held = None;
        }
    }
}

impl Memory {
    pub(crate) fn get(&self, weights: u64, variant: Option<u64>) -> Option<&Held> {
        self.0.iter().find(|held| held.weights == weights && same(held.variant, variant))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.0.iter()
    }

    pub(crate) fn total(&self) -> (u64, usize) {
        (self.0.iter().map(|held| held.bytes).sum(), self.0.len())
    }

    /// The models that have to leave for `bytes` more, in the order in which they do: the same weights with other
    /// options, then the ones that were not used for longest.
    pub(crate) fn evicts<'a>(
        &'a self,
        weights: u64,
        bytes: u64,
        capacity: &'a Capacity,
    ) -> impl Iterator<Item = &'a Held> + 'a {
        let (mut total, mut count) = self.total();
        total += bytes;
        count += 1;
        let reloaded = self.0.iter().filter(move |held| held.weights == weights);
        for held in reloaded.clone() {
            total -= held.bytes;
            count -= 1;
        }
        let others = self.0.iter().filter(move |held| held.weights != weights);
        let more = others.map_while(move |held| {
            if capacity.fits(total, count) {
                return None;
            }
            total -= held.bytes;
            count -= 1;
            Some(held)
        });
        reloaded.chain(more)
    }

    /// Uses the weights of `new`: what is there is the most recently used one now; else what has to leave for it does,
    /// and it loads. Whether it was there.
    pub(crate) fn take(&mut self, new: Held, capacity: &Capacity) -> bool {
        let there = self.0.iter().position(|h| h.weights == new.weights && same(h.variant, new.variant));
        if let Some(at) = there {
            let mut held = self.0.remove(at);
            held.model = new.model;
            held.variant = new.variant.or(held.variant);
            self.0.push(held);
            return true;
        }
        let leaving: Vec<u64> =
            self.evicts(new.weights, new.bytes, capacity).map(|held| held.weights).collect();
        self.0.retain(|held| !leaving.contains(&held.weights));
        self.0.push(new);
        false
    }

    /// What was loading can be used.
    pub(crate) fn is_ready(&mut self, weights: u64, now: Time) {
        let loading = self.0.iter_mut().find(|held| held.weights == weights);
        loading.into_iter().for_each(|held| held.ready = held.ready.min(now));
    }

    pub(crate) fn remove(&mut self, weights: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|held| held.weights != weights);
        self.0.len() != before
    }

    /// Takes in what the node holds; what still loads is not among it. Whether something left that was counted on.
    pub(crate) fn correct(&mut self, there: &[Held], loads: impl Fn(&Held) -> bool) -> bool {
        let mut evicted = false;
        self.0.retain(|held| {
            let stays = loads(held) || there.iter().any(|other| other.weights == held.weights);
            evicted |= !stays;
            stays
        });
        for found in there {
            match self.0.iter_mut().find(|held| held.weights == found.weights) {
                Some(held) if loads(held) => {}
                Some(held) => (held.bytes, held.since) = (found.bytes, None),
                None => self.0.insert(0, *found),
            }
        }
        evicted
    }
}

/// Nobody knows what options a model was loaded with that was found loaded.
fn same(a: Option<u64>, b: Option<u64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}
