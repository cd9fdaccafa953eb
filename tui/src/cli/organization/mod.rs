//! `aivonx org ...`

pub mod options;

use std::collections::HashMap;

use aivonx_protocol::organization::{self, NewOrganization, NodeNetworks, Organization, OrganizationChange};
use clap::{Args, Subcommand};
use serde::Serialize;

use self::options::OrganizationOptions;
use super::{Confirm, Context};
use crate::{
    exit::Failure,
    input,
    nouns::{self, Noun as _},
    render::text::{plural, safe},
};

/// What can be done with organizations.
#[derive(Debug, Subcommand)]
pub enum OrganizationVerb {
    /// The organizations you may see
    #[command(visible_alias = "ls")]
    List,
    /// Everything about one organization
    Show(Name),
    /// Add an organization
    Add(AddArgs),
    /// Change an organization
    Set(SetArgs),
    /// Remove an organization
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

/// An organization.
#[derive(Debug, Args)]
pub struct Name {
    /// Short name or id of the organization
    #[arg(value_name = "ORG")]
    pub organization: String,
}

/// `org add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Short name for it: lower case letters, digits, -
    #[arg(value_name = "ORG")]
    pub slug: String,
    /// Name for people
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    options: OrganizationOptions,
}

/// `org set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Short name or id of the organization
    #[arg(value_name = "ORG")]
    pub organization: String,
    /// New short name
    #[arg(long, value_name = "ORG")]
    pub slug: Option<String>,
    /// New name for people
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Let its users and keys in (again)
    #[arg(long)]
    pub enable: bool,
    /// Keep its users and keys out: sessions and running requests end
    #[arg(long, conflicts_with = "enable")]
    pub disable: bool,
    #[command(flatten)]
    options: OrganizationOptions,
    /// Allow users without second factor again
    #[arg(long, conflicts_with = "require_totp")]
    pub no_require_totp: bool,
    /// Allow every model again
    #[arg(long, conflicts_with = "models")]
    pub all_models: bool,
    /// Let its operators add nodes nowhere again
    #[arg(long, conflicts_with = "node_networks")]
    pub no_node_networks: bool,
    /// Refuse models that a node hands on to a third party again
    #[arg(long, conflicts_with = "cloud_models")]
    pub no_cloud_models: bool,
    /// Keep from its members what it uses of its limits: /api/account/usage shows them their own alone
    #[arg(long)]
    pub hide_usage: bool,
    /// Show its members again what it uses of its limits
    #[arg(long, conflicts_with = "hide_usage")]
    pub no_hide_usage: bool,
    /// Only if the record still has this revision (see org show)
    #[arg(long, value_name = "N", conflicts_with_all = ["hide_usage", "no_hide_usage", "node_networks", "no_node_networks"])]
    pub revision: Option<u64>,
}

/// `org remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Short name or id of the organization
    #[arg(value_name = "ORG")]
    pub organization: String,
    /// Remove its users and keys too, and free its nodes
    #[arg(long)]
    pub with_contents: bool,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: OrganizationVerb) -> Result<(), Failure> {
    match verb {
        OrganizationVerb::List => {
            let client = context.client().await?;
            let organizations = client.ask(organization::List).await?;
            let networks = client.ask(organization::Networks { organization: None }).await?;
            let hidden = client.ask(organization::HiddenUsage).await?;
            let all = described(organizations, networks, &hidden);
            context.out.show(&all, |out| {
                if all.is_empty() {
                    return out.line("There are no organizations yet. Add one: aivonx org add ORG");
                }
                nouns::list(out, all.iter().map(|one| &one.organization))
            })
        }
        OrganizationVerb::Show(Name { organization }) => {
            let client = context.client().await?;
            let organization = client.ask(organization::Show { organization: organization.clone() }).await?;
            let networks = networks(
                client.ask(organization::Networks { organization: Some(organization.id.clone()) }).await?,
            );
            let usage_hidden = client.ask(organization::HiddenUsage).await?.contains(&organization.id);
            show(context, &Described { organization, node_networks: networks, usage_hidden })
        }
        OrganizationVerb::Add(args) => add(context, args).await,
        OrganizationVerb::Set(args) => set(context, &args).await,
        OrganizationVerb::Remove(args) => remove(context, args).await,
    }
}

/// An organization, and what is said of it beside its record.
#[derive(Debug, Serialize)]
pub struct Described {
    /// The organization.
    #[serde(flatten)]
    pub organization: Organization,
    /// Where its operators may add nodes: networks (`10.0.0.0/8`); empty is nowhere.
    pub node_networks: Vec<String>,
    /// Whether what it uses of its limits is hidden from its members.
    pub usage_hidden: bool,
}

