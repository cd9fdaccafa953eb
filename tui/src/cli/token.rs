//! `aivonx token ...`: sessions for scripts.

use std::{path::Path, time::Duration};

use aivonx_protocol::{
    WireSecret,
    session::{NewSession, Session},
    token,
    user::Role,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Confirm, Context,
    key::created::{Secret, hand_over},
};
use crate::{
    exit::Failure,
    input, nouns,
    render::{
        Out,
        text::{self, safe},
    },
    session, time_arg,
};

/// What can be done with control tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token for a script; its secret is shown this once
    Create(CreateArgs),
    /// Your tokens
    #[command(visible_alias = "ls")]
    List,
    /// End a token
    Revoke(RevokeArgs),
}

/// `token create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is for
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it may do, never more than you [default: as you]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<Role>,
    /// How long it lasts
    #[arg(long = "lasts", value_name = "SPAN", default_value = "90d", value_parser = time_arg::span_argument)]
    pub lasts_ms: Duration,
    #[command(flatten)]
    secret: Secret,
}

/// `token revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Name or id of the token
    #[arg(value_name = "TOKEN")]
    pub token: String,
    #[command(flatten)]
    confirm: Confirm,
}

/// What `token create` prints as JSON: the session with its secret.
#[derive(Debug, Serialize)]
pub struct Created<'a> {
    #[serde(flatten)]
    session: &'a Session,
    secret: &'a WireSecret,
}

impl<'a> From<&'a NewSession> for Created<'a> {
    fn from(new: &'a NewSession) -> Self {
        Self { session: &new.session, secret: &new.secret }
    }
}

/// Carries out a verb.
///
/// # Errors
/// Why not.
pub async fn run(context: &mut Context, verb: TokenVerb) -> Result<(), Failure> {
    match verb {
        TokenVerb::Create(args) => {
            let lasts = u64::try_from(args.lasts_ms.as_millis()).unwrap_or(u64::MAX);
            let file = args.secret.place(&context.out)?;
            let client = context.client().await?;
            let new = client
                .ask(token::Create { name: args.name.clone(), role: args.role, lasts_ms: lasts })
                .await?;
            let show =
                |kept: Option<&Path>| context.out.show(&Created::from(&new), |out| created(out, &new, kept));
            let lost = async |failure: Failure| match client
                .ask(token::Revoke { token: new.session.id.clone() })
                .await
            {
                Ok(()) => failure.lost(
                    "So nobody has the token, and it is revoked again.",
                    "Make it again, with an output that can be written.",
                ),
                Err(error) => failure.lost(
                    format_args!("So nobody has the token, and it is not revoked: {error}"),
                    format!("Revoke it: aivonx token revoke {}", new.session.id),
                ),
            };
            hand_over(file, &new.secret, show, lost).await
        }
        TokenVerb::List => {
            let tokens = context.client().await?.ask(token::List).await?;
            context.out.show(&tokens, |out| {
                if tokens.is_empty() {
                    return out.line("You have no tokens. Make one: aivonx token create NAME");
                }
                nouns::list(out, &tokens)
            })
        }
        TokenVerb::Revoke(RevokeArgs { token, confirm }) => {
            let question = format!("Revoke the token {token}? What uses it is refused at once.");
            input::confirm(confirm.yes, &question)?;
            context.client().await?.ask(token::Revoke { token: token.clone() }).await?;
            context.out.show(&(), |out| out.line(format_args!("Revoked the token {}.", safe(&token))))
        }
    }
}

fn created(out: &mut Out, new: &NewSession, kept: Option<&Path>) -> Result<(), Failure> {
    let until = text::time(new.session.expires, &out.zone);
    let name = safe(new.session.name.as_deref().unwrap_or_default());
    out.line(format_args!("Token {name} is good until {until}, as {}.", new.session.role))?;
    if let Some(path) = kept {
        let path = safe(&path.to_string_lossy());
        return out.line(format_args!("It is in {path}; use it: export {}={path}", session::TOKEN_FILE));
    }
    out.line("This is the only time it is shown:\n")?;
    out.line(format_args!("  export {}={}\n", session::TOKEN, new.secret.expose()))?;
    out.line(format_args!("Or have it in a file (--secret-file) and name that in {}.", session::TOKEN_FILE))
}
