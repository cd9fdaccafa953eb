//! `aivonx price ...`

use aivonx_protocol::{money::MicroUsd, price};
use clap::{Args, Subcommand};

use super::Context;
use crate::{exit::Failure, nouns, render::text::safe};

/// What can be done with prices.
#[derive(Debug, Subcommand)]
pub enum PriceVerb {
    /// The prices, in the order in which they are tried: the most specific first
    #[command(visible_alias = "ls")]
    List,
    /// Set the price of the models that match a pattern
    Set(SetArgs),
    /// Forget the price of a pattern; models that no other pattern matches cost nothing
    #[command(visible_alias = "rm")]
    Remove(Name),
}

/// A pattern.
#[derive(Debug, Args)]
pub struct Name {
    /// Models (* and ? are wildcards): llama3.3:70b, 'llama3*', '*'
    #[arg(value_name = "GLOB")]
    pub model: String,
}

/// `price set`
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    name: Name,
    /// US dollars per million tokens of the prompt, up to 6 decimals
    #[arg(value_name = "PROMPT")]
    pub prompt: MicroUsd,
    /// US dollars per million tokens of output
    #[arg(id = "output_price", value_name = "OUTPUT")]
    pub output: MicroUsd,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: PriceVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        PriceVerb::List => {
            let prices = client.ask(price::List).await?;
            context.out.show(&prices, |out| {
                if prices.is_empty() {
                    return out.line(
                        "Nothing costs anything yet. Set a price: aivonx price set GLOB PROMPT OUTPUT",
                    );
                }
                out.line("US dollars per million tokens; the first pattern that matches a model counts.")?;
                nouns::list(out, &prices)
            })
        }
        PriceVerb::Set(SetArgs { name: Name { model }, prompt, output }) => {
            let price = client.ask(price::Set { model: model.clone(), prompt, output }).await?;
            context.out.show(&price, |out| {
                out.line(format_args!(
                    "A million tokens of {} cost {} USD in prompts and {} USD in output.",
                    safe(&price.model),
                    price.prompt,
                    price.output
                ))
            })
        }
        PriceVerb::Remove(Name { model }) => {
            client.ask(price::Remove { model: model.clone() }).await?;
            context.out.show(&(), |out| out.line(format_args!("Forgot the price of {}.", safe(&model))))
        }
    }
}
