//! Sealing and opening secrets under the data keys.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aivonx_protocol::WireSecret;
use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::{
    MasterKey, Sealed, SecretsError,
    cipher::{Cipher, Key, digest},
    wrap,
};
use crate::{Changed, Collection, DataKeyRecord, Follower, Projection, Store, StoreError};

/// Holds the data keys and seals with the newest. Clones share them, and see a new one at once.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<Shared>,
}

struct Shared {
    keys: ArcSwap<Keys>,
    /// Where the master key was read from: it is read again when something is to be wrapped, not kept.
    master: PathBuf,
    tag: [u8; 8],
    store: Store,
}

/// Takes in the data keys that other members made.
impl Projection for Shared {
    const COLLECTIONS: &'static [Collection] = &[Collection::DataKey];
    type Error = SecretsError;

    async fn refresh(&self, _: &Changed) -> Result<(), SecretsError> {
        let mut records = self.store.data_keys().list().await?;
        records.retain(|record| !self.keys.load().ciphers.contains_key(&record.id));
        if records.is_empty() {
            return Ok(());
        }
        let new = unwrap_all(&MasterKey::load(&self.master)?, &records)?;
        self.keys.rcu(|keys| {
            let mut ciphers = keys.ciphers.clone();
            ciphers.extend(new.iter().map(|(id, key)| (*id, key.clone())));
            Keys::new(ciphers)
        });
        Ok(())
    }

    fn stale(&self, error: &SecretsError) {
        tracing::error!(event = "store_failed", %error, "a data key that another member made cannot be read; it is tried again");
    }
}

struct Keys {
    ciphers: BTreeMap<u32, Arc<DataKey>>,
    newest: u32,
}

/// A data key ready for use.
struct DataKey {
    cipher: Cipher,
    /// For checking whether another key is the same.
    digest: [u8; 32],
}

impl DataKey {
    fn new(key: &Key) -> Arc<Self> {
        Arc::new(Self { cipher: Cipher::new(key), digest: digest(&key[..]) })
    }
}

impl Keys {
    fn new(ciphers: BTreeMap<u32, Arc<DataKey>>) -> Self {
        let newest = ciphers.last_key_value().map_or(0, |(id, _)| *id);
        Self { ciphers, newest }
    }

    fn cipher(&self, key: u32, tree: &str, record_id: &str) -> Result<&Cipher, SecretsError> {
        self.ciphers.get(&key).map(|key| &key.cipher).ok_or_else(|| SecretsError::UnknownDataKey {
            tree: tree.to_owned(),
            record: record_id.to_owned(),
            key,
        })
    }

    fn seal(&self, tree: &str, record_id: &str, secret: &[u8]) -> Result<Sealed, SecretsError> {
        let key = self.newest;
        let (nonce, ciphertext) =
            self.cipher(key, tree, record_id)?.seal(&context(key, tree, record_id), secret)?;
        Ok(Sealed { key, nonce, ciphertext })
    }

    fn open(&self, tree: &str, record_id: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        self.cipher(sealed.key, tree, record_id)?
            .open(&context(sealed.key, tree, record_id), sealed.nonce, &sealed.ciphertext)
            .ok_or_else(|| tampered(tree, record_id))
    }
}

impl Vault {
    /// Opens the vault of `store` with the master key in the file `path`, which is made only if the store has no data
    /// keys yet: made anew for one that has, it would lie where the right one belongs.
    ///
    /// # Errors
    /// As of [`MasterKey::load_or_generate`] and [`Self::open`]; [`SecretsError::MissingMasterKey`].
    pub async fn unlock(path: &Path, store: &Store) -> Result<Self, SecretsError> {
        let master = match store.data_keys().list().await?.len() {
            0 => MasterKey::load_or_generate(path),
            _ => MasterKey::load(path).map_err(|error| match error {
                SecretsError::Io { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    SecretsError::MissingMasterKey { path }
                }
                other => other,
            }),
        };
        Self::open(master?, store).await
    }

    /// Unwraps the store's data keys with `master`; a store without any gets its first.
    ///
    /// # Errors
    /// [`SecretsError::WrongMasterKey`] if the keys were wrapped by another master key.
    pub async fn open(master: MasterKey, store: &Store) -> Result<Self, SecretsError> {
        let follower = Follower::<Shared>::new(store);
        let mut records = store.data_keys().list().await?;
        if records.is_empty() {
            match store.data_keys().insert(wrap::new_key(&master, 1)?.0).await {
                // Another opening of the same store was faster.
                Ok(()) | Err(StoreError::IdTaken { .. }) => {}
                Err(e) => return Err(e.into()),
            }
            records = store.data_keys().list().await?;
        }
        let keys = Keys::new(unwrap_all(&master, &records)?);
        let shared = Arc::new(Shared {
            keys: ArcSwap::from_pointee(keys),
            master: master.path().to_owned(),
            tag: master.tag(),
            store: store.clone(),
        });
        // Alone, it makes all of them itself.
        if store.database().is_some() {
            follower.follow(&shared);
        }
        Ok(Self { shared })
    }

