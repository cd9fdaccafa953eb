//! Limits that nobody set, and limits on money that cannot hold.

use aivonx_domain::named;
use aivonx_limits::Caps;
use aivonx_protocol::secrets::Check;

/// Whether every organization has a limit.
pub(super) fn set(organizations: &[(&str, Caps)]) -> Check {
    let without = organizations.iter().filter(|(_, caps)| caps.each().next().is_none());
    let without: Vec<&str> = without.map(|(slug, _)| *slug).collect();
    match without.first() {
        None => Check::ok("limits", "every organization has a limit"),
        Some(first) => Check::warn(
            "limits",
            format!("nothing bounds what these use: {}", named(&without)),
            format!(
                "aivonx limit profile apply team --org {first}, or aivonx limit set --org {first} tokens.day=1000000"
            ),
        ),
    }
}

/// Whether models have prices where money is limited.
pub(super) fn prices(limited: bool, unpriced: &[String]) -> Check {
    if !limited || unpriced.is_empty() {
        return Check::ok("prices", "no limit on money meets a model without a price");
    }
    Check::warn(
        "prices",
        format!("limits on money do not hold for models without a price: {}", named(unpriced)),
        "aivonx price set MODEL PROMPT OUTPUT, or aivonx limit set spend.unpriced=refuse",
    )
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{
        limit::LimitName,
        secrets::CheckOutcome::{Ok, Warn},
    };

    use super::*;

    #[test]
    fn what_is_not_limited_is_named() {
        let limited = Caps::UNLIMITED.with(LimitName::TokensDay, 5);
        assert_eq!(set(&[("acme", limited)]).outcome, Ok);
        let found = set(&[("acme", limited), ("lab", Caps::UNLIMITED)]);
        assert_eq!(found.outcome, Warn);
        assert!(found.finding.ends_with(": lab"), "{}", found.finding);
    }

    #[test]
    fn money_needs_prices() {
        let models = ["m".to_owned()];
        let all = [prices(false, &models), prices(true, &[]), prices(true, &models)];
        assert_eq!(all.map(|check| check.outcome), [Ok, Ok, Warn]);
    }
}
