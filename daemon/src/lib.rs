//! aivonxd, the gateway daemon.

pub mod app;
pub mod args;
mod commands;
pub mod control;
mod dev;
mod error;
mod facts;
pub mod lifecycle;
mod manual;
mod restore;
mod signals;
mod trusted;

pub use self::error::AppError;
