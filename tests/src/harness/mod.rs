//! Real processes, and clients that see every byte.

mod aivonx;
mod client;
mod console;
mod daemon;
mod http2;
mod log;
mod socket;
mod tenant;
pub mod tls;

pub use aivonx::{Aivonx, Ran};
pub use client::{Answer, Client, Request};
pub use console::Console;
pub use daemon::{ADMIN, ADMIN_PASSWORD, Builder, Daemon};
pub use http2::{H2Answer, H2Client};
pub use log::Log;
pub use socket::Socket;
pub use tenant::{new_key, new_user};
pub use tls::TlsClient;

use std::path::PathBuf;

/// A binary of the workspace, built beside the running test.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().expect("a running program has a path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built; run the tests with `cargo test --workspace`, or first `cargo build --workspace`",
        path.display()
    );
    path
}
