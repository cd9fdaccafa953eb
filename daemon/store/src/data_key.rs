//! Data keys, wrapped by the master key.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, tree::Tree};

/// A data key as kept in the store: what [`crate::secrets`] wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataKeyRecord {
    /// Its number, from 1; the highest seals, all open.
    pub id: u32,
    /// Which master key wrapped it (a one-way tag of it).
    pub master: [u8; 8],
    /// 96 random bits.
    pub nonce: [u8; 12],
    /// The key under AES-256-GCM, and the tag.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created: aivonx_protocol::UnixMillis,
}

/// Access to the data keys.
#[derive(Debug, Clone)]
pub struct DataKeys {
    pub(super) store: Store,
}

impl DataKeys {
    /// All data keys, by number.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self) -> Result<Vec<DataKeyRecord>, StoreError> {
        self.store
            .run(|engine, _| Ok(engine.all(Tree::DataKey)?.into_iter().map(|(_, record)| record).collect()))
            .await
    }

    /// Adds a data key; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::IdTaken`] if there is one of this number; or the store fails.
    pub async fn insert(&self, record: DataKeyRecord) -> Result<(), StoreError> {
        self.store
            .run(move |engine, _| {
                engine.write(|batch| {
                    let key = record.id.to_be_bytes();
                    if batch.get::<DataKeyRecord>(Tree::DataKey, &key)?.is_some() {
                        return Err(StoreError::IdTaken { noun: "data key", id: record.id.to_string() });
                    }
                    batch.put(Tree::DataKey, &key, &record)
                })
            })
            .await
    }
}
