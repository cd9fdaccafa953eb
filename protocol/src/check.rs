//! Whether the gateway is set up safely.

use crate::{
    audit::{Action, Noted},
    operation::operations,
    secrets::Check,
};

/// The seconds of `max-age` in a value of `Strict-Transport-Security` (RFC 6797); None if it has none.
#[must_use]
pub fn max_age(value: &str) -> Option<u64> {
    let seconds = |directive: &str| {
        let (name, seconds) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| seconds.trim().trim_matches('"').parse().ok())?
    };
    value.split(';').find_map(seconds)
}

operations! {
    /// Requests about how safely the gateway is set up.
    Request::Check(CheckRequest);

    /// Looks at everything that an attacker would look for.
    "check.run" Run -> Vec<Check> as Checks, needs SecretsRead;

    /// Makes two organizations, tries whether anyone of the one reaches what is the other's, and removes them again.
    "check.isolation" Isolation -> Vec<Check> as Checks, needs OrganizationManage,
        noted |_op| Noted::new(Action::Read, "check", "isolation");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_read_as_browsers_read_it() {
        for value in ["max-age=300", "includeSubDomains; Max-Age=\"300\"; preload", "preload;max-age = 300"] {
            assert_eq!(max_age(value), Some(300), "{value}");
        }
        for value in ["", "max-age", "max-age=", "max-age=-1", "s-max-age=300"] {
            assert_eq!(max_age(value), None, "{value}");
        }
    }
}
