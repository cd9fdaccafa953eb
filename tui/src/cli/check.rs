//! `aivonx check`

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
pub struct CheckArgs {}

/// Carries it out.
///
/// # Errors
/// Why not; silently if something fails the checks.
pub async fn run(context: &mut Context, _: CheckArgs) -> Result<(), Failure> {
    let checks = context.client().await?.ask(check::Run).await?;
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