/// Puts together what was asked for of each organization.
fn described(
    organizations: Vec<Organization>,
    networks: Vec<NodeNetworks>,
    hidden: &[String],
) -> Vec<Described> {
    let mut networks: HashMap<String, Vec<String>> =
        networks.into_iter().map(|one| (one.organization, one.networks)).collect();
    let describe = |organization: Organization| {
        let node_networks = networks.remove(&organization.id).unwrap_or_default();
        let usage_hidden = hidden.contains(&organization.id);
        Described { organization, node_networks, usage_hidden }
    };
    organizations.into_iter().map(describe).collect()
}

/// Of the one organization that was asked about.
fn networks(all: Vec<NodeNetworks>) -> Vec<String> {
    all.into_iter().flat_map(|one| one.networks).collect()
}

fn show(context: &mut Context, described: &Described) -> Result<(), Failure> {
    context.out.show(described, |out| {
        let mut table = described.organization.details(&out.view());
        nouns::organization::networks(&mut table, &described.node_networks);
        nouns::organization::usage(&mut table, described.usage_hidden);
        out.table(&table)
    })
}

async fn set(context: &mut Context, args: &SetArgs) -> Result<(), Failure> {
    let change = change(args)?;
    let placed = &args.options.node_networks;
    let client = context.client().await?;
    // First: they are what may be refused for its form, and nothing is to be half done.
    let placed = if placed.is_empty() && !args.no_node_networks {
        client.ask(organization::Networks { organization: Some(args.organization.clone()) }).await?
    } else {
        client
            .ask(organization::SetNetworks {
                organization: args.organization.clone(),
                networks: placed.clone(),
            })
            .await?
    };
    let node_networks = networks(placed);
    let hidden = match hides(args) {
        None => client.ask(organization::HiddenUsage).await?,
        Some(hidden) => {
            client.ask(organization::HideUsage { organization: args.organization.clone(), hidden }).await?
        }
    };
    let organization = if change == OrganizationChange::default() && args.revision.is_none() {
        client.ask(organization::Show { organization: args.organization.clone() }).await?
    } else {
        client
            .ask(organization::Set {
                organization: args.organization.clone(),
                revision: args.revision,
                change: Box::new(change),
            })
            .await?
    };
    let usage_hidden = hidden.contains(&organization.id);
    show(context, &Described { organization, node_networks, usage_hidden })
}

/// Whether its usage is to be hidden from its members, if that is to change.
fn hides(args: &SetArgs) -> Option<bool> {
    switch(args.hide_usage, args.no_hide_usage)
}

fn switch(on: bool, off: bool) -> Option<bool> {
    if on { Some(true) } else { off.then_some(false) }
}

async fn add(context: &mut Context, args: AddArgs) -> Result<(), Failure> {
    let options = args.options;
    let new = NewOrganization {
        slug: args.slug,
        name: args.name,
        require_totp: options.require_totp,
        models: options.models,
        nodes: options.nodes.map(|nodes| nodes.0).unwrap_or_default(),
        cloud_models: options.cloud_models,
        privacy: options.privacy.map(Into::into),
        limit_profile: options.limit_profile.map(Into::into),
    };
    let client = context.client().await?;
    let (organization, node_networks) = if options.node_networks.is_empty() {
        (client.ask(organization::Add(Box::new(new))).await?, Vec::new())
    } else {
        let organization = Box::new(new);
        let added = client
            .ask(organization::AddWithNetworks { organization, networks: options.node_networks })
            .await?;
        let known = client.ask(organization::Networks { organization: Some(added.id.clone()) }).await?;
        (added, networks(known))
    };
    let described = Described { organization, node_networks, usage_hidden: false };
    context.out.show(&described, |out| {
        let slug = safe(&described.organization.slug);
        out.line(format_args!("Added {slug}."))?;
        out.line(format_args!("Next: aivonx user add NAME --org {slug}, aivonx key create NAME --org {slug}"))
    })
}

fn change(args: &SetArgs) -> Result<OrganizationChange, Failure> {
    let options = &args.options;
    let change = OrganizationChange {
        slug: args.slug.clone(),
        name: args.name.clone(),
        enabled: switch(args.enable, args.disable),
        require_totp: switch(options.require_totp, args.no_require_totp),
        models: (args.all_models || !options.models.is_empty()).then(|| options.models.clone()),
        nodes: options.nodes.clone().map(|nodes| nodes.0),
        cloud_models: switch(options.cloud_models, args.no_cloud_models),
        privacy: options.privacy.map(Into::into),
        limit_profile: options.limit_profile.map(Into::into),
    };
    let placed = args.no_node_networks || !options.node_networks.is_empty();
    if change == OrganizationChange::default() && !placed && hides(args).is_none() {
        return Err(Failure::usage("nothing to change").with_hint(
            "Name what to change, for example --require-totp; all options: aivonx org set --help",
        ));
    }
    Ok(change)
}

