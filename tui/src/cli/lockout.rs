//! `aivonx lockout ...`

use aivonx_protocol::lockout;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::{exit::Failure, nouns, render::text::count};

/// What can be done with lockouts.
#[derive(Debug, Subcommand)]
pub enum LockoutVerb {
    /// Names that may not log in for now, and where the failures came from
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Forget failures, so that a login is possible at once
    Clear(ClearArgs),
}

/// `lockout list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Failures that have not locked anyone (yet), too
    #[arg(long, short = 'a')]
    pub all: bool,
}

/// `lockout clear`
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// Those of this name; without it, --address or --all is needed
    #[arg(value_name = "USER")]
    pub user: Option<String>,
    /// Those from this address, as the list shows it
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Those of every name, from everywhere
    #[arg(long, conflicts_with_all = ["user", "address"])]
    pub all: bool,
}

/// What `lockout clear` prints as JSON.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cleared {
    /// Number of names and addresses that were forgotten.
    pub cleared: u32,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: LockoutVerb) -> Result<(), Failure> {
    if let LockoutVerb::Clear(ClearArgs { user: None, address: None, all: false }) = verb {
        return Err(Failure::usage("whose failures? Give USER, --address or --all")
            .with_hint("What there is: aivonx lockout list --all"));
    }
    let client = context.client().await?;
    match verb {
        LockoutVerb::List(ListArgs { all }) => {
            let lockouts = client.ask(lockout::List { all }).await?;
            context.out.show(&lockouts, |out| {
                if lockouts.is_empty() {
                    return out.line(if all {
                        "No login has failed lately."
                    } else {
                        "Nobody is locked out."
                    });
                }
                nouns::list(out, &lockouts)
            })
        }
        LockoutVerb::Clear(ClearArgs { user, address, .. }) => {
            let cleared = client.ask(lockout::Clear { user, address }).await?;
            context.out.show(&Cleared { cleared }, |out| match cleared {
                0 => out.line("There was nothing to clear. What there is: aivonx lockout list --all"),
                _ => out.line(format_args!(
                    "Forgot the failures of {} (by name and address).",
                    count(cleared.into())
                )),
            })
        }
    }
}
