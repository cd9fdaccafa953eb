//! Client certificates that stand for keys.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, KeyRecord, Record, Records, StoreError,
    records::{Trees, record_head},
    tree::Tree,
};

/// The certificate that stands for a key where a request carries no other credential. A key without a record has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCertificateRecord {
    /// Id of the key.
    pub id: String,
    /// The certificate's name. It stands for one key at most.
    pub name: String,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for KeyCertificateRecord {
    const COLLECTION: Collection = Collection::KeyCertificate;
    const TREES: Trees =
        Trees { record: Tree::KeyCertificate, name: Some(Tree::KeyCertificateName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((None, &self.name))
    }
}

impl Records<KeyRecord> {
    /// Adds a key, see [`Records::insert`], for which the certificate of that name stands.
    ///
    /// # Errors
    /// As there; also if the certificate stands for another key.
    pub async fn insert_with_certificate(
        &self,
        mut record: KeyRecord,
        certificate: Option<String>,
    ) -> Result<KeyRecord, StoreError> {
        self.write(move |batch| {
            batch.insert(&mut record)?;
            if let Some(name) = certificate {
                let id = record.id.clone();
                batch.insert(&mut KeyCertificateRecord { id, name, ..Default::default() })?;
            }
            Ok(record)
        })
        .await
    }
}
