//! What the gateway answers itself: the account API, a caller's own usage, models of the fleet, their management, and
//! the state of the gateway.

pub mod account;
pub(crate) mod blob;
pub(crate) mod change;
pub(crate) mod count_tokens;
pub(crate) mod local;
pub(crate) mod manage;
pub mod own_usage;
pub(crate) mod response;
pub mod routes;
pub(crate) mod show;
pub(crate) mod unload;
pub(crate) mod wish;
