//! `aivonx model place ...`

use aivonx_protocol::model;
use clap::Args;

use super::Context;
use crate::{exit::Failure, nouns, render::text::safe};

/// `model place`
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Name of the model; without a tag :latest is meant; with --remove also the id that JSON of --list has
    #[arg(value_name = "MODEL", required_unless_present = "list")]
    pub model: Option<String>,
    /// On how many nodes
    #[arg(long, value_name = "N", required_unless_present_any = ["list", "remove"])]
    pub copies: Option<u32>,
    /// Only on this node, or on nodes with this label (zone=b) [default: any shared node]
    #[arg(long, value_name = "NODE|LABEL=VALUE", requires = "copies")]
    pub on: Option<String>,
    /// Have nodes keep it without an end, and requests for other models leave it there
    #[arg(long, requires = "copies")]
    pub pin: bool,
    /// Pull it to nodes that do not have it
    #[arg(long, requires = "copies")]
    pub pull: bool,
    /// The models that are kept loaded
    #[arg(long, conflicts_with_all = ["model", "copies", "remove"])]
    pub list: bool,
    /// Keep it loaded no longer
    #[arg(long, conflicts_with = "copies")]
    pub remove: bool,
}

/// Carries it out.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, args: PlaceArgs) -> Result<(), Failure> {
    let PlaceArgs { model, copies, on, pin, pull, remove, .. } = args;
    let client = context.client().await?;
    match (model, copies) {
        (Some(model), _) if remove => {
            client.ask(model::Unplace { model: model.clone() }).await?;
            context.out.show(&(), |out| out.line(format_args!("{} is kept loaded no longer.", safe(&model))))
        }
        (Some(model), Some(copies)) => {
            let placement = client.ask(model::Place { model, copies, on, pin, pull }).await?;
            context.out.show(&placement, |out| nouns::list(out, [&placement]))
        }
        _ => {
            let all = client.ask(model::Placements).await?;
            context.out.show(&all, |out| match &*all {
                [] => out.line("No model is kept loaded. Keep one: aivonx model place MODEL --copies N"),
                all => nouns::list(out, all),
            })
        }
    }
}
