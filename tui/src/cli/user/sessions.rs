//! `aivonx user sessions` and `aivonx user logout`, and sessions as a table.

use aivonx_protocol::{
    session::{Session, SessionKind},
    user,
};
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::Context;
use crate::{
    exit::Failure,
    render::{
        Column, Table,
        text::{self, plural, safe},
    },
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
        let table = overview(&sessions, text::now(), &out.zone);
        out.table(&table)
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

/// Sessions as a table: each with its whole id, which is how one of them is named.
#[must_use]
pub fn overview(sessions: &[Session], now: u64, zone: &TimeZone) -> Table {
    let mut table = Table::new([
        Column::text("ID"),
        Column::text("KIND"),
        Column::text("NAME").cut(8).optional(1),
        Column::text("ROLE").optional(3),
        Column::number("USED"),
        Column::text("UNTIL").optional(4),
        Column::text("FROM").cut(12).optional(2),
    ]);
    for session in sessions {
        let from = match (&session.address, session.peer_uid) {
            (Some(address), _) => address.clone(),
            (None, Some(uid)) => format!("uid {uid}"),
            (None, None) => text::NONE.to_owned(),
        };
        table.row([
            (&session.id).into(),
            kind(session.kind).into(),
            session.name.as_deref().unwrap_or(text::NONE).into(),
            session.role.as_str().into(),
            text::ago(session.last_used, now).into(),
            text::time(session.expires, zone).into(),
            from.into(),
        ]);
    }
    table
}

fn kind(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Control => "login",
        SessionKind::Token => "token",
        SessionKind::Http => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn sessions_at_eighty_columns_and_in_a_pipe() {
        let table = overview(&samples::sessions(), samples::NOW, &TimeZone::UTC);
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            table.render(Some(80), false),
            table.render(None, false)
        ));
    }
}
