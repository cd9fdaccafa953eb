//! `aivonx node drain`: stop new requests, and if asked wait for the last one.

use std::time::Duration;

use aivonx_protocol::{
    client::Client,
    node::{self, AdminState, Node},
};
use clap::Args;
use tokio::time::{Instant, sleep};

use super::state_line;
use crate::{
    cli::Context,
    exit::Failure,
    render::{
        Out,
        text::{plural, safe, span},
    },
    time_arg::span_argument,
};

/// Time between two looks at the node. The count is asked for: it changes with every request, and a stream
/// of all changes would be no use to anyone.
const LOOK: Duration = Duration::from_millis(500);

/// `node drain`
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Name or id of the node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Wait until nothing is at work on it
    #[arg(long)]
    pub wait: bool,
    /// With --wait: give up waiting after this time (90s, 10m, 1h); it goes on draining
    #[arg(long, value_name = "TIME", value_parser = span_argument, requires = "wait")]
    pub timeout: Option<Duration>,
}

/// Carries it out.
///
/// # Errors
/// Why not; also if the time is over, or someone else enables or removes the node.
pub async fn run(context: &mut Context, args: DrainArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let node = client
        .ask(node::SetState { node: args.node.clone(), revision: None, state: AdminState::Draining })
        .await?;
    if !args.wait {
        return context.out.show(&node, |out| out.line(state_line(&node)));
    }
    let waited = tokio::select! {
        waited = wait(&client, &mut context.out, node, args.timeout) => waited,
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted; the node goes on draining")
            .with_hint("See it: aivonx node list. Undo: aivonx node enable NODE")),
    };
    let node = waited.inspect_err(|_| {
        if context.out.terminal && !context.out.is_json() {
            // Leaves the line that was redrawn.
            let _ = context.out.line("");
        }
    })?;
    context.out.show(&node, |out| out.line(state_line(&node)))
}

async fn wait(
    client: &Client,
    out: &mut Out,
    mut node: Node,
    timeout: Option<Duration>,
) -> Result<Node, Failure> {
    let began = Instant::now();
    let mut shown = None;
    loop {
        if node.admin_state != AdminState::Draining {
            return Err(Failure::failed(format!("{} was taken out of draining by someone else", node.name))
                .with_hint(format!("Look at it: aivonx node show {}", node.name)));
        }
        let running = node.active_requests;
        if !out.is_json() && (out.terminal || shown != Some(running)) {
            progress(out, &node, began.elapsed())?;
        }
        shown = Some(running);
        if running == 0 {
            if out.terminal && !out.is_json() {
                out.raw("\r\u{1b}[2K")?;
            }
            return Ok(node);
        }
        if timeout.is_some_and(|most| began.elapsed() >= most) {
            return Err(Failure::failed(format!(
                "{} still at work on {} after {}; it goes on draining",
                plural(running.into(), "request"),
                node.name,
                span(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
            ))
            .with_hint(format!(
                "Wait on: aivonx node drain {0} --wait. Undo: aivonx node enable {0}",
                node.name
            )));
        }
        sleep(LOOK).await;
        node = client.ask(node::Show { node: node.id.clone() }).await?;
    }
}

/// One line, drawn again on a terminal, else only when the count changed.
fn progress(out: &mut Out, node: &Node, waited: Duration) -> Result<(), Failure> {
    let line = format!("{}: {} at work", safe(&node.name), plural(node.active_requests.into(), "request"));
    if out.terminal {
        let waited = span(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        out.raw(format_args!("\r\u{1b}[2K{line} ({waited})"))
    } else if node.active_requests > 0 {
        out.line(line)
    } else {
        Ok(())
    }
}