    /// Seals `secret` for the record `record_id` of `tree`; it opens nowhere else. `tree` is the name of the
    /// store's tree, or a rotation will not find what it belongs to.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn seal(&self, tree: &str, record_id: &str, secret: &WireSecret) -> Result<Sealed, SecretsError> {
        self.shared.keys.load().seal(tree, record_id, secret.expose().as_bytes())
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
        let plain = self.shared.keys.load().open(tree, record_id, sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| tampered(tree, record_id))?;
        Ok(WireSecret::new(text.to_owned()))
    }

    /// The same secret under the newest data key.
    pub(super) fn reseal(
        &self,
        tree: &str,
        record_id: &str,
        sealed: &Sealed,
    ) -> Result<Sealed, SecretsError> {
        let keys = self.shared.keys.load();
        keys.seal(tree, record_id, &keys.open(tree, record_id, sealed)?)
    }

    /// Whether it opens.
    pub(super) fn opens(&self, tree: &str, record_id: &str, sealed: &Sealed) -> bool {
        self.shared.keys.load().open(tree, record_id, sealed).is_ok()
    }

    /// What every data key is called, and the digest by which it is compared.
    pub(super) fn digests(&self) -> Vec<(String, [u8; 32])> {
        let keys = self.shared.keys.load();
        keys.ciphers.iter().map(|(id, key)| (format!("data key {id}"), key.digest)).collect()
    }

    /// Number of the data key that seals.
    pub(super) fn newest(&self) -> u32 {
        self.shared.keys.load().newest
    }

    /// The master key's file.
    #[must_use]
    pub fn master_path(&self) -> &Path {
        &self.shared.master
    }

    /// Makes a data key, keeps it in `store`, and seals with it from now on. Returns its number. For one
    /// caller at a time.
    pub(super) async fn add_key(&self, store: &Store) -> Result<u32, SecretsError> {
        let master = MasterKey::load(&self.shared.master)?;
        if master.tag() != self.shared.tag {
            return Err(SecretsError::WrongMasterKey { path: self.shared.master.clone() });
        }
        let kept = store.data_keys().list().await?;
        let id = kept.iter().map(|record| record.id).max().unwrap_or(0).saturating_add(1);
        let (record, key) = wrap::new_key(&master, id)?;
        // First where it survives: nothing may be sealed under a key that could be lost.
        store.data_keys().insert(record).await?;
        let key = DataKey::new(&key);
        self.shared.keys.rcu(|keys| {
            let mut ciphers = keys.ciphers.clone();
            ciphers.insert(id, key.clone());
            Keys::new(ciphers)
        });
        Ok(id)
    }

    /// Clears data keys that the store no longer has from memory, in a while. To be called within a runtime.
    pub(super) fn forget_after(&self, wait: Duration, retired: &[u32]) {
        let (shared, retired) = (Arc::downgrade(&self.shared), retired.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let Some(shared) = shared.upgrade() else { return };
            shared.keys.rcu(|keys| {
                let mut ciphers = keys.ciphers.clone();
                ciphers.retain(|id, _| !retired.contains(id));
                Keys::new(ciphers)
            });
        });
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.shared.keys.load();
        f.debug_struct("Vault").field("keys", &keys.ciphers.len()).field("newest", &keys.newest).finish()
    }
}

fn unwrap_all(
    master: &MasterKey,
    records: &[DataKeyRecord],
) -> Result<BTreeMap<u32, Arc<DataKey>>, SecretsError> {
    let tag = master.tag();
    if records.iter().any(|record| record.master != tag) {
        return Err(SecretsError::WrongMasterKey { path: master.path().to_owned() });
    }
    let wrapping = master.cipher();
    let one = |record: &DataKeyRecord| Ok((record.id, DataKey::new(&wrap::unwrap(&wrapping, record)?)));
    records.iter().map(one).collect()
}

fn tampered(tree: &str, record_id: &str) -> SecretsError {
    SecretsError::Tampered { tree: tree.to_owned(), record: record_id.to_owned() }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use aivonx_config::StoreOptions;

    async fn store(dir: &Path) -> Store {
        let options = StoreOptions {
            cache_bytes: 16 << 20,
            snapshots: 1,
            snapshot_interval: std::time::Duration::from_secs(3600),
            open_deadline: std::time::Duration::from_secs(10),
            operation_deadline: std::time::Duration::from_secs(20),
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
        let lost = Vault::unlock(&path, &at).await.unwrap_err();
        assert!(matches!(lost, SecretsError::MissingMasterKey { .. }));
        assert!(lost.to_string().contains(&format!("{}", path.display())), "{lost}");
        assert!(!path.exists(), "no other may lie where the right one belongs");
        let wrong = Vault::open(master(dir.path()), &at).await.unwrap_err();
        assert!(matches!(wrong, SecretsError::WrongMasterKey { .. }));
        assert!(wrong.to_string().contains("master.key"), "{wrong}");
        fs::write(&path, right).unwrap();
        Vault::unlock(&path, &at).await.unwrap();
    }

    #[tokio::test]
    async fn a_changed_data_key_is_told_from_a_wrong_master_key() {
        let dir = tempfile::tempdir().unwrap();
        let at = store(dir.path()).await;
        let key = master(dir.path());
        let mut record = wrap::new_key(&key, 1).unwrap().0;
        record.wrapped[3] ^= 1;
        at.data_keys().insert(record).await.unwrap();
        let error = Vault::open(key, &at).await.unwrap_err();
        assert!(matches!(error, SecretsError::DamagedDataKey { id: 1 }), "{error}");
    }
}
