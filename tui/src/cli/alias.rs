//! `aivonx model alias ...`

use aivonx_protocol::policy::{self, Weighted};
use clap::{Args, Subcommand};

use super::{Context, policy::PolicyOwner};
use crate::{exit::Failure, nouns, render::text::safe};

/// What can be done with aliases.
#[derive(Debug, Subcommand)]
pub enum AliasVerb {
    /// Other names for models, and what is served for them
    #[command(visible_alias = "ls")]
    List(PolicyOwner),
    /// What is served for a name, and what came of it since the daemon started
    Show(AliasName),
    /// Serve models under another name
    Set(AliasArgs),
    /// Forget another name
    #[command(visible_alias = "rm")]
    Remove(AliasName),
}

/// `model alias set`
#[derive(Debug, Args)]
pub struct AliasArgs {
    /// The name that clients ask for
    #[arg(value_name = "ALIAS")]
    pub alias: String,
    /// What is served: the first that a node can serve. With weights (a=90 b=10) each key is served one of them, as many
    /// keys as its weight says
    #[arg(value_name = "MODEL[=WEIGHT]", required = true)]
    pub models: Vec<String>,
    #[command(flatten)]
    whose: PolicyOwner,
    /// Only if the record still has this revision (see --output json)
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

/// `model alias show` and `model alias remove`
#[derive(Debug, Args)]
pub struct AliasName {
    /// The name that clients ask for
    #[arg(value_name = "ALIAS")]
    pub alias: String,
    #[command(flatten)]
    whose: PolicyOwner,
}

/// Carries out a verb about aliases.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: AliasVerb) -> Result<(), Failure> {
    match verb {
        AliasVerb::List(PolicyOwner { organization }) => {
            let aliases = context.client().await?.ask(policy::Aliases { organization }).await?;
            context.out.show(&aliases, |out| {
                if aliases.is_empty() {
                    return out.line(
                        "There are no aliases. Add one: aivonx model alias set ALIAS MODEL [MODEL ...]",
                    );
                }
                nouns::list(out, &aliases)
            })
        }
        AliasVerb::Set(AliasArgs { alias, models, whose, revision }) => {
            let (organization, weighted) = (whose.organization, weighted(&models)?);
            let client = context.client().await?;
            let alias = match weighted {
                Some(models) => {
                    client.ask(policy::SetWeighted { organization, alias, models, revision }).await?
                }
                None => client.ask(policy::SetAlias { organization, alias, models, revision }).await?,
            };
            context.out.show(&alias, |out| nouns::list(out, [&alias]))
        }
        AliasVerb::Show(AliasName { alias, whose }) => {
            let client = context.client().await?;
            let shares = client.ask(policy::Shares { organization: whose.organization, alias }).await?;
            context.out.show(&shares, |out| {
                out.table(&nouns::alias::shares(&shares))?;
                out.line("")?;
                out.table(&nouns::alias::served(&shares))
            })
        }
        AliasVerb::Remove(AliasName { alias, whose }) => {
            context
                .client()
                .await?
                .ask(policy::RemoveAlias { organization: whose.organization, alias: alias.clone() })
                .await?;
            context.out.show(&(), |out| out.line(format_args!("Forgot the alias {}.", safe(&alias))))
        }
    }
}

/// The models with their weights; None if they have none.
fn weighted(models: &[String]) -> Result<Option<Vec<Weighted>>, Failure> {
    let read = |text: &String| {
        let (model, weight) = text.rsplit_once('=')?;
        weight.parse().ok().map(|weight| Weighted { model: model.to_owned(), weight })
    };
    let weighted: Vec<Weighted> = models.iter().filter_map(read).collect();
    match weighted.len() {
        0 if models.iter().all(|model| !model.contains('=')) => Ok(None),
        all if all == models.len() => Ok(Some(weighted)),
        _ => Err(Failure::usage("every model needs a weight, or none")
            .with_hint("Write MODEL=WEIGHT, for example: aivonx model alias set chat a=90 b=10")),
    }
}
