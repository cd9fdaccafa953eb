//! Master key, data keys, envelope encryption.
//!
//! The master key lies in a file of its own and wraps the data keys, which are kept in the store; the data keys
//! seal the secrets in its records. A copy of the store alone opens nothing.

mod cipher;
mod error;
mod master;
mod vault;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use error::SecretsError;
pub use master::MasterKey;
pub use vault::Vault;

/// A secret at rest: AES-256-GCM under a data key, bound to its tree and record id by the associated data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which data key.
    pub key: u32,
    /// 96 random bits.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

/// Not the ciphertext: its length is the secret's.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}
