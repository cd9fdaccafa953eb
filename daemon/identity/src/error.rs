//! Why identity cannot work.

use aivonx_store::{StoreError, secrets::SecretsError};

use super::NoRandom;

/// A failure of the service itself; refusals of requests are `Fault`s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The system gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// A secret of the daemon's own is not what it should be.
    #[error("the secret '{id}' in the store is damaged: restore a snapshot with 'aivonxd recover'")]
    Material {
        /// Id of its record.
        id: String,
    },
}
