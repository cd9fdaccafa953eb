//! The entries of the audit log, their index and their checkpoints.
//!
//! What may be changed here is decided above (`crate::audit`); this only appends, reads, and forgets from the
//! old end. Nothing of it is in snapshots: `recover` takes it over from the store it sets aside.

mod index;
mod query;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aivonx_protocol::audit::{AuditEntry, Checkpoint, Digest};
use serde::{Deserialize, Serialize};

pub use query::{Page, Query};

use super::{Reach, Store, StoreError, engine::Engine, tree::Tree};
use index::Set;

/// Access to the audit log.
#[derive(Debug, Clone)]
pub struct AuditLog {
    pub(super) store: Store,
}

/// Where the log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Id of the chain that is being written.
    pub chain: String,
    /// The first entry ever written to this log.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// Its hash.
    pub hash: Digest,
}

/// An entry and the place it stands at; `Err` says why it cannot be read.
pub type Placed = (u64, Result<AuditEntry, String>);

const HEAD: &[u8] = b"head";

impl AuditLog {
    /// Where the log stands; None before the first entry.
    ///
    /// # Errors
    /// If the store fails, or the record is damaged.
    pub async fn head(&self) -> Result<Option<AuditHead>, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::AuditHead, HEAD)).await
    }

    /// The highest position that any record of the log speaks of, readable or not; 0 if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn highest(&self) -> Result<u64, StoreError> {
        self.store
            .run(|engine, _| {
                let last = |tree| engine.keys(tree, ..).next_back().transpose();
                let entry = last(Tree::Audit)?.map_or(0, |key| position(&key));
                let checkpoint = last(Tree::AuditCheckpoint)?.map_or(0, |key| position(&key));
                // A head that cannot be read speaks of nothing.
                let head =
                    engine.get::<AuditHead>(Tree::AuditHead, HEAD).ok().flatten().map_or(0, |h| h.last);
                Ok(entry.max(checkpoint).max(head))
            })
            .await
    }

    /// Number of the last entry that was ever acknowledged, whether or not the log still has it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn acknowledged(&self) -> Result<u64, StoreError> {
        self.store.run(|engine, _| Ok(engine.reached().audited)).await
    }

    /// Appends entries that follow each other, a checkpoint, and where the log stands then, as one; durable when
    /// it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn append(
        &self,
        entries: Vec<AuditEntry>,
        checkpoint: Option<Checkpoint>,
        head: AuditHead,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.store
            .run(move |engine, _| {
                engine.append(|group| {
                    for entry in &entries {
                        group.put(Tree::Audit, &entry.seq.to_be_bytes(), entry)?;
                    }
                    for (key, mut set) in index::additions(&entries) {
                        // One that cannot be read is found by the verification, which makes it anew.
                        if let Ok(Some(old)) = engine.get::<Vec<u8>>(Tree::AuditIndex, &key) {
                            set.union(&Set::from_bytes(&old));
                        }
                        group.put(Tree::AuditIndex, &key, &set.to_bytes())?;
                    }
                    for (key, span) in times(engine, &entries) {
                        group.put(Tree::AuditTime, &key, &span)?;
                    }
                    if let Some(checkpoint) = &checkpoint {
                        group.put(Tree::AuditCheckpoint, &checkpoint.seq.to_be_bytes(), checkpoint)?;
                    }
                    group.audit(head.last);
                    group.put(Tree::AuditHead, HEAD, &head)
                })?;
                Ok(entries)
            })
            .await
    }

    /// All checkpoints, oldest first, each with the entry it is about.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn checkpoints(&self) -> Result<Vec<(u64, Result<Checkpoint, String>)>, StoreError> {
        self.store
            .run(|engine, _| {
                engine
                    .items(Tree::AuditCheckpoint, ..)
                    .map(|item| item.map(|(key, read)| (position(&key), read.map_err(|e| e.to_string()))))
                    .collect()
            })
            .await
    }

    /// One entry; None if there is none, or it is out of reach.
    ///
    /// # Errors
    /// If the store fails, or the record is damaged.
    pub async fn entry(&self, reach: &Reach, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        let reach = reach.clone();
        self.store
            .run(move |engine, _| {
                let entry = engine.get::<AuditEntry>(Tree::Audit, &seq.to_be_bytes())?;
                Ok(entry.filter(|entry| query::covers(&reach, entry)))
            })
            .await
    }

    /// Entries that a query asks for and the reach covers.
    ///
    /// # Errors
    /// If the store fails, or a record is damaged.
    pub async fn page(&self, reach: &Reach, query: Query) -> Result<Page, StoreError> {
        let reach = reach.clone();
        self.store.run(move |engine, _| query::page(engine, &reach, &query)).await
    }

    /// Up to `most` entries from the place `from` on, as they stand.
    ///
    /// # Errors
    /// If the store fails; a record that cannot be read is no failure.
    pub async fn walk(&self, from: u64, most: usize) -> Result<Vec<Placed>, StoreError> {
        self.store
            .run(move |engine, _| {
                engine
                    .items(Tree::Audit, from.to_be_bytes().to_vec()..)
                    .take(most)
                    .map(|item| item.map(|(key, read)| (position(&key), read.map_err(|e| e.to_string()))))
                    .collect()
            })
            .await
    }

    /// Compares the index with entries that follow each other; puts right what differs and returns how many
    /// records did.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn mend_index(&self, entries: Vec<AuditEntry>) -> Result<u64, StoreError> {
        self.store
            .run(move |engine, _| {
                let mut mended = 0;
                engine.append(|group| {
                    for (key, mut set) in index::additions(&entries) {
                        let old = engine.get::<Vec<u8>>(Tree::AuditIndex, &key).ok().flatten();
                        let old = old.map_or_else(Set::default, |old| Set::from_bytes(&old));
                        let wanted = set;
                        set.union(&old);
                        if set != old || old.is_empty() != wanted.is_empty() {
                            group.put(Tree::AuditIndex, &key, &set.to_bytes())?;
                            mended += 1;
                        }
                    }
                    Ok(())
                })?;
                Ok(mended)
            })
            .await
    }

    /// The first entry written in the minute of `time` or later, by what its clock said; None if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn first_since(&self, time: u64) -> Result<Option<u64>, StoreError> {
        self.store.run(move |engine, _| Ok(span(engine, Some(time), None)?.map(|(first, _)| first))).await
    }

    /// Forgets up to `most` of the entries up to `through`, the oldest first. Returns how many those were; 0 means
    /// that none is left, and then the index has been rid of them too.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget(&self, through: u64, most: usize) -> Result<u64, StoreError> {
        let end = through.to_be_bytes().to_vec();
        let removed = self
            .store
            .run(move |engine, _| {
                let keys: Vec<_> = engine.keys(Tree::Audit, ..=end).take(most).collect::<Result<_, _>>()?;
                remove_all(engine, Tree::Audit, &keys)
            })
            .await?;
        if removed == 0 {
            self.forget_index(through, most).await?;
        }
        Ok(removed)
    }

    async fn forget_index(&self, through: u64, most: usize) -> Result<(), StoreError> {
        let blocks = index::block(through + 1);
        let mut from = Vec::new();
        // The last key looked at; none when all were.
        while let Some(last) = self
            .store
            .run(move |engine, _| {
                let keys: Vec<_> =
                    engine.keys(Tree::AuditIndex, from..).take(most).collect::<Result<_, _>>()?;
                let gone = keys.iter().filter(|key| index::block_of(key).is_some_and(|block| block < blocks));
                remove_all(engine, Tree::AuditIndex, gone)?;
                Ok(keys.into_iter().next_back())
            })
            .await?
        {
            from = last;
            from.push(0);
        }
        self.store
            .run(move |engine, _| {
                let mut times = Vec::new();
                for item in engine.range::<(u64, u64), _>(Tree::AuditTime, ..) {
                    let (key, (_, last)) = item?;
                    if last <= through {
                        times.push(key);
                    }
                }
                remove_all(engine, Tree::AuditTime, &times)?;
                let before = through.to_be_bytes().to_vec();
                let checkpoints: Vec<_> =
                    engine.keys(Tree::AuditCheckpoint, ..before).collect::<Result<_, _>>()?;
                remove_all(engine, Tree::AuditCheckpoint, &checkpoints).map(drop)
            })
            .await
    }
}

