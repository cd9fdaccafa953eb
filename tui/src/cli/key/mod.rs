//! `aivonx key ...`

pub mod created;
pub mod described;

use std::{path::Path, time::Duration};

use aivonx_protocol::{
    UnixMillis,
    key::{self, Key, KeyChange, KeyScope, NewKey, Priority},
};
use clap::{Args, Subcommand};

use self::{
    created::{Created, Secret},
    described::{Beside, ListArgs, list, show},
};
use super::{Confirm, Context};
use crate::{
    exit::Failure,
    input,
    render::{
        out::note,
        text::{self, safe},
    },
    time_arg,
};

/// Characters of a secret that lists show.
const SHOWN: usize = 12;

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// The keys you may see
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Everything about one key but its secret
    Show(Name),
    /// Make a key; its secret is shown this once
    Create(CreateArgs),
    /// Change a key
    Set(SetArgs),
    /// Give a key a new secret; the old one works a while longer
    Rotate(RotateArgs),
    /// Revoke a key: its requests are refused at once, running ones end
    Revoke(RevokeArgs),
    /// Let a disabled key in again
    Enable(Name),
    /// Keep a key out until it is enabled again: its requests are refused at once, running ones end
    Disable(Name),
}

/// A key.
#[derive(Debug, Args)]
pub struct Name {
    /// Name, id or secret of the key, or how its secret begins; - reads it from standard input
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Its organization, if others have a key of that name
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
}

impl Name {
    /// What names the key, and its organization.
    fn given(self) -> Result<(String, Option<String>), Failure> {
        Ok((given(self.key)?, self.organization))
    }
}

/// What names a key: `-` is read from standard input, for the secret itself may name it.
pub(super) fn given(key: String) -> Result<String, Failure> {
    if key == "-" {
        let key = input::secret("KEY", Path::new("-"))?;
        return Ok(key.expose().trim().to_owned());
    }
    if holds_secret(&key) {
        note(
            "aivonx: a secret on the command line stays in the shell's history; - reads it from standard input",
        );
    }
    Ok(key)
}

/// Whether it is more of a secret than lists show, with or without the dots that they put behind it.
fn holds_secret(key: &str) -> bool {
    key.starts_with("aivx_") && key.trim_end_matches(['.', '…']).len() > SHOWN
}

/// A key's name, or as much of its secret as lists show.
pub(crate) fn in_short(key: &str) -> String {
    if !holds_secret(key) {
        return key.to_owned();
    }
    key.chars().take(SHOWN).chain(['…']).collect()
}

/// `key create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name for it: lower case letters, digits, . _ -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its organization; without, it is of the whole fleet
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// The user it acts for; without, it is a subject of its own
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// infer (with models:read in it), models:read, models:write, admin:read or nodes:choose; repeatable
    #[arg(long = "scope", value_name = "SCOPE", default_value = "infer")]
    pub scopes: Vec<KeyScope>,
    /// A model it may use (* and ? are wildcards); repeatable; without, what its organization may
    #[arg(long = "model", value_name = "GLOB")]
    pub models: Vec<String>,
    /// A network it may be used from (CIDR); repeatable; without, anywhere
    #[arg(long = "network", value_name = "CIDR")]
    pub networks: Vec<String>,
    /// When it expires: 90d from now, or 2027-01-31; without, never
    #[arg(long, value_name = "WHEN", value_parser = time_arg::until_argument)]
    pub expires: Option<UnixMillis>,
    /// A client certificate that stands for it where a request has no other credential: a DNS name, URI or mail address
    /// among its alternative names, or else its common name
    #[arg(long, value_name = "NAME")]
    pub certificate: Option<String>,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    secret: Secret,
}

/// `key set`
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    name: Name,
    /// New name
    #[arg(long = "name", id = "name", value_name = "NAME")]
    pub new_name: Option<String>,
    /// What it may do: infer (with models:read in it), models:read, models:write, admin:read or nodes:choose; repeatable
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<KeyScope>,
    /// A model it may use (* and ? are wildcards); repeatable
    #[arg(long = "model", value_name = "GLOB")]
    pub models: Vec<String>,
    /// Allow every model its organization may use
    #[arg(long, conflicts_with = "models")]
    pub all_models: bool,
    /// A network it may be used from (CIDR); repeatable
    #[arg(long = "network", value_name = "CIDR")]
    pub networks: Vec<String>,
    /// Allow it from anywhere
    #[arg(long, conflicts_with = "networks")]
    pub all_networks: bool,
    /// When it expires: 90d from now, or 2027-01-31
    #[arg(long, value_name = "WHEN", value_parser = time_arg::until_argument)]
    pub expires: Option<UnixMillis>,
    /// Never let it expire
    #[arg(long, conflicts_with = "expires")]
    pub no_expires: bool,
    #[command(flatten)]
    waits: Waits,
    /// Do not begin streams before their answer does
    #[arg(long, conflicts_with = "keep_waiting")]
    pub no_keep_waiting: bool,
    /// A client certificate that stands for it where a request has no other credential: a DNS name, URI or mail address
    /// among its alternative names, or else its common name
    #[arg(long, value_name = "NAME")]
    pub certificate: Option<String>,
    /// Let no certificate stand for it
    #[arg(long, conflicts_with = "certificate")]
    pub no_certificate: bool,
    /// Only if the record still has this revision (see key show)
    #[arg(long, value_name = "N", conflicts_with_all = ["priority", "keep_waiting", "no_keep_waiting", "certificate", "no_certificate"])]
    pub revision: Option<u64>,
}

