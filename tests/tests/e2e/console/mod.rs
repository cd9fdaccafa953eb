//! The console, at a terminal, with the real daemon: a file per theme.

mod audit;
mod demo;
mod first_run;
mod fleet;
mod logs;
mod nodes;
mod overview;
mod people;
mod requests;
mod screens;
mod security;
mod session;
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

/// A console of somebody who keeps sessions under `home`, and has none yet.
fn console_at(daemon: &Daemon, home: &std::path::Path, arguments: &[&str]) -> Console {
    Console::start(daemon.aivonx().home(home).command(arguments), 80, 24)
}

/// The words on the screen that pass.
fn words(console: &Console, passes: impl Fn(&str) -> bool) -> Vec<String> {
    let shown = console.shown();
    shown.split([' ', '\n', '│']).filter(|word| passes(word)).map(str::to_owned).collect()
}

/// The secret of a second factor, as it stands beside its picture for those who type it.
fn typed_secret(console: &Console) -> String {
    let four = |word: &str| {
        word.len() == 4 && word.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
    };
    let secret = words(console, four).concat();
    assert_eq!(secret.len(), 32, "{}", console.shown());
    secret
}
