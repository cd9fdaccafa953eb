//! What was used: by an organization, a user or a key, or of a model or a node.
//!
//! ## usage row
//! | field | meaning |
//! |---|---|
//! | `time` | when its step of time begins (UTC), or null |
//! | `id` | id of whose it is; of a model or node its name; null is nobody's |
//! | `name` | its name, or null |
//! | `requests` | number of requests that were let through |
//! | `failed` | number of those that failed |
//! | `refused` | number of requests that were refused |
//! | `prompt_tokens`, `output_tokens` | tokens, as the nodes counted them |
//! | `estimated` | number of requests whose tokens no node counted and that are estimated |
//! | `spend` | what they cost |
//! | `queued_ms` | time until a node was chosen, of all requests together |
//! | `total_ms` | time to the end, of all requests together |
//! | `findings` | object: number of findings in prompts by category (`email`, `phone`, `ssn`, `card`, `key`) |
//! | `requests_used` | requests used of the day's limit now, or null |
//! | `requests_limit` | the limit of requests a day, or null |
//! | `spend_used` | money used of the day's limit now, or null |
//! | `spend_limit` | the limit of money a day, or null |

use std::{borrow::Cow, cmp::Ordering};

use aivonx_protocol::{money::MicroUsd, usage::UsageRow};

use super::{Field, Noun, View, largest};
use crate::{
    filter::Subject,
    render::{
        Cell, Column, Table, Tone, bar,
        text::{NONE, latency},
    },
};

/// What is said where something is nobody's.
pub(crate) const NOBODY: &str = "(none)";

/// What has numbers of usage.
pub(crate) trait Used {
    /// The numbers.
    fn row(&self) -> &UsageRow;
}

impl Used for UsageRow {
    fn row(&self) -> &UsageRow {
        self
    }
}

/// The columns of a report of the command line.
pub(crate) const REPORT: &[Field<UsageRow>] =
    &[requests(), failed(), refused(), tokens_in(), tokens_out(), spend(), left()];

/// The most first, else by name.
fn most<T: Used>(a: &T, b: &T, number: fn(&UsageRow) -> u64) -> Ordering {
    number(b.row()).cmp(&number(a.row())).then_with(|| name(a.row()).cmp(name(b.row())))
}

fn odd(number: u64, tone: Tone, view: &View<'_>) -> Cell {
    Cell::toned(view.number(number), if number > 0 { tone } else { Tone::Plain })
}

const fn requests<T: Used>() -> Field<T> {
    Field::new(Column::number("REQUESTS"), |one: &T, view| view.number(one.row().requests).into())
        .sorted(|a, b| most(a, b, |row| row.requests))
}

const fn failed<T: Used>() -> Field<T> {
    Field::new(Column::number("FAILED").optional(2), |one: &T, view| odd(one.row().failed, Tone::Bad, view))
        .sorted(|a, b| most(a, b, |row| row.failed))
}

const fn refused<T: Used>() -> Field<T> {
    Field::new(Column::number("REFUSED").optional(3), |one: &T, view| {
        odd(one.row().refused, Tone::Warn, view)
    })
    .sorted(|a, b| most(a, b, |row| row.refused))
}

const fn tokens_in<T: Used>() -> Field<T> {
    Field::new(Column::number("TOKENS IN"), |one: &T, view| view.number(one.row().prompt_tokens).into())
        .sorted(|a, b| most(a, b, |row| row.prompt_tokens))
}

const fn tokens_out<T: Used>() -> Field<T> {
    Field::new(Column::number("TOKENS OUT"), |one: &T, view| view.number(one.row().output_tokens).into())
        .sorted(|a, b| most(a, b, |row| row.output_tokens))
}

const fn spend<T: Used>() -> Field<T> {
    Field::new(Column::number("USD").cells(7), |one: &T, view| view.dollars(one.row().spend).into())
        .sorted(|a, b| most(a, b, |row| row.spend))
}

/// What is left of the tightest limit of the day, in percent; the least first.
const fn left<T: Used>() -> Field<T> {
    Field::new(Column::number("LEFT").cells(5).optional(4), |one: &T, _| {
        let Some(thousandths) = one.row().remaining() else { return Cell::new(NONE) };
        let tone = match thousandths {
            0..50 => Tone::Bad,
            50..200 => Tone::Warn,
            _ => Tone::Plain,
        };
        Cell::toned(format!("{}%", thousandths / 10), tone)
    })
    .sorted(|a, b| {
        let left = |one: &T| one.row().remaining().unwrap_or(u64::MAX);
        left(a)
            .cmp(&left(b))
            .then_with(|| busiest(a.row(), b.row()))
            .then_with(|| name(a.row()).cmp(name(b.row())))
    })
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

fn field(row: &UsageRow, name: &str) -> Option<String> {
    Some(match name {
        "requests" => row.requests.to_string(),
        "failed" => row.failed.to_string(),
        "refused" => row.refused.to_string(),
        "in" | "prompt" => row.prompt_tokens.to_string(),
        "out" | "output" => row.output_tokens.to_string(),
        "tokens" => tokens(row).to_string(),
        "usd" | "spend" => MicroUsd(row.spend).to_string(),
        "left" => (row.remaining()? / 10).to_string(),
        _ => return None,
    })
}

/// What an organization, a user or a key uses, of its limits and in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    /// The numbers.
    pub(crate) row: UsageRow,
    /// Slug of the organization it belongs to, as far as that is known.
    pub(crate) organization: Option<String>,
}

