//! Users and keys that are easier to steal than they need be.

use aivonx_domain::named;
use aivonx_protocol::{UnixMillis, key::Key, secrets::Check, user::Role};
use aivonx_store::UserRecord;

const DAY: UnixMillis = 24 * 3600 * 1000;
/// A password is this old at most.
const PASSWORD_LASTS: UnixMillis = 365 * DAY;
/// A key that nobody used for so long is not needed.
const KEY_UNUSED: UnixMillis = 90 * DAY;

/// Whether those who log in have a second factor.
pub(super) fn two_factor(users: &[UserRecord]) -> Check {
    let is_set = |user: &UserRecord| user.totp.as_ref().is_some_and(|totp| totp.confirmed);
    let enabled: Vec<_> = users.iter().filter(|user| user.enabled).collect();
    let without: Vec<_> = enabled.iter().filter(|user| !is_set(user)).collect();
    let names: Vec<&str> = without.iter().map(|user| &*user.name).collect();
    let (count, all) = (names.len(), enabled.len());
    if names.is_empty() {
        return Check::ok("two-factor", format!("{all} of {all} users have a second factor"));
    }
    let finding = format!("{count} of {all} users have no second factor: {}", named(&names));
    let fix = "have each run aivonx totp enable; access.two_factor = \"required\" demands it of all";
    if without.iter().any(|user| user.role == Role::Superadmin) {
        return Check::fail("two-factor", finding, fix);
    }
    Check::warn("two-factor", finding, fix)
}

/// Whether passwords are not too old.
pub(super) fn passwords(users: &[UserRecord], now: UnixMillis) -> Check {
    let is_old = |user: &&UserRecord| {
        user.enabled && user.password.is_some() && now.saturating_sub(user.password_changed) > PASSWORD_LASTS
    };
    let names: Vec<&str> = users.iter().filter(is_old).map(|user| &*user.name).collect();
    match names.first() {
        None => Check::ok("passwords", "none is older than a year"),
        Some(first) => Check::warn(
            "passwords",
            format!("older than a year: those of {}", named(&names)),
            format!("have each run aivonx passwd, or: aivonx user reset-password {first}"),
        ),
    }
}

/// Whether every key is used, and ends by itself.
pub(super) fn keys(keys: &[Key], now: UnixMillis) -> Check {
    let is_stale = |key: &&Key| now.saturating_sub(key.last_used.unwrap_or(key.created)) > KEY_UNUSED;
    let stale: Vec<&str> = keys.iter().filter(is_stale).map(|key| &*key.name).collect();
    match stale.first() {
        None => Check::ok("keys", format!("each of {} was used in the last 90 days or is newer", keys.len())),
        Some(first) => Check::warn(
            "keys",
            format!("not used for 90 days: {}", named(&stale)),
            format!("if nobody needs it: aivonx key revoke {first}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{
        Reply,
        secrets::CheckOutcome::{Fail, Ok, Warn},
    };

    use super::*;

    fn user(role: Role) -> UserRecord {
        UserRecord::new("alice", role, None)
    }

    #[test]
    fn administrators_without_a_second_factor_fail() {
        assert_eq!(two_factor(&[]).outcome, Ok);
        assert_eq!(two_factor(&[user(Role::Operator)]).outcome, Warn);
        assert_eq!(two_factor(&[user(Role::Superadmin)]).outcome, Fail);
        let disabled = UserRecord { enabled: false, ..user(Role::Superadmin) };
        assert_eq!(two_factor(&[disabled]).outcome, Ok);
    }

    #[test]
    fn old_passwords_and_unused_keys_are_named() {
        let now = 1000 * DAY;
        let of = |age: u64| UserRecord {
            password: Some("$argon2id$".into()),
            password_changed: now - age * DAY,
            ..user(Role::Member)
        };
        assert_eq!([passwords(&[of(300)], now).outcome, passwords(&[of(400)], now).outcome], [Ok, Warn]);
        let samples = Reply::samples().into_iter();
        let mut found =
            samples.filter_map(|reply| if let Reply::Key(key) = reply { Some(*key) } else { None });
        let key = found.next();
        let of = |used: Option<u64>, made: u64| Key {
            last_used: used.map(|days| now - days * DAY),
            created: now - made * DAY,
            ..key.clone().unwrap()
        };
        for (key, outcome) in
            [(of(Some(1), 500), Ok), (of(None, 1), Ok), (of(None, 91), Warn), (of(Some(91), 500), Warn)]
        {
            assert_eq!(keys(&[key], now).outcome, outcome);
        }
    }
}
