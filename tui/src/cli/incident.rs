//! `aivonx incident ...`

use std::time::Duration;

use aivonx_protocol::{ClientError, FaultKind, Permission, UnixMillis, account, incident, secrets, user};
use clap::{ArgGroup, Args, Parser as _, Subcommand};
use jiff::Zoned;

use super::{Cli, Confirm, Context, Verb, follow, key};
use crate::{
    exit::{Exit, Failure},
    incident_report, input,
    nouns::{
        self,
        incident::{AFTER_ROTATION, UNDO_KEPT},
    },
    render::text::{plural, safe},
    time_arg,
};

/// What can be done about an attack.
#[derive(Debug, Subcommand)]
pub enum IncidentVerb {
    /// Shut off keys, users, organizations or addresses, all of it in one step, and say how to undo it
    ///
    /// Keys are disabled, and what runs under them ends. Users are disabled, their sessions end, and their passwords must
    /// be changed; of organizations, those of all their users. Addresses are blocked, and the sessions begun there end.
    Contain(ContainArgs),
    /// What looks like an attack: failed logins, refused keys, what is another organization's, new addresses, usage
    Detect(Since),
    /// Take the second factors away, so that everyone sets up a new one at the next login
    #[command(name = "reset-2fa")]
    ResetTwoFactor(ResetArgs),
    /// Replace the data keys, the pepper and the signing key, and say what must follow
    Rotate(RotateArgs),
    /// What happened, by whom, from where, and what was done about it: a template for the lessons learned
    Report(Since),
}

/// `incident detect` and `incident report`
#[derive(Debug, Args)]
pub struct Since {
    #[arg(long, short = 'S', value_name = "TIME", value_parser = since, default_value = "24h", help = time_arg::SINCE)]
    pub since: UnixMillis,
}

fn since(text: &str) -> Result<UnixMillis, String> {
    time_arg::since(text, &Zoned::now())
}

/// `incident reset-2fa`
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Of every user but you
    #[arg(long, required_unless_present = "organization", conflicts_with = "organization")]
    pub all: bool,
    /// Of the users of this organization
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
}

/// `incident rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    confirm: Confirm,
}

/// `incident contain`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).multiple(true)))]
pub struct ContainArgs {
    /// A key by its name, id or secret, or how its secret begins, or ORG/NAME; - reads it from standard input; repeatable
    #[arg(long = "key", value_name = "KEY", group = "whom")]
    pub keys: Vec<String>,
    /// A user; repeatable
    #[arg(long = "user", value_name = "USER", group = "whom")]
    pub users: Vec<String>,
    /// An organization; repeatable
    #[arg(long = "org", value_name = "ORG", group = "whom")]
    pub organizations: Vec<String>,
    /// An address or network; repeatable
    #[arg(long = "address", value_name = "ADDRESS", group = "whom")]
    pub addresses: Vec<String>,
    /// Revoke the keys for good instead of disabling them, those of users and organizations too
    #[arg(long)]
    pub revoke: bool,
    /// Unblock addresses after this time; without it they stay blocked
    #[arg(long = "for", value_name = "SPAN", value_parser = time_arg::span_argument)]
    pub lasts: Option<Duration>,
    /// Why, for the list of blocks and the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    confirm: Confirm,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: IncidentVerb) -> Result<(), Failure> {
    match verb {
        IncidentVerb::Contain(args) => contain(context, args).await,
        IncidentVerb::Detect(Since { since }) => detect(context, since).await,
        IncidentVerb::ResetTwoFactor(args) => reset(context, args).await,
        IncidentVerb::Rotate(args) => rotate(context, args).await,
        IncidentVerb::Report(Since { since }) => {
            let report = incident_report::gather(&context.client().await?, since).await?;
            let zone = context.out.zone.clone();
            context.out.show(&report, |out| report.lines(&zone).iter().try_for_each(|line| out.line(line)))
        }
    }
}

async fn contain(context: &mut Context, args: ContainArgs) -> Result<(), Failure> {
    let ContainArgs { keys, users, organizations, addresses, revoke, lasts, reason, confirm } = args;
    let keys = keys.into_iter().map(key::given).collect::<Result<_, _>>()?;
    // What can be undone must not wait for an answer.
    if revoke {
        input::confirm(confirm.yes, "Revoke the keys for good? This cannot be undone.")?;
    }
    let lasts_ms = lasts.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let asked = incident::Contain { keys, users, organizations, addresses, revoke, lasts_ms, reason };
    let contained = context.client().await?.ask(asked).await?;
    context.out.show(&contained, |out| {
        for one in &contained {
            let (done, undo) = nouns::incident::contained(one);
            out.line(safe(&done))?;
            undo.iter().try_for_each(|line| out.line(format_args!("  {}", safe(line))))?;
        }
        match contained.iter().any(|one| one.undo.is_some()) {
            true => out.line(UNDO_KEPT),
            false => Ok(()),
        }
    })
}

