//! aivonxd, the gateway daemon.

use std::process::ExitCode;

use aivonx_daemon::{app, args::Args};
use clap::Parser;

fn main() -> ExitCode {
    match app::run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("aivonxd: {e}");
            e.exit_code()
        }
    }
}
