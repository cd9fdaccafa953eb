//! What the end-to-end tests stand on: real processes ([`harness`]) in front of fake nodes ([`fake`]).
//!
//! Nothing here sleeps to let something happen: every wait is for an event, with a deadline that only a
//! failing test reaches.
#![allow(clippy::unwrap_used, reason = "a test harness fails by panicking")]

pub mod acme;
pub mod harness;

pub use aivonx_sim::{self as fake, DEADLINE, wire, within};
