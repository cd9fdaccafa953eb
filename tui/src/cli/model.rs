//! `aivonx model ...`

use aivonx_protocol::{
    client::Client,
    job::Job,
    model::{self, Model, ModelOnNode, ModelRemoved},
};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::{Confirm, Context, follow, policy};
use crate::{
    exit::{Exit, Failure},
    input,
    render::{
        Cell, Column, Out, Table, Tone,
        out::note,
        text::{self, Lines, safe},
    },
};

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub enum ModelVerb {
    /// All models of the fleet
    #[command(visible_alias = "ls")]
    List,
    /// One model and where it is
    Show(Name),
    /// Have nodes download a model
    Pull(PullArgs),
    /// Load a model into the memory of the nodes that have it
    Load(LoadArgs),
    /// Take a model out of the nodes' memory
    Unload(UnloadArgs),
    /// Delete a model from its nodes' disks
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// What requests for models are given or bound to
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Other names for models, and what is served for them
    #[command(subcommand, visible_alias = "aliases")]
    Alias(policy::AliasVerb),
}

/// A model.
#[derive(Debug, Args)]
pub struct Name {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
}

/// `model pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// To this node; repeatable [default: all active nodes]
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Allow a registry without TLS
    #[arg(long)]
    pub insecure: bool,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// `model load`
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Only on this node [default: every active node that has it]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// How long it stays without a request: 30m, 1h30m, seconds, or -1 for ever [default: the node's own habit]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub keep_alive: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// `model unload`
#[derive(Debug, Args)]
pub struct UnloadArgs {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Only on this node [default: every node that holds it]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// `model remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Only from this node [default: from every node that has it]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: ModelVerb) -> Result<(), Failure> {
    match verb {
        ModelVerb::List => {
            let models = context.client().await?.ask(model::List).await?;
            context.out.show(&models, |out| {
                if models.is_empty() {
                    out.line("No active node has a model. Pull one: aivonx model pull MODEL")
                } else {
                    out.table(&overview(&models))?;
                    let loaded = models.iter().flat_map(|model| &model.nodes).any(|place| place.loaded);
                    if loaded { out.line("* in memory there") } else { Ok(()) }
                }
            })
        }
        ModelVerb::Show(Name { model }) => {
            let model = context.client().await?.ask(model::Show { model: model.clone() }).await?;
            context.out.show(&model, |out| show(out, &model))
        }
        ModelVerb::Pull(args) => pull(context, args).await,
        ModelVerb::Load(args) => {
            let client = context.client().await?;
            let job = client
                .ask(model::Load { model: args.model.clone(), node: args.node, keep_alive: args.keep_alive })
                .await?;
            see_to(context, &client, job, args.detach, "Loading").await
        }
        ModelVerb::Unload(args) => {
            let client = context.client().await?;
            let job = client.ask(model::Unload { model: args.model.clone(), node: args.node }).await?;
            see_to(context, &client, job, args.detach, "Unloading").await
        }
        ModelVerb::Remove(args) => remove(context, args).await,
        ModelVerb::Policy(verb) => policy::run(context, verb).await,
        ModelVerb::Alias(verb) => policy::run_alias(context, verb).await,
    }
}

async fn pull(context: &mut Context, args: PullArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let job = client
        .ask(model::Pull { model: args.model.clone(), nodes: args.nodes, insecure: args.insecure })
        .await?;
    see_to(context, &client, job, args.detach, "Pulling").await
}

/// Follows a job to its end, unless it is left to itself.
async fn see_to(
    context: &mut Context,
    client: &Client,
    job: Job,
    detach: bool,
    doing: &str,
) -> Result<(), Failure> {
    if detach {
        return context.out.show(&job, |out| {
            out.line(format_args!("{doing} {} as job {}.", safe(&job.subject), safe(&job.id)))?;
            out.line(follow::ways(&job.id))
        });
    }
    let end = follow::follow(client, &mut context.out, job, follow::Steps::ForPeople).await?;
    if context.out.is_json() {
        context.out.json(&end)?;
    }
    follow::verdict(&end)
}

async fn remove(context: &mut Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let places = match &args.node {
        Some(node) => format!("node {node}"),
        None if args.confirm.yes => String::new(),
        None => {
            let model = client.ask(model::Show { model: args.model.clone() }).await?;
            let nodes: Vec<String> = model.nodes.into_iter().map(|place| place.node).collect();
            format!("{} ({})", text::plural(nodes.len() as u64, "node"), nodes.join(", "))
        }
    };
    input::confirm(args.confirm.yes, &format!("Delete model {} from {places}?", args.model))?;
    let result = client.ask(model::Remove { model: args.model.clone(), node: args.node }).await?;
    context.out.show(&result, |out| {
        if !result.removed.is_empty() {
            out.line(format_args!(
                "Removed {} from {}.",
                safe(&args.model),
                safe(&result.removed.join(", "))
            ))?;
        }
        Ok(())
    })?;
    removal_verdict(&args.model, &result)
}

