//! `aivonx model ...`

use aivonx_protocol::{
    client::Client,
    job::Job,
    model::{self, Drift, Model, ModelRemoved, Weights},
};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Confirm, Context, alias, follow, place, policy};
use crate::{
    exit::{Exit, Failure},
    input,
    nouns::{
        self,
        model::{drift, places},
    },
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
    /// Copy a model under another name on the nodes that have it
    #[command(visible_alias = "cp")]
    Copy(CopyArgs),
    /// Make a model out of another one
    Create(CreateArgs),
    /// Send a model to its registry
    Push(PushArgs),
    /// Keep a model loaded on so many nodes
    Place(place::PlaceArgs),
    /// Delete a model from its nodes' disks
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// What requests for models are given or bound to
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Other names for models, and what is served for them
    #[command(subcommand, visible_alias = "aliases")]
    Alias(alias::AliasVerb),
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

/// `model copy`
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Name of the model; without a tag :latest is meant
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The other name
    #[arg(value_name = "NAME")]
    pub destination: String,
    /// Only on this node [default: every node that has it]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// `model create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the new model
    #[arg(value_name = "NAME")]
    pub model: String,
    /// The model that it is made from
    #[arg(long, value_name = "MODEL")]
    pub from: String,
    /// Its system prompt
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Its template
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// A parameter, such as num_ctx=8192; repeatable
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, Value)>,
    /// Quantize it, such as q4_K_M
    #[arg(long, value_name = "LEVEL")]
    pub quantize: Option<String>,
    /// On this node; repeatable [default: every active node that has the other model]
    #[arg(long = "node", value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// `model push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name of the model, with its namespace
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// From this node [default: one that has it]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Allow a registry without TLS
    #[arg(long)]
    pub insecure: bool,
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

/// A model, and what its nodes have under its name where that differs.
#[derive(Debug, Serialize)]
pub struct Described<'a> {
    #[serde(flatten)]
    model: &'a Model,
    drift: Option<&'a [Weights]>,
}

impl<'a> Described<'a> {
    /// Together.
    #[must_use]
    pub fn new(model: &'a Model, drifts: &'a [Drift]) -> Self {
        Self { model, drift: drift(drifts, &model.name).map(|drift| &*drift.nodes) }
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: ModelVerb) -> Result<(), Failure> {
    match verb {
        ModelVerb::List => {
            let client = context.client().await?;
            let models = client.ask(model::List).await?;
            let placements = client.ask(model::Placements).await?;
            let drifts = client.ask(model::Drifts).await?;
            let described: Vec<_> = models.iter().map(|model| Described::new(model, &drifts)).collect();
            context.out.show(&described, |out| {
                if models.is_empty() {
                    out.line("No active node has a model. Pull one: aivonx model pull MODEL")
                } else {
                    nouns::list(out, &marked(&models, &drifts))?;
                    let loaded = models.iter().flat_map(|model| &model.nodes).any(|place| place.loaded);
                    if loaded {
                        out.line("* in memory there")?;
                    }
                    for drift in &drifts {
                        drifted(out, drift)?;
                    }
                    if placements.is_empty() {
                        return Ok(());
                    }
                    out.line("")?;
                    nouns::list(out, &placements)
                }
            })
        }
        ModelVerb::Show(Name { model }) => {
            let client = context.client().await?;
            let model = client.ask(model::Show { model: model.clone() }).await?;
            let placements = client.ask(model::Placements).await?;
            let drifts = client.ask(model::Drifts).await?;
            context.out.show(&Described::new(&model, &drifts), |out| {
                let drift = drift(&drifts, &model.name);
                show(out, &model, drift)?;
                drift.map_or(Ok(()), |drift| drifted(out, drift))?;
                nouns::placement::said(&placements, &model.name).map_or(Ok(()), |said| out.line(said))
            })
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
        ModelVerb::Copy(CopyArgs { model, destination, node, detach }) => {
            let client = context.client().await?;
            let job = client.ask(model::Copy { model, destination, node }).await?;
            see_to(context, &client, job, detach, "Copying").await
        }
        ModelVerb::Create(args) => create(context, args).await,
        ModelVerb::Push(PushArgs { model, node, insecure, detach }) => {
            let client = context.client().await?;
            let job = client.ask(model::Push { model, node, insecure }).await?;
            see_to(context, &client, job, detach, "Pushing").await
        }
        ModelVerb::Place(args) => place::run(context, args).await,
        ModelVerb::Remove(args) => remove(context, args).await,
        ModelVerb::Policy(verb) => policy::run(context, verb).await,
        ModelVerb::Alias(verb) => alias::run(context, verb).await,
    }
}

async fn pull(context: &mut Context, args: PullArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    let job = client
        .ask(model::Pull { model: args.model.clone(), nodes: args.nodes, insecure: args.insecure })
        .await?;
    see_to(context, &client, job, args.detach, "Pulling").await
}

async fn create(context: &mut Context, args: CreateArgs) -> Result<(), Failure> {
    let texts = [("system", args.system), ("template", args.template), ("quantize", args.quantize)];
    let definition = definition(args.from, texts, args.parameters);
    let client = context.client().await?;
    let job = client.ask(model::Create { model: args.model, definition, nodes: args.nodes }).await?;
    see_to(context, &client, job, args.detach, "Creating").await
}

/// What a model is to be, as the body of Ollama's `/api/create`.
pub(crate) fn definition(
    from: String,
    texts: impl IntoIterator<Item = (&'static str, Option<String>)>,
    parameters: Vec<(String, Value)>,
) -> String {
    let mut definition = Map::from_iter([("from".to_owned(), from.into())]);
    definition.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.into()))));
    if !parameters.is_empty() {
        definition.insert("parameters".into(), Map::from_iter(parameters).into());
    }
    Value::from(definition).to_string()
}

/// A parameter and its value: a number, true, false, or else a text.
pub(crate) fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    let known =
        serde_json::from_str(value).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    Ok((name.to_owned(), known.unwrap_or_else(|| value.into())))
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

fn show(out: &mut Out, model: &Model, drift: Option<&Drift>) -> Result<(), Failure> {
    nouns::show(out, model)?;
    out.line("")?;
    let places = places(model, drift, &out.view());
    out.table(&places)
}

/// The models with a mark behind the names under which nodes have different weights.
fn marked(models: &[Model], drifts: &[Drift]) -> Vec<Model> {
    let mark = |model: &Model| match drift(drifts, &model.name) {
        Some(_) => Model { name: format!("{} (differs)", model.name), ..model.clone() },
        None => model.clone(),
    };
    models.iter().map(mark).collect()
}

/// Says that nodes have different weights under a name, and the cure.
fn drifted(out: &mut Out, drift: &Drift) -> Result<(), Failure> {
    let nodes: Vec<&str> = drift.nodes.iter().map(|weights| &*weights.node).collect();
    let name = safe(&drift.model);
    out.line(format!("{name} has different weights on {}.", safe(&nodes.join(", "))))?;
    out.line(format!("The same on all active nodes: aivonx model pull {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn where_models_are() {
        let shown: Vec<String> = samples::models()
            .iter()
            .map(|model| places(model, None, &samples::VIEW).render(None, false))
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
