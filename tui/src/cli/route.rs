//! `aivonx route ...`

use aivonx_protocol::route;
use clap::Subcommand;

use super::Context;
use crate::{exit::Failure, nouns};

/// What can be done with routes.
#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    /// Who may ask which routes, on each listener
    #[command(visible_alias = "ls")]
    List,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: RouteVerb) -> Result<(), Failure> {
    let RouteVerb::List = verb;
    let routes = context.client().await?.ask(route::List).await?;
    context.out.show(&routes, |out| nouns::list(out, &routes))
}
