//! `cargo bench -p aivonx-tests --bench fleet [-- MIX]`: seconds to the first token with the gateway's scheduler and
//! queue, in simulated time. `AIVONX_TRACE` names a trace of real traffic to replay; without one all mixes are made up.

#[path = "fleet/mod.rs"]
mod fleet;

fn main() -> std::process::ExitCode {
    fleet::main()
}
