//! The real `aivonx`: alone, and against a control server that answers as it is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod alone;
mod json;
mod server;
mod streams;
mod verbs;