/// A removal that some node refused is a failure, with every reason said.
fn removal_verdict(model: &str, result: &ModelRemoved) -> Result<(), Failure> {
    if result.failed.is_empty() {
        return Ok(());
    }
    for (node, why) in &result.failed {
        note(format_args!("aivonx: {} did not remove {}: {}", safe(node), safe(model), Lines(why)));
    }
    Err(Failure::Silent(Exit::Failed))
}

/// `model list` as a table.
#[must_use]
pub fn overview(models: &[Model]) -> Table {
    let mut table = Table::new([
        Column::text("NAME").cut(36),
        Column::number("SIZE"),
        Column::text("PARAMS").cut(8).optional(1),
        Column::text("QUANT").cut(8).optional(2),
        Column::text("FAMILY").cut(8).optional(3),
        Column::text("NODES").cut(14),
    ]);
    for model in models {
        let place = |place: &ModelOnNode| format!("{}{}", place.node, if place.loaded { "*" } else { "" });
        let nodes: Vec<String> = model.nodes.iter().map(place).collect();
        let name = if model.cloud { format!("{} (cloud)", model.name) } else { model.name.clone() };
        table.row([
            name.into(),
            Cell::optional(model.size.map(text::bytes)),
            Cell::optional(model.parameters.as_deref()),
            Cell::optional(model.quantization.as_deref()),
            Cell::optional(model.family.as_deref()),
            nodes.join(", ").into(),
        ]);
    }
    table
}

fn show(out: &mut Out, model: &Model) -> Result<(), Failure> {
    let table = details(model, &out.zone);
    out.table(&table)?;
    out.line("")?;
    let places = places(model, text::now());
    out.table(&places)
}

fn details(model: &Model, zone: &TimeZone) -> Table {
    let mut table = Table::pairs();
    table.pair("name", &model.name);
    if model.cloud {
        table.pair("cloud", Cell::new("yes: the node hands prompts on to a third party").tone(Tone::Warn));
    }
    table.pair("size", Cell::optional(model.size.map(text::bytes)));
    table.pair("parameters", Cell::optional(model.parameters.as_deref()));
    table.pair("quantization", Cell::optional(model.quantization.as_deref()));
    table.pair("family", Cell::optional(model.family.as_deref()));
    let modified = model.modified_at.as_deref().map(|at| text::stamp(at, zone));
    table.pair("modified", Cell::optional(modified));
    table.pair("digest", Cell::optional(model.digest.as_deref()));
    table
}

fn places(model: &Model, now: u64) -> Table {
    let mut table = Table::new([
        Column::text("NODE"),
        Column::text("LOADED"),
        Column::number("GPU MEMORY"),
        Column::number("CONTEXT"),
        Column::text("UNLOADS IN"),
    ]);
    for place in &model.nodes {
        table.row([
            (&place.node).into(),
            if place.loaded { Cell::new("yes").tone(Tone::Good) } else { "no".into() },
            Cell::optional(place.size_vram.map(text::bytes)),
            Cell::optional(place.context_length.map(text::count)),
            Cell::optional(place.expires_at.map(|at| unloads(at, now))),
        ]);
    }
    table
}

/// When a node unloads a model. A model kept for ever has a date far away.
fn unloads(at: u64, now: u64) -> String {
    const YEAR: u64 = 365 * 86_400_000;
    match at.saturating_sub(now) {
        left if left > YEAR => "never".to_owned(),
        left => text::span(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn the_catalogue() {
        let table = overview(&samples::models());
        insta::assert_snapshot!(table.render(Some(80), false));
        insta::assert_snapshot!(table.render(None, false));
    }

    #[test]
    fn one_model() {
        let shown: Vec<String> = samples::models()
            .iter()
            .map(|model| {
                format!(
                    "{}\n\n{}",
                    details(model, &TimeZone::UTC).render(None, false),
                    places(model, samples::NOW).render(None, false)
                )
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn a_refused_removal_is_a_failure() {
        let mut result = ModelRemoved { removed: vec!["a".into()], failed: Vec::new() };
        assert!(removal_verdict("m", &result).is_ok());
        result.failed.push(("b".into(), "disk is read-only".into()));
        assert_eq!(removal_verdict("m", &result).unwrap_err().exit(), Exit::Failed);
    }
}
