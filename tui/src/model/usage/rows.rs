//! The rows of the screen.

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::{
    limit::{EffectiveLimit, LimitLevel, LimitSource},
    usage::UsageRow,
};

use crate::{
    filter::Subject,
    model::list::{Column, Record, Width},
};

/// What is said where something is nobody's.
pub(crate) const NOBODY: &str = "(none)";

/// What an organization, a user or a key uses, of its limits and in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The numbers.
    pub(crate) row: UsageRow,
    /// Slug of the organization it belongs to, as far as that is known.
    pub(crate) organization: Option<String>,
}

impl Budget {
    /// The column by which those who have least left come first.
    pub(crate) const LEFT: usize = 9;

    /// The part of the day's limit of requests that is used; None where there is none.
    pub(crate) fn requests(&self) -> Option<f64> {
        part(self.row.requests_used, self.row.requests_limit)
    }

    /// The same of the money.
    pub(crate) fn spend(&self) -> Option<f64> {
        part(self.row.spend_used, self.row.spend_limit)
    }
}

fn part(used: Option<u64>, limit: Option<u64>) -> Option<f64> {
    Some(crate::widgets::bar::share(used.unwrap_or(0), limit?))
}

fn field(row: &UsageRow, name: &str) -> Option<String> {
    Some(match name {
        "requests" => row.requests.to_string(),
        "failed" => row.failed.to_string(),
        "refused" => row.refused.to_string(),
        "in" | "prompt" => row.prompt_tokens.to_string(),
        "out" | "output" => row.output_tokens.to_string(),
        "tokens" => row.prompt_tokens.saturating_add(row.output_tokens).to_string(),
        "usd" | "spend" => aivonx_protocol::money::MicroUsd(row.spend).to_string(),
        "left" => (row.remaining()? / 10).to_string(),
        _ => return None,
    })
}

/// Largest first, and what is unknown last.
fn most(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

const REQUESTS: Column = Column::number("REQS", 6, 0);
const PROMPT: Column = Column::number("IN", 6, 0);
const OUTPUT: Column = Column::number("OUT", 6, 0);
const SPEND: Column = Column::number("USD", 7, 0);
const REFUSED: &str = "REFUSED";
const FAILED: &str = "FAILED";

/// The most first, by the number in the column of this title; by name where it is no number.
fn by_number(title: &str, a: &UsageRow, b: &UsageRow) -> Ordering {
    let number = |row: &UsageRow| {
        Some(match title {
            "REQS" => row.requests,
            "IN" => row.prompt_tokens,
            "OUT" => row.output_tokens,
            "USD" => row.spend,
            REFUSED => row.refused,
            FAILED => row.failed,
            _ => return None,
        })
    };
    number(b).cmp(&number(a)).then_with(|| name(a).cmp(name(b)))
}

fn id(row: &UsageRow) -> Cow<'_, str> {
    Cow::Borrowed(row.id.as_deref().unwrap_or(NOBODY))
}

fn name(row: &UsageRow) -> &str {
    row.name.as_deref().unwrap_or(NOBODY)
}

fn tokens(row: &UsageRow) -> u64 {
    row.prompt_tokens.saturating_add(row.output_tokens)
}

fn busiest(a: &UsageRow, b: &UsageRow) -> Ordering {
    (b.spend, tokens(b), b.requests).cmp(&(a.spend, tokens(a), a.requests))
}

impl Subject for Budget {
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" | "user" | "key" => self.row.name.clone(),
            "org" => self.organization.clone().or_else(|| self.row.name.clone()),
            _ => field(&self.row, name),
        }
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        [&self.row.name, &self.organization].into_iter().flatten().any(|text| test(text))
    }
}

