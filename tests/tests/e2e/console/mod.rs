//! The console, at a terminal, with the real daemon: a file per theme.

mod audit;
mod demo;
mod fleet;
mod logs;
mod nodes;
mod overview;
mod requests;
mod screens;
mod terminal;
mod usage;

use aivonx_tests::harness::{Console, Daemon};

/// A console that talks with this daemon, at a terminal of this size.
fn console(daemon: &Daemon, columns: u16, rows: u16) -> Console {
    Console::start(daemon.aivonx().command(&[]), columns, rows)
}

/// Waits for its end, which has to be an orderly one that leaves the terminal as it was.
async fn ends_well(console: Console) {
    let (status, restored) = console.end().await;
    assert!(status.success() && restored, "{status:?} {restored}");
}
