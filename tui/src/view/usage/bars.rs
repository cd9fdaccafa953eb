//! What is used of limits, as lines among other facts.

use aivonx_protocol::limit::{LimitLevel, LimitName, Limits};

use crate::{
    nouns::{LimitRow, limit::cap_text},
    render::{
        Cell, Table, bar,
        text::{count, dollars, safe, span},
    },
    state::Model,
};

/// Lines at most: the rest is on the screen of usage.
const LINES: usize = 5;
/// Cells of a bar with its share.
const BAR: usize = 16;

/// `970 of 1 000`, `9.00 of 10.00 USD`, `at most 4`, `refuse`, `unlimited`.
pub(super) fn used_of(row: &LimitRow) -> String {
    let limit = &row.limit;
    let cap = cap_text(limit.name, limit.limit);
    let amount = |used| if limit.name.name.is_spend() { dollars(used) } else { count(used) };
    match (limit.used, limit.limit) {
        (Some(used), Some(_)) => format!("{} of {cap}", amount(used)),
        (None, Some(_)) if limit.name.name != LimitName::SpendUnpriced => format!("at most {cap}"),
        (Some(used), None) if used > 0 => format!("{}, {cap}", amount(used)),
        _ => cap,
    }
}

/// Whose limits these are: `organization acme`.
pub(super) fn called(limits: &Limits) -> String {
    let name = safe(limits.name.as_deref().unwrap_or_default());
    let text = match limits.level {
        LimitLevel::Fleet => return "the fleet".to_owned(),
        LimitLevel::Organization => return format!("organization {name}"),
        LimitLevel::User => format!("user {name}"),
        LimitLevel::Key => format!("key {name}"),
    };
    match &limits.organization {
        Some(slug) => format!("{text} of {}", safe(slug)),
        None => text,
    }
}

/// The limits that `id` is nearest to, if they are known; a line each.
pub(in crate::view) fn facts(model: &Model, table: &mut Table, id: &str) {
    let usage = &model.usage;
    if usage.limits_of.as_ref().is_none_or(|limits| limits.id.as_deref() != Some(id)) {
        return;
    }
    let theme = model.settings.theme;
    let mut rows: Vec<(&LimitRow, f64)> =
        usage.limits.all().iter().filter_map(|row| Some((row, row.share()?))).collect();
    rows.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let more = rows.len().saturating_sub(LINES);
    for (row, share) in rows.iter().take(LINES) {
        let of = if row.limit.level == row.shown { String::new() } else { format!(" ({})", row.of()) };
        let bar = bar::told(*share, BAR, theme);
        let word = match bar::word(*share) {
            "" => String::new(),
            word => format!(", {word}"),
        };
        let anew = row
            .limit
            .resets
            .map_or_else(String::new, |at| format!(", anew in {}", span(at.saturating_sub(model.now))));
        let text = format!("{bar}  {}{of}{word}{anew}", used_of(row));
        table.pair(&row.limit.name.to_string(), Cell::toned(text, bar::tone(*share)));
    }
    if rows.is_empty() {
        table.pair("used", "nothing that counts is limited (l: limits and usage)");
    } else if more > 0 {
        table.pair("", format!("and {more} more (l)"));
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::limit::EffectiveLimit;

    use super::*;
    use crate::samples;

    #[test]
    fn only_a_number_is_the_most_there_may_be() {
        let limits = samples::limits().remove(0);
        let said = |name: &str, cap: u64| {
            let name = name.parse().unwrap();
            let limit = EffectiveLimit { name, limit: Some(cap), used: None, ..limits.limits[0].clone() };
            used_of(&LimitRow { at: 0, limit, shown: limits.level })
        };
        assert_eq!([said("spend.unpriced", 1), said("prompt.chars", 4)], ["refuse", "at most 4"]);
    }
}
