//! The fleet: nodes, health, model catalogue, scheduler, jobs.
//!
//! The data path sees one immutable [`Snapshot`] behind an atomic pointer and each node's [`Live`] atomics;
//! everything that changes them runs on the control plane.

pub mod address;
pub mod catalogue;
pub mod client;
pub mod dial;
pub mod endpoint;
mod merge;
pub mod model_name;
pub mod node;
pub mod probe;
pub mod scheduler;
pub mod sight;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use endpoint::Endpoint;
pub use node::{Lease, Live, Node, Seen};
pub use scheduler::{NoNode, Want};
pub use snapshot::{Hot, Snapshot};
