//! `aivonx model ...`

use aivonx_protocol::{
    client::Client,
    job::Job,
    model::{self, Model, ModelRemoved},
};
use clap::{Args, Subcommand};

use super::{Confirm, Context, follow, policy};
use crate::{
    exit::{Exit, Failure},
    input,
    nouns::{self, model::places},
    render::{
        Out,
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
                    nouns::list(out, &models)?;
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

fn show(out: &mut Out, model: &Model) -> Result<(), Failure> {
    nouns::show(out, model)?;
    out.line("")?;
    let places = places(model, &out.view());
    out.table(&places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn where_models_are() {
        let shown: Vec<String> =
            samples::models().iter().map(|model| places(model, &samples::VIEW).render(None, false)).collect();
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
