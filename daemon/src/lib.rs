//! aivonxd, the gateway daemon.
//!
//! Imports point one way:
//! `main -> app -> { control, proxy } -> fleet -> { store, secrets } -> { config, telemetry } -> privacy -> api`,
//! with `simulate` (nodes for `dev --simulate`) beside `app`. `privacy` finds personal data and credentials, for logs too;
//! `api` is the dialects: routes, body peek, errors, usage.

pub mod api;
pub mod app;
pub mod args;
pub mod audit;
mod commands;
pub mod config;
pub mod control;
pub mod credentials;
mod dev;
mod facts;
pub mod fleet;
pub mod identity;
pub mod lifecycle;
pub mod limits;
pub mod policy;
pub mod privacy;
pub mod proxy;
pub mod pulse;
pub mod secrets;
mod signals;
mod simulate;
pub mod store;
pub mod table;
pub mod telemetry;
mod trusted;
pub mod usage;
