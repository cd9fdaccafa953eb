//! API keys: their form, and the keyed hash they are stored and looked up by.

use std::fmt;

use aivonx_protocol::WireSecret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{
    random::{NoRandom, random},
    token_format::{self, Kind},
};

pub use super::token_format::{Malformed as KeyFormat, Parsed};

/// A new key: [`opaque`] says how it looks. [`parse`] gives the part that lists show.
///
/// # Errors
/// Only if the system gives no random numbers.
pub fn generate() -> Result<WireSecret, NoRandom> {
    token_format::generate(Kind::ApiKey)
}

/// Whether `text` is meant as a key of this gateway, right or wrong.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    token_format::looks_like(Kind::ApiKey, text)
}

/// Reads a key.
///
/// # Errors
/// [`KeyFormat`], naming the first thing that is wrong with its form.
pub fn parse(text: &str) -> Result<Parsed<'_>, KeyFormat> {
    token_format::parse(Kind::ApiKey, text)
}

/// Whether two hashes are the same, in constant time.
#[must_use]
pub fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

/// A pepper ready for use: the half of each hash that does not depend on the key is done already.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// Prepares `pepper`.
    #[must_use]
    pub fn new(pepper: &[u8; 32]) -> Self {
        // An HMAC key of 32 bytes is one block, padded: this form takes nothing else and cannot fail.
        let mut block = zeroize::Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(pepper);
        Self(Hmac::new((&*block).into()))
    }

    /// A new pepper.
    ///
    /// # Errors
    /// Only if the system gives no random numbers.
    pub fn generate() -> Result<zeroize::Zeroizing<[u8; 32]>, NoRandom> {
        random::<32>()
    }

    /// The keyed hash of a key; about 0.2 microseconds. The pepper never leaves the daemon unsealed, so a copy of the
    /// store says nothing about the keys, nor lets anybody add one.
    #[must_use]
    pub fn hash(&self, secret: &str) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(secret.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_hmac_sha256() {
        // RFC 4231, test case 1 has a key of 20 bytes: zeros at its end change nothing about an HMAC key.
        let mut pepper = [0; 32];
        pepper[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(Pepper::new(&pepper).hash("Hi There")), expected);
    }

    #[test]
    fn the_hash_depends_on_pepper_and_key() {
        let key = generate().unwrap();
        let other = generate().unwrap();
        let pepper = Pepper::new(&[1; 32]);
        assert!(same(&pepper.hash(key.expose()), &Pepper::new(&[1; 32]).hash(key.expose())));
        assert!(!same(&pepper.hash(key.expose()), &pepper.hash(other.expose())));
        assert!(!same(&pepper.hash(key.expose()), &Pepper::new(&[2; 32]).hash(key.expose())));
        assert_ne!(*Pepper::generate().unwrap(), *Pepper::generate().unwrap());
    }

    #[test]
    fn a_key_is_told_from_other_credentials() {
        let key = generate().unwrap();
        assert!(looks_like(key.expose()) && parse(key.expose()).is_ok());
        for other in ["", "ollama", "sk-proj-abc", "eyJhbGciOiJFZERTQSJ9.e30.c2ln", "AIVX_abc"] {
            assert!(!looks_like(other), "{other}");
            assert!(matches!(parse(other), Err(KeyFormat::Prefix(_))));
        }
    }
}
