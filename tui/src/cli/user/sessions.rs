//! `aivonx user sessions` and `aivonx user logout`.

use aivonx_protocol::user;
use clap::Args;
use serde::Serialize;

use super::super::Context;
use crate::{
    exit::Failure,
    nouns,
    render::text::{plural, safe},
};

/// `user logout`
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Name or id of the user
    #[arg(value_name = "USER")]
    pub user: String,
    /// Only this session or token, by its id
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
}

/// What `user logout` prints as JSON.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ended {
    /// Number of sessions and tokens that were ended.
    pub ended: u32,
}

pub(super) async fn list(context: &mut Context, user: &str) -> Result<(), Failure> {
    let sessions = context.client().await?.ask(user::Sessions { user: user.to_owned() }).await?;
    context.out.show(&sessions, |out| {
        if sessions.is_empty() {
            return out.line(format_args!("{} is not logged in anywhere and has no tokens.", safe(user)));
        }
        nouns::list(out, &sessions)
    })
}

pub(super) async fn logout(context: &mut Context, args: LogoutArgs) -> Result<(), Failure> {
    let ended =
        context.client().await?.ask(user::Logout { user: args.user.clone(), session: args.session }).await?;
    context.out.show(&Ended { ended }, |out| {
        // Tokens are sessions as well.
        out.line(format_args!("Ended {} of {}.", plural(ended.into(), "session"), safe(&args.user)))
    })
}
