//! The `aivonx` program: administers a gateway over its control socket.

pub mod audit_copy;
mod audit_verify;
mod background;
pub mod cli;
mod command;
pub mod complete;
pub mod connect;
mod demo;
pub mod exit;
mod filter;
pub mod forward;
mod gateway_url;
pub mod incident_report;
pub mod input;
pub mod journal;
mod keymap;
pub mod manual;
mod msg;
mod net;
mod nouns;
pub mod prompt;
pub mod render;
mod runtime;
#[cfg(test)]
mod samples;
pub mod secret_file;
pub mod session;
mod state;
mod terminal;
mod theme;
pub mod time_arg;
mod update;
mod view;
mod widgets;

use std::{io, process::ExitCode};

use clap::Parser as _;

use crate::{
    cli::Cli,
    exit::{Exit, Failure},
    render::out::note,
};

/// Runs the program with the process's own arguments and answers its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody to read it is no failure.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.code().into();
        }
    };
    let failure = match runtime().and_then(|runtime| runtime.block_on(cli::run(cli))) {
        Ok(()) => return Exit::Done.code().into(),
        Err(failure) => with_option(failure),
    };
    if !failure.is_silent() {
        note(format_args!("aivonx: {failure}"));
    }
    failure.exit().code().into()
}

/// One thread: what waits for the daemon waits for nothing else, and a terminal that is held back holds
/// back the daemon's stream in turn.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error: io::Error| {
        Failure::failed(format!("cannot start: {error}")).with_hint("Is the system short of memory or files?")
    })
}

/// Names the option behind a fault's field as this command line spells it.
fn with_option(failure: Failure) -> Failure {
    match failure {
        Failure::Fault { fault, option: None } => {
            let words: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            let option = fault.field.as_deref().map(|field| cli::option_name(&words, field));
            Failure::Fault { fault, option }
        }
        other => other,
    }
}
