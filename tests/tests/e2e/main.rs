//! End to end: the real daemon and the real command line in front of fake nodes. One binary, because each
//! would link everything anew; one module per theme.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod access;
mod account;
mod activation;
mod admin;
mod audit;
mod bodies;
mod chaos;
mod completion;
mod console;
mod descriptors;
mod durability;
mod errors;
mod fleet;
mod greedy;
mod headers;
mod jobs;
mod journald;
mod keys;
mod ledger;
mod lifecycle;
mod limit_admin;
mod limits;
mod login;
mod logs;
mod manual;
mod otp;
mod package;
mod paths;
mod policy;
mod privacy;
mod readme;
mod retry;
mod rotation;
mod running;
mod secrets;
mod simulate;
mod stalled;
mod streams;
mod tenancy;
mod tls;
mod usage;
mod wire;
