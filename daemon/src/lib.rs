//! aivonxd, the gateway daemon.

mod acme;
pub mod app;
pub mod args;
mod certificates;
mod checks;
mod commands;
pub mod control;
mod database;
mod dependencies;
mod detect;
mod dev;
mod error;
mod facts;
mod gen_cert;
pub mod lifecycle;
mod manual;
mod restore;
mod sharing;
mod signals;
mod trusted;

pub use self::error::AppError;
