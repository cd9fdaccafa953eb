//! What is wrong with certificates that are obtained by ACME.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What went wrong, by the first name of each certificate that could not be obtained.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    now: Mutex<BTreeMap<String, String>>,
    failures: AtomicU64,
}

impl Troubles {
    /// In sentences, for an administrator.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Failed attempts since the start.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// An attempt failed.
    pub(super) fn failed(&self, name: &str, why: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(name.to_owned(), why);
    }

    /// The certificate was obtained.
    pub(super) fn ended(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Whole at any time.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
