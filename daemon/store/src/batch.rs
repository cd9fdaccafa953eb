//! What one writer collects before it is stored as one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    StoreError, codec,
    engine::{Engine, decode, encode},
    reencrypt,
    tree::Tree,
};
use crate::secrets::sealed::data_keys_in;

/// New bytes by tree and key; None forgets a record.
pub(super) type Changes = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

/// What one writer collects. Reads see the changes made before them.
pub(super) struct Batch<'e> {
    engine: &'e Engine,
    changes: Changes,
}

impl<'e> Batch<'e> {
    /// An empty one.
    pub(super) fn new(engine: &'e Engine) -> Self {
        Self { engine, changes: Changes::new() }
    }

    /// What was collected.
    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// Reads one record.
    pub(super) fn get<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.changes.get(&(tree, key.to_vec())) {
            Some(changed) => changed.as_deref().map(|bytes| decode(tree, key, bytes)).transpose(),
            None => self.engine.get(tree, key),
        }
    }

    /// What was there before this batch.
    pub(super) fn engine(&self) -> &Engine {
        self.engine
    }

    /// Reads every record of a tree as it was before this batch.
    pub(super) fn all<T: DeserializeOwned>(&self, tree: Tree) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.engine.all(tree)
    }

    /// Rewrites every record of a tree from version `from` of its form to version `to`: for a migration step, which
    /// names both, since later steps may go on from `to`.
    ///
    /// # Errors
    /// A record that is not of version `from`, or an error of `make`: the step stores nothing then.
    #[cfg_attr(not(test), expect(dead_code, reason = "there is only one schema yet"))]
    pub(super) fn rewrite<Old: DeserializeOwned, New: Serialize>(
        &mut self,
        tree: Tree,
        (from, to): (u8, u8),
        mut make: impl FnMut(Old) -> Result<New, StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |source| StoreError::Record { tree: tree.name(), source };
        for entry in self.engine.scan(tree) {
            let (key, old) = entry?;
            let old = codec::decode(tree.name(), &key, from, &old).map_err(failed)?;
            let new = make(old)?;
            let (bytes, needed) = data_keys_in(|| codec::encode(tree.name(), &key, to, &new));
            reencrypt::check(self, tree, &needed)?;
            self.put_raw(tree, &key, bytes.map_err(failed)?);
        }
        Ok(())
    }

    /// Stores one record.
    pub(super) fn put<T: Serialize>(&mut self, tree: Tree, key: &[u8], value: &T) -> Result<(), StoreError> {
        self.put_noting(tree, key, value).map(drop)
    }

    /// Stores one record, and says which data keys its secrets need.
    pub(super) fn put_noting<T: Serialize>(
        &mut self,
        tree: Tree,
        key: &[u8],
        value: &T,
    ) -> Result<BTreeSet<u32>, StoreError> {
        let (bytes, needed) = data_keys_in(|| encode(tree, key, value));
        let bytes = bytes?;
        reencrypt::check(self, tree, &needed)?;
        self.put_raw(tree, key, bytes);
        Ok(needed)
    }

    /// Stores bytes that are already in the form of a record.
    pub(super) fn put_raw(&mut self, tree: Tree, key: &[u8], bytes: Vec<u8>) {
        self.changes.insert((tree, key.to_vec()), Some(bytes));
    }

    /// Forgets one record.
    pub(super) fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.changes.insert((tree, key.to_vec()), None);
    }
}