impl Used for Budget {
    fn row(&self) -> &UsageRow {
        &self.row
    }
}

impl Budget {
    /// The part of the day's limit of requests that is used; None without a limit.
    pub(crate) fn requests(&self) -> Option<f64> {
        part(self.row.requests_used, self.row.requests_limit)
    }

    /// The same of the money.
    pub(crate) fn spend(&self) -> Option<f64> {
        part(self.row.spend_used, self.row.spend_limit)
    }
}

fn part(used: Option<u64>, limit: Option<u64>) -> Option<f64> {
    Some(bar::share(used.unwrap_or(0), limit?))
}

/// A bar of what is used of a limit; a word without one.
fn gauge(used: Option<u64>, share: Option<f64>, cells: usize, view: &View<'_>) -> Cell {
    match (used, share) {
        (_, Some(share)) => Cell::toned(view.bar(share, cells), bar::tone(share)),
        (Some(_), None) => Cell::toned("no limit", Tone::Dim),
        // The report has no limits for subjects without usage.
        (None, None) => Cell::toned(NONE, Tone::Dim),
    }
}

impl Noun for Budget {
    // Those who have least left come first.
    const FIRST: usize = 9;

    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(12), |one, _| match &one.organization {
            Some(organization) => format!("{organization}/{}", one.name()).into(),
            None => one.name().into(),
        })
        .sorted(|a, b| (&a.organization, a.name()).cmp(&(&b.organization, b.name()))),
        Field::<Self>::new(Column::text("REQUESTS/DAY"), |one, view| {
            gauge(one.row.requests_used, one.requests(), 12, view)
        })
        .sorted(|a, b| largest(a.requests(), b.requests())),
        Field::<Self>::new(Column::text("USD/DAY").cells(8), |one, view| {
            gauge(one.row.spend_used, one.spend(), 8, view)
        })
        .sorted(|a, b| largest(a.spend(), b.spend())),
        requests(),
        failed(),
        refused(),
        tokens_in(),
        tokens_out(),
        spend(),
        left(),
    ];

    fn id(&self) -> Cow<'_, str> {
        id(&self.row)
    }

    fn name(&self) -> &str {
        name(&self.row)
    }

    fn details(&self, _: &View<'_>) -> Table {
        Table::pairs()
    }
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

/// What a model or a node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// The numbers.
    pub(crate) row: UsageRow,
    /// Tokens of all of them together.
    pub(crate) all: u64,
}

impl Used for Served {
    fn row(&self) -> &UsageRow {
        &self.row
    }
}

impl Served {
    /// Its part of all tokens.
    fn share(&self) -> f64 {
        if self.all == 0 { 0.0 } else { bar::share(tokens(&self.row), self.all) }
    }

    /// Time of a request on the average, milliseconds.
    pub(crate) fn mean(&self) -> Option<u64> {
        self.row.total_ms.checked_div(self.row.requests)
    }
}

impl Noun for Served {
    // What serves most comes first.
    const FIRST: usize = 1;

    const FIELDS: &'static [Field<Self>] = &[
        Field::<Self>::new(Column::text("NAME").cut(12), |one, _| one.name().into())
            .sorted(|a, b| a.name().cmp(b.name())),
        Field::<Self>::new(Column::text("OF ALL TOKENS"), |one, view| view.bar(one.share(), 13).into())
            .sorted(|a, b| tokens(&b.row).cmp(&tokens(&a.row)).then_with(|| busiest(&a.row, &b.row))),
        requests(),
        failed(),
        refused(),
        tokens_in(),
        tokens_out(),
        spend(),
        Field::<Self>::new(Column::number("MEAN").cells(7).optional(1), |one, _| {
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            Cell::optional(one.mean().map(|mean| latency(mean as f64)))
        })
        .sorted(|a, b| b.mean().cmp(&a.mean())),
    ];

    fn id(&self) -> Cow<'_, str> {
        id(&self.row)
    }

    fn name(&self) -> &str {
        name(&self.row)
    }

    fn details(&self, _: &View<'_>) -> Table {
        Table::pairs()
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