/// How the requests of a key wait.
#[derive(Debug, Args)]
pub struct Waits {
    /// Which requests go first where several wait for a node: low, normal or high
    #[arg(long, value_name = "PRIORITY")]
    pub priority: Option<Priority>,
    /// Begin a stream after timeouts.keep_waiting though it still waits, for clients that give up on silence
    #[arg(long)]
    pub keep_waiting: bool,
}

impl Waits {
    /// What it changes of the key named so; None if nothing.
    fn change(&self, not: bool, organization: Option<String>, key: String) -> Option<key::SetQueueing> {
        let keep_waiting = (self.keep_waiting || not).then_some(self.keep_waiting);
        let said = self.priority.is_some() || keep_waiting.is_some();
        said.then_some(key::SetQueueing { organization, key, priority: self.priority, keep_waiting })
    }
}

/// `key rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    name: Name,
    /// How long the old secret still works, at most 30d; 0s ends it at once
    #[arg(long = "grace", value_name = "SPAN", default_value = "24h", value_parser = time_arg::span_argument)]
    pub grace_ms: Duration,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    confirm: Confirm,
}

/// `key revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: KeyVerb) -> Result<(), Failure> {
    match verb {
        KeyVerb::List(args) => list(context, args).await,
        KeyVerb::Show(name) => {
            let (key, organization) = name.given()?;
            let client = context.client().await?;
            let key = client.ask(key::Show { organization, key }).await?;
            let beside = Beside::ask(&client, None, Some(key.id.clone())).await?;
            show(context, &beside.describe(key))
        }
        KeyVerb::Create(args) => create(context, args).await,
        KeyVerb::Set(args) => set(context, args).await,
        KeyVerb::Rotate(args) => rotate(context, args).await,
        KeyVerb::Revoke(args) => revoke(context, args).await,
        KeyVerb::Enable(name) => enable(context, name, true).await,
        KeyVerb::Disable(name) => enable(context, name, false).await,
    }
}

async fn set(context: &mut Context, args: SetArgs) -> Result<(), Failure> {
    let change = change(&args)?;
    let (key, organization) = args.name.given()?;
    let client = context.client().await?;
    // First: it is what may be refused for who asks, and nothing is to be half done.
    if let Some(waits) = args.waits.change(args.no_keep_waiting, organization.clone(), key.clone()) {
        client.ask(waits).await?;
    }
    if args.certificate.is_some() || args.no_certificate {
        let (organization, key) = (organization.clone(), key.clone());
        client.ask(key::SetCertificate { organization, key, name: args.certificate }).await?;
    }
    let key = if change == KeyChange::default() {
        client.ask(key::Show { organization, key }).await?
    } else {
        let change = Box::new(change);
        client.ask(key::Set { organization, key, revision: args.revision, change }).await?
    };
    let beside = Beside::ask(&client, None, Some(key.id.clone())).await?;
    show(context, &beside.describe(key))
}

async fn create(context: &mut Context, args: CreateArgs) -> Result<(), Failure> {
    let new = NewKey {
        name: args.name,
        organization: args.organization,
        user: args.user,
        scopes: args.scopes,
        models: args.models,
        networks: args.networks,
        expires: args.expires,
    };
    let file = args.secret.place(&context.out)?;
    let client = context.client().await?;
    let new = Box::new(new);
    let made = match args.certificate {
        Some(certificate) => client.ask(key::CreateWithCertificate { key: new, certificate }).await?,
        None => client.ask(key::Create(new)).await?,
    };
    let waits = match args.waits.change(false, None, made.key.id.clone()) {
        Some(waits) => client.ask(waits).await.err(),
        None => None,
    };
    let about = created::about(&context.out, &client, &made.secret).await;
    let name = described(&made.key);
    let show = |path: Option<&Path>| {
        context.out.show(&Created::from(&made), |out| {
            out.line(format_args!("Made the key {name}."))?;
            out.line(path.map_or(about, created::in_file))
        })
    };
    let lost = async |failure: Failure| match client
        .ask(key::Revoke { organization: None, key: made.key.id.clone() })
        .await
    {
        Ok(_) => failure.lost(
            format_args!("So nobody has the secret of the key {name}, and the key is revoked again."),
            "Make it again, with an output that can be written.",
        ),
        Err(error) => failure.lost(
            format_args!("So nobody has the secret of the key {name}, and it is not revoked: {error}"),
            format!("Revoke it: aivonx key revoke {}", made.key.id),
        ),
    };
    created::hand_over(file, &made.secret, show, lost).await?;
    // The secret is shown all the same: the key is made.
    waits.map_or(Ok(()), |error| Err(error.into()))
}

