//! Limits.
//!
//! ## limit
//! | field | meaning |
//! |---|---|
//! | `name` | such as `inference.day`, `user.inference.day`, `key.hour`: see aivonx-limits(7) |
//! | `level` | whose it is: `fleet`, `organization`, `user` or `key` |
//! | `limit` | the cap in its unit, or null for unlimited; of `spend.unpriced` 0 is `refuse` and null is `free` |
//! | `unit` | `requests`, `tokens`, `characters` or `micro_usd` (millionths of a US dollar) |
//! | `source` | where the cap comes from: `profile`, `fleet`, `organization`, `organization_admin`, `user`, `user_admin`, `key`, `key_admin` |
//! | `used` | how much of it is used, or null where nothing is counted or you may not see it |
//! | `resets` | time at which the count begins anew, or null |

use std::{borrow::Cow, cmp::Ordering, str::FromStr};

use aivonx_protocol::limit::{
    Each, EffectiveLimit, LimitLevel, LimitName, LimitSetting, LimitSource, LimitUnit, LimitValue, Limits,
    UnknownLimit, Unpriced,
};

use super::{Field, Noun, View, largest, profile_name};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone, bar,
        text::{self, span},
    },
};

/// Cells of a bar with its share.
const BAR: usize = 8;

/// One limit of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitRow {
    /// Its place among all.
    pub(crate) at: usize,
    /// The limit.
    pub(crate) limit: EffectiveLimit,
    /// Whose limits are shown: others' hold as well.
    pub(crate) shown: LimitLevel,
}

impl LimitRow {
    /// Each of these limits.
    pub(crate) fn all(limits: &Limits) -> impl Iterator<Item = Self> {
        let shown = limits.level;
        limits.limits.iter().enumerate().map(move |(at, limit)| Self { at, limit: limit.clone(), shown })
    }

    /// The part of it that is used; None where nothing is counted or capped.
    pub(crate) fn share(&self) -> Option<f64> {
        Some(bar::share(self.limit.used?, self.limit.limit?))
    }

    /// Whether it limits something, or was set by somebody.
    pub(crate) fn matters(&self) -> bool {
        self.limit.limit.is_some() || self.limit.source != LimitSource::Profile || self.limit.name.is_bare()
    }

    /// What caps something and counts comes first, then what caps, then the rest.
    fn rank(&self) -> u8 {
        match (self.limit.limit, self.limit.used) {
            (Some(_), Some(_)) => 0,
            (Some(_), None) => 1,
            (None, _) if self.limit.source != LimitSource::Profile => 2,
            (None, _) if self.limit.name.is_bare() => 3,
            (None, _) => 4,
        }
    }

    /// Whose count it is.
    pub(crate) fn of(&self) -> &'static str {
        of(&self.limit, self.shown)
    }
}

fn cap(row: &LimitRow) -> Cell {
    let tone = if row.limit.limit.is_some() { Tone::Plain } else { Tone::Dim };
    Cell::toned(cap_text(row.limit.name, row.limit.limit), tone)
}

fn used(row: &LimitRow, view: &View<'_>) -> Cell {
    let Some(used) = row.limit.used else { return Cell::toned(text::NONE, Tone::Dim) };
    let text = match view.theme {
        Some(_) if row.limit.name.name.is_spend() => text::dollars(used),
        _ => cap_text(row.limit.name, Some(used)),
    };
    // What is far from used up is nothing special among numbers.
    let tone = row.share().map(bar::tone).filter(|tone| *tone != Tone::Good).unwrap_or_default();
    Cell::toned(text, tone)
}

fn by_share(a: &LimitRow, b: &LimitRow) -> Ordering {
    largest(a.share(), b.share())
}

