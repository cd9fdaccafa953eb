//! Master key, data keys, envelope encryption.

use serde::{Deserialize, Serialize};

/// A secret at rest: AES-256-GCM under a data key, bound to its tree and record id by the associated data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which data key.
    pub key: u32,
    /// 96 random bits.
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
}
