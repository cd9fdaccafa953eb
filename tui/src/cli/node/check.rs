//! `aivonx node check`

use aivonx_protocol::node::{self, AdminState, Probe};
use clap::Args;

use crate::{
    cli::Context,
    exit::{Exit, Failure},
    render::{out::note, text::safe},
};

/// `node check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Names or ids [default: all nodes that are not disabled]
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
}

/// Checks the nodes, or all that are not disabled.
///
/// # Errors
/// One of them is not healthy, or cannot be checked.
pub(super) async fn run(context: &mut Context, args: CheckArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let nodes = if args.nodes.is_empty() {
        let all = client.ask(node::List).await?;
        all.into_iter()
            .filter(|node| node.admin_state != AdminState::Disabled)
            .map(|node| node.name)
            .collect()
    } else {
        args.nodes
    };
    // All at once: a dead node takes its whole timeout.
    let mut running = tokio::task::JoinSet::new();
    for (place, node) in nodes.iter().cloned().enumerate() {
        let client = client.clone();
        running.spawn(async move { (place, client.ask(node::Check { node: node.clone() }).await) });
    }
    let mut probes: Vec<(usize, Probe)> = Vec::new();
    let mut failures = Vec::new();
    while let Some(done) = running.join_next().await {
        match done {
            Ok((place, Ok(probe))) => probes.push((place, probe)),
            Ok((_, Err(error))) => failures.push(Failure::from(error)),
            Err(_) => {}
        }
    }
    probes.sort_by_key(|(place, _)| *place);
    let probes: Vec<Probe> = probes.into_iter().map(|(_, probe)| probe).collect();
    context.out.show(&probes, |out| match &*probes {
        [] if nodes.is_empty() => out.line("There is no node to check. Add one: aivonx node add NAME URL"),
        [] => Ok(()),
        probes => {
            for probe in probes {
                let word = if probe.healthy { "ok" } else { "FAILED" };
                out.line(format_args!("{}: {word}: {}", safe(&probe.node.name), safe(&probe.finding)))?;
            }
            Ok(())
        }
    })?;
    let last = failures.pop();
    for failure in failures {
        note(format_args!("aivonx: {failure}"));
    }
    match last {
        Some(failure) => Err(failure),
        None if probes.iter().any(|probe| !probe.healthy) => Err(Failure::Silent(Exit::Failed)),
        None => Ok(()),
    }
}
