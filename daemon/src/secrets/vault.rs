//! Sealing and opening secrets under the data keys.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aivonx_protocol::WireSecret;
use zeroize::Zeroizing;

use super::{
    MasterKey, Sealed, SecretsError,
    cipher::{Cipher, KEY, Key, random},
};
use crate::store::{DataKeyRecord, Store, StoreError};

/// Holds the data keys and seals with the newest. Clones share them.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<BTreeMap<u32, Cipher>>,
    newest: u32,
}

impl Vault {
    /// Unwraps the store's data keys with `master`; a store without any gets its first.
    ///
    /// # Errors
    /// [`SecretsError::WrongMasterKey`] if the keys were wrapped by another master key.
    pub async fn open(master: MasterKey, store: &Store) -> Result<Self, SecretsError> {
        let mut records = store.data_keys().list().await?;
        if records.is_empty() {
            match store.data_keys().insert(wrap_new(&master, 1)?).await {
                // Another opening of the same store was faster.
                Ok(()) | Err(StoreError::IdTaken { .. }) => {}
                Err(e) => return Err(e.into()),
            }
            records = store.data_keys().list().await?;
        }
        let tag = master.tag();
        if records.iter().any(|record| record.master != tag) {
            return Err(SecretsError::WrongMasterKey {
                path: master.path().to_owned(),
                generated: master.generated(),
            });
        }
        let wrapping = master.cipher();
        let mut keys = BTreeMap::new();
        for record in &records {
            keys.insert(record.id, Cipher::new(&unwrap(&wrapping, record)?));
        }
        let newest = keys.last_key_value().map_or(0, |(id, _)| *id);
        Ok(Self { keys: Arc::new(keys), newest })
    }

    /// Seals `secret` for the record `record_id` of `tree`; it opens nowhere else.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn seal(&self, tree: &str, record_id: &str, secret: &WireSecret) -> Result<Sealed, SecretsError> {
        let cipher = self.cipher(self.newest, tree, record_id)?;
        let (nonce, ciphertext) =
            cipher.seal(&context(self.newest, tree, record_id), secret.expose().as_bytes())?;
        Ok(Sealed { key: self.newest, nonce, ciphertext })
    }

    /// Opens what was sealed for this very tree and record.
    ///
    /// # Errors
    /// [`SecretsError::Tampered`] if it was changed or belongs to another record.
    pub fn open_sealed(
        &self,
        tree: &str,
        record_id: &str,
        sealed: &Sealed,
    ) -> Result<WireSecret, SecretsError> {
        let tampered = || SecretsError::Tampered { tree: tree.to_owned(), record: record_id.to_owned() };
        let plain = self
            .cipher(sealed.key, tree, record_id)?
            .open(&context(sealed.key, tree, record_id), sealed.nonce, &sealed.ciphertext)
            .ok_or_else(tampered)?;
        let text = std::str::from_utf8(&plain).map_err(|_| tampered())?;
        Ok(WireSecret::new(text.to_owned()))
    }

    fn cipher(&self, key: u32, tree: &str, record_id: &str) -> Result<&Cipher, SecretsError> {
        self.keys.get(&key).ok_or_else(|| SecretsError::UnknownDataKey {
            tree: tree.to_owned(),
            record: record_id.to_owned(),
            key,
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.len()).field("newest", &self.newest).finish()
    }
}

