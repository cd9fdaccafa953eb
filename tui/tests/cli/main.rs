//! The real `aivonx`: alone, and against a scripted control server.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod account;
mod alone;
mod forward;
mod json;
mod server;
mod session;
mod streams;
mod terminal;
mod verbs;
