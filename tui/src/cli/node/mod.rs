//! `aivonx node ...`

pub mod check;
pub mod credential;
pub mod drain;
pub mod learned;
mod traits;
pub(crate) mod wake;

use std::collections::BTreeMap;

use aivonx_protocol::{
    node::{self, AdminState, Credential, NewNode, Node, NodeChange, Pool, Probed, TraitsChange},
    strategy,
};
use clap::{Args, Subcommand};

use self::{credential::NodeOptions, learned::Described};
use super::{Confirm, Context};
use crate::{
    exit::{Exit, Failure},
    input, nouns,
    render::{
        Out,
        text::{self, plural, safe},
    },
};

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// All nodes and how they do
    #[command(visible_alias = "ls")]
    List,
    /// Everything about one node
    Show(Name),
    /// Ask a server what it is and add it
    Add(Box<AddArgs>),
    /// Ask a server what it is without adding it
    Probe(Box<ProbeArgs>),
    /// Change a node
    Set(Box<SetArgs>),
    /// Give a node another name
    Rename(RenameArgs),
    /// Let a node take requests (again)
    Enable(Name),
    /// Take a node out: no requests, no checks
    Disable(Name),
    /// Let a node finish what it has and take nothing new
    Drain(drain::DrainArgs),
    /// Forget a node; its running requests end
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Check a node now, or all of them
    Check(check::CheckArgs),
    /// Wake a node that sleeps, though no request waits for it
    Wake(Name),
}

/// A node.
#[derive(Debug, Args)]
pub struct Name {
    /// Name or id of the node
    #[arg(value_name = "NODE")]
    pub node: String,
}

/// `node add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name for it: lower case letters, digits, . _ -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where it is: http://HOST:PORT or https://HOST[:PORT][/PREFIX]
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    options: NodeOptions,
    #[command(flatten)]
    traits: traits::Traits,
}

/// `node probe`
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Where it is: http://HOST:PORT or https://HOST[:PORT][/PREFIX]
    #[arg(value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    options: NodeOptions,
}

/// `node set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Name or id of the node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// New URL
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    #[command(flatten)]
    options: NodeOptions,
    /// Trust the system's certificates again
    #[arg(long, conflicts_with = "ca_file")]
    pub no_ca: bool,
    /// Expect the URL's host in the certificate again
    #[arg(long, conflicts_with = "server_name")]
    pub no_server_name: bool,
    /// Send no credential and show no client certificate any more
    #[arg(long, visible_alias = "no-client-cert", conflicts_with_all = ["bearer_file", "basic_user", "header", "client_cert"])]
    pub no_credential: bool,
    /// Share it among all organizations again
    #[arg(long, conflicts_with = "organization")]
    pub no_org: bool,
    #[command(flatten)]
    traits: traits::Traits,
    #[command(flatten)]
    wake: wake::WakeArgs,
    /// It is of the fleet's own (again)
    #[arg(long, conflicts_with = "third_party")]
    pub no_third_party: bool,
    /// Remove a label; repeatable
    #[arg(long, value_name = "KEY")]
    pub unlabel: Vec<String>,
    /// Only ask the node what it is as if it were changed so; change nothing
    #[arg(long, conflicts_with = "revision")]
    pub probe: bool,
    /// Only if the record still has this revision (see node show)
    #[arg(long, value_name = "N", conflicts_with_all = ["third_party", "no_third_party", "models_at_once", "wake", "no_wake"])]
    pub revision: Option<u64>,
}

