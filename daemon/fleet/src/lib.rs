//! The fleet: nodes, health, model catalogue, scheduler, jobs.
//!
//! The data path sees one immutable [`Snapshot`] behind an atomic pointer and each node's [`Live`] atomics;
//! everything that changes them runs on the control plane.

mod abort_on_drop;
mod add;
pub mod address;
mod blobs;
mod bounds;
mod catalogue;
mod client;
mod contact;
mod contexts;
mod copies;
mod create;
pub mod dial;
mod dial_error;
pub mod dispatch;
mod doubt;
mod drift;
mod ejection;

pub mod endpoint;
mod engine_memory;
mod entry;
mod error;
mod explain;
mod follow;
mod health;
mod held;
mod holders;
mod inventory;
mod job_run;
mod job_state;
mod jobs;
mod keep;
mod kept_inventory;
mod lacks;
mod last_resort;
mod learned;
mod lists;
mod memory;
mod merge;
mod models;
mod nearest;
pub mod node;
mod node_scope;
#[cfg(test)]
mod placement_tests;
mod probe;
mod pull;
mod rates;
mod recall;
mod record;
mod registry;
mod routing_rules;
mod sanitize;
pub mod scheduler;
mod see_through;
mod service;
mod simulated;
mod sleep;
pub mod snapshot;
mod spare;
#[cfg(test)]
mod standing_tests;
mod strategies;
mod task;
mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tls;
mod traits;
mod unload;
mod update;
pub mod via;
mod wake;
mod watch;

pub use abort_on_drop::AbortOnDrop;
pub use aivonx_scheduler::{Answer, Block, Chain, Terms};
pub use blobs::{Digest, Uploaded};
pub use contexts::Contexts;
pub use copies::NewPlacement;
pub use create::Definition;
pub use dial_error::DialError;
pub use dispatch::{
    Dispatch, Work,
    ticket::{Line, Load, Place, Waiting},
};
pub use doubt::{Caller, Traffic};
pub use ejection::{Scope, Standing};
pub use endpoint::Endpoint;
pub use error::FleetError;
pub use jobs::Jobs;
pub use lists::Lists;
pub use node::{Counting, Lease, Live, Node, Seen};
pub use node_scope::NodeScope;
pub use pull::REDIRECTS;
pub use routing_rules::RoutingRules;
pub use scheduler::{NoNode, Overflow, Want, serves};
pub use service::Fleet;
pub use snapshot::{Hot, Snapshot};
pub use task::{Ended, Task};
pub use tls::TlsError;
pub use unload::Keeps;
