//! The keys that sign access tokens: kept sealed in the store, made at the first open.

use std::{fmt, sync::Arc};

use aivonx_protocol::UnixMillis;
use arc_swap::ArcSwap;

use super::{
    NoRandom,
    jwt::{self, Claims, JwtError, NotAKey, TokenKey, Verifiers},
};
use crate::{
    secrets::{SecretsError, Vault},
    store::{Reach, SecretKind, SecretRecord, Store, StoreError},
};

/// Tree the secrets are sealed to.
const TREE: &str = "secret";

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The store failed.
    #[error("the signing keys of access tokens: {0}")]
    Store(#[from] StoreError),
    /// A key does not open.
    #[error("the signing keys of access tokens: {0}")]
    Secrets(#[from] SecretsError),
    /// A key opens, but is none.
    #[error("signing key {0} of access tokens: {1}")]
    NotAKey(String, NotAKey),
    /// None can be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// Signs and reads access tokens.
pub struct TokenSigner {
    keys: ArcSwap<Keys>,
    daemon: String,
}

#[derive(Debug)]
struct Keys {
    current: TokenKey,
    verifiers: Verifiers,
}

impl TokenSigner {
    /// Opens the store's keys; a store without any gets its first. `daemon` is the daemon's id, which tokens
    /// name as their issuer.
    ///
    /// # Errors
    /// [`SignerError`]; a key that does not open is never replaced silently.
    pub async fn open(store: &Store, vault: &Vault, daemon: impl Into<String>) -> Result<Self, SignerError> {
        let keys = load(store, vault).await?;
        Ok(Self { keys: ArcSwap::from_pointee(keys), daemon: daemon.into() })
    }

    /// Reads the keys again: one was added or has retired. The old ones stay if it fails.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn reload(&self, store: &Store, vault: &Vault) -> Result<(), SignerError> {
        self.keys.store(Arc::new(load(store, vault).await?));
        Ok(())
    }

    /// The daemon's id, as it stands in tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.daemon
    }

    /// Makes a token of `claims` with the newest key.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> aivonx_protocol::WireSecret {
        self.keys.load().current.sign(claims)
    }

    /// Reads a token; see [`jwt::verify`].
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, token: &str, now: UnixMillis) -> Result<Claims, JwtError> {
        jwt::verify(token, &self.keys.load().verifiers, now, &self.daemon)
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("current", &self.keys.load().current).finish_non_exhaustive()
    }
}

async fn load(store: &Store, vault: &Vault) -> Result<Keys, SignerError> {
    let mut records = records(store).await?;
    if records.is_empty() {
        match store.secrets().insert(new_record(vault, 1)?).await {
            // Another opening of the same store was faster.
            Ok(_) | Err(StoreError::IdTaken { .. }) => {}
            Err(e) => return Err(e.into()),
        }
        records = self::records(store).await?;
    }
    let mut keys = Vec::with_capacity(records.len());
    for record in records {
        let secret = vault.open_sealed(TREE, &record.id, &record.sealed)?;
        keys.push(TokenKey::from_secret(&secret).map_err(|e| SignerError::NotAKey(record.id, e))?);
    }
    let verifiers = Verifiers::new(&keys);
    // One was there or has just been inserted; a store that lost it in between gets another the next time.
    let current = keys.pop().map_or_else(TokenKey::generate, Ok)?;
    Ok(Keys { current, verifiers })
}

/// The signing keys, the newest last.
async fn records(store: &Store) -> Result<Vec<SecretRecord>, StoreError> {
    let mut records = store.secrets().list(&Reach::All).await?;
    records.retain(|record| record.kind == SecretKind::TokenSigning);
    records.sort_by_key(|record| record.number);
    Ok(records)
}

/// A new key, sealed, under `number`.
pub(crate) fn new_record(vault: &Vault, number: u32) -> Result<SecretRecord, SignerError> {
    let id = format!("token-signing-{number}");
    let sealed = vault.seal(TREE, &id, &TokenKey::generate()?.secret())?;
    Ok(SecretRecord {
        id,
        kind: SecretKind::TokenSigning,
        number,
        sealed,
        created: 0,
        retire_at: None,
        revision: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{
        jwt::{AUDIENCE, Extent},
        testing::stand,
    };

    fn claims(signer: &TokenSigner) -> Claims {
        Claims {
            iss: signer.issuer().into(),
            aud: AUDIENCE.into(),
            sub: "user-1".into(),
            org: None,
            role: aivonx_protocol::user::Role::Member,
            epoch: 1,
            sid: "session-1".into(),
            ext: Extent::Full,
            iat: 1000,
            exp: 2000,
            jti: "token-1".into(),
        }
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_lies_nowhere_in_clear() {
        let stand = stand().await;
        let first = TokenSigner::open(&stand.store, &stand.vault, "daemon-1").await.unwrap();
        let token = first.sign(&claims(&first));
        let again = TokenSigner::open(&stand.store, &stand.vault, "daemon-1").await.unwrap();
        assert_eq!(again.verify(token.expose(), 1_000_000).unwrap(), claims(&first));
        let other = TokenSigner::open(&stand.store, &stand.vault, "daemon-2").await.unwrap();
        assert_eq!(other.verify(token.expose(), 1_000_000), Err(JwtError::Issuer));
        let records = records(&stand.store).await.unwrap();
        assert_eq!(records.len(), 1);
        let secret = stand.vault.open_sealed(TREE, &records[0].id, &records[0].sealed).unwrap();
        assert!(!format!("{first:?} {records:?}").contains(secret.expose()));
    }

    #[tokio::test]
    async fn the_newest_key_signs_and_the_older_ones_are_still_read() {
        let stand = stand().await;
        let signer = TokenSigner::open(&stand.store, &stand.vault, "daemon-1").await.unwrap();
        let old = signer.sign(&claims(&signer));
        let second = stand.store.secrets().insert(new_record(&stand.vault, 2).unwrap()).await.unwrap();
        signer.reload(&stand.store, &stand.vault).await.unwrap();
        let new = signer.sign(&claims(&signer));
        assert_ne!(old.expose().split('.').next(), new.expose().split('.').next());
        for token in [&old, &new] {
            assert!(signer.verify(token.expose(), 1_000_000).is_ok());
        }
        stand.store.secrets().remove(&Reach::All, "token-signing-1", None).await.unwrap();
        signer.reload(&stand.store, &stand.vault).await.unwrap();
        assert_eq!(signer.verify(old.expose(), 1_000_000), Err(JwtError::Key));
        assert!(signer.verify(new.expose(), 1_000_000).is_ok());
        // One that does not open is an error, and what was there stays in use.
        let moved = SecretRecord { id: "token-signing-3".into(), number: 3, ..second };
        stand.store.secrets().insert(moved).await.unwrap();
        assert!(matches!(signer.reload(&stand.store, &stand.vault).await, Err(SignerError::Secrets(_))));
        assert!(signer.verify(new.expose(), 1_000_000).is_ok());
    }
}
