//! What administrators ask about keys: which there are, whether all is in order, and replacing them.

use aivonx_protocol::secrets::{Check, DataKey, SealedCount, SecretsStatus, SnapshotKeys};

use super::{
    SecretsError, Vault,
    rotate::{self, Outcome, Report},
    validate,
};
use crate::store::{DataKeyRecord, Kept, Store};

/// The keys that secrets are kept under. Clones share them.
#[derive(Debug, Clone)]
pub struct Secrets {
    store: Store,
    vault: Vault,
}

impl Secrets {
    /// Over the store and the vault that was opened on it.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }

    /// Which keys there are and what they are needed for.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn status(&self) -> Result<SecretsStatus, SecretsError> {
        let records = self.store.data_keys().list().await?;
        let uses = self.store.data_keys().uses().await?;
        let tag = records.last().map(|record| record.master).unwrap_or_default();
        let mut sealed: Vec<SealedCount> = Vec::new();
        for found in &uses {
            match sealed.last_mut().filter(|last| last.kind == found.kind) {
                Some(last) => last.count += found.count,
                None => sealed.push(SealedCount { kind: found.kind.to_owned(), count: found.count }),
            }
        }
        let data_key = |record: &DataKeyRecord| DataKey {
            number: record.id,
            created: record.created,
            sealed: uses.iter().filter(|found| found.key == record.id).map(|found| found.count).sum(),
        };
        let snapshots = self.store.kept_snapshots().await?;
        Ok(SecretsStatus {
            master_key: self.vault.master_path().display().to_string(),
            data_keys: records.iter().map(data_key).collect(),
            sealed,
            unfinished: records.len() > 1,
            keys: Vec::new(),
            waiting: Vec::new(),
            waiting_total: 0,
            snapshots: snapshots.into_iter().map(|kept| snapshot(kept, &records, tag)).collect(),
        })
    }

    /// Looks whether all is in order. `refusing` are the nodes that refuse their credential, and what they say.
    ///
    /// # Errors
    /// If the store fails; everything else is a finding.
    pub async fn validate(&self, refusing: &[(String, String)]) -> Result<Vec<Check>, SecretsError> {
        validate::validate(&self.store, self.vault.master_path(), refusing).await
    }

    /// Replaces the data keys. For one caller at a time.
    ///
    /// # Errors
    /// See [`rotate::rotate`].
    pub async fn rotate(&self, report: Report<'_>) -> Result<Outcome, SecretsError> {
        rotate::rotate(&self.store, &self.vault, report).await
    }

    /// Brings a rotation to its end that was begun earlier. For one caller at a time.
    ///
    /// # Errors
    /// See [`rotate::finish`].
    pub async fn finish(&self, report: Report<'_>) -> Result<Outcome, SecretsError> {
        rotate::finish(&self.store, &self.vault, report).await
    }

    /// Whether a rotation was begun and not finished.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_unfinished(&self) -> Result<bool, SecretsError> {
        rotate::is_unfinished(&self.store).await
    }
}

/// What a kept snapshot depends on. Its data keys are its own copies: that the store forgot one does not keep
/// the snapshot from being restored, but neither does it keep whoever has that key from reading the snapshot.
fn snapshot(kept: Kept, records: &[DataKeyRecord], tag: [u8; 8]) -> SnapshotKeys {
    let file = kept.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match kept.contents {
        Ok((taken, keys)) => {
            // A restored store counts on from where it was: a number alone does not make a key the same.
            let present = |key: &DataKeyRecord| {
                records.iter().any(|record| record.id == key.id && record.created == key.created)
            };
            let other = keys.iter().any(|key| key.master != tag);
            SnapshotKeys {
                file,
                taken: Some(taken),
                data_keys: keys.iter().map(|key| key.id).collect(),
                retired: keys.iter().filter(|key| !present(key)).map(|key| key.id).collect(),
                problem: other
                    .then(|| "its data keys are under another master key than the one in use".into()),
            }
        }
        Err(why) => {
            SnapshotKeys { file, taken: None, data_keys: Vec::new(), retired: Vec::new(), problem: Some(why) }
        }
    }
}
