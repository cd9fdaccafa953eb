//! The program: nodes, and traffic on request, for as long as standard input is open.

use std::{io, sync::Arc};

use clap::Parser;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, stdin},
    runtime,
    task::JoinSet,
};

use crate::{
    Simulation,
    link::{Node, Said, Told, say},
    traffic,
};

/// Simulated nodes for `aivonxd dev --simulate`, which starts this and talks to it.
#[derive(Debug, Parser)]
#[command(name = "aivonx-sim", version, about)]
pub struct Args {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u8,
    /// Number that the made-up texts and the traffic follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Serves until standard input ends.
///
/// # Errors
/// No port, thread or random number is to be had, or standard input cannot be read.
pub fn run(args: &Args) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(args));
    // A read of standard input that is under way must not keep the process.
    runtime.shutdown_background();
    result
}

async fn serve(args: &Args) -> io::Result<()> {
    let Simulation { nodes, token } = Simulation::start(args.nodes, args.seed)?;
    let told = nodes.iter().map(|(machine, node)| Node {
        url: node.url(),
        gpu: machine.gpu,
        parallel: machine.parallel,
    });
    say(&Said::Nodes { token: &token, nodes: told.collect() });
    let nodes: Vec<_> = nodes.into_iter().map(|(_, node)| Arc::new(node)).collect();
    let mut traffic = JoinSet::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Told::Traffic(wanted) => drop(traffic.spawn(traffic::run(wanted, nodes.clone(), args.seed))),
            Told::Rest => traffic.abort_all(),
        }
    }
    Ok(())
}