/// `2 users, 3 keys and 1 node of its own`; None if there is nothing.
fn contents(users: u32, keys: u32, nodes: u32) -> Option<String> {
    let mut parts = Vec::new();
    for (number, noun) in [(users, "user"), (keys, "key"), (nodes, "node")] {
        if number > 0 {
            parts.push(plural(number.into(), noun));
        }
    }
    let last = parts.pop()?;
    Some(if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) })
}

async fn remove(context: &mut Context, args: RemoveArgs) -> Result<(), Failure> {
    let client = context.client().await?;
    // Read first, so that the question names what goes, and what goes is what the question named.
    let found = client.ask(organization::Show { organization: args.organization.clone() }).await?;
    let within = contents(found.users, found.keys, found.exclusive_nodes);
    let question = match &within {
        Some(within) if !args.with_contents => {
            return Err(Failure::failed(format!(
                "the organization {} has {within}; nothing was removed",
                found.slug
            ))
            .with_hint("With --with-contents its users and keys are removed too, and its nodes are freed."));
        }
        Some(within) => {
            let nodes = match found.exclusive_nodes {
                0 => "",
                _ => " Its nodes stay, disabled.",
            };
            format!(
                "Remove the organization {} with {within}? Their sessions and requests end.{nodes} This cannot be undone.",
                found.slug
            )
        }
        None => format!("Remove the organization {}, which is empty?", found.slug),
    };
    input::confirm(args.confirm.yes, &question)?;
    let revision = (!args.confirm.yes).then_some(found.revision);
    let removed = client
        .ask(organization::Remove {
            organization: found.id.clone(),
            revision,
            with_contents: args.with_contents,
        })
        .await?;
    context.out.show(&removed, |out| {
        let with =
            contents(removed.users, removed.keys, 0).map(|with| format!(" with {with}")).unwrap_or_default();
        out.line(format_args!("Removed the organization {}{with}.", safe(&found.slug)))?;
        if removed.nodes > 0 {
            let nodes = plural(removed.nodes.into(), "node");
            let are = if removed.nodes == 1 { "is" } else { "are" };
            out.line(format_args!("{nodes} of it {are} shared now, and disabled: aivonx node list"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::organization::{LimitProfile, NodeAccess, PrivacyMode};

    use super::*;

    #[test]
    fn set_needs_something_to_change() {
        use clap::Parser as _;
        let parse = |line: &str| {
            let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.verb {
                Some(crate::cli::Verb::Organization(OrganizationVerb::Set(args))) => change(&args),
                other => panic!("{other:?}"),
            }
        };
        for line in ["aivonx org set a", "aivonx org set a --revision 3"] {
            assert!(matches!(parse(line), Err(Failure::Usage { .. })), "{line}");
        }
        let all = parse(
            "aivonx org set a --disable --no-require-totp --all-models --nodes zone=b,rack=1 --cloud-models \
             --privacy block --profile team",
        )
        .unwrap();
        assert_eq!(all.enabled, Some(false));
        assert_eq!((all.require_totp, all.cloud_models), (Some(false), Some(true)));
        assert_eq!(all.models, Some(Vec::new()));
        let labels = [("zone".into(), "b".into()), ("rack".into(), "1".into())].into();
        assert_eq!(all.nodes, Some(NodeAccess::Labels(labels)));
        assert_eq!((all.privacy, all.limit_profile), (Some(PrivacyMode::Block), Some(LimitProfile::Team)));
    }

    /// They are no part of the record whose revision that is.
    #[test]
    fn what_has_no_revision_is_not_set_by_one() {
        use clap::Parser as _;
        for option in ["--hide-usage", "--no-hide-usage", "--no-node-networks", "--node-networks 10.0.0.0/8"]
        {
            let line = format!("aivonx org set a {option} --revision 3");
            assert!(crate::cli::Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn contents_in_words() {
        assert_eq!(contents(0, 0, 0), None);
        assert_eq!(contents(1, 0, 0).unwrap(), "1 user");
        assert_eq!(contents(2, 0, 1).unwrap(), "2 users and 1 node");
        assert_eq!(contents(2, 1, 3).unwrap(), "2 users, 1 key and 3 nodes");
    }
}