/// The associated data of a secret. Lengths keep tree and id apart.
fn context(key: u32, tree: &str, record_id: &str) -> Vec<u8> {
    let mut context = b"aivonx secret v1\0".to_vec();
    context.extend_from_slice(&key.to_be_bytes());
    for part in [tree, record_id] {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}

fn wrapping_context(id: u32) -> Vec<u8> {
    let mut context = b"aivonx data key v1\0".to_vec();
    context.extend_from_slice(&id.to_be_bytes());
    context
}

fn wrap_new(master: &MasterKey, id: u32) -> Result<DataKeyRecord, SecretsError> {
    let key = random::<KEY>()?;
    let (nonce, wrapped) = master.cipher().seal(&wrapping_context(id), &key[..])?;
    let created = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    Ok(DataKeyRecord { id, master: master.tag(), nonce, wrapped, created })
}

fn unwrap(wrapping: &Cipher, record: &DataKeyRecord) -> Result<Key, SecretsError> {
    let damaged = SecretsError::DamagedDataKey { id: record.id };
    let Some(plain) = wrapping.open(&wrapping_context(record.id), record.nonce, &record.wrapped) else {
        return Err(damaged);
    };
    let mut key: Key = Zeroizing::new([0; KEY]);
    if plain.len() != KEY {
        return Err(damaged);
    }
    key.copy_from_slice(&plain);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::StoreOptions;

    async fn store(dir: &Path) -> Store {
        let options = StoreOptions {
            cache_bytes: 16 << 20,
            snapshots: 1,
            snapshot_interval: std::time::Duration::from_secs(3600),
            open_deadline: std::time::Duration::from_secs(10),
        };
        Store::open(dir, &options).await.unwrap()
    }

    fn master(dir: &Path) -> MasterKey {
        MasterKey::load_or_generate(&dir.join("master.key")).unwrap()
    }

    fn secret(text: &str) -> WireSecret {
        WireSecret::new(text.into())
    }

    #[tokio::test]
    async fn secrets_open_after_a_restart_and_lie_nowhere_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let at = store(dir.path()).await;
        let vault = Vault::open(master(dir.path()), &at).await.unwrap();
        let sealed = vault.seal("node", "id-1", &secret("marked-s3cret-text")).unwrap();
        let again = vault.seal("node", "id-1", &secret("marked-s3cret-text")).unwrap();
        assert_ne!((sealed.nonce, &sealed.ciphertext), (again.nonce, &again.ciphertext));
        assert!(!format!("{vault:?} {sealed:?}").contains("marked"));
        at.close().await.unwrap();

        let at = store(dir.path()).await;
        let vault = Vault::open(master(dir.path()), &at).await.unwrap();
        assert_eq!(vault.open_sealed("node", "id-1", &sealed).unwrap().expose(), "marked-s3cret-text");
        for empty in ["", "ünï"] {
            let sealed = vault.seal("node", "x", &secret(empty)).unwrap();
            assert_eq!(vault.open_sealed("node", "x", &sealed).unwrap().expose(), empty);
        }
        // Neither the data key nor the master key is in the store's files.
        let key_text = fs::read_to_string(dir.path().join("master.key")).unwrap();
        for file in fs::read_dir(dir.path().join("snapshots")).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(44).any(|w| w == key_text.trim().as_bytes()));
        }
    }

    #[tokio::test]
    async fn a_secret_opens_only_where_it_was_sealed_and_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let at = store(dir.path()).await;
        let vault = Vault::open(master(dir.path()), &at).await.unwrap();
        let sealed = vault.seal("node", "id-1", &secret("s")).unwrap();
        let refused = |tree: &str, id: &str, sealed: &Sealed| {
            matches!(vault.open_sealed(tree, id, sealed), Err(SecretsError::Tampered { .. }))
        };
        assert!(refused("node", "id-2", &sealed));
        assert!(refused("user", "id-1", &sealed));
        assert!(refused("nodei", "d-1", &sealed));
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert!(refused("node", "id-1", &changed));
            changed.ciphertext.truncate(at);
            assert!(refused("node", "id-1", &changed));
        }
        for at in 0..12 {
            let mut changed = sealed.clone();
            changed.nonce[at] ^= 0x80;
            assert!(refused("node", "id-1", &changed));
        }
        let other = Sealed { key: 2, ..sealed };
        assert!(matches!(
            vault.open_sealed("node", "id-1", &other),
            Err(SecretsError::UnknownDataKey { key: 2, .. })
        ));
    }

    #[tokio::test]
    async fn a_wrong_or_lost_master_key_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let at = store(dir.path()).await;
        Vault::open(master(dir.path()), &at).await.unwrap();
        let path = dir.path().join("master.key");
        let right = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let lost = Vault::open(master(dir.path()), &at).await.unwrap_err();
        assert!(matches!(lost, SecretsError::WrongMasterKey { generated: true, .. }));
        assert!(lost.to_string().contains("just been generated"), "{lost}");
        let wrong = Vault::open(master(dir.path()), &at).await.unwrap_err();
        assert!(matches!(wrong, SecretsError::WrongMasterKey { generated: false, .. }));
        assert!(wrong.to_string().contains("master.key"), "{wrong}");
        fs::write(&path, right).unwrap();
        Vault::open(master(dir.path()), &at).await.unwrap();
    }

    #[tokio::test]
    async fn a_changed_data_key_is_told_from_a_wrong_master_key() {
        let dir = tempfile::tempdir().unwrap();
        let at = store(dir.path()).await;
        let key = master(dir.path());
        let mut record = wrap_new(&key, 1).unwrap();
        record.wrapped[3] ^= 1;
        at.data_keys().insert(record).await.unwrap();
        let error = Vault::open(key, &at).await.unwrap_err();
        assert!(matches!(error, SecretsError::DamagedDataKey { id: 1 }), "{error}");
        // A data key moved to another number does not open either.
        let record = DataKeyRecord { id: 2, ..wrap_new(&master(dir.path()), 3).unwrap() };
        assert!(unwrap(&master(dir.path()).cipher(), &record).is_err());
    }
}
