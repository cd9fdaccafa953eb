//! A backend that forgets everything with its last clone: for tests, and the proof that the seam holds two.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Backend, Pairs, Write};
use crate::StoreError;

type Spaces = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Clones share what is in it.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Spaces>>);

impl Memory {
    fn spaces(&self) -> MutexGuard<'_, Spaces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Memory {
    fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.spaces().get(space).and_then(|space| space.get(key)).cloned())
    }

    fn scan(&self, space: &str, prefix: &[u8]) -> Pairs<'_> {
        let spaces = self.spaces();
        let from = (Bound::Included(prefix.to_vec()), Bound::Unbounded);
        let pairs = spaces.get(space).into_iter().flat_map(|space| space.range(from.clone()));
        let pairs: Vec<_> = pairs
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| Ok((key.clone(), value.clone())))
            .collect();
        Box::new(pairs.into_iter())
    }

    fn apply(&self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        let mut spaces = self.spaces();
        for Write { space, key, value } in writes {
            let space = spaces.entry((*space).to_owned()).or_default();
            match value {
                Some(value) => space.insert(key.to_vec(), value.to_vec()),
                None => space.remove(*key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn clear(&self, space: &str) -> Result<(), StoreError> {
        self.spaces().remove(space);
        Ok(())
    }

    fn spaces(&self) -> Result<Vec<String>, StoreError> {
        let spaces = self.spaces();
        Ok(spaces.iter().filter(|(_, pairs)| !pairs.is_empty()).map(|(name, _)| name.clone()).collect())
    }
}
