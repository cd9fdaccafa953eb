//! AES-256-GCM with random nonces, over keys that are cleared when dropped.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SecretsError;

/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// A key, cleared when dropped.
pub(super) type Key = Zeroizing<[u8; KEY]>;

/// `N` bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SecretsError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::rngs::OsRng.try_fill_bytes(&mut bytes[..]).map_err(|e| SecretsError::NoRandom(e.to_string()))?;
    Ok(bytes)
}

/// A key ready for use. Its key schedule is cleared when it is dropped.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    pub(super) fn new(key: &Key) -> Self {
        Self(Aes256Gcm::new((&**key).into()))
    }

    /// Seals `plain` under a new random nonce, bound to `context`.
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<([u8; 12], Vec<u8>), SecretsError> {
        let nonce = *random::<12>()?;
        let sealed = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: context })
            .map_err(|_| SecretsError::Seal)?;
        Ok((nonce, sealed))
    }

    /// Opens what [`Self::seal`] made with the same context; None if anything differs.
    pub(super) fn open(&self, context: &[u8], nonce: [u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.0.decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: context }).ok().map(Zeroizing::new)
    }
}

/// The digest by which keys are compared.
pub(super) fn digest(key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"aivonx key comparison v1\0");
    hash.update(key);
    hash.finalize().into()
}
