//! Wire types, framing, handshake and typed client of the aivonx control socket.
//!
//! A noun (node, model, job, ...) has one file here, and one of the same name in the daemon's store and
//! control handlers and in the terminal program. Enums that cross the wire are only ever appended to.

pub mod account;
mod action;
pub mod audit;
pub mod backup;
pub mod block;
pub mod check;
pub mod client;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod fault;
pub mod frame;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
pub mod handshake;
pub mod incident;
pub mod job;
pub mod key;
pub mod limit;
pub mod lockout;
pub mod log;
pub mod model;
pub mod model_name;
pub mod money;
pub mod network;
pub mod node;
mod noted;
pub mod operation;
pub mod organization;
pub mod permission;
pub mod policy;
pub mod price;
pub mod privacy;
pub mod program;
pub mod pulse;
pub mod request;
mod role;
pub mod route;
pub mod running;
pub mod samples;
pub mod secret;
pub mod secrets;
pub mod session;
pub mod snapshot;
pub mod strategy;
pub mod token;
pub mod untrusted;
pub mod usage;
pub mod user;
pub mod wire;

pub use client::{Client, ClientError, EventStream};
pub use fault::{Fault, FaultKind};
pub use network::{Network, NoNetwork};
pub use permission::Permission;
pub use request::{ClientFrame, Event, Reply, Request, ServerFrame};
pub use secret::WireSecret;
pub use untrusted::Untrusted;

/// Version of the control protocol spoken by this crate. Raised when a peer of the older version could
/// misread a frame; appending a request does not raise it.
pub const PROTOCOL_VERSION: u16 = 1;

/// Milliseconds since the Unix epoch, UTC. The only form in which a time crosses the wire.
pub type UnixMillis = u64;
