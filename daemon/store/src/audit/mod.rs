//! The entries of the audit log, their index and their checkpoints.
//!
//! What may be changed here is decided above (`aivonx_ledgers::audit`); this only appends, reads, and forgets from the
//! old end. All of it lies in segments of its own ([`kept`]), each with an index in a file beside it.

mod index;
mod indexes;
pub(super) mod kept;
mod query;
#[cfg(any(test, feature = "testing"))]
mod tamper;
#[cfg(test)]
mod tests;
mod walk;

use aivonx_domain::TenantScope;

use aivonx_protocol::audit::{AuditEntry, Checkpoint, Digest};
use serde::{Deserialize, Serialize};

pub use query::{Page, Query};
#[cfg(test)]
pub(super) use tests::old_log;

use super::{Ledger, Store, StoreError};
use kept::Kept;

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

impl AuditLog {
    async fn kept<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Kept) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.store.with_ledgers(move |ledgers| work(&ledgers.audit)).await
    }

    /// Where the log stands; None before the first entry.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn head(&self) -> Result<Option<AuditHead>, StoreError> {
        self.kept(|kept| Ok(kept.head())).await
    }

    /// The highest position that anything in the log speaks of, readable or not; 0 for an empty log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn highest(&self) -> Result<u64, StoreError> {
        self.kept(Kept::highest).await
    }

    /// Number of the last entry that was ever acknowledged, whether or not the log still has it.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn acknowledged(&self) -> Result<u64, StoreError> {
        self.kept(|kept| Ok(kept.audited())).await
    }

    /// Appends entries that follow each other, a checkpoint, and where the log stands then, as one; durable when
    /// it returns.
    ///
    /// # Errors
    /// If it cannot be written; nothing is changed then.
    pub async fn append(
        &self,
        entries: Vec<AuditEntry>,
        checkpoint: Option<Checkpoint>,
        head: AuditHead,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.kept(move |kept| {
            kept.append(&entries, checkpoint.as_ref(), &head)?;
            Ok(entries)
        })
        .await
    }

    /// Notes that so many entries wait to be stored, in place of what was noted before: what it says at the end is told at
    /// the next start. For that no room on the disk is needed.
    ///
    /// # Errors
    /// If it cannot be written all the same.
    pub async fn note_unwritten(&self, count: u64) -> Result<(), StoreError> {
        self.store.with_ledgers(move |ledgers| ledgers.note_unwritten(Ledger::Audit, count)).await
    }

    /// All checkpoints, oldest first, each with the entry it is about.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn checkpoints(&self) -> Result<Vec<(u64, Result<Checkpoint, String>)>, StoreError> {
        self.kept(|kept| Ok(kept.checkpoints()?.into_iter().collect())).await
    }

    /// The entry that the last checkpoint is about; None without a checkpoint.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn last_checkpoint(&self) -> Result<Option<u64>, StoreError> {
        self.kept(Kept::last_checkpoint).await
    }

    /// The entry at `seq`; None if the log has none there, or it is out of reach.
    ///
    /// # Errors
    /// If the log cannot be read, or the entry is damaged.
    pub async fn entry(&self, reach: &TenantScope, seq: u64) -> Result<Option<AuditEntry>, StoreError> {
        let reach = reach.clone();
        self.kept(move |kept| Ok(kept.entry(seq)?.filter(|entry| query::covers(&reach, entry)))).await
    }

    /// Entries that a query asks for and the reach covers; those that cannot be read are left out.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn page(&self, reach: &TenantScope, query: Query) -> Result<Page, StoreError> {
        let reach = reach.clone();
        self.kept(move |kept| query::page(kept, &reach, &query)).await
    }

    /// Up to `most` entries from the place `from` on, as they stand.
    ///
    /// # Errors
    /// If the log cannot be read; an entry that is damaged is no failure.
    pub async fn walk(&self, from: u64, most: usize) -> Result<Vec<Placed>, StoreError> {
        self.kept(move |kept| kept.walk(from, most)).await
    }

    /// The first entry written at `time` or later, by what its clock said; None if all are older.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn first_since(&self, time: u64) -> Result<Option<u64>, StoreError> {
        self.kept(move |kept| kept.first_since(time)).await
    }

    /// Forgets the entries up to `through`; returns how many those were. They leave the disk with the file they are in,
    /// when all of that is forgotten.
    ///
    /// # Errors
    /// If that cannot be noted or a file not be removed.
    pub async fn forget(&self, through: u64) -> Result<u64, StoreError> {
        self.kept(move |kept| kept.forget(through)).await
    }
}
