//! Ledgers: trees that grow without end (the audit log, the usage of each request).
//!
//! They are written in groups, one transaction and one sync each, and read by ranges. No sum of them is kept,
//! nothing reads them at open, and no snapshot holds them: what they miss is found by what their records say
//! about each other (a chain, a number without a gap), and what was cut off at the end by the number of groups that
//! the file `COMMIT` has. Each record still has its checksum.

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds},
    sync::{PoisonError, atomic::Ordering},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    StoreError,
    engine::{Engine, decode, encode},
    tree::{Kind, Tree},
};

/// Where the number of groups stands.
const GROUPS: &[u8] = b"groups";

/// A key and what is stored under it.
pub(super) type Item<T> = Result<(Vec<u8>, T), StoreError>;

impl Engine {
    /// Runs `collect`, the only one that appends meanwhile, and stores what it collected as one transaction.
    /// Returns only when that is durable. An error of `collect` stores nothing.
    pub(super) fn append<T>(
        &self,
        collect: impl FnOnce(&mut Group) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (value, appended) = self.gather(collect)?;
        // Outside the lock: those who wait here together share one flush.
        self.make_durable(0, appended)?;
        Ok(value)
    }

    /// As [`Self::append`], but durable only with the next [`Self::settle`]. Returns the number of the group as
    /// well; 0 if there was nothing to store.
    pub(super) fn gather<T>(
        &self,
        collect: impl FnOnce(&mut Group) -> Result<T, StoreError>,
    ) -> Result<(T, u64), StoreError> {
        // A closure that panicked has stored nothing; a failed transaction left `failed`.
        let _ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        let mut group = Group::default();
        let value = collect(&mut group)?;
        if group.batches.is_empty() {
            return Ok((value, 0));
        }
        let number = self.appended.load(Ordering::Acquire) + 1;
        group.put(Tree::LedgerHead, GROUPS, &number)?;
        let (trees, batches): (Vec<_>, Vec<_>) =
            group.batches.iter().map(|(tree, batch)| (self.tree(*tree), batch)).unzip();
        let done = sled::Transactional::<()>::transaction(&trees[..], |views| {
            for (view, batch) in views.iter().zip(&batches) {
                view.apply_batch(batch)?;
            }
            Ok(())
        });
        if let Err(e) = done {
            // Part of it may have reached the log.
            self.failed.store(true, Ordering::Release);
            return Err(match e {
                sled::transaction::TransactionError::Storage(e) => e.into(),
                sled::transaction::TransactionError::Abort(()) => {
                    StoreError::Engine("the group was given up".into())
                }
            });
        }
        self.appended.store(number, Ordering::Release);
        Ok((value, number))
    }

    /// Makes what was gathered so far durable.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.make_durable(0, self.appended.load(Ordering::Acquire))
    }

    /// Stores (or with None forgets) records one by one, without a transaction, which would stop all other
    /// writes; durable when it returns. For counters, of which each stands for itself.
    pub(super) fn overwrite<'a, T: Serialize + 'a>(
        &self,
        tree: Tree,
        records: impl Iterator<Item = (Vec<u8>, Option<&'a T>)>,
    ) -> Result<(), StoreError> {
        debug_assert_eq!(tree.kind(), Kind::Ledger, "a tree with a sum is written by Engine::write");
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Failed);
        }
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, record) in records {
            match record {
                Some(record) => self.tree(tree).insert(&key, encode(tree, &key, record)?)?,
                None => self.tree(tree).remove(&key)?,
            };
        }
        let number = self.appended.load(Ordering::Acquire) + 1;
        self.tree(Tree::LedgerHead).insert(GROUPS, encode(Tree::LedgerHead, GROUPS, &number)?)?;
        self.appended.store(number, Ordering::Release);
        drop(ledger);
        self.make_durable(0, number)
    }

    /// How many groups were ever appended, as the ledgers themselves say; 0 where that cannot be read.
    pub(super) fn groups(&self) -> u64 {
        self.get(Tree::LedgerHead, GROUPS).ok().flatten().unwrap_or(0)
    }

    /// The records of `tree` with keys in `range`, in order; `.rev()` is newest first. Read while it is
    /// advanced: what is appended meanwhile may be seen.
    pub(super) fn range<T: DeserializeOwned, R: RangeBounds<Vec<u8>>>(
        &self,
        tree: Tree,
        range: R,
    ) -> impl DoubleEndedIterator<Item = Item<T>> + use<T, R> {
        self.tree(tree).range::<Vec<u8>, _>(bounds(&range)).map(move |entry| {
            let (key, value) = entry?;
            Ok((key.to_vec(), decode(tree, &key, &value)?))
        })
    }

    /// As [`Self::range`], with the keys of records that cannot be read.
    pub(super) fn items<T: DeserializeOwned, R: RangeBounds<Vec<u8>>>(
        &self,
        tree: Tree,
        range: R,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Result<T, StoreError>), StoreError>> + use<T, R> {
        self.tree(tree).range::<Vec<u8>, _>(bounds(&range)).map(move |entry| {
            let (key, value) = entry?;
            let read = decode(tree, &key, &value);
            Ok((key.to_vec(), read))
        })
    }

    /// As [`Self::range`], without reading the values: for index trees, whose values are `()`.
    pub(super) fn keys<R: RangeBounds<Vec<u8>>>(
        &self,
        tree: Tree,
        range: R,
    ) -> impl DoubleEndedIterator<Item = Result<Vec<u8>, StoreError>> + use<R> {
        let entries = self.tree(tree).range::<Vec<u8>, _>(bounds(&range));
        entries.map(|entry| Ok(entry?.0.to_vec()))
    }
}

