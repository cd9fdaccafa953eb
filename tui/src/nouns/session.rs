//! Sessions and tokens.
//!
//! ## session
//! | field | meaning |
//! |---|---|
//! | `id` | stable id |
//! | `kind` | `control` (`aivonx login`), `token` (`aivonx token create`) or `http` |
//! | `user` | name of its user |
//! | `name` | name of a token, or null |
//! | `role` | what it may do |
//! | `organization` | slug of the organization it is bound to, or null |
//! | `peer_uid` | uid it is bound to, or null |
//! | `address` | address it was begun from, or null |
//! | `created`, `expires` | times |
//! | `last_used` | time, to the minute |

use std::borrow::Cow;

use aivonx_protocol::session::{Session, SessionKind};

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table,
        text::{NONE, span},
    },
};

fn kind(session: &Session) -> &'static str {
    match session.kind {
        SessionKind::Control => "login",
        SessionKind::Token => "token",
        SessionKind::Http => "http",
    }
}

fn from(session: &Session) -> String {
    match (&session.address, session.peer_uid) {
        (Some(address), _) => address.clone(),
        (None, Some(uid)) => format!("uid {uid}"),
        (None, None) => NONE.to_owned(),
    }
}

impl Noun for Session {
    const FIELDS: &'static [Field<Self>] = &[
        // Whole: it is how one of them is named.
        Field::<Self>::new(Column::text("ID"), |one, _| (&one.id).into()).on_command_line(),
        Field::<Self>::new(Column::text("USER").cut(9), |one, _| (&one.user).into())
            .sorted(|a, b| a.user.cmp(&b.user).then(b.last_used.cmp(&a.last_used)))
            .in_console(),
        Field::<Self>::new(Column::text("KIND").cells(5), |one, _| kind(one).into())
            .sorted(|a, b| kind(a).cmp(kind(b))),
        Field::<Self>::new(Column::text("NAME").cut(8).optional(1), |one, _| {
            Cell::optional(one.name.as_deref())
        })
        .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("ROLE").cells(10).optional(3), |one, _| one.role.as_str().into())
            .sorted(|a, b| a.role.cmp(&b.role)),
        Field::<Self>::new(Column::number("USED").cells(11), |one, view| view.ago(Some(one.last_used)))
            .sorted(|a, b| b.last_used.cmp(&a.last_used)),
        Field::<Self>::new(Column::text("UNTIL").cells(11).optional(4), |one, view| {
            // The console has no room for a date, and counts down.
            match view.theme {
                Some(_) => format!("in {}", span(one.expires.saturating_sub(view.now))).into(),
                None => view.time(one.expires).into(),
            }
        })
        .sorted(|a, b| a.expires.cmp(&b.expires)),
        Field::<Self>::new(Column::text("FROM").cut(12).optional(2), |one, _| from(one).into())
            .sorted(|a, b| a.address.cmp(&b.address)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("id", &self.id);
        table.pair("user", &self.user);
        table.pair("kind", kind(self));
        table.pair("name", Cell::optional(self.name.as_deref()));
        table.pair("role", self.role.as_str());
        table.pair("organization", self.organization.as_deref().unwrap_or("none: the whole fleet"));
        if let Some(address) = &self.address {
            table.pair("from", address);
        }
        if let Some(uid) = self.peer_uid {
            table.pair("bound to", format!("uid {uid}"));
        }
        table.pair("began", view.time(self.created));
        table.pair("used", view.time(self.last_used));
        table.pair("until", view.time(self.expires));
        table
    }
}

impl Subject for Session {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" => self.user.clone(),
            "kind" => kind(self).to_owned(),
            "name" => self.name.clone()?,
            "role" => self.role.to_string(),
            "from" => self.address.clone()?,
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.user)
            || test(kind(self))
            || test(self.role.as_str())
            || [&self.name, &self.address].into_iter().flatten().any(|text| test(text))
    }
}
