//! `aivonx model policy ...`

use aivonx_protocol::{
    ClientError, FaultKind,
    model_name::normalize_pattern,
    policy::{self, ContextSize, KeepAlive, ModelAccess, Policy, PolicyChange},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::{
    exit::Failure,
    nouns,
    render::{Out, text::safe},
};

/// What can be done with model policies.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// What requests for models are given or bound to
    #[command(visible_alias = "ls")]
    List(PolicyOwner),
    /// What was set for a pattern
    Show(UnsetArgs),
    /// Set what the models that match a pattern are given or bound to, and for which organizations they are
    Set(SetArgs),
    /// Forget what was set for a pattern
    Unset(UnsetArgs),
}

/// Whose it is.
#[derive(Debug, Args)]
pub struct PolicyOwner {
    /// Of this organization [default: your own, or the whole fleet]
    #[arg(id = "organization", long = "org", value_name = "ORG")]
    pub organization: Option<String>,
}

/// `model policy set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Models (* and ? are wildcards): llama3.3:70b, 'llama3*', '*'
    #[arg(value_name = "GLOB")]
    pub model: String,
    #[command(flatten)]
    whose: PolicyOwner,
    /// How long they stay in memory where the client does not say: 30m, seconds, -1 for ever; 'none' takes it out
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub keep_alive: Option<String>,
    /// The same, whatever the client says
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "keep_alive")]
    pub force_keep_alive: Option<String>,
    /// Size of their context in tokens where the client does not say; 'none' takes it out
    #[arg(long, value_name = "TOKENS")]
    pub num_ctx: Option<Tokens>,
    /// The same, whatever the client says: another size makes a node load the model anew, and so do other options, which
    /// are then left out
    #[arg(long, value_name = "TOKENS", conflicts_with = "num_ctx")]
    pub force_num_ctx: Option<Tokens>,
    /// Most tokens of an answer; 'none' takes it out
    #[arg(long, value_name = "TOKENS")]
    pub max_output: Option<Tokens>,
    /// An organization that alone sees and uses them, under whatever name; repeatable, and in place of those before
    #[arg(long = "only-org", value_name = "ORG", conflicts_with_all = ["organization", "revision"])]
    pub only_orgs: Vec<String>,
    /// An organization that does not; repeatable, and in place of those before
    #[arg(long = "deny-org", value_name = "ORG", conflicts_with_all = ["organization", "revision"])]
    pub deny_orgs: Vec<String>,
    /// Let every organization see and use them again
    #[arg(long, conflicts_with_all = ["only_orgs", "deny_orgs", "organization", "revision"])]
    pub all_orgs: bool,
    /// Only if the record still has this revision (see --output json)
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

/// `model policy show` and `model policy unset`
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The pattern, as it was set
    #[arg(value_name = "GLOB")]
    pub model: String,
    #[command(flatten)]
    whose: PolicyOwner,
}

/// A number of tokens, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens(Option<u32>);

impl std::str::FromStr for Tokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(Some(number))),
            _ => Err("use a number of tokens, such as 8192, or none".to_owned()),
        }
    }
}

