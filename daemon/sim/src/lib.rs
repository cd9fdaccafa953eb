//! Fake nodes: servers that speak the wire format of real ones over loopback, with faults and costs on demand.
//!
//! Tests script them ([`FakeNode`]): they answer at once, fail on demand, and remember what they were sent, byte for
//! byte. `aivonxd dev --simulate` starts the binary of this crate ([`run`]): its nodes run on simulated
//! machines ([`Machine`]) that take a plausible time for everything, and made-up clients ask them.

mod anthropic;
mod create;
mod draft;
mod embed;
mod face;
mod fault;
mod json;
mod link;
mod machine;
mod model;
mod node;
mod ollama;
mod openai;
mod pull;
mod reply;
mod responses;
mod run;
mod send;
mod serve;
mod simulation;
pub mod socket;
mod state;
#[cfg(test)]
mod tests;
mod traffic;
mod watch;
pub mod wire;
mod words;

pub use self::{
    face::Face,
    fault::{Fault, OnHealth},
    machine::{MACHINES, Machine},
    model::{Loaded, Model},
    node::FakeNode,
    run::{Args, run},
    simulation::Simulation,
    state::{End, Kind, NodeState, Recorded},
    watch::{DEADLINE, within},
};