/// `ci of acme`
fn described(key: &Key) -> String {
    match &key.organization {
        Some(organization) => format!("{} of {}", safe(&key.name), safe(organization)),
        None => format!("{} of the whole fleet", safe(&key.name)),
    }
}

fn change(args: &SetArgs) -> Result<KeyChange, Failure> {
    let change = KeyChange {
        name: args.new_name.clone(),
        scopes: (!args.scopes.is_empty()).then(|| args.scopes.clone()),
        models: (args.all_models || !args.models.is_empty()).then(|| args.models.clone()),
        networks: (args.all_networks || !args.networks.is_empty()).then(|| args.networks.clone()),
        expires: if args.no_expires { Some(None) } else { args.expires.map(Some) },
    };
    let waits = args.waits.priority.is_some() || args.waits.keep_waiting || args.no_keep_waiting;
    let certificate = args.certificate.is_some() || args.no_certificate;
    if change == KeyChange::default() && !waits && !certificate {
        return Err(Failure::usage("nothing to change").with_hint(
            "Name what to change, for example --expires 90d; all options: aivonx key set --help",
        ));
    }
    Ok(change)
}

async fn rotate(context: &mut Context, args: RotateArgs) -> Result<(), Failure> {
    let (key, organization) = args.name.given()?;
    let client = context.client().await?;
    let grace = u64::try_from(args.grace_ms.as_millis()).unwrap_or(u64::MAX);
    if grace == 0 && !args.confirm.yes {
        let found = client.ask(key::Show { organization: organization.clone(), key: key.clone() }).await?;
        let question = format!(
            "Give the key {} a new secret? What uses the old one is refused at once.",
            described(&found)
        );
        input::confirm(false, &question)?;
    }
    let file = args.secret.place(&context.out)?;
    let made = client.ask(key::Rotate { organization, key: key.clone(), grace_ms: grace }).await?;
    let about = created::about(&context.out, &client, &made.secret).await;
    let name = described(&made.key);
    let old = made.key.grace_until.map_or_else(
        || "the old one is refused now".to_owned(),
        |until| format!("the old one works until {}", text::time(until, &context.out.zone)),
    );
    let show = |path: Option<&Path>| {
        context.out.show(&Created::from(&made), |out| {
            out.line(format_args!("The key {name} has a new secret; {old}."))?;
            out.line(path.map_or(about, created::in_file))
        })
    };
    // Revoking it would end what still uses the old secret.
    let lost = async |failure: Failure| {
        failure.lost(
            format_args!("So nobody has the new secret of the key {name}; {old}."),
            format!("Give it another, which ends the old one: aivonx key rotate {}", made.key.id),
        )
    };
    created::hand_over(file, &made.secret, show, lost).await
}

async fn enable(context: &mut Context, name: Name, enabled: bool) -> Result<(), Failure> {
    let (key, organization) = name.given()?;
    let key = context.client().await?.ask(key::SetEnabled { organization, key, enabled }).await?;
    context.out.show(&key, |out| {
        let state = if enabled { "enabled" } else { "disabled" };
        out.line(format_args!("The key {} is {state}.", described(&key)))
    })
}

async fn revoke(context: &mut Context, args: RevokeArgs) -> Result<(), Failure> {
    let (mut key, organization) = args.name.given()?;
    let client = context.client().await?;
    if !args.confirm.yes {
        // Read first, so that the question names what goes, and what goes is what the question named.
        let found = client.ask(key::Show { organization: organization.clone(), key: key.clone() }).await?;
        let question = format!(
            "Revoke the key {} ({}...)? Its requests are refused, running ones end. This cannot be undone.",
            described(&found),
            safe(&found.prefix)
        );
        input::confirm(false, &question)?;
        key = found.id;
    }
    let key = client.ask(key::Revoke { organization, key: key.clone() }).await?;
    context.out.show(&key, |out| out.line(format_args!("Revoked the key {}.", described(&key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lists_do_not_show_is_a_secret() {
        for key in ["laptop", "aivx_1a2B3c4", "aivx_1a2B3c4…", "aivx_1a2B3c4..."] {
            assert!(!holds_secret(key), "{key}");
        }
        assert!(holds_secret("aivx_1a2B3c4d5E6f7g8H9"));
        assert!(holds_secret("aivx_1a2B3c4d5E6f7g8H9..."));
    }

    #[test]
    fn set_needs_something_to_change() {
        use clap::Parser as _;
        let parse = |line: &str| {
            let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.verb {
                Some(crate::cli::Verb::Key(KeyVerb::Set(args))) => change(&args),
                other => panic!("{other:?}"),
            }
        };
        for line in ["aivonx key set a", "aivonx key set a --org b --revision 3"] {
            assert!(matches!(parse(line), Err(Failure::Usage { .. })), "{line}");
        }
        let all =
            parse("aivonx key set a --name b --all-models --network ::1/128 --no-expires --scope infer")
                .unwrap();
        assert_eq!((all.name, all.models), (Some("b".into()), Some(Vec::new())));
        assert_eq!((all.networks, all.expires), (Some(vec!["::1/128".into()]), Some(None)));
        assert_eq!(all.scopes, Some(vec![KeyScope::Infer]));
    }
}
