//! Master key, data keys, envelope encryption.
//!
//! The master key lies in a file of its own and wraps the data keys, which are kept in the store; the data keys
//! seal the secrets in its records. A copy of the store alone opens nothing.
//!
//! [`Vault`] seals and opens. [`rotate`] replaces the data keys while the daemon serves, [`rekey`] the master key
//! while it does not.

mod cipher;
mod error;
mod master;
pub mod rekey;
pub mod rotate;
pub(crate) mod sealed;
mod service;
mod validate;
mod vault;
mod wrap;

pub use error::SecretsError;
pub use master::MasterKey;
pub use sealed::Sealed;
pub use service::Secrets;
pub use vault::Vault;
