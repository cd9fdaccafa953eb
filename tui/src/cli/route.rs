//! `aivonx route ...`

use aivonx_protocol::route;
use clap::Subcommand;

use super::Context;
use crate::{exit::Failure, nouns};

/// What can be done with routes.
#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    /// Who may ask which routes, on each listener
    ///
    /// Of infer|models:read one is enough: a key with the scope infer has models:read too. A rule that is key takes each
    /// key or token that may do what the route needs.
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