async fn detect(context: &mut Context, since: UnixMillis) -> Result<(), Failure> {
    let found = context.client().await?.ask(incident::Detect { since: Some(since) }).await?;
    context.out.show(&found, |out| {
        if found.is_empty() {
            return out.line("Nothing looks like an attack.");
        }
        found.iter().try_for_each(|one| {
            out.line(safe(&one.finding))?;
            match &one.contain {
                Some(contain) => out.line(format_args!("  To shut it off: {}", safe(contain))),
                None => Ok(()),
            }
        })
    })
}

async fn reset(context: &mut Context, args: ResetArgs) -> Result<(), Failure> {
    let whose =
        args.organization.as_ref().map_or("every user".to_owned(), |org| format!("the users of {org}"));
    let question = format!("Take the second factor of {} away and end their sessions?", safe(&whose));
    input::confirm(args.confirm.yes, &question)?;
    let client = context.client().await?;
    let me = client.ask(account::Whoami).await?;
    // The daemon would refuse each of them, and say nothing where there is none. It says itself why somebody has no role.
    let bound = me.organization.is_some();
    if me.role.is_some_and(|role| !Permission::UserWrite.is_of(role, bound)) {
        return Err(Failure::NotPermitted {
            message: "your role may not take second factors away; nothing was done".to_owned(),
            hint: Some("A superadmin may, and an org-admin in their organization.".to_owned()),
        });
    }
    let own = me.user;
    let users = client.ask(user::List { organization: args.organization, role: None }).await?;
    let (mut reset, mut gone, mut failed, mut has_own) = (Vec::new(), Vec::new(), Vec::new(), false);
    for user in users.into_iter().filter(|user| user.totp) {
        // It would end the session that this is done in.
        if Some(&user.name) == own.as_ref() {
            has_own = true;
            continue;
        }
        match client.ask(user::ResetTotp { user: user.id }).await {
            Ok(user) => reset.push(user),
            Err(ClientError::Fault(fault)) if fault.kind == FaultKind::NotFound => gone.push(user.name),
            Err(error) => failed.push((user.name, error)),
        }
    }
    context.out.show(&reset, |out| {
        out.line(format_args!(
            "Took the second factor of {} away{}",
            plural(reset.len() as u64, "user"),
            if has_own { ", and not your own: aivonx totp disable, aivonx totp enable." } else { "." }
        ))?;
        if gone.is_empty() {
            return Ok(());
        }
        out.line(format_args!("Gone in the meantime: {}", safe(&gone.join(", "))))
    })?;
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = safe(&names.join(", "));
    let Some((_, why)) = failed.into_iter().next() else { return Ok(()) };
    let failure = Failure::from(why);
    let message = format!("the second factors of {names} stay: {failure}");
    Err(match failure.exit() {
        Exit::NotPermitted => Failure::NotPermitted { message, hint: None },
        _ => Failure::failed(message).with_hint("Try these again: aivonx user reset-totp USER"),
    })
}

async fn rotate(context: &mut Context, args: RotateArgs) -> Result<(), Failure> {
    let question = "Replace the data keys, the pepper and the signing key? API keys that are not used within 30 days \
                    will be revoked.";
    input::confirm(args.confirm.yes, question)?;
    let client = context.client().await?;
    let job = client.ask(secrets::Rotate { peppers: true, signing: true, deadline_ms: None }).await?;
    let end = follow::follow(&client, &mut context.out, job, follow::Steps::ForPeople).await?;
    follow::verdict(&end)?;
    context.out.show(&end, |out| {
        out.line("Replaced the data keys, the pepper and the signing key. What must follow:")?;
        AFTER_ROTATION.iter().try_for_each(|(what, command)| {
            let what = format!("{what}:");
            out.line(format_args!("  {what:<44}{command}"))
        })
    })
}

/// What `command`, as a finding offers it, shuts off; None if it is no such command.
pub(crate) fn offered(command: &str) -> Option<ContainArgs> {
    match Cli::try_parse_from(command.split_whitespace()).ok()?.verb? {
        Verb::Incident(IncidentVerb::Contain(args)) => Some(args),
        _ => None,
    }
}
