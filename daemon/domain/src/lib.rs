//! What every part of the daemon speaks of: finished requests and whose they are, whose records an operation may
//! touch, how models are named and listed. No I/O, and no other part of the daemon is known here.

pub mod access;
#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
mod clock;
mod findings;
mod globs;
pub mod histogram;
pub mod model_name;
mod named;
mod network;
pub mod table;
mod tenant_scope;

pub use access::{AccessRecord, Outcome, Subject};
pub use clock::now;
pub use findings::Findings;
pub use globs::{GlobError, Globs};
pub use named::named;
pub use network::{address_key, network};
pub use tenant_scope::TenantScope;
