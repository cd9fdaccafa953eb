//! aivonxd, the gateway daemon.

use std::process::ExitCode;

use aivonx_daemon::{app, args::Args, lifecycle};
use clap::Parser;

fn main() -> ExitCode {
    match app::run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("aivonxd: {e}");
            if matches!(e, app::AppError::StoreMendable) {
                lifecycle::start_anew();
            }
            e.exit_code()
        }
    }
}
