//! `aivonx block ...`

use std::time::Duration;

use aivonx_protocol::block;
use clap::{Args, Subcommand};

use super::Context;
use crate::{exit::Failure, nouns, render::text::safe, time_arg};

/// What can be done with blocks.
#[derive(Debug, Subcommand)]
pub enum BlockVerb {
    /// Who may not use the gateway now
    #[command(visible_alias = "ls")]
    List,
    /// Block an address, a network, a user or a key; what runs for it ends
    ///
    /// A user who is blocked cannot administer either: what is logged in on the control socket is shut off until the block
    /// ends. Root and the user that the daemon runs as need no login, and are not.
    Add(AddArgs),
    /// Unblock
    #[command(visible_alias = "rm")]
    Remove(Target),
}

/// Who is meant.
#[derive(Debug, Args)]
pub struct Target {
    /// Address or network (192.0.2.7, 2001:db8::/32), or name of a user or key; user:NAME and key:NAME say
    /// which, and ORG/NAME of which organization a key is
    #[arg(value_name = "ADDR|CIDR|USER|KEY")]
    pub target: String,
}

/// `block add`
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    target: Target,
    /// Unblock after this time; without it the block stays until it is removed
    #[arg(long = "for", value_name = "SPAN", value_parser = time_arg::span_argument)]
    pub lasts: Option<Duration>,
    /// Why, for the list and the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: BlockVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        BlockVerb::List => {
            let blocks = client.ask(block::List).await?;
            context.out.show(&blocks, |out| {
                if blocks.is_empty() {
                    return out.line("Nobody is blocked.");
                }
                nouns::list(out, &blocks)
            })
        }
        BlockVerb::Add(AddArgs { target: Target { target }, lasts, reason }) => {
            let lasts_ms = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
            let block = client.ask(block::Add { target, lasts_ms, reason }).await?;
            context.out.show(&block, |out| {
                out.line(format_args!(
                    "Blocked {} {}. To undo: aivonx block remove {}",
                    block.of.as_str(),
                    safe(&block.target),
                    safe(&block.target)
                ))
            })
        }
        BlockVerb::Remove(Target { target }) => {
            client.ask(block::Remove { target: target.clone() }).await?;
            context.out.show(&(), |out| out.line(format_args!("Unblocked {}.", safe(&target))))
        }
    }
}
