//! `aivonx user ...`

pub mod sessions;

use std::path::PathBuf;

use aivonx_protocol::{
    key,
    user::{self, NewUser, Role, User, UserChange},
};
use clap::{Args, Subcommand};

use super::{Confirm, Context};
use crate::{
    exit::Failure,
    input, nouns,
    render::text::{self, plural, safe},
};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// The users you may see
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Everything about one user
    Show(Name),
    /// Add a user
    Add(AddArgs),
    /// Change a user
    Set(SetArgs),
    /// Let a user in (again)
    Enable(Name),
    /// Keep a user out: sessions, tokens and running requests end
    Disable(Name),
    /// Remove a user with its keys and sessions
    #[command(visible_alias = "rm")]
    Remove(NamedConfirm),
    /// Take the password away and print a code for setting a new one
    ResetPassword(NamedConfirm),
    /// Take the second factor away
    ResetTotp(NamedConfirm),
    /// Where a user is logged in, and its tokens
    Sessions(Name),
    /// End sessions and tokens of a user
    Logout(sessions::LogoutArgs),
}

/// A user.
#[derive(Debug, Args)]
pub struct Name {
    /// Name or id of the user
    #[arg(value_name = "USER")]
    pub user: String,
}

/// A user, and whether to ask.
#[derive(Debug, Args)]
pub struct NamedConfirm {
    /// Name or id of the user
    #[arg(value_name = "USER")]
    pub user: String,
    #[command(flatten)]
    confirm: Confirm,
}

/// `user list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of this organization
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Only those of this role: superadmin, operator, auditor, org-admin or member
    #[arg(long, value_name = "ROLE")]
    pub role: Option<Role>,
}

/// `user add`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name to log in with: lower case letters, digits, . _ @ -
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its organization; without, it is of the whole fleet
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// What it may do: superadmin, operator, auditor, org-admin or member
    #[arg(long, value_name = "ROLE", default_value = "member")]
    pub role: Role,
    /// File with its first password (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Name for people
    #[arg(long, value_name = "NAME")]
    pub display_name: Option<String>,
    /// E-mail address, for people
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
}

/// `user set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Name or id of the user
    #[arg(value_name = "USER")]
    pub user: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What it may do; ends its sessions
    #[arg(long, value_name = "ROLE")]
    pub role: Option<Role>,
    /// New organization; ends its sessions
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
    /// Make it a user of the whole fleet; ends its sessions
    #[arg(long, conflicts_with = "organization")]
    pub no_org: bool,
    /// Name for people
    #[arg(long, value_name = "NAME")]
    pub display_name: Option<String>,
    /// Remove the name for people
    #[arg(long, conflicts_with = "display_name")]
    pub no_display_name: bool,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// Remove the e-mail address
    #[arg(long, conflicts_with = "email")]
    pub no_email: bool,
    /// Only if the record still has this revision (see user show)
    #[arg(long, value_name = "N")]
    pub revision: Option<u64>,
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: UserVerb) -> Result<(), Failure> {
    match verb {
        UserVerb::List(args) => list(context, args).await,
        UserVerb::Show(Name { user }) => {
            let user = context.client().await?.ask(user::Show { user: user.clone() }).await?;
            show(context, &user)
        }
        UserVerb::Add(args) => add(context, args).await,
        UserVerb::Set(args) => {
            let change = change(&args)?;
            let user = context
                .client()
                .await?
                .ask(user::Set { user: args.user.clone(), revision: args.revision, change: Box::new(change) })
                .await?;
            show(context, &user)
        }
        UserVerb::Enable(Name { user }) => enable(context, &user, true).await,
        UserVerb::Disable(Name { user }) => enable(context, &user, false).await,
        UserVerb::Remove(args) => remove(context, args).await,
        UserVerb::ResetPassword(args) => reset_password(context, args).await,
        UserVerb::ResetTotp(args) => reset_totp(context, args).await,
        UserVerb::Sessions(Name { user }) => sessions::list(context, &user).await,
        UserVerb::Logout(args) => sessions::logout(context, args).await,
    }
}

fn show(context: &mut Context, user: &User) -> Result<(), Failure> {
    context.out.show(user, |out| nouns::show(out, user))
}

async fn list(context: &mut Context, args: ListArgs) -> Result<(), Failure> {
    let filtered = args.organization.is_some() || args.role.is_some();
    let users =
        context.client().await?.ask(user::List { organization: args.organization, role: args.role }).await?;
    context.out.show(&users, |out| match &*users {
        [] if filtered => out.line("No user is like that."),
        [] => out.line("There are no users yet. Add one: aivonx user add NAME --org ORG"),
        users => nouns::list(out, users),
    })
}

async fn add(context: &mut Context, args: AddArgs) -> Result<(), Failure> {
    let password =
        args.password_file.as_ref().map(|file| input::secret("--password-file", file)).transpose()?;
    let has_password = password.is_some();
    let new = NewUser {
        name: args.name,
        display_name: args.display_name,
        email: args.email,
        role: args.role,
        organization: args.organization,
        password,
    };
    let user = context.client().await?.ask(user::Add(Box::new(new))).await?;
    let name = safe(&user.name);
    let shown = context.out.show(&user, |out| {
        out.line(format_args!("Added {}.", described(&user)))?;
        if has_password {
            return Ok(());
        }
        out.line(format_args!(
            "It has no password yet. A code for setting one: aivonx user reset-password {name}"
        ))
    });
    shown.map_err(|failure| {
        let password = if has_password { "with the password that was given" } else { "without a password" };
        failure.lost(
            format_args!("The user {name} exists now, {password}."),
            format!("A code for setting another password: aivonx user reset-password {name}"),
        )
    })
}

