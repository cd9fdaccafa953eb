//! `aivonx demo`: the console on a gateway of its own, with nodes that are simulated.

use std::{env, io, io::IsTerminal as _};

use clap::Args;

use super::Console;
use crate::{
    demo::{Demo, Wanted},
    exit::Failure,
    runtime,
    state::Settings,
    theme::Theme,
};

/// Arguments of `aivonx demo`.
#[derive(Debug, Clone, Copy, Args)]
pub struct DemoArgs {
    /// Simulated nodes, 1 to 16
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: u8,
    /// No made-up clients: the nodes wait for yours
    #[arg(long)]
    pub no_traffic: bool,
    /// Look only: the console changes nothing
    #[arg(long)]
    pub read_only: bool,
    /// Draw with ASCII alone
    #[arg(long)]
    pub ascii: bool,
}

/// Starts a gateway, opens the console on it, and leaves nothing behind.
///
/// # Errors
/// There is no terminal, no `aivonxd`, or it does not start or dies.
pub async fn run(args: DemoArgs, console: Console, no_color: bool) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage("the demo is a console and needs a terminal")
            .with_hint("Without one: aivonxd dev --simulate 3 --traffic light --dir \"$(mktemp -d)\""));
    }
    let mut demo = Demo::start(Wanted { nodes: args.nodes, traffic: !args.no_traffic }).await?;
    let ascii = args.ascii || console.ascii;
    let settings = Settings {
        read_only: args.read_only || console.read_only,
        theme: Theme::detect(no_color, ascii, |name| env::var(name).ok()),
        // Nobody has logged in: there is nothing to lock.
        lock_after_ms: None,
        demo: Some(demo.address()),
    };
    let socket = demo.socket();
    let ended = tokio::select! {
        ended = runtime::run(Some(socket), settings) => ended,
        why = demo.died() => Err(why),
    };
    demo.end().await;
    ended
}
