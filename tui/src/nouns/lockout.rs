//! Lockouts: names that failed to log in, and from where.
//!
//! ## lockout
//! | field | meaning |
//! |---|---|
//! | `user` | the name that was tried; there may be no such user |
//! | `address` | where from: an address, an IPv6 /64, or `uid N` |
//! | `failures` | number of failures in a row |
//! | `last` | time of the last one |
//! | `locked_until` | time until which logins are refused, or null |

use std::borrow::Cow;

use aivonx_protocol::lockout::Lockout;

use super::{Field, Noun, View};
use crate::{
    filter::Subject,
    render::{Cell, Column, Table, Tone, text::span},
};

fn locked(one: &Lockout, view: &View<'_>) -> Cell {
    match one.locked_until.and_then(|until| until.checked_sub(view.now)).filter(|left| *left > 0) {
        Some(left) => Cell::toned(format!("{} more", span(left)), Tone::Bad),
        None => Cell::toned("no", Tone::Dim),
    }
}

impl Noun for Lockout {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("USER").cut(16), |one, _| (&one.user).into())
            .sorted(|a, b| a.user.cmp(&b.user)),
        Field::<Self>::new(Column::text("FROM").cut(16), |one, _| (&one.address).into())
            .sorted(|a, b| a.address.cmp(&b.address)),
        Field::<Self>::new(Column::number("FAILURES"), |one, _| one.failures.to_string().into())
            .sorted(|a, b| b.failures.cmp(&a.failures)),
        Field::<Self>::new(Column::number("LAST").cells(11), |one, view| view.ago(Some(one.last)))
            .sorted(|a, b| b.last.cmp(&a.last)),
        Field::<Self>::new(Column::text("LOCKED").cells(13), locked)
            .sorted(|a, b| b.locked_until.cmp(&a.locked_until)),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}\n{}", self.user, self.address))
    }

    fn name(&self) -> &str {
        &self.user
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("user", &self.user);
        table.pair("from", &self.address);
        table.pair("failures", self.failures.to_string());
        table.pair("last", view.time(self.last));
        table.pair("locked", locked(self, view));
        table
    }
}

impl Subject for Lockout {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" => self.user.clone(),
            "address" | "from" => self.address.clone(),
            "failures" => self.failures.to_string(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.user) || test(&self.address)
    }
}
