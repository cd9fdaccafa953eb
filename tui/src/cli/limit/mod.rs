//! `aivonx limit ...`

pub mod profile;

use aivonx_protocol::{
    client::Client,
    limit::{self, LimitSetting, LimitTarget, Limits, Unpriced},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use self::profile::ProfileVerb;
use super::Context;
use crate::{
    exit::Failure,
    nouns::{
        self, LimitRow,
        limit::{Assignment, refuses_unpriced, title, unpriced_advice},
    },
};

/// What can be done with limits.
#[derive(Debug, Subcommand)]
pub enum LimitVerb {
    /// The limits in force, what is used of them, and where each comes from
    Show(ShowArgs),
    /// Set limits
    Set(SetArgs),
    /// Take back what was set
    Unset(UnsetArgs),
    /// Limit profiles: values to begin with
    #[command(subcommand, visible_alias = "profiles")]
    Profile(ProfileVerb),
}

/// Whose limits.
#[derive(Debug, Clone, Args)]
pub struct LimitOwner {
    /// Those of this organization
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Those of this user
    #[arg(long, value_name = "USER", conflicts_with_all = ["organization", "key"])]
    pub user: Option<String>,
    /// Those of this key; by name with its --org
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// `limit show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    whose: LimitOwner,
    /// Those of each user and key that are unlimited, too
    #[arg(long, short = 'a')]
    pub all: bool,
}

/// `limit set`
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    whose: LimitOwner,
    /// inference.day=100, user.spend.day=2.50, burst.minute=unlimited, ...: see aivonx-limits(7)
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub limit: Vec<Assignment>,
    /// Only if nothing was set since it had this revision (see limit show --output json)
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

/// `limit unset`
#[derive(Debug, Args)]
pub struct UnsetArgs {
    #[command(flatten)]
    whose: LimitOwner,
    /// What to take back
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub limit: Vec<LimitSetting>,
    /// Everything that was set on it
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Only if nothing was set since it had this revision (see limit show --output json)
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

impl From<LimitOwner> for LimitTarget {
    fn from(whose: LimitOwner) -> Self {
        match whose {
            LimitOwner { key: Some(key), organization, .. } => Self::Key { organization, key },
            LimitOwner { user: Some(user), .. } => Self::User { user },
            LimitOwner { organization: Some(organization), .. } => Self::Organization { organization },
            LimitOwner { .. } => Self::Own,
        }
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: LimitVerb) -> Result<(), Failure> {
    match verb {
        LimitVerb::Show(ShowArgs { whose, all }) => {
            let (client, target) = (context.client().await?, LimitTarget::from(whose));
            let limits = client.ask(limit::Show { target: target.clone() }).await?;
            show(context, &client, target, &limits, all).await
        }
        LimitVerb::Set(SetArgs { whose, limit, revision }) => {
            let values = limit.into_iter().map(|Assignment(value)| value).collect();
            let (client, target) = (context.client().await?, LimitTarget::from(whose));
            let limits = client.ask(limit::Set { target: target.clone(), revision, values }).await?;
            show(context, &client, target, &limits, false).await
        }
        LimitVerb::Unset(UnsetArgs { whose, limit, all: _, revision }) => {
            let (client, target) = (context.client().await?, LimitTarget::from(whose));
            let limits = client.ask(limit::Unset { target: target.clone(), revision, names: limit }).await?;
            show(context, &client, target, &limits, false).await
        }
        LimitVerb::Profile(verb) => profile::run(context, verb).await,
    }
}

/// What is printed of limits as JSON: the limits, and for which models those on money cannot hold.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    limits: &'a Limits,
    unpriced: UnpricedModels<'a>,
}

/// Models that limits on money cannot hold for.
#[derive(Debug, Serialize)]
struct UnpricedModels<'a> {
    /// What becomes of their requests: `free` or `refuse`.
    then: &'static str,
    models: &'a [String],
}

impl<'a> Shown<'a> {
    /// Together.
    #[must_use]
    pub fn new(limits: &'a Limits, unpriced: &'a Unpriced) -> Self {
        let then = if refuses_unpriced(limits) { "refuse" } else { "free" };
        Self { limits, unpriced: UnpricedModels { then, models: &unpriced.models } }
    }
}

async fn show(
    context: &mut Context,
    client: &Client,
    target: LimitTarget,
    limits: &Limits,
    all: bool,
) -> Result<(), Failure> {
    let unpriced = client.ask(limit::FindUnpriced { target }).await?;
    context.out.show(&Shown::new(limits, &unpriced), |out| {
        out.line(title(limits))?;
        let rows: Vec<_> = LimitRow::all(limits).filter(|row| all || row.matters()).collect();
        nouns::list(out, &rows)?;
        match unpriced_advice(limits, &unpriced) {
            Some(text) => out.line(format_args!("\n{text}")),
            None => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn parse(line: &str) -> Result<LimitVerb, clap::Error> {
        match crate::cli::Cli::try_parse_from(line.split(' '))?.verb {
            Some(crate::cli::Verb::Limit(verb)) => Ok(verb),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_and_values_are_read() {
        let LimitVerb::Set(args) =
            parse("aivonx limit set --org acme inference.day=3 user.spend.day=2.5 key.hour=unlimited")
                .unwrap()
        else {
            panic!("set");
        };
        let values: Vec<String> = args
            .limit
            .iter()
            .map(|Assignment(v)| format!("{}={}", v.name, v.name.cap_text(v.limit)))
            .collect();
        assert_eq!(values, ["inference.day=3", "user.spend.day=2.50", "key.hour=unlimited"]);
        assert_eq!(LimitTarget::from(args.whose), LimitTarget::Organization { organization: "acme".into() });
        let LimitVerb::Unset(args) = parse("aivonx limit unset --key ci --org acme --all").unwrap() else {
            panic!("unset");
        };
        let key = LimitTarget::Key { organization: Some("acme".into()), key: "ci".into() };
        assert_eq!((LimitTarget::from(args.whose), args.limit), (key, vec![]));
        for bad in [
            "aivonx limit set",
            "aivonx limit set inference.day",
            "aivonx limit set inference.day=-1",
            "aivonx limit set inference.year=1",
            "aivonx limit set spend.day=0.0000001",
            "aivonx limit unset",
            "aivonx limit unset --all inference.day",
            "aivonx limit show --user a --org b",
            "aivonx limit show --user a --key b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