impl Noun for LimitRow {
    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("LIMIT").cells(18), |row, _| row.limit.name.to_string().into())
            .sorted(|a, b| (a.rank(), a.at).cmp(&(b.rank(), b.at))),
        Field::<Self>::new(Column::number("CAP").grows(11), |row, _| cap(row)).sorted(by_share),
        Field::<Self>::new(Column::text("OF").cells(9).optional(2), |row, _| row.of().into())
            .sorted(|a, b| (a.limit.level, a.at).cmp(&(b.limit.level, b.at))),
        Field::<Self>::new(Column::number("USED").grows(10), used).sorted(by_share),
        Field::<Self>::new(Column::number("RESETS IN").optional(3), |row, view| {
            Cell::optional(row.limit.resets.map(|at| span(at.saturating_sub(view.now))))
        })
        .sorted(|a, b| a.limit.resets.unwrap_or(u64::MAX).cmp(&b.limit.resets.unwrap_or(u64::MAX))),
        Field::<Self>::new(Column::text("FROM").cells(12), |row, _| source(row.limit.source).into()).sorted(
            |a, b| (a.limit.source == LimitSource::Profile).cmp(&(b.limit.source == LimitSource::Profile)),
        ),
        // A picture of what stands beside it.
        Field::<Self>::new(Column::text("").cells(BAR as u16).optional(1), |row, view| {
            let told = row.share().zip(view.theme);
            told.map_or_else(
                || Cell::new(""),
                |(share, theme)| Cell::toned(bar::told(share, BAR, theme), bar::tone(share)),
            )
        })
        .in_console(),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{:?} {}", self.limit.level, self.limit.name))
    }

    fn name(&self) -> &str {
        self.limit.name.name.name()
    }

    fn details(&self, _: &View<'_>) -> Table {
        Table::pairs()
    }
}

impl Subject for LimitRow {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "limit" | "name" => self.limit.name.to_string(),
            "cap" => self.limit.limit?.to_string(),
            "used" => self.limit.used?.to_string(),
            "from" => source(self.limit.source).to_owned(),
            "of" => self.of().to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.limit.name.to_string()) || test(source(self.limit.source))
    }
}

/// Whether a value was set on `level` itself, and can be taken back there.
pub(crate) fn source_is_own(source: LimitSource, level: LimitLevel) -> bool {
    use LimitSource as S;
    matches!(
        (source, level),
        (S::Fleet, LimitLevel::Fleet)
            | (S::Organization | S::OrganizationAdmin, LimitLevel::Organization)
            | (S::User | S::UserAdmin, LimitLevel::User)
            | (S::Key | S::KeyAdmin, LimitLevel::Key)
    )
}

/// Whose limits these are: `Limits of the organization acme (profile standard)`.
pub(crate) fn title(limits: &Limits) -> String {
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
pub(crate) fn cap_text(setting: LimitSetting, cap: Option<u64>) -> String {
    match (cap, setting.name.unit()) {
        (Some(cap), LimitUnit::MicroUsd) => format!("{} USD", setting.cap_text(Some(cap))),
        (Some(cap), _) if setting.name != LimitName::SpendUnpriced => text::count(cap),
        (cap, _) => setting.cap_text(cap),
    }
}

/// Models named where limits on money do not hold for them.
const MODELS: usize = 5;

/// What limits on money do about models without a price, in one sentence; None where there is nothing to say.
pub(crate) fn unpriced(limits: &Limits, found: &Unpriced) -> Option<String> {
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
pub(crate) fn refuses_unpriced(limits: &Limits) -> bool {
    let mut choices = limits.limits.iter().filter(|limit| limit.name.name == LimitName::SpendUnpriced);
    choices.any(|limit| limit.limit.is_some())
}

/// The same as [`unpriced`], with what can be done about it.
pub(crate) fn unpriced_advice(limits: &Limits, found: &Unpriced) -> Option<String> {
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
fn of(limit: &EffectiveLimit, shown: LimitLevel) -> &'static str {
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

/// A limit and its value as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment(pub LimitValue);

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as inference.day=100")?;
        let name: LimitSetting = name.parse().map_err(|unknown: UnknownLimit| unknown.to_string())?;
        let limit = name.cap(value).map_err(|bad| bad.to_string())?;
        Ok(Self(LimitValue { name, limit }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nouns::table, samples};

    fn shown(limits: &Limits, all: bool) -> String {
        let rows: Vec<_> = LimitRow::all(limits).filter(|row| all || row.matters()).collect();
        table(&rows, &samples::VIEW).render(Some(80), false)
    }

    #[test]
    fn limits_at_eighty_columns() {
        let shown: Vec<String> = samples::limits()
            .iter()
            .map(|limits| format!("{}\n{}", title(limits), shown(limits, false)))
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
        let lines = |all| shown(limits, all).lines().count();
        assert!(lines(true) > lines(false));
    }
}
