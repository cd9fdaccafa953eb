//! aivonxd, the gateway daemon.
//!
//! Imports point one way:
//! `main -> app -> { control, proxy } -> fleet -> { store, secrets } -> { config, telemetry } -> privacy -> api`,
//! where `privacy` finds personal data and credentials, for logs too;
//! `api` is the dialects: routes, body peek, errors, usage.

pub mod app;
pub mod args;
mod commands;
pub mod control;
mod dev;
mod facts;
pub mod lifecycle;
mod manual;
mod signals;
mod trusted;
