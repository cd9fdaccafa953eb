//! The indexes that are in memory, the least recently used ones going first.

use std::{collections::HashMap, sync::Arc};

use super::index::Index;
use crate::segment::Segment;

/// Most memory that they take, bytes.
const MAX: usize = 64 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// By the first frame of their segments.
    all: HashMap<u64, Cached>,
    weight: usize,
    uses: u64,
}

#[derive(Debug)]
struct Cached {
    index: Arc<Index>,
    weight: usize,
    used: u64,
}

impl Indexes {
    /// The index of a segment.
    pub(super) fn find(&mut self, segment: &Segment) -> Option<Arc<Index>> {
        let cached = self.all.get_mut(&segment.first)?;
        // What was appended to an open one meanwhile is added by the one who appends.
        if segment.is_closed() && cached.index.end != segment.end {
            return None;
        }
        self.uses += 1;
        cached.used = self.uses;
        Some(cached.index.clone())
    }

    /// Keeps the index of the segment that begins with frame `first`.
    pub(super) fn keep(&mut self, first: u64, index: Arc<Index>) {
        let weight = index.weight();
        self.insert(first, index, weight);
    }

    /// Takes out the index of the segment that begins with frame `first`, to be changed, with its weight.
    pub(super) fn take(&mut self, first: u64) -> Option<(Arc<Index>, usize)> {
        let Cached { index, weight, .. } = self.all.remove(&first)?;
        self.weight -= weight;
        Some((index, weight))
    }

    /// Puts it back.
    pub(super) fn insert(&mut self, first: u64, index: Arc<Index>, weight: usize) {
        drop(self.take(first));
        self.uses += 1;
        self.weight += weight;
        self.all.insert(first, Cached { index, weight, used: self.uses });
        while self.weight > MAX && self.all.len() > 1 {
            let oldest = self.all.iter().min_by_key(|(_, cached)| cached.used).map(|(first, _)| *first);
            drop(oldest.and_then(|first| self.take(first)));
        }
    }

    /// Forgets those of segments before the one that begins with frame `first`.
    pub(super) fn forget_before(&mut self, first: u64) {
        let gone: Vec<u64> = self.all.keys().copied().filter(|key| *key < first).collect();
        gone.into_iter().for_each(|key| drop(self.take(key)));
    }
}
