//! Users as tables.

use aivonx_protocol::user::User;
use jiff::tz::TimeZone;

use crate::render::{
    Cell, Column, Table, Tone,
    text::{self, plural},
};

fn state_cell(user: &User) -> Cell {
    match (user.enabled, user.must_change_password) {
        (true, false) => Cell::new("enabled").tone(Tone::Good),
        (true, true) => Cell::new("new password").tone(Tone::Warn),
        (false, _) => Cell::new("disabled").tone(Tone::Dim),
    }
}

/// `user list` as a table.
#[must_use]
pub fn overview(users: &[User], now: u64) -> Table {
    let mut table = Table::new([
        Column::text("NAME").cut(20),
        Column::text("ROLE"),
        Column::text("ORG").cut(12),
        Column::text("STATE"),
        Column::text("2FA").optional(1),
        Column::number("LAST LOGIN").optional(2),
        Column::text("E-MAIL").cut(12).optional(3),
    ]);
    for user in users {
        table.row([
            (&user.name).into(),
            user.role.as_str().into(),
            Cell::optional(user.organization.as_deref()),
            state_cell(user),
            if user.totp { "on".into() } else { Cell::new("off").tone(Tone::Warn) },
            user.last_login.map_or_else(|| "never".to_owned(), |at| text::ago(at, now)).into(),
            Cell::optional(user.email.as_deref()),
        ]);
    }
    table
}

/// `user show` as a table.
#[must_use]
pub fn details(user: &User, now: u64, zone: &TimeZone) -> Table {
    let mut table = Table::pairs();
    table.pair("name", &user.name);
    table.pair("id", &user.id);
    table.pair("role", user.role.as_str());
    table.pair("organization", user.organization.as_deref().unwrap_or("none: the whole fleet"));
    table.pair("state", state_cell(user));
    table.pair("display name", Cell::optional(user.display_name.as_deref()));
    table.pair("e-mail", Cell::optional(user.email.as_deref()));
    table.pair(
        "two-factor",
        if user.totp {
            Cell::new(format!("on, {} left", plural(user.backup_codes.into(), "backup code")))
        } else {
            Cell::new("off").tone(Tone::Warn)
        },
    );
    table.pair("last login", user.last_login.map_or_else(|| "never".to_owned(), |at| text::ago(at, now)));
    table.pair("added", text::time(user.created, zone));
    table.pair("revision", user.revision.to_string());
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn users_at_eighty_columns() {
        insta::assert_snapshot!(overview(&samples::users(), samples::NOW).render(Some(80), false));
    }

    #[test]
    fn one_user() {
        let shown: Vec<String> = samples::users()
            .iter()
            .map(|user| details(user, samples::NOW, &TimeZone::UTC).render(Some(80), false))
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
