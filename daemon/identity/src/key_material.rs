//! The daemon's own keys for identity: peppers of API keys and signing keys of access tokens, sealed in the store.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_protocol::{UnixMillis, WireSecret};
use aivonx_store::{SecretKind, SecretRecord, Store, StoreError, secrets::Vault};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    IdentityError,
    api_key::Pepper,
    jwt::{TokenKey, Verifiers},
};

/// Tree name in the associated data of sealed secrets.
pub const SEALED_IN: &str = "secret";

/// The material in use.
#[derive(Clone)]
pub struct Material {
    /// Number and pepper, newest first. The first hashes new keys, all find old ones.
    pub peppers: Vec<(u32, Pepper)>,
    /// Signs access tokens.
    pub signer: Arc<TokenKey>,
    /// Check access tokens: the signer's and those that retire.
    pub verifiers: Arc<Verifiers>,
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").field("peppers", &self.peppers.len()).finish_non_exhaustive()
    }
}

/// A new secret of `kind`, as the text that is sealed.
///
/// # Errors
/// Only if the system gives no random numbers.
pub fn generate(kind: SecretKind) -> Result<WireSecret, IdentityError> {
    Ok(match kind {
        SecretKind::Pepper => WireSecret::new(STANDARD.encode(Pepper::generate()?.as_slice())),
        SecretKind::TokenSigning | SecretKind::AuditSigning => TokenKey::generate()?.secret(),
    })
}

/// Reads the material; makes what a new store does not have yet. What has retired is left out.
///
/// # Errors
/// If the store fails, or a secret does not open.
pub async fn load(store: &Store, vault: &Vault, now: UnixMillis) -> Result<Material, IdentityError> {
    let mut records = store.secrets().list(&TenantScope::All).await?;
    for kind in [SecretKind::Pepper, SecretKind::TokenSigning] {
        if !records.iter().any(|r| r.kind == kind && r.retire_at.is_none()) {
            let number = records.iter().filter(|r| r.kind == kind).map(|r| r.number).max().unwrap_or(0) + 1;
            let id = format!("{}-{number}", kind_name(kind));
            let record = SecretRecord {
                sealed: vault.seal(SEALED_IN, &id, &generate(kind)?)?,
                id,
                kind,
                number,
                created: 0,
                retire_at: None,
                revision: 0,
            };
            match store.secrets().insert(record).await {
                Ok(record) => records.push(record),
                // Another reading of the same store was faster.
                Err(StoreError::IdTaken { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    records.retain(|record| record.retire_at.is_none_or(|at| at > now));
    records.sort_by_key(|record| std::cmp::Reverse(record.number));
    let open = |record: &SecretRecord| vault.open_sealed(SEALED_IN, &record.id, &record.sealed);
    let mut peppers = Vec::new();
    let mut signing = Vec::new();
    for record in &records {
        match record.kind {
            SecretKind::Pepper => peppers.push((record.number, pepper(&record.id, &open(record)?)?)),
            SecretKind::TokenSigning => {
                let bad = |_| IdentityError::Material { id: record.id.clone() };
                signing.push(TokenKey::from_secret(&open(record)?).map_err(bad)?);
            }
            SecretKind::AuditSigning => {}
        }
    }
    let verifiers = Arc::new(Verifiers::new(&signing));
    let signer = signing.into_iter().next().ok_or(IdentityError::Material { id: "token-signing".into() })?;
    Ok(Material { peppers, signer: Arc::new(signer), verifiers })
}

/// The word for a kind in the ids of its records.
#[must_use]
pub fn kind_name(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Pepper => "pepper",
        SecretKind::TokenSigning => "token-signing",
        SecretKind::AuditSigning => "audit-signing",
    }
}

fn pepper(id: &str, text: &WireSecret) -> Result<Pepper, IdentityError> {
    let bad = || IdentityError::Material { id: id.to_owned() };
    let bytes = Zeroizing::new(STANDARD.decode(text.expose()).map_err(|_| bad())?);
    let mut pepper = Zeroizing::new([0; 32]);
    if bytes.len() != pepper.len() {
        return Err(bad());
    }
    pepper.copy_from_slice(&bytes);
    Ok(Pepper::new(&pepper))
}