fn remove_all<'k>(
    engine: &Engine,
    tree: Tree,
    keys: impl IntoIterator<Item = &'k Vec<u8>>,
) -> Result<u64, StoreError> {
    engine.append(|group| {
        let mut removed = 0;
        for key in keys {
            group.remove(tree, key);
            removed += 1;
        }
        Ok(removed)
    })
}

/// The entry that a key is about.
fn position(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}

/// The first and last entry of each minute and day that `entries` were written in.
fn times(engine: &Engine, entries: &[AuditEntry]) -> BTreeMap<[u8; 5], (u64, u64)> {
    let mut times = BTreeMap::<[u8; 5], (u64, u64)>::new();
    for entry in entries {
        for key in index::buckets(entry.time) {
            let span = times.entry(key).or_insert_with(|| {
                let old = engine.get(Tree::AuditTime, &key).ok().flatten();
                old.unwrap_or((entry.seq, entry.seq))
            });
            *span = (span.0.min(entry.seq), span.1.max(entry.seq));
        }
    }
    times
}

/// The first and last entry between which all those lie that were written from `since` to before `until`.
fn span(engine: &Engine, since: Option<u64>, until: Option<u64>) -> Result<Option<(u64, u64)>, StoreError> {
    let mut found: Option<(u64, u64)> = None;
    for (from, to) in index::cover(since, until) {
        for item in engine.range::<(u64, u64), _>(Tree::AuditTime, from.to_vec()..=to.to_vec()) {
            let (_, (first, last)) = item?;
            found = Some(found.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }
    Ok(found)
}
