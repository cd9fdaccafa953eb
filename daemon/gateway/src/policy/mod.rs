//! Model policy: what a request for a model is given or bound to, and which model is served for which name.
//!
//! The data path reads [`Rules`], a snapshot that is rebuilt whole when a record changes; without any policy it is
//! absent, and costs a request one load of a pointer. A [`Plan`] says for one request which models a node is asked for,
//! in order, and what is written into the body for each.
//!
//! Policies are for the model that is served, aliases for the name that is asked for. Aliases are not followed
//! twice: a model in an alias's list is the name a node knows.

mod access;
mod admin;
mod check;
mod listing;
mod plan;
mod rules;
mod service;
mod shares;

pub use check::keep_alive_as_sent as keep_alive;
pub use listing::{Shape, as_asked, entry, with_aliases};
pub use plan::{Candidate, Plan};
pub use rules::Rules;
pub use service::{Hot, Policies};
pub use shares::Tally;
