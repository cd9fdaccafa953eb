//! Limits as tables.

use aivonx_protocol::limit::{
    Each, EffectiveLimit, LimitLevel, LimitName, LimitSetting, LimitSource, LimitUnit, Limits, Unpriced,
};

use crate::{
    cli::organization::options::profile_name,
    render::{Cell, Column, Table, Tone, text},
};

/// Per cent of a cap from which on it needs a look.
const NEAR: u64 = 80;

/// Whose limits these are: `Limits of the organization acme (profile standard)`.
#[must_use]
pub fn title(limits: &Limits) -> String {
    let name = text::safe(limits.name.as_deref().unwrap_or_default());
    let whose = match limits.level {
        LimitLevel::Fleet => "the fleet".to_owned(),
        LimitLevel::Organization => format!("the organization {name}"),
        LimitLevel::User => format!("the user {name}"),
        LimitLevel::Key => format!("the key {name}"),
    };
    let of = match &limits.organization {
        Some(slug) if limits.level != LimitLevel::Organization => format!(" of {}", text::safe(slug)),
        _ => String::new(),
    };
    format!("Limits of {whose}{of} (profile {})", profile_name(limits.profile))
}

/// A cap for people: `1 000`, `2.50 USD`, `unlimited`.
#[must_use]
pub fn cap_text(setting: LimitSetting, cap: Option<u64>) -> String {
    match (cap, setting.name.unit()) {
        (Some(cap), LimitUnit::MicroUsd) => format!("{} USD", setting.cap_text(Some(cap))),
        (Some(cap), _) if setting.name != LimitName::SpendUnpriced => text::count(cap),
        (cap, _) => setting.cap_text(cap),
    }
}

/// Models named where limits on money do not hold for them.
const MODELS: usize = 5;

/// What limits on money do about models without a price, in one sentence; None where there is nothing to say.
#[must_use]
pub fn unpriced(limits: &Limits, found: &Unpriced) -> Option<String> {
    let is_set = |limit: &&EffectiveLimit| limit.limit.is_some();
    let money = limits.limits.iter().filter(|limit| limit.name.name.is_spend()).filter(is_set);
    let mut money: Vec<String> = money.map(|limit| limit.name.to_string()).collect();
    money.dedup();
    if money.is_empty() || (found.models.is_empty() && !found.all) {
        return None;
    }
    let mut models: Vec<String> = found.models.iter().take(MODELS).map(|model| text::safe(model)).collect();
    if let more @ 1.. = found.models.len().saturating_sub(MODELS) {
        models.push(format!("{more} more"));
    }
    let models = if models.is_empty() { "any model".to_owned() } else { models.join(", ") };
    Some(if refuses_unpriced(limits) {
        format!("no price, so requests are refused (spend.unpriced=refuse): {models}")
    } else {
        format!("no price, so this limit cannot hold: {} for {models}", money.join(", "))
    })
}

/// Whether models without a price are refused where money is limited.
#[must_use]
pub fn refuses_unpriced(limits: &Limits) -> bool {
    let mut choices = limits.limits.iter().filter(|limit| limit.name.name == LimitName::SpendUnpriced);
    choices.any(|limit| limit.limit.is_some())
}

/// The same as [`unpriced`], with what can be done about it.
#[must_use]
pub fn unpriced_advice(limits: &Limits, found: &Unpriced) -> Option<String> {
    let said = unpriced(limits, found)?;
    let price = "Set a price: aivonx price set MODEL PROMPT OUTPUT";
    if refuses_unpriced(limits) {
        return Some(format!("{said}\n{price}"));
    }
    let of = match &limits.organization {
        Some(slug) => format!(" --org {}", text::safe(slug)),
        None => String::new(),
    };
    Some(format!("{said}\n{price}; or refuse such models: aivonx limit set{of} spend.unpriced=refuse"))
}

/// Whose count it is.
pub(crate) fn of(limit: &EffectiveLimit, shown: LimitLevel) -> &'static str {
    if limit.level != shown {
        return match limit.level {
            LimitLevel::Fleet => "the fleet",
            LimitLevel::Organization => "its org",
            LimitLevel::User => "its user",
            LimitLevel::Key => "the key",
        };
    }
    match (limit.level, limit.name.each) {
        (_, Each::Key) => "each key",
        (LimitLevel::User | LimitLevel::Key, _) => "itself",
        (_, Each::User) => "each user",
        (LimitLevel::Fleet, Each::Itself) if limit.name.name.is_by_address() => "address",
        (LimitLevel::Fleet, Each::Itself) => "each org",
        (LimitLevel::Organization, Each::Itself) => "itself",
    }
}