/// Carries out a verb about policies.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: PolicyVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        PolicyVerb::List(PolicyOwner { organization }) => {
            let policies = client.ask(policy::List { organization }).await?;
            let access = client.ask(policy::Access).await?;
            let all = described(policies, access);
            context.out.show(&all, |out| tell(out, &all))
        }
        PolicyVerb::Show(UnsetArgs { model, whose }) => {
            let policies = client.ask(policy::List { organization: whose.organization.clone() }).await?;
            let access = client.ask(policy::Access).await?;
            let mut all = described(policies, access);
            let owner = whose.organization;
            all.retain(|one| {
                is_same(one.model(), &model) && (owner.is_none() || one.organization() == owner.as_deref())
            });
            match all.pop() {
                Some(found) => show_one(context, found),
                None => Err(Failure::failed(format!("nothing was set for {}", safe(&model)))
                    .with_hint("What was: aivonx model policy list")),
            }
        }
        PolicyVerb::Set(args) => {
            let (change, access) = (change(&args)?, args.access());
            let model = args.model;
            // First, because a name mistyped in it must leave nothing half done.
            let mut access = match access {
                Some((only, deny)) => {
                    client.ask(policy::SetAccess { model: model.clone(), only, deny }).await?
                }
                None => Vec::new(),
            };
            let mut policies = Vec::new();
            if change != PolicyChange::default() {
                let (organization, change) = (args.whose.organization, Box::new(change));
                let set = policy::Set { organization, model: model.clone(), revision: args.revision, change };
                let policy = client.ask(set).await?;
                if policy.organization.is_none() {
                    access = client.ask(policy::Access).await?;
                    access.retain(|one| is_same(&one.model, &model));
                }
                policies.push(policy);
            }
            match described(policies, access).pop() {
                Some(set) => show_one(context, set),
                None => {
                    let everyone = Described::of_everyone(model);
                    context.out.show(&everyone, |out| {
                        out.line(format_args!("{} is for every organization.", safe(everyone.model())))
                    })
                }
            }
        }
        PolicyVerb::Unset(UnsetArgs { model, whose: PolicyOwner { organization } }) => {
            let mut had_access = false;
            if organization.is_none() {
                let access = client.ask(policy::Access).await?;
                had_access = access.iter().any(|access| is_same(&access.model, &model));
            }
            if had_access {
                let (only, deny) = (Some(Vec::new()), Some(Vec::new()));
                client.ask(policy::SetAccess { model: model.clone(), only, deny }).await?;
            }
            match client.ask(policy::Remove { organization, model: model.clone() }).await {
                Err(ClientError::Fault(fault)) if had_access && fault.kind == FaultKind::NotFound => {}
                removed => removed?,
            }
            context.out.show(&(), |out| out.line(format_args!("Forgot the policy for {}.", safe(&model))))
        }
    }
}

/// What was set for a pattern: a policy, for whom its models are, or both.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Described {
    /// A policy, and for whom its models are.
    Policy {
        /// The policy.
        #[serde(flatten)]
        policy: Policy,
        /// Organizations that alone see and use them; empty is everyone.
        only_orgs: Vec<String>,
        /// Organizations that do not.
        deny_orgs: Vec<String>,
    },
    /// For whom models are that have no policy.
    Access {
        /// Null: it is the fleet's.
        organization: Option<String>,
        /// Pattern of the models.
        model: String,
        /// As of a policy.
        only_orgs: Vec<String>,
        /// As of a policy.
        deny_orgs: Vec<String>,
    },
}

impl Described {
    fn of_everyone(model: String) -> Self {
        Self::Access { organization: None, model, only_orgs: Vec::new(), deny_orgs: Vec::new() }
    }

    fn model(&self) -> &str {
        match self {
            Self::Policy { policy, .. } => &policy.model,
            Self::Access { model, .. } => model,
        }
    }

    fn organization(&self) -> Option<&str> {
        match self {
            Self::Policy { policy, .. } => policy.organization.as_deref(),
            Self::Access { .. } => None,
        }
    }

    fn orgs(&self) -> (&[String], &[String]) {
        let (Self::Policy { only_orgs, deny_orgs, .. } | Self::Access { only_orgs, deny_orgs, .. }) = self;
        (only_orgs, deny_orgs)
    }
}

/// Whether two patterns are one to the gateway, however they are written.
fn is_same(one: &str, other: &str) -> bool {
    normalize_pattern(one) == normalize_pattern(other)
}

/// Policies with what is said of their models, and what is said of others.
fn described(policies: Vec<Policy>, mut access: Vec<ModelAccess>) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    for policy in policies {
        let of = |one: &ModelAccess| policy.organization.is_none() && is_same(&one.model, &policy.model);
        let found = access.iter().position(of).map(|at| access.remove(at));
        let (only_orgs, deny_orgs) = found.map(|found| (found.only, found.deny)).unwrap_or_default();
        all.push(Described::Policy { policy, only_orgs, deny_orgs });
    }
    all.extend(access.into_iter().map(|ModelAccess { model, only, deny, .. }| Described::Access {
        organization: None,
        model,
        only_orgs: only,
        deny_orgs: deny,
    }));
    all
}

fn show_one(context: &mut Context, one: Described) -> Result<(), Failure> {
    let all = [one];
    context.out.show(&all[0], |out| tell(out, &all))
}

