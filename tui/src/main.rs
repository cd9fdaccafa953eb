//! `aivonx`: the gateway's terminal program. The library does the work.

fn main() -> std::process::ExitCode {
    aivonx_tui::main()
}
