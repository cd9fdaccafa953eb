//! What each noun is, described once: its columns (title, cell, tone, width, sort key), its state in a word, what a
//! filter finds of it, and everything about one. The command line's tables and the console's lists and details draw
//! from here, so that the same thing has the same word everywhere.
//!
//! Nothing here knows the command line or the console: what only the console measures (a trend, a speed) its screens
//! add behind these columns.

pub(crate) mod alias;
pub(crate) mod audit;
mod backup;
mod block;
pub(crate) mod check;
pub(crate) mod incident;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod limit;
mod lockout;
mod member;
pub(crate) mod model;
mod node;
pub(crate) mod organization;
pub(crate) mod pattern;
pub(crate) mod placement;
mod policy;
mod price;
pub(crate) mod privacy;
mod restriction;
mod route;
pub(crate) mod running;
mod session;
pub(crate) mod snapshot;
mod strategy;
pub(crate) mod usage;
mod user;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, cmp::Ordering};

pub(crate) use self::{
    limit::LimitRow,
    node::Standing,
    organization::{privacy_name, profile_name},
    usage::{Budget, Served},
};
use crate::{
    exit::Failure,
    filter::Subject,
    render::{Cell, Column, Out, Table, Tone, View},
};

/// Where a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Everywhere,
    OnCommandLine,
    InConsole,
}

/// One column of a noun.
#[derive(Debug)]
pub(crate) struct Field<T: 'static> {
    column: Column,
    cell: fn(&T, &View<'_>) -> Cell,
    order: Option<fn(&T, &T) -> Ordering>,
    shown: Shown,
}

impl<T: 'static> Field<T> {
    /// A column with what stands in it.
    pub(crate) const fn new(column: Column, cell: fn(&T, &View<'_>) -> Cell) -> Self {
        Self { column, cell, order: None, shown: Shown::Everywhere }
    }

    /// The column.
    pub(crate) fn column(&self) -> Column {
        self.column.clone()
    }

    /// What stands in it.
    pub(crate) fn cell(&self, one: &T, view: &View<'_>) -> Cell {
        (self.cell)(one, view)
    }

    /// Can be sorted by.
    pub(crate) const fn sorted(mut self, order: fn(&T, &T) -> Ordering) -> Self {
        self.order = Some(order);
        self
    }

    /// Shown by the command line alone.
    const fn on_command_line(mut self) -> Self {
        self.shown = Shown::OnCommandLine;
        self
    }

    /// Shown in the console alone, where there is room for it.
    const fn in_console(mut self) -> Self {
        self.shown = Shown::InConsole;
        self
    }
}

/// What can be listed and shown.
pub(crate) trait Noun: Subject + Sized + 'static {
    /// The columns, in order.
    const FIELDS: &'static [Field<Self>];
    /// The column that the console sorts by at first.
    const FIRST: usize = 0;
    /// Unique id among its kind.
    fn id(&self) -> Cow<'_, str>;
    /// What it is called, for the clipboard and for questions.
    fn name(&self) -> &str;
    /// Everything about it.
    fn details(&self, view: &View<'_>) -> Table;

    /// The fields the console shows: a column's position there is its position among these.
    fn in_console() -> impl Iterator<Item = &'static Field<Self>> {
        Self::FIELDS.iter().filter(|field| field.shown != Shown::OnCommandLine)
    }

    /// The columns the console shows.
    fn columns() -> Vec<Column> {
        Self::in_console().map(|field| field.column.clone()).collect()
    }

    /// What stands in the columns that the console shows.
    fn cells(&self, view: &View<'_>) -> Vec<Cell> {
        Self::in_console().map(|field| (field.cell)(self, view)).collect()
    }

    /// Whether the console can sort by this column.
    fn sorts(column: usize) -> bool {
        Self::in_console().nth(column).is_some_and(|field| field.order.is_some())
    }

    /// How it is sorted by this column of the console.
    fn order(&self, other: &Self, column: usize) -> Ordering {
        let order = Self::in_console().nth(column).and_then(|field| field.order);
        order.map_or(Ordering::Equal, |order| order(self, other))
    }
}

/// The command line's table of these.
pub(crate) fn table<'n, T: Noun>(all: impl IntoIterator<Item = &'n T>, view: &View<'_>) -> Table {
    let fields: Vec<_> = T::FIELDS.iter().filter(|field| field.shown != Shown::InConsole).collect();
    let mut table = Table::new(fields.iter().map(|field| field.column.clone()).collect::<Vec<_>>());
    for one in all {
        table.row(fields.iter().map(|field| (field.cell)(one, view)).collect::<Vec<_>>());
    }
    table
}

/// Writes the table of these.
///
/// # Errors
/// [`Failure::Output`].
pub(crate) fn list<'n, T: Noun>(out: &mut Out, all: impl IntoIterator<Item = &'n T>) -> Result<(), Failure> {
    let table = table(all, &out.view());
    out.table(&table)
}

/// Writes everything about one.
///
/// # Errors
/// [`Failure::Output`].
pub(crate) fn show<T: Noun>(out: &mut Out, one: &T) -> Result<(), Failure> {
    let table = one.details(&out.view());
    out.table(&table)
}

/// A switch in a word.
fn enabled(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// The same with its tone.
fn switched(on: bool) -> Cell {
    Cell::toned(enabled(on), if on { Tone::Good } else { Tone::Dim })
}

/// The organization of what may be everybody's.
fn everybody(organization: Option<&str>) -> Cell {
    organization.map_or_else(|| Cell::toned("(all)", Tone::Dim), Cell::new)
}

/// Largest first, and what is unknown last.
fn largest(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The values, one a line; `all` where there are none, which then means everything.
fn any<'v>(values: &'v [String], all: &'v str) -> Vec<&'v str> {
    if values.is_empty() { vec![all] } else { values.iter().map(String::as_str).collect() }
}
