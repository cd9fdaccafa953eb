//! The data plane: threads of their own, one per core, each with a single-threaded runtime, listeners that
//! share the port, and pools of connections to the nodes. `stack.rs` is the data path in one function.
//!
//! The threads share with the control plane only what is in [`shared::Shared`]: snapshots, atomics, channels.

mod answer;
mod aside;
mod authenticate;
mod body;
pub mod budget;
mod candidates;
pub mod closed;
mod cold;
mod conn;
mod cors;
mod deadline;
mod decode;
mod dressed;
pub mod endpoints;
mod error_response;
mod estimate;
mod exchange;
pub mod explain;
mod fields;
mod form;
mod forward;
mod forwarded;
mod framed;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod gather;
mod headers;
mod host;
mod inherited;
mod keep_waiting;
mod limit;
mod listener;
mod meaning;
mod misfit;
mod named;
mod opened;
pub mod places;
pub mod policy;
mod privacy;
mod proxy_protocol;
pub mod pulse;
mod query;
mod queue;
mod redirect;
mod relayed;
mod request_id;
pub mod responses;
pub mod running;
pub mod shared;
mod socket;
mod stack;
mod steady;
mod stream;
mod tls;
pub mod token_rates;
mod translation;
mod transport;
mod trial;
mod upstream;
mod work;
mod worker;

pub use authenticate::REFUSED;
pub use inherited::{InheritError, Inherited};
pub use listener::{AcceptFailures, BindError, Bound, ListenError, bind_all};
pub use shared::{Phase, Settings, Shared};
pub use tls::{Acme, Obtained, PairError, Proof, ServedCertificate, Tls};
pub use worker::{Plane, Pulse, start};