/// `node rename`
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Name or id of the node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// New name: lower case letters, digits, . _ -
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `node remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Name or id of the node
    #[arg(value_name = "NODE")]
    pub node: String,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: NodeVerb) -> Result<(), Failure> {
    match verb {
        NodeVerb::List => {
            let nodes = context.client().await?.ask(node::List).await?;
            context.out.show(&nodes, |out| list(out, &nodes))
        }
        NodeVerb::Show(Name { node }) => {
            let client = context.client().await?;
            let node = client.ask(node::Show { node: node.clone() }).await?;
            let learned = client.ask(strategy::ShowLearned { node: node.id.clone() }).await?;
            let traits = client.ask(node::Traits { node: Some(node.id.clone()) }).await?;
            let wakes = client.ask(node::Wakes { node: Some(node.id.clone()) }).await?;
            let described = Described::new(node, learned, &traits, wakes);
            context.out.show(&described, |out| {
                nouns::show(out, &described.node)?;
                traits::show(out, described.third_party, described.models_at_once)?;
                wake::show(out, described.wake.as_ref())?;
                learned::show(out, &described.learned)
            })
        }
        NodeVerb::Add(args) => add(context, *args).await,
        NodeVerb::Probe(args) => {
            let ProbeArgs { url, options } = *args;
            let new = new_node(String::new(), url, options)?;
            let probed = context.client().await?.ask(node::ProbeNew(Box::new(new))).await?;
            show_probed(context, &probed)
        }
        NodeVerb::Set(args) => set(context, *args).await,
        NodeVerb::Rename(RenameArgs { node, name }) => {
            let renamed = context.client().await?.ask(node::Rename { node: node.clone(), name }).await?;
            context.out.show(&renamed, |out| {
                out.line(format_args!("{} is now {}.", safe(&node), safe(&renamed.name)))
            })
        }
        NodeVerb::Enable(Name { node }) => state(context, node, AdminState::Enabled).await,
        NodeVerb::Disable(Name { node }) => state(context, node, AdminState::Disabled).await,
        NodeVerb::Drain(args) => drain::run(context, args).await,
        NodeVerb::Remove(args) => remove(context, args).await,
        NodeVerb::Check(args) => check::run(context, args).await,
        NodeVerb::Wake(Name { node }) => {
            let node = context.client().await?.ask(node::WakeUp { node }).await?;
            let says = format!("aivonx node show {} says", safe(&node.name));
            context.out.show(&node, |out| out.line(format_args!("{}.", wake::called(&node, &says))))
        }
    }
}

/// The node that the options describe.
fn new_node(name: String, url: String, options: NodeOptions) -> Result<NewNode, Failure> {
    let ca_pem = options.ca_pem()?;
    Ok(NewNode {
        name,
        url,
        kind: options.kind.map(Into::into),
        credential: options.credential()?.unwrap_or(Credential::None),
        ca_pem,
        labels: options.labels(),
        server_name: options.server_name,
        max_parallel: options.max_parallel.unwrap_or(0),
        force: options.force,
        organization: options.organization,
    })
}

/// What a server said of itself; that it did not is a failure.
fn show_probed(context: &mut Context, probed: &Probed) -> Result<(), Failure> {
    context.out.show(probed, |out| {
        out.line(safe(&probed.finding))?;
        if !probed.models.is_empty() {
            let models = probed.models.iter().map(|model| safe(model)).collect::<Vec<_>>().join(", ");
            out.line(text::wrap(&models, "Models: ", "  ", out.width))?;
        }
        Ok(())
    })?;
    if probed.healthy { Ok(()) } else { Err(Failure::Silent(Exit::Failed)) }
}

async fn add(context: &mut Context, args: AddArgs) -> Result<(), Failure> {
    let traits = args.traits.change(false);
    let new = Box::new(new_node(args.name, args.url, args.options)?);
    let client = context.client().await?;
    let probe = if traits == TraitsChange::default() {
        client.ask(node::Add(new)).await?
    } else {
        client.ask(node::AddWith { node: new, traits }).await?
    };
    context.out.show(&probe, |out| {
        out.line(format_args!("Added {}: {}", safe(&probe.node.name), safe(&probe.finding)))?;
        if !probe.healthy {
            out.line(format_args!("Check it again: aivonx node check {}", safe(&probe.node.name)))?;
        }
        Ok(())
    })
}

/// The change that the options ask for.
fn change(args: &SetArgs) -> Result<NodeChange, Failure> {
    let mut labels: BTreeMap<String, Option<String>> = BTreeMap::new();
    labels.extend(args.unlabel.iter().map(|key| (key.clone(), None)));
    labels.extend(args.options.labels().into_iter().map(|(key, value)| (key, Some(value))));
    let ca_pem = args.options.ca_pem()?;
    let change = NodeChange {
        name: args.name.clone(),
        url: args.url.clone(),
        kind: args.options.kind.map(Into::into),
        credential: if args.no_credential { Some(Credential::None) } else { args.options.credential()? },
        ca_pem: if args.no_ca { Some(None) } else { ca_pem.map(Some) },
        server_name: if args.no_server_name {
            Some(None)
        } else {
            args.options.server_name.clone().map(Some)
        },
        max_parallel: args.options.max_parallel,
        labels,
        force: args.options.force,
        organization: if args.no_org { Some(None) } else { args.options.organization.clone().map(Some) },
    };
    let nothing = NodeChange { force: args.options.force, ..NodeChange::default() };
    let said =
        args.traits.change(args.no_third_party) != TraitsChange::default() || args.wake.says_something();
    if change == nothing && !args.probe && !said {
        return Err(Failure::usage("nothing to change").with_hint(
            "Name what to change, for example --max-parallel 4; all options: aivonx node set --help",
        ));
    }
    Ok(change)
}

async fn set(context: &mut Context, args: SetArgs) -> Result<(), Failure> {
    let change = change(&args)?;
    if args.probe {
        let probed = context
            .client()
            .await?
            .ask(node::ProbeChange { node: args.node.clone(), change: Box::new(change) })
            .await?;
        return show_probed(context, &probed);
    }
    let traits = args.traits.change(args.no_third_party);
    let client = context.client().await?;
    if traits != TraitsChange::default() {
        client.ask(node::SetTraits { node: args.node.clone(), change: traits }).await?;
    }
    if args.wake.says_something() {
        client.ask(node::SetWake { node: args.node.clone(), wake: args.wake.wake() }).await?;
    }
    let node = if change == NodeChange::default() {
        client.ask(node::Show { node: args.node.clone() }).await?
    } else {
        client
            .ask(node::Set { node: args.node.clone(), revision: args.revision, change: Box::new(change) })
            .await?
    };
    context.out.show(&node, |out| nouns::show(out, &node))
}

async fn state(context: &mut Context, node: String, state: AdminState) -> Result<(), Failure> {
    let node =
        context.client().await?.ask(node::SetState { node: node.clone(), revision: None, state }).await?;
    context.out.show(&node, |out| out.line(state_line(&node)))
}

/// One sentence about what a node does after its state was set.
pub(super) fn state_line(node: &Node) -> String {
    let name = safe(&node.name);
    match (node.admin_state, node.pool) {
        (AdminState::Enabled, Pool::Active) => format!("{name} is enabled and takes requests."),
        (AdminState::Enabled, Pool::Asleep) => format!("{name} is enabled, and woken when it is needed."),
        (AdminState::Enabled, Pool::Standby) => {
            format!("{name} is enabled and takes requests as soon as it is healthy: aivonx node check {name}")
        }
        (AdminState::Draining, _) if node.active_requests == 0 => {
            format!("{name} takes nothing new; nothing is at work on it.")
        }
        (AdminState::Draining, _) => format!(
            "{name} takes nothing new; {} still at work. Follow it: aivonx node drain {name} --wait",
            plural(node.active_requests.into(), "request")
        ),
        (AdminState::Disabled, _) => {
            format!("{name} is disabled: no requests, no checks. Undo: aivonx node enable {name}")
        }
    }
}

async fn remove(context: &mut Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    // Read first, so that the question names what goes, and what goes is what the question named.
    let node = client.ask(node::Show { node: args.node.clone() }).await?;
    let running = match node.active_requests {
        0 => String::new(),
        running => format!(" {} at work on it will break off.", plural(running.into(), "request")),
    };
    input::confirm(args.confirm.yes, &format!("Remove node {} ({})?{running}", node.name, node.url))?;
    let revision = (!args.confirm.yes).then_some(node.revision);
    client.ask(node::Remove { node: node.id.clone(), revision }).await?;
    context
        .out
        .show(&node, |out| out.line(format_args!("Removed {} ({}).", safe(&node.name), safe(&node.url))))
}

fn list(out: &mut Out, nodes: &[Node]) -> Result<(), Failure> {
    if nodes.is_empty() {
        return out.line("There are no nodes yet. Add one: aivonx node add NAME URL");
    }
    nouns::list(out, nodes)?;
    footers(out, nodes.iter().filter_map(|node| Some((&*node.name, node.last_error.as_deref()?))))
}

/// Says under a table what is wrong, whole: a column would have to cut it.
pub(crate) fn footers<'a>(
    out: &mut Out,
    notes: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Failure> {
    for (place, (name, why)) in notes.enumerate() {
        if place == 0 {
            out.line("")?;
        }
        let text = text::wrap(&safe(why), &format!("{}: ", safe(name)), "  ", out.width);
        out.line(text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn sentences_about_states() {
        let mut node = samples::nodes().remove(0);
        let mut lines = Vec::new();
        for state in [AdminState::Enabled, AdminState::Draining, AdminState::Disabled] {
            for (pool, running) in [(Pool::Active, 1), (Pool::Standby, 0)] {
                (node.admin_state, node.pool, node.active_requests) = (state, pool, running);
                lines.push(state_line(&node));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn set_needs_something_to_change() {
        use clap::Parser as _;
        let parse = |line: &str| {
            let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.verb {
                Some(crate::cli::Verb::Node(NodeVerb::Set(args))) => change(&args),
                other => panic!("{other:?}"),
            }
        };
        for line in ["aivonx node set a", "aivonx node set a --force", "aivonx node set a --revision 3"] {
            assert!(matches!(parse(line), Err(Failure::Usage { .. })), "{line}");
        }
        let all = parse(
            "aivonx node set a --no-ca --no-server-name --no-credential --no-org --label x=1 --unlabel y",
        )
        .unwrap();
        assert_eq!(all.organization, Some(None));
        let assigned = parse("aivonx node set a --org acme").unwrap();
        assert_eq!(assigned.organization, Some(Some("acme".into())));
        assert_eq!(
            (all.ca_pem, all.server_name, all.credential),
            (Some(None), Some(None), Some(Credential::None))
        );
        assert_eq!(all.labels, [("x".into(), Some("1".into())), ("y".into(), None)].into());
    }
}
