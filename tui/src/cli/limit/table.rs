//! Limits as tables.

use aivonx_protocol::limit::{
    Each, EffectiveLimit, LimitLevel, LimitSetting, LimitSource, LimitUnit, Limits,
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
        (Some(cap), _) => text::count(cap),
        (None, _) => setting.cap_text(None),
    }
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
    fn what_limits_nothing_is_shown_on_demand() {
        let limits = &samples::limits()[0];
        let lines = |all| overview(limits, all, samples::NOW).render(Some(80), false).lines().count();
        assert!(lines(true) > lines(false));
    }
}
