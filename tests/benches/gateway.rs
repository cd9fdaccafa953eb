//! `cargo bench -p aivonx-tests --bench gateway`: what the gateway costs, beside nginx and haproxy.
//!
//! One run builds `aivonxd` in release, starts it and the other proxies in front of one fake node, and
//! prints the figures, their spread over interleaved rounds, and the ratios to nginx with the targets.
//! `-- --help` lists the options.

#[path = "gateway/mod.rs"]
mod gateway;

fn main() -> std::process::ExitCode {
    gateway::main()
}
