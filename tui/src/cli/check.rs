//! `aivonx check`

mod probe;

use std::path::PathBuf;

use aivonx_protocol::{
    check,
    secrets::{Check, CheckOutcome},
};
use clap::Args;

use super::Context;
use crate::{
    exit::{Exit, Failure},
    nouns::check::line,
};

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Look at the gateway at this URL from outside instead: TLS, redirect and fields for browsers; needs no daemon here
    #[arg(long, value_name = "URL")]
    pub probe: Option<String>,
    /// Make two organizations, try whether anyone of the one reaches what is the other's, and remove them again
    #[arg(long, conflicts_with = "probe")]
    pub isolation: bool,
    /// An authority, in a PEM file, that signed its certificate, beside those of the system
    #[arg(long, value_name = "FILE", requires = "probe")]
    pub ca: Option<PathBuf>,
}

/// Carries it out.
///
/// # Errors
/// Why not; silently if something fails the checks.
pub async fn run(context: &mut Context, args: CheckArgs) -> Result<(), Failure> {
    let checks = match args.probe {
        Some(url) => probe::run(&url, args.ca.as_deref()).await?,
        None if args.isolation => context.client().await?.ask(check::Isolation).await?,
        None => context.client().await?.ask(check::Run).await?,
    };
    show(context, &checks)
}

/// Prints checks, a line each.
///
/// # Errors
/// Silently if one of them failed; or if the output cannot be written.
pub(super) fn show(context: &mut Context, checks: &[Check]) -> Result<(), Failure> {
    context.out.show(&checks, |out| {
        let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        checks.iter().try_for_each(|check| {
            let line = line(out, check, width);
            out.line(line)
        })
    })?;
    let failed = checks.iter().any(|check| check.outcome == CheckOutcome::Fail);
    if failed { Err(Failure::Silent(Exit::Failed)) } else { Ok(()) }
}
