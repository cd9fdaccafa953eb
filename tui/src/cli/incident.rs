//! `aivonx incident ...`

use std::time::Duration;

use aivonx_protocol::incident::{self, Contained};
use clap::{Args, Subcommand};

use super::{Confirm, Context};
use crate::{
    exit::Failure,
    input,
    render::{
        Out,
        text::{plural, safe},
    },
    time_arg,
};

/// What can be done about an attack.
#[derive(Debug, Subcommand)]
pub enum IncidentVerb {
    /// Shut off keys, users, organizations or addresses, all of it in one step, and say how to undo it
    ///
    /// Keys are disabled, and what runs under them ends. Users are disabled, their sessions end, and their passwords must
    /// be changed; of organizations, those of all their users. Addresses are blocked, and the sessions begun there end.
    Contain(ContainArgs),
}

/// `incident contain`
#[derive(Debug, Args)]
pub struct ContainArgs {
    /// A key by its name, id or the beginning of its secret, or ORG/NAME; repeatable
    #[arg(long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// A user; repeatable
    #[arg(long = "user", value_name = "USER")]
    pub users: Vec<String>,
    /// An organization; repeatable
    #[arg(long = "org", value_name = "ORG")]
    pub organizations: Vec<String>,
    /// An address or network; repeatable
    #[arg(long = "address", value_name = "ADDR|CIDR", required_unless_present_any = ["keys", "users", "organizations"])]
    pub addresses: Vec<String>,
    /// Revoke the keys for good instead of disabling them, those of users and organizations too
    #[arg(long)]
    pub revoke: bool,
    /// Unblock addresses after this time; without it they stay blocked
    #[arg(long = "for", value_name = "SPAN", value_parser = time_arg::span_argument)]
    pub lasts: Option<Duration>,
    /// Why, for the list of blocks and the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: IncidentVerb) -> Result<(), Failure> {
    match verb {
        IncidentVerb::Contain(args) => contain(context, args).await,
    }
}

async fn contain(context: &mut Context, args: ContainArgs) -> Result<(), Failure> {
    let ContainArgs { keys, users, organizations, addresses, revoke, lasts, reason, confirm } = args;
    // What can be undone must not wait for an answer.
    if revoke {
        input::confirm(confirm.yes, "Revoke the keys for good? This cannot be undone.")?;
    }
    let lasts_ms = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let asked = incident::Contain { keys, users, organizations, addresses, revoke, lasts_ms, reason };
    let contained = context.client().await?.ask(asked).await?;
    context.out.show(&contained, |out| contained.iter().try_for_each(|one| tell(out, one)))
}

fn tell(out: &mut Out, one: &Contained) -> Result<(), Failure> {
    let mut also = vec!["what runs for it ends".to_owned()];
    for (count, what) in [(one.sessions, "session"), (one.revoked, "key")] {
        if count > 0 {
            let how = if what == "key" { "revoked" } else { "ended" };
            also.push(format!("{} {how}", plural(u64::from(count), what)));
        }
    }
    if one.must_change > 0 {
        also.push(format!("{} must be changed", plural(u64::from(one.must_change), "password")));
    }
    out.line(format_args!("Contained the {} {}: {}.", one.kind.as_str(), safe(&one.name), also.join(", ")))?;
    match &one.undo {
        Some(undo) => out.line(format_args!("  To undo: {}", safe(undo))),
        None => out.line("  This cannot be undone; make another key: aivonx key create NAME"),
    }
}