fn bounds(range: &impl RangeBounds<Vec<u8>>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (range.start_bound().cloned(), range.end_bound().cloned())
}

/// The keys that begin with `prefix`.
pub(super) fn prefixed(prefix: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return (Bound::Included(prefix.to_vec()), Bound::Excluded(end));
        }
        end.pop();
    }
    (Bound::Included(prefix.to_vec()), Bound::Unbounded)
}

/// What one [`Engine::append`] collects.
#[derive(Default)]
pub(super) struct Group {
    batches: BTreeMap<Tree, sled::Batch>,
}

impl Group {
    /// Stores one record.
    pub(super) fn put<T: Serialize>(&mut self, tree: Tree, key: &[u8], value: &T) -> Result<(), StoreError> {
        let bytes = encode(tree, key, value)?;
        self.batch(tree).insert(key, bytes);
        Ok(())
    }

    /// Stores bytes that are already in the form of a record.
    pub(super) fn put_raw(&mut self, tree: Tree, key: &[u8], bytes: Vec<u8>) {
        self.batch(tree).insert(key, bytes);
    }

    /// Forgets one record: what is older than the retention.
    pub(super) fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.batch(tree).remove(key);
    }

    fn batch(&mut self, tree: Tree) -> &mut sled::Batch {
        debug_assert_eq!(tree.kind(), Kind::Ledger, "a tree with a sum is written by Engine::write");
        self.batches.entry(tree).or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::tests::{open, options};
    use crate::store::{Store, snapshot};

    const TREE: Tree = Tree::UsageRaw;

    async fn append(store: &Store, numbers: std::ops::Range<u64>) {
        let done = store.run(move |engine, _| {
            engine.append(|group| {
                numbers.into_iter().try_for_each(|n| group.put(TREE, &n.to_be_bytes(), &format!("entry {n}")))
            })
        });
        done.await.unwrap();
    }

    fn key(n: u64) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[tokio::test]
    async fn what_is_appended_is_read_by_ranges_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let before = store.run(|engine, _| Ok(engine.seq())).await.unwrap();
        append(&store, 0..300).await;
        append(&store, 300..310).await;
        store.close().await.unwrap();
        let store = open(dir.path()).await;
        store
            .run(move |engine, _| {
                assert_eq!(engine.seq(), before, "a ledger does not count as a change");
                let read: Vec<(Vec<u8>, String)> =
                    engine.range(TREE, key(7)..key(9)).collect::<Result<_, _>>()?;
                assert_eq!(read, [(key(7), "entry 7".to_owned()), (key(8), "entry 8".to_owned())]);
                let newest: Vec<Vec<u8>> = engine.keys(TREE, ..).rev().take(2).collect::<Result<_, _>>()?;
                assert_eq!(newest, [key(309), key(308)]);
                engine.append(|group| {
                    group.remove(TREE, &key(309));
                    Ok(())
                })?;
                assert_eq!(engine.keys(TREE, ..).next_back().unwrap()?, key(308));
                assert_eq!(engine.keys(TREE, prefixed(&[0, 0, 0, 0, 0, 0, 1])).count(), 309 - 256);
                Ok(())
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn ledgers_are_in_no_snapshot_and_no_sum() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        append(&store, 0..10).await;
        let contents = snapshot::read(&store.snapshot().await.unwrap()).unwrap();
        assert!(contents.trees.iter().all(|tree| tree.name != TREE.name()));
        store.verify().await.unwrap();
    }

    #[tokio::test]
    async fn a_record_changed_on_the_disk_is_an_error_when_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        append(&store, 0..3).await;
        store
            .run(|engine, _| {
                engine.tree(TREE).insert(key(1), engine.tree(TREE).get(key(2))?.unwrap())?;
                let read: Vec<_> = engine.range::<String, _>(TREE, ..).map(|item| item.is_ok()).collect();
                assert_eq!(read, [true, false, true]);
                Ok(())
            })
            .await
            .unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn appending_and_writing_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), &options()).await.unwrap());
        let appending = (0..4).map(|w| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0..10 {
                    append(&store, w * 100 + i * 5..w * 100 + i * 5 + 5).await;
                    store.nodes().insert(crate::store::tests::node(&format!("n{w}-{i}"))).await.unwrap();
                }
            })
        });
        for task in appending.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        store.close().await.unwrap();
        let store = open(dir.path()).await;
        assert_eq!(store.nodes().list().await.unwrap().len(), 40);
        assert_eq!(store.run(|engine, _| Ok(engine.keys(TREE, ..).count())).await.unwrap(), 200);
    }

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(prefixed(b"ab"), (Bound::Included(b"ab".to_vec()), Bound::Excluded(b"ac".to_vec())));
        assert_eq!(prefixed(&[1, 255]), (Bound::Included(vec![1, 255]), Bound::Excluded(vec![2])));
        assert_eq!(prefixed(&[255]).1, Bound::Unbounded);
    }
}