/// `alice, a member of acme`
fn described(user: &User) -> String {
    let article =
        if matches!(user.role, Role::Operator | Role::Auditor | Role::OrgAdmin) { "an" } else { "a" };
    let place = match &user.organization {
        Some(organization) => format!("of {}", safe(organization)),
        None => "of the whole fleet".to_owned(),
    };
    format!("{}, {article} {} {place}", safe(&user.name), user.role)
}

fn change(args: &SetArgs) -> Result<UserChange, Failure> {
    let text = |gone: bool, new: &Option<String>| if gone { Some(None) } else { new.clone().map(Some) };
    let change = UserChange {
        name: args.name.clone(),
        display_name: text(args.no_display_name, &args.display_name),
        email: text(args.no_email, &args.email),
        role: args.role,
        organization: text(args.no_org, &args.organization),
    };
    if change == UserChange::default() {
        return Err(Failure::usage("nothing to change").with_hint(
            "Name what to change, for example --role operator; all options: aivonx user set --help",
        ));
    }
    Ok(change)
}

async fn enable(context: &mut Context, user: &str, enabled: bool) -> Result<(), Failure> {
    let user = context
        .client()
        .await?
        .ask(user::SetEnabled { user: user.to_owned(), revision: None, enabled })
        .await?;
    context.out.show(&user, |out| {
        let name = safe(&user.name);
        if user.enabled {
            out.line(format_args!("{name} is enabled and may log in."))
        } else {
            out.line(format_args!(
                "{name} is disabled; its sessions, tokens and running requests end. Undo: aivonx user enable {name}"
            ))
        }
    })
}

async fn remove(context: &mut Context, args: NamedConfirm) -> Result<(), Failure> {
    let client = context.client().await?;
    // Read first, so that the question names what goes, and what goes is what the question named.
    let user = client.ask(user::Show { user: args.user.clone() }).await?;
    if !args.confirm.yes {
        let keys =
            client.ask(key::List { organization: None, user: Some(user.id.clone()), all: false }).await?;
        let with = match keys.len() {
            0 => "its sessions".to_owned(),
            keys => format!("its sessions and {}", plural(keys as u64, "key")),
        };
        input::confirm(false, &format!("Remove {}, with {with}? This cannot be undone.", described(&user)))?;
    }
    let revision = (!args.confirm.yes).then_some(user.revision);
    client.ask(user::Remove { user: user.id.clone(), revision }).await?;
    context.out.show(&user, |out| out.line(format_args!("Removed {}.", described(&user))))
}

async fn reset_password(context: &mut Context, args: NamedConfirm) -> Result<(), Failure> {
    let question = format!("Take the password of {} away? Its sessions end.", args.user);
    input::confirm(args.confirm.yes, &question)?;
    context.out.check_seen()?;
    let code = context.client().await?.ask(user::ResetPassword { user: args.user.clone() }).await?;
    let shown = context.out.show(&code, |out| {
        let minutes = code.expires.saturating_sub(text::now()).div_ceil(60_000);
        out.line(format_args!(
            "{} sets a new password with this code, once, within {}:\n\n  {}\n",
            safe(&args.user),
            plural(minutes, "minute"),
            code.code.expose()
        ))?;
        out.line(format_args!(
            "On the gateway's machine: aivonx passwd --redeem {}\n\
             Over HTTP: POST /api/account/password/reset {{\"username\", \"code\", \"password\"}}",
            safe(&args.user)
        ))
    });
    shown.map_err(|failure| {
        failure.lost(
            format_args!("So nobody has the code, and {} has no password.", safe(&args.user)),
            format!("Another code, which ends this one: aivonx user reset-password {}", safe(&args.user)),
        )
    })
}

async fn reset_totp(context: &mut Context, args: NamedConfirm) -> Result<(), Failure> {
    let question = format!("Take the second factor of {} away? Its sessions end.", args.user);
    input::confirm(args.confirm.yes, &question)?;
    let user = context.client().await?.ask(user::ResetTotp { user: args.user.clone() }).await?;
    context.out.show(&user, |out| {
        out.line(format_args!("{} has no second factor any more; its sessions have ended.", safe(&user.name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_needs_something_to_change() {
        use clap::Parser as _;
        let parse = |line: &str| {
            let cli = crate::cli::Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.verb {
                Some(crate::cli::Verb::User(UserVerb::Set(args))) => change(&args),
                other => panic!("{other:?}"),
            }
        };
        for line in ["aivonx user set a", "aivonx user set a --revision 3"] {
            assert!(matches!(parse(line), Err(Failure::Usage { .. })), "{line}");
        }
        let all = parse("aivonx user set a --no-email --display-name A --no-org --role auditor").unwrap();
        assert_eq!(
            (all.email, all.display_name, all.organization, all.role),
            (Some(None), Some(Some("A".into())), Some(None), Some(Role::Auditor))
        );
    }
}
