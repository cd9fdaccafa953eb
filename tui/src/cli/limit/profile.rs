//! `aivonx limit profile ...`

use aivonx_protocol::{
    limit::{self, LimitProfileInfo, LimitTarget},
    organization::LimitProfile,
};
use clap::{Args, Subcommand};

use super::{Context, Shown};
use crate::{
    cli::account::setup::Profile,
    exit::Failure,
    nouns::{
        limit::{cap_text, unpriced_advice},
        privacy_name, profile_name,
    },
    render::{
        Cell, Column, Table, Tone,
        text::{plural, safe},
    },
};

/// What can be done with limit profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileVerb {
    /// The profiles, and who has which
    #[command(visible_alias = "ls")]
    List,
    /// What a profile limits
    Show(Name),
    /// Choose the profile of the fleet: of what has no organization, and of organizations to come
    Set(SetArgs),
    /// Give an organization a profile
    Apply(ApplyArgs),
}

/// A profile.
#[derive(Debug, Args)]
pub struct Name {
    /// standard, team or unlimited
    #[arg(value_name = "PROFILE", value_enum, hide_possible_values = true)]
    pub profile: Profile,
}

/// `limit profile set`
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    name: Name,
    /// Take back what was set on the fleet, too
    #[arg(long)]
    pub reset: bool,
}

/// `limit profile apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    name: Name,
    /// The organization
    #[arg(long = "org", value_name = "ORG")]
    pub organization: String,
    /// Take back what was set on the organization, too
    #[arg(long)]
    pub reset: bool,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: ProfileVerb) -> Result<(), Failure> {
    let client = context.client().await?;
    match verb {
        ProfileVerb::List => {
            let profiles = client.ask(limit::Profiles).await?;
            context.out.show(&profiles, |out| out.table(&overview(&profiles)))
        }
        ProfileVerb::Show(Name { profile }) => {
            let wanted = LimitProfile::from(profile);
            let found = client.ask(limit::Profiles).await?.into_iter().find(|info| info.profile == wanted);
            let found = found.ok_or_else(|| {
                Failure::failed(format!("the daemon knows no profile {}", profile_name(wanted)))
            })?;
            context.out.show(&found, |out| out.table(&details(&found)))
        }
        ProfileVerb::Set(SetArgs { name, reset }) => {
            let limits = client
                .ask(limit::SetProfile { organization: None, profile: name.profile.into(), reset })
                .await?;
            let unpriced = client.ask(limit::FindUnpriced { target: LimitTarget::Own }).await?;
            context.out.show(&Shown::new(&limits, &unpriced), |out| {
                out.line(format_args!(
                    "The fleet's profile is {0}. Organizations keep theirs: aivonx limit profile apply {0} --org ORG",
                    profile_name(limits.profile)
                ))?;
                match unpriced_advice(&limits, &unpriced) {
                    Some(text) => out.line(text),
                    None => Ok(()),
                }
            })
        }
        ProfileVerb::Apply(ApplyArgs { name, organization, reset }) => {
            let target = LimitTarget::Organization { organization: organization.clone() };
            let limits = client
                .ask(limit::SetProfile {
                    organization: Some(organization),
                    profile: name.profile.into(),
                    reset,
                })
                .await?;
            super::show(context, &client, target, &limits, false).await
        }
    }
}

fn about(profile: LimitProfile) -> &'static str {
    match profile {
        LimitProfile::Standard => "requests, spend and bursts capped",
        LimitProfile::Team => "spend capped, no daily requests",
        LimitProfile::Unlimited => "no limits",
    }
}

fn overview(profiles: &[LimitProfileInfo]) -> Table {
    let mut table = Table::new([
        Column::text("PROFILE"),
        Column::text("FLEET'S"),
        Column::text("ORGANIZATIONS").cut(13),
        Column::text("LIMITS").optional(1),
        Column::text("PRIVACY").optional(2),
    ]);
    for info in profiles {
        let organizations = match &*info.organizations {
            [] => Cell::new("none").tone(Tone::Dim),
            few if few.len() <= 2 => few.join(", ").into(),
            many => plural(many.len() as u64, "organization").into(),
        };
        table.row([
            profile_name(info.profile).into(),
            if info.fleet { "*" } else { "" }.into(),
            organizations,
            about(info.profile).into(),
            privacy_name(info.privacy).into(),
        ]);
    }
    table
}

fn details(info: &LimitProfileInfo) -> Table {
    let mut table = Table::pairs();
    table.pair("profile", profile_name(info.profile));
    table.pair("the fleet's", if info.fleet { "yes" } else { "no" });
    table.list("organizations", info.organizations.iter().map(|slug| safe(slug)));
    table.pair("privacy", privacy_name(info.privacy));
    for value in &info.limits {
        table.pair(&value.name.to_string(), cap_text(value.name, value.limit));
    }
    if info.limits.is_empty() {
        table.pair("limits", "none");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn profiles_at_eighty_columns() {
        insta::assert_snapshot!(overview(&samples::limit_profiles()).render(Some(80), false));
    }

    #[test]
    fn one_profile() {
        insta::assert_snapshot!(details(&samples::limit_profiles()[0]).render(Some(80), false));
    }
}