fn tell(out: &mut Out, all: &[Described]) -> Result<(), Failure> {
    let policies = all.iter().filter_map(|one| match one {
        Described::Policy { policy, .. } => Some(policy),
        Described::Access { .. } => None,
    });
    let policies: Vec<&Policy> = policies.collect();
    if all.is_empty() {
        return out.line(
            "Clients decide for themselves. Set a policy: aivonx model policy set GLOB --num-ctx TOKENS",
        );
    }
    if !policies.is_empty() {
        nouns::list(out, policies.iter().copied())?;
        if policies.iter().any(|policy| is_forced(policy)) {
            out.line("! whatever the client says")?;
        }
    }
    for one in all {
        let (only, deny) = one.orgs();
        for (orgs, what) in [(only, "is only for"), (deny, "is not for")] {
            if !orgs.is_empty() {
                let orgs = orgs.join(", ");
                out.line(format_args!("{} {what} {}", safe(one.model()), safe(&orgs)))?;
            }
        }
    }
    Ok(())
}

/// Organizations that alone have models, and those that do not; None leaves them as they are.
type Access = (Option<Vec<String>>, Option<Vec<String>>);

impl SetArgs {
    /// For whom the models are to be; None if nothing is said of it.
    fn access(&self) -> Option<Access> {
        if self.all_orgs {
            return Some((Some(Vec::new()), Some(Vec::new())));
        }
        let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let (only, deny) = (given(&self.only_orgs), given(&self.deny_orgs));
        (only.is_some() || deny.is_some()).then_some((only, deny))
    }
}

fn change(args: &SetArgs) -> Result<PolicyChange, Failure> {
    let keep =
        |text: &String, force| (text.as_str() != "none").then(|| KeepAlive { value: text.clone(), force });
    let size = |tokens: Tokens, force| tokens.0.map(|tokens| ContextSize { tokens, force });
    let keep_alive = args.keep_alive.as_ref().map(|text| keep(text, false));
    let num_ctx = args.num_ctx.map(|tokens| size(tokens, false));
    let change = PolicyChange {
        keep_alive: keep_alive.or_else(|| args.force_keep_alive.as_ref().map(|text| keep(text, true))),
        num_ctx: num_ctx.or_else(|| args.force_num_ctx.map(|tokens| size(tokens, true))),
        output_max: args.max_output.map(|tokens| tokens.0),
    };
    if change == PolicyChange::default() && args.access().is_none() {
        return Err(Failure::usage("nothing to set").with_hint(
            "Name what to set, for example --num-ctx 8192; all options: aivonx model policy set --help",
        ));
    }
    Ok(change)
}

fn is_forced(policy: &Policy) -> bool {
    policy.keep_alive.as_ref().is_some_and(|keep| keep.force) || policy.num_ctx.is_some_and(|size| size.force)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(line: &str) -> Result<PolicyChange, Failure> {
        use clap::Parser as _;
        let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
        match cli.verb {
            Some(crate::cli::Verb::Model(crate::cli::model::ModelVerb::Policy(PolicyVerb::Set(args)))) => {
                change(&args)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_policy_has_the_access_of_its_pattern_however_that_is_written() {
        let policy = |organization: Option<&str>| Policy {
            id: "p".into(),
            organization: organization.map(str::to_owned),
            model: "Secret".into(),
            keep_alive: None,
            num_ctx: None,
            output_max: None,
            created: 0,
            revision: 1,
        };
        let access = ModelAccess {
            model: "library/secret:latest".into(),
            only: vec!["acme".into()],
            deny: Vec::new(),
            created: 0,
            revision: 1,
        };
        let all = described(vec![policy(None)], vec![access.clone()]);
        assert_eq!((all.len(), all[0].orgs().0), (1, &["acme".to_owned()][..]));
        assert_eq!(described(vec![policy(Some("acme"))], vec![access]).len(), 2);
        assert!(!is_same("secret", "secret*"));
    }

    #[test]
    fn set_says_what_to_set() {
        assert!(matches!(set("aivonx model policy set m"), Err(Failure::Usage { .. })));
        let some =
            set("aivonx model policy set m --force-keep-alive -1 --num-ctx 8192 --max-output none").unwrap();
        let expected = PolicyChange {
            keep_alive: Some(Some(KeepAlive { value: "-1".into(), force: true })),
            num_ctx: Some(Some(ContextSize { tokens: 8192, force: false })),
            output_max: Some(None),
        };
        assert_eq!(some, expected);
        let none = set("aivonx model policy set m --keep-alive none --force-num-ctx none").unwrap();
        assert_eq!((none.keep_alive, none.num_ctx, none.output_max), (Some(None), Some(None), None));
        assert!("0".parse::<Tokens>().is_err() && "8k".parse::<Tokens>().is_err());
    }
}
