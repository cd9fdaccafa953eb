//! The keys that checkpoints and exports are signed with, kept sealed in the store.

use std::fmt;

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{
    UnixMillis, WireSecret,
    audit::{AuditKey, Checkpoint, CheckpointKind, Digest, ExportSignature, HexBytes, PublicKey, Signature},
};
use aivonx_store::{AuditHead, SecretKind, SecretRecord, Store, StoreError, secrets::Vault};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::AuditError;

/// The tree that the vault seals these secrets to.
const TREE: &str = "secret";

/// Signs with the newest key, and knows the public parts of all.
pub(super) struct Signer {
    daemon: String,
    key: SigningKey,
    known: Vec<AuditKey>,
    /// Whether the key was made just now.
    pub(super) is_new: bool,
}

impl Signer {
    /// Opens the keys of the store; one without any gets its first.
    pub(super) async fn open(store: &Store, vault: &Vault) -> Result<Self, AuditError> {
        let mut records: Vec<SecretRecord> = store.secrets().list(&TenantScope::All).await?;
        records.retain(|record| record.kind == SecretKind::AuditSigning);
        records.sort_by_key(|record| record.number);
        let is_new = records.is_empty();
        if is_new {
            records.push(make(store, vault).await?);
        }
        let mut known = Vec::new();
        let mut newest = None;
        for record in &records {
            let key = open(vault, record)?;
            known.push(AuditKey { key: public(&key), created: record.created, current: false });
            newest = Some(key);
        }
        if let Some(last) = known.last_mut() {
            last.current = true;
        }
        known.reverse();
        let key = newest.ok_or_else(|| AuditError::Key("there is none".to_owned()))?;
        Ok(Self { daemon: store.settings().daemon_id().to_owned(), key, known, is_new })
    }

    /// Id of the daemon.
    pub(super) fn daemon(&self) -> &str {
        &self.daemon
    }

    /// The public keys, the newest first.
    pub(super) fn keys(&self) -> &[AuditKey] {
        &self.known
    }

    /// The bytes of the public keys.
    pub(super) fn public(&self) -> Vec<PublicKey> {
        self.known.iter().map(|known| known.key).collect()
    }

    /// A signed checkpoint about the last entry of `head`.
    pub(super) fn checkpoint(&self, head: &AuditHead, previous: u64) -> Checkpoint {
        self.sign(head.chain.clone(), CheckpointKind::Regular, head.last, head.hash, previous)
    }

    /// The same checkpoint, saying that everything up to it is removed.
    pub(super) fn retention(&self, checkpoint: &Checkpoint) -> Checkpoint {
        let Checkpoint { chain, seq, hash, previous, .. } = checkpoint;
        self.sign(chain.clone(), CheckpointKind::Retention, *seq, *hash, *previous)
    }

    fn sign(&self, chain: String, kind: CheckpointKind, seq: u64, hash: Digest, previous: u64) -> Checkpoint {
        let mut checkpoint = Checkpoint {
            daemon: self.daemon.clone(),
            chain,
            kind,
            seq,
            hash,
            previous,
            time: now(),
            signer: public(&self.key),
            signature: HexBytes([0; 64]),
        };
        checkpoint.signature = HexBytes(self.key.sign(&checkpoint.message()).to_bytes());
        checkpoint
    }

    /// Signs a changed checkpoint.
    #[cfg(test)]
    pub(super) fn resign(&self, mut checkpoint: Checkpoint) -> Checkpoint {
        checkpoint.signature = HexBytes(self.key.sign(&checkpoint.message()).to_bytes());
        checkpoint
    }

    #[cfg(test)]
    pub(super) fn seed(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The signature of `message`, which says itself what it is of.
    pub(super) fn sign_message(&self, message: &[u8]) -> Signature {
        HexBytes(self.key.sign(message).to_bytes())
    }

    /// Fills in daemon, time, signer and signature.
    pub(super) fn sign_export(&self, mut export: ExportSignature) -> ExportSignature {
        export.daemon.clone_from(&self.daemon);
        export.time = now();
        export.signer = public(&self.key);
        export.signature = HexBytes(self.key.sign(&export.message()).to_bytes());
        export
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("known", &self.known).finish_non_exhaustive()
    }
}

fn public(key: &SigningKey) -> PublicKey {
    HexBytes(key.verifying_key().to_bytes())
}

fn open(vault: &Vault, record: &SecretRecord) -> Result<SigningKey, AuditError> {
    let wrong =
        |e: &dyn fmt::Display| AuditError::Key(format!("number {} does not open: {e}", record.number));
    let text = vault.open_sealed(TREE, &record.id, &record.sealed).map_err(|e| wrong(&e))?;
    let mut seed = Zeroizing::new([0; 32]);
    let decoded = Zeroizing::new(STANDARD.decode(text.expose()).map_err(|_| wrong(&"it is damaged"))?);
    if decoded.len() != seed.len() {
        return Err(wrong(&"it is damaged"));
    }
    seed.copy_from_slice(&decoded);
    Ok(SigningKey::from_bytes(&seed))
}

async fn make(store: &Store, vault: &Vault) -> Result<SecretRecord, AuditError> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut seed[..])
        .map_err(|e| AuditError::Key(format!("the system gives no random numbers: {e}")))?;
    let secret = WireSecret::new(STANDARD.encode(&seed[..]));
    // A rotation of the data keys may come in between.
    for _ in 0..3 {
        let id = "audit-signing-1".to_owned();
        let sealed = vault.seal(TREE, &id, &secret).map_err(|e| AuditError::Key(e.to_string()))?;
        let created: UnixMillis = now();
        let kind = SecretKind::AuditSigning;
        let record = SecretRecord { id, kind, number: 1, sealed, created, retire_at: None, revision: 1 };
        match store.secrets().insert(record).await {
            Err(StoreError::StaleSeal { .. }) => {}
            done => return Ok(done?),
        }
    }
    Err(AuditError::Key("it could not be sealed".to_owned()))
}
