//! Users.
//!
//! ## user
//! | field | meaning |
//! |---|---|
//! | `id` | stable id, never reused |
//! | `name` | unique name |
//! | `display_name`, `email` | for people, or null |
//! | `role` | as of an identity |
//! | `organization` | slug, or null for the whole fleet |
//! | `enabled` | whether it may do anything |
//! | `totp` | whether two-factor authentication is set up |
//! | `backup_codes` | number of backup codes not used yet |
//! | `must_change_password` | whether the password must be changed at the next login |
//! | `last_login` | time, or null |
//! | `created` | time |
//! | `revision` | rises with every change; see `user set --revision` |

use std::borrow::Cow;

use aivonx_protocol::user::User;

use super::{Field, Noun, View, enabled, switched};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone,
        text::{ago, plural},
    },
};

fn state(user: &User) -> Cell {
    if user.enabled && user.must_change_password {
        Cell::toned("new password", Tone::Warn)
    } else {
        switched(user.enabled)
    }
}

fn last_login(user: &User, view: &View<'_>) -> String {
    user.last_login.map_or_else(|| "never".to_owned(), |at| ago(at, view.now))
}

impl Noun for User {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(20).grows(16), |user, _| (&user.name).into())
            .sorted(|a, b| a.name.cmp(&b.name)),
        Field::<Self>::new(Column::text("ROLE").cells(10), |user, _| user.role.as_str().into())
            .sorted(|a, b| a.role.cmp(&b.role)),
        Field::<Self>::new(Column::text("ORG").cut(12), |user, _| {
            Cell::optional(user.organization.as_deref())
        })
        .sorted(|a, b| a.organization.cmp(&b.organization)),
        Field::<Self>::new(Column::text("STATE").cells(12), |user, _| state(user))
            .sorted(|a, b| a.enabled.cmp(&b.enabled)),
        Field::<Self>::new(Column::text("2FA").optional(1), |user, _| {
            if user.totp { "on".into() } else { Cell::toned("off", Tone::Warn) }
        })
        .sorted(|a, b| a.totp.cmp(&b.totp)),
        Field::<Self>::new(Column::number("LAST LOGIN").cells(11).optional(2), |user, view| {
            last_login(user, view).into()
        })
        .sorted(|a, b| b.last_login.cmp(&a.last_login)),
        Field::<Self>::new(Column::text("E-MAIL").cut(12).optional(3), |user, _| {
            Cell::optional(user.email.as_deref())
        })
        .sorted(|a, b| a.email.cmp(&b.email)),
        Field::<Self>::new(Column::text("DISPLAY NAME").cut(14).optional(4), |user, _| {
            Cell::optional(user.display_name.as_deref())
        })
        .sorted(|a, b| a.display_name.cmp(&b.display_name))
        .in_console(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn details(&self, view: &View<'_>) -> Table {
        let mut table = Table::pairs();
        table.pair("name", &self.name);
        table.pair("id", &self.id);
        table.pair("role", self.role.as_str());
        table.pair("organization", self.organization.as_deref().unwrap_or("none: the whole fleet"));
        table.pair("state", state(self));
        table.pair("display name", Cell::optional(self.display_name.as_deref()));
        table.pair("e-mail", Cell::optional(self.email.as_deref()));
        let codes = || format!("on, {} left", plural(self.backup_codes.into(), "backup code"));
        table.pair("two-factor", if self.totp { Cell::new(codes()) } else { Cell::toned("off", Tone::Warn) });
        table.pair("last login", last_login(self, view));
        table.pair("added", view.time(self.created));
        table.pair("revision", self.revision.to_string());
        table
    }
}

impl Subject for User {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "user" | "name" => self.name.clone(),
            "role" => self.role.to_string(),
            "org" => self.organization.clone()?,
            "state" => enabled(self.enabled).to_owned(),
            // As it is shown, and as an answer to the question.
            "totp" | "2fa" => if self.totp { "on yes" } else { "off no" }.to_owned(),
            "email" => self.email.clone()?,
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.name)
            || test(self.role.as_str())
            || test(enabled(self.enabled))
            || [&self.organization, &self.display_name, &self.email]
                .into_iter()
                .flatten()
                .any(|text| test(text))
    }
}
