//! aivonx-sim, the nodes of `aivonxd dev --simulate`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match aivonx_sim::run(&aivonx_sim::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aivonx-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