/// Where a value comes from.
pub(crate) fn source(source: LimitSource) -> &'static str {
    match source {
        LimitSource::Profile => "profile",
        LimitSource::Fleet => "fleet",
        LimitSource::Organization => "org",
        LimitSource::OrganizationAdmin => "org's admin",
        LimitSource::User => "user",
        LimitSource::UserAdmin => "user (admin)",
        LimitSource::Key => "key",
        LimitSource::KeyAdmin => "key (admin)",
    }
}

/// `limit show` as a table. Without `all`, what limits nothing and nobody set is left out, but for bare names.
#[must_use]
pub fn overview(limits: &Limits, all: bool, now: u64) -> Table {
    let mut table = Table::new([
        Column::text("LIMIT"),
        Column::number("CAP"),
        Column::text("OF"),
        Column::number("USED"),
        Column::number("RESETS IN").optional(1),
        Column::text("FROM"),
    ]);
    let interesting = |limit: &&EffectiveLimit| {
        all || limit.name.is_bare() || limit.limit.is_some() || limit.source != LimitSource::Profile
    };
    for limit in limits.limits.iter().filter(interesting) {
        let cap = Cell::new(cap_text(limit.name, limit.limit));
        table.row([
            limit.name.to_string().into(),
            if limit.limit.is_some() { cap } else { cap.tone(Tone::Dim) },
            of(limit, limits.level).into(),
            used(limit),
            Cell::optional(limit.resets.map(|at| text::span(at.saturating_sub(now)))),
            source(limit.source).into(),
        ]);
    }
    table
}

fn used(limit: &EffectiveLimit) -> Cell {
    let Some(used) = limit.used else { return Cell::new(text::NONE).tone(Tone::Dim) };
    let cell = Cell::new(cap_text(limit.name, Some(used)));
    match limit.limit {
        Some(cap) if used >= cap => cell.tone(Tone::Bad),
        Some(cap) if u128::from(used) * 100 >= u128::from(cap) * u128::from(NEAR) => cell.tone(Tone::Warn),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn limits_at_eighty_columns() {
        let shown: Vec<String> = samples::limits()
            .iter()
            .map(|limits| {
                let table = overview(limits, false, samples::NOW).render(Some(80), false);
                format!("{}\n{table}", title(limits))
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n\n"));
    }

    #[test]
    fn what_cannot_hold_is_said() {
        let limit = |name: &str, limit| EffectiveLimit {
            name: name.parse().unwrap(),
            level: LimitLevel::Organization,
            limit,
            unit: LimitUnit::Requests,
            source: LimitSource::Organization,
            used: None,
            resets: None,
        };
        let mut limits = samples::limits()[0].clone();
        limits.limits = vec![limit("spend.day", Some(5)), limit("spend.unpriced", None)];
        let models = |count: usize| (1..=count).map(|n| format!("m{n}")).collect();
        let none = Unpriced { models: models(0), all: false };
        assert_eq!(unpriced(&limits, &none), None);
        let cannot = "no price, so this limit cannot hold: spend.day for ";
        for (found, which) in [
            (Unpriced { models: models(2), all: false }, "m1, m2"),
            (Unpriced { models: models(7), all: false }, "m1, m2, m3, m4, m5, 2 more"),
            (Unpriced { models: models(0), all: true }, "any model"),
        ] {
            assert_eq!(unpriced(&limits, &found), Some(format!("{cannot}{which}")));
        }
        let one = Unpriced { models: models(1), all: true };
        limits.limits[1].limit = Some(0);
        assert!(unpriced(&limits, &one).unwrap().contains("refused (spend.unpriced=refuse): m1"));
        limits.limits[0].limit = None;
        assert_eq!(unpriced(&limits, &one), None, "no money is limited");
    }

    #[test]
    fn what_limits_nothing_is_shown_on_demand() {
        let limits = &samples::limits()[0];
        let lines = |all| overview(limits, all, samples::NOW).render(Some(80), false).lines().count();
        assert!(lines(true) > lines(false));
    }
}
