//! What administrators ask about keys: which there are, whether all is in order, and replacing them.

use std::collections::HashMap;

use aivonx_domain::TenantScope;
use aivonx_protocol::secrets::{
    Check, DataKey, OwnKey, OwnKeyKind, SealedCount, SecretsStatus, SnapshotKeys, WAITING_MAX, WaitingKey,
};

use super::{
    SecretsError, Vault,
    rotate::{self, Outcome, Report},
    validate,
};
use crate::{DataKeyRecord, Kept, KeyRecord, SecretKind, SecretRecord, Store};

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
        let mut own = self.store.secrets().list(&TenantScope::All).await?;
        own.sort_by_key(|record| (record.kind, record.number));
        let peppered = Peppered::read(&self.store).await?;
        let mut waiting = self.waiting(&own, &peppered).await?;
        let waiting_total = waiting.len() as u64;
        waiting.truncate(WAITING_MAX);
        Ok(SecretsStatus {
            master_key: self.vault.master_path().display().to_string(),
            data_keys: records.iter().map(data_key).collect(),
            sealed,
            unfinished: records.len() > 1,
            keys: own.iter().map(|record| own_key(record, &own, &peppered)).collect(),
            waiting,
            waiting_total,
            snapshots: snapshots.into_iter().map(|kept| snapshot(kept, &records, tag)).collect(),
        })
    }

    /// API keys that an old pepper is needed for, those that are revoked first at the head.
    async fn waiting(
        &self,
        own: &[SecretRecord],
        peppered: &Peppered,
    ) -> Result<Vec<WaitingKey>, SecretsError> {
        let organizations = self.store.organizations().list(&TenantScope::All).await?;
        let slugs: HashMap<String, String> =
            organizations.into_iter().map(|record| (record.id, record.slug)).collect();
        let due = |key: &KeyRecord| {
            own.iter()
                .find(|record| record.kind == SecretKind::Pepper && record.number == key.pepper)
                .and_then(|record| record.retire_at)
        };
        let waits = |key: &KeyRecord| {
            Some(WaitingKey {
                revoked_at: due(key)?,
                id: key.id.clone(),
                name: key.name.clone(),
                organization: key.organization.as_ref().and_then(|id| slugs.get(id).cloned()),
                pepper: key.pepper,
            })
        };
        let mut waiting: Vec<WaitingKey> = peppered.keys.iter().filter_map(waits).collect();
        waiting.sort_by(|a, b| (a.revoked_at, &a.name).cmp(&(b.revoked_at, &b.name)));
        Ok(waiting)
    }

    /// Looks whether all is in order. `refusing` are the nodes that refuse their credential, and what they say.
    ///
    /// # Errors
    /// If the store fails; everything else is a finding.
    pub async fn validate(&self, refusing: &[(String, String)]) -> Result<Vec<Check>, SecretsError> {
        let status = self.status().await?;
        validate::validate(&self.store, self.vault.master_path(), refusing, &status).await
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

/// The API keys that can be used.
struct Peppered {
    keys: Vec<KeyRecord>,
}

impl Peppered {
    async fn read(store: &Store) -> Result<Self, SecretsError> {
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        let mut keys = store.keys().list(&TenantScope::All).await?;
        keys.retain(|key| key.revoked.is_none() && key.expires.is_none_or(|expires| expires > now));
        Ok(Self { keys })
    }

    fn under(&self, pepper: u32) -> u64 {
        self.keys.iter().filter(|key| key.pepper == pepper).count() as u64
    }
}

fn own_key(record: &SecretRecord, all: &[SecretRecord], peppered: &Peppered) -> OwnKey {
    let newest = all.iter().filter(|other| other.kind == record.kind).map(|other| other.number).max();
    let (kind, api_keys) = match record.kind {
        SecretKind::Pepper => (OwnKeyKind::Pepper, peppered.under(record.number)),
        SecretKind::TokenSigning => (OwnKeyKind::TokenSigning, 0),
        SecretKind::AuditSigning => (OwnKeyKind::AuditSigning, 0),
    };
    OwnKey {
        kind,
        number: record.number,
        created: record.created,
        in_use: newest == Some(record.number),
        retire_at: record.retire_at,
        api_keys,
    }
}

/// What a kept snapshot depends on. Its data keys are its own copies: that the store forgot one does not keep the
/// snapshot from being restored, but neither does it keep a holder of that key from reading the snapshot.
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