impl Record for Budget {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME", Width::Fill(12), 0),
        Column::new("REQUESTS/DAY", Width::Fixed(13), 0),
        Column::new("USD/DAY", Width::Fixed(13), 0),
        REQUESTS,
        PROMPT,
        OUTPUT,
        SPEND,
        Column::number(REFUSED, 7, 2),
        Column::number(FAILED, 6, 3),
        Column::number("LEFT", 5, 4),
    ];

    fn id(&self) -> Cow<'_, str> {
        id(&self.row)
    }

    fn name(&self) -> &str {
        name(&self.row)
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        let (a, b) = (&self.row, &other.row);
        match column {
            1 => most(self.requests(), other.requests()),
            2 => most(self.spend(), other.spend()),
            Self::LEFT => {
                let left = |row: &UsageRow| row.remaining().unwrap_or(u64::MAX);
                left(a).cmp(&left(b)).then_with(|| busiest(a, b)).then_with(|| self.name().cmp(other.name()))
            }
            0 => (&self.organization, self.name()).cmp(&(&other.organization, other.name())),
            _ => by_number(&Self::COLUMNS[column].title, a, b),
        }
    }
}

/// What a model or a node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// The numbers.
    pub(crate) row: UsageRow,
    /// Tokens of all of them together.
    pub(crate) all: u64,
}

impl Served {
    /// The column by which those that serve most come first.
    pub(crate) const SHARE: usize = 1;

    /// Its part of all tokens.
    pub(crate) fn share(&self) -> f64 {
        if self.all == 0 { 0.0 } else { crate::widgets::bar::share(tokens(&self.row), self.all) }
    }

    /// Time of a request on the average, milliseconds.
    pub(crate) fn mean(&self) -> Option<u64> {
        self.row.total_ms.checked_div(self.row.requests)
    }
}

impl Subject for Served {
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" | "model" | "node" => self.row.name.clone(),
            _ => field(&self.row, name),
        }
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.row.name.as_deref().is_some_and(test)
    }
}

impl Record for Served {
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME", Width::Fill(16), 0),
        Column::new("OF ALL TOKENS", Width::Fixed(14), 0),
        REQUESTS,
        PROMPT,
        OUTPUT,
        SPEND,
        Column::number("MEAN", 7, 1),
        Column::number(REFUSED, 7, 3),
        Column::number(FAILED, 6, 2),
    ];

    fn id(&self) -> Cow<'_, str> {
        id(&self.row)
    }

    fn name(&self) -> &str {
        name(&self.row)
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        let (a, b) = (&self.row, &other.row);
        match column {
            Self::SHARE => tokens(b).cmp(&tokens(a)).then_with(|| busiest(a, b)),
            6 => other.mean().cmp(&self.mean()),
            _ => by_number(&Self::COLUMNS[column].title, a, b),
        }
    }
}

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

impl LimitRow {
    /// The part of it that is used; None where nothing is counted or capped.
    pub(crate) fn share(&self) -> Option<f64> {
        Some(crate::widgets::bar::share(self.limit.used?, self.limit.limit?))
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
}

impl Subject for LimitRow {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "limit" | "name" => self.limit.name.to_string(),
            "cap" => self.limit.limit?.to_string(),
            "used" => self.limit.used?.to_string(),
            "from" => crate::cli::limit::table::source(self.limit.source).to_owned(),
            "of" => crate::cli::limit::table::of(&self.limit, self.shown).to_owned(),
            _ => return None,
        })
    }

    fn any(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(&self.limit.name.to_string()) || test(crate::cli::limit::table::source(self.limit.source))
    }
}

impl Record for LimitRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("LIMIT", Width::Fixed(18), 0),
        Column::new("", Width::Fixed(12), 1),
        Column::new("USED OF IT", Width::Fill(18), 0),
        Column::new("RESETS", Width::Fixed(7), 3),
        Column::new("OF", Width::Fixed(9), 2),
        Column::new("FROM", Width::Fixed(12), 0),
    ];

    fn id(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{:?} {}", self.limit.level, self.limit.name))
    }

    fn name(&self) -> &str {
        self.limit.name.name.name()
    }

    fn order(&self, other: &Self, column: usize) -> Ordering {
        let (a, b) = (&self.limit, &other.limit);
        match column {
            1 | 2 => most(self.share(), other.share()),
            3 => a.resets.unwrap_or(u64::MAX).cmp(&b.resets.unwrap_or(u64::MAX)),
            4 => (a.level, self.at).cmp(&(b.level, other.at)),
            5 => (a.source == LimitSource::Profile).cmp(&(b.source == LimitSource::Profile)),
            _ => (self.rank(), self.at).cmp(&(other.rank(), other.at)),
        }
    }

    fn sorts(column: usize) -> bool {
        // The bar is a picture of what stands beside it.
        column != 1
    }
}
