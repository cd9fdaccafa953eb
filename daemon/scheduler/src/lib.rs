//! Which node a request goes to, and when. Nothing here does I/O or reads a clock: the gateway drives it in real time,
//! the bench and the property tests in simulated time.
//!
//! A request is assigned to the node where its first token is predicted to come soonest ([`Terms`]), counted with
//! everything that is already assigned there. If the node can take it, it is sent; else it waits in that node's queue,
//! where it can still be overtaken, moved to another node, or cancelled. What the prediction is made of (time to load a
//! model, speed of prefill, what memory and prompt cache hold) is learned from the answers.
//!
//! Times are seconds on the caller's clock, which never goes back.

mod ask;
mod cost;
mod learn;
mod learned;
mod memo;
mod memory;
mod node;
mod order;
mod parallel;
mod policy;
mod prefix;
mod queue;
mod scheduler;
mod service;
mod terms;
#[cfg(test)]
mod tests;
mod view;

pub use ask::{Answer, Ask, Candidate, JobId, ModelId, NodeId};
pub use memo::{ModelMemo, NodeMemo};
pub use node::Here;
pub use policy::Policy;
pub use prefix::{Block, Chain};
pub use scheduler::Scheduler;
pub use terms::Terms;
pub use view::{Lessons, Speed};

/// Seconds on the caller's clock.
pub type Time = f64;
