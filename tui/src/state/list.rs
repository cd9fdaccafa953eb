//! A list that keys move in: filtered, sorted, with the chosen row kept while the rows change under it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use aivonx_protocol::{Fault, UnixMillis};

use crate::{filter::Filter, nouns::Noun, render::Column};

/// Whether the rows are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing came yet.
    #[default]
    Waiting,
    /// As of then.
    Ready(UnixMillis),
    /// It could not be had.
    Failed(Fault),
}

/// What keys can do with any list.
pub(crate) trait Rows {
    /// How many rows are shown, and how many there are.
    fn counts(&self) -> (usize, usize);
    /// Goes so many rows down, or up.
    fn go(&mut self, rows: isize);
    /// Goes to the first row.
    fn first(&mut self);
    /// Goes to the last row.
    fn last(&mut self);
    /// Whether rows can be sorted and marked.
    fn is_table(&self) -> bool {
        true
    }
    /// The columns that rows can be sorted by.
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
    /// Sorts by the next of the columns that are `seen`, by their positions in order.
    fn sort(&mut self, seen: &[usize]);
    /// The column rows are sorted by, if they are.
    fn sorted(&self) -> Option<usize> {
        None
    }
    /// Turns the order round.
    fn reverse(&mut self);
    /// Marks the chosen row, or takes its mark away.
    fn mark(&mut self);
    /// How many rows are marked.
    fn marks(&self) -> usize;
    /// Takes all marks away.
    fn unmark(&mut self);
    /// Shows only what passes.
    fn set_filter(&mut self, filter: Option<Filter>);
    /// What it is filtered by.
    fn filter(&self) -> Option<&Filter>;
    /// Goes to the next row that the last filter shows, or the one before. Whether there is one.
    fn find(&mut self, forward: bool) -> bool;
    /// The name of the chosen row.
    fn chosen_name(&self) -> Option<String>;
}

/// A list of records.
#[derive(Debug, Clone)]
pub(crate) struct List<T> {
    all: Vec<T>,
    /// Positions in `all`, in the order shown.
    shown: Vec<usize>,
    /// Position in `shown`.
    at: usize,
    /// Id of the row there, so that it stays chosen wherever it goes.
    chosen: Option<String>,
    column: usize,
    descending: bool,
    filter: Option<Filter>,
    /// The last filter there was, for going on searching.
    last: Option<Filter>,
    marked: BTreeSet<String>,
    /// Name of the row that is to be chosen once it is there.
    wanted: Option<String>,
    /// Whether the rows are there.
    pub(crate) load: Load,
}

impl<T: Noun> Default for List<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            shown: Vec::new(),
            at: 0,
            chosen: None,
            column: T::FIRST,
            descending: false,
            filter: None,
            last: None,
            marked: BTreeSet::new(),
            wanted: None,
            load: Load::default(),
        }
    }
}

impl<T: Noun> List<T> {
    /// These are all, as of now.
    pub(crate) fn set(&mut self, all: Vec<T>, now: UnixMillis) {
        self.all = all;
        self.load = Load::Ready(now);
        self.arrange();
    }

    /// This one is new or has changed.
    pub(crate) fn put(&mut self, one: T, now: UnixMillis) {
        match self.all.iter_mut().find(|known| known.id() == one.id()) {
            Some(known) => *known = one,
            None => self.all.push(one),
        }
        self.load = Load::Ready(now);
        self.arrange();
    }

    /// These are there as well.
    pub(crate) fn extend(&mut self, more: Vec<T>, now: UnixMillis) {
        self.all.extend(more);
        self.load = Load::Ready(now);
        self.arrange();
    }

    /// This one is gone.
    pub(crate) fn remove(&mut self, id: &str) {
        self.all.retain(|known| known.id() != id);
        self.arrange();
    }

    /// Forgets all rows, not how they are looked at.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.load = Load::Waiting;
        self.shown.clear();
        self.at = 0;
    }

    /// All of them, shown or not.
    pub(crate) fn all(&self) -> &[T] {
        &self.all
    }

    /// One by what is shown: 0 is the first line.
    pub(crate) fn shown(&self, row: usize) -> Option<&T> {
        self.shown.get(row).and_then(|at| self.all.get(*at))
    }

    /// The row the keys act on.
    pub(crate) fn chosen(&self) -> Option<&T> {
        self.shown(self.at)
    }

    /// Its position among those shown.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What an action is for: the marked ones, else the chosen one.
    pub(crate) fn targets(&self) -> Vec<&T> {
        if self.marked.is_empty() {
            return self.chosen().into_iter().collect();
        }
        self.all.iter().filter(|one| self.marked.contains(&*one.id())).collect()
    }

    /// Whether this one is marked.
    pub(crate) fn is_marked(&self, one: &T) -> bool {
        self.marked.contains(&*one.id())
    }

    /// The column it is sorted by, and whether the largest come first.
    pub(crate) fn order(&self) -> (usize, bool) {
        (self.column, self.descending)
    }

    /// Chooses the first row of this name, now or as soon as there is one.
    pub(crate) fn want(&mut self, name: &str) {
        self.wanted = Some(name.to_owned());
        self.arrange();
    }

    /// Chooses the row with this id, if it is shown.
    pub(crate) fn choose(&mut self, id: &str) {
        if let Some(at) = self.shown.iter().position(|at| self.all[*at].id() == id) {
            self.at = at;
            self.keep();
        }
    }

    fn keep(&mut self) {
        self.chosen = self.chosen().map(|one| one.id().into_owned());
    }

    fn arrange(&mut self) {
        let Self { all, shown, marked, filter, column, descending, chosen, at, wanted, .. } = self;
        if !marked.is_empty() {
            marked.retain(|id| all.iter().any(|one| one.id() == *id));
        }
        shown.clear();
        shown
            .extend((0..all.len()).filter(|at| filter.as_ref().is_none_or(|filter| filter.shows(&all[*at]))));
        shown.sort_by(|a, b| {
            let (a, b) = (&all[*a], &all[*b]);
            let order = a.order(b, *column);
            let order = if *descending { order.reverse() } else { order };
            order.then_with(|| a.id().cmp(&b.id()))
        });
        if let Some(name) = wanted
            && let Some(found) = shown.iter().map(|at| &all[*at]).find(|one| one.name() == name)
        {
            *chosen = Some(found.id().into_owned());
            *wanted = None;
        }
        let same = chosen.as_ref().and_then(|id| shown.iter().position(|at| all[*at].id() == *id));
        // What is gone leaves the line where it was.
        *at = same.unwrap_or(*at).min(shown.len().saturating_sub(1));
        if same.is_none() {
            self.keep();
        }
    }
}

impl<T: Noun> Rows for List<T> {
    fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.all.len())
    }

    fn go(&mut self, rows: isize) {
        self.wanted = None;
        self.at = self.at.saturating_add_signed(rows).min(self.shown.len().saturating_sub(1));
        self.keep();
    }

    fn first(&mut self) {
        self.at = 0;
        self.keep();
    }

    fn last(&mut self) {
        self.at = self.shown.len().saturating_sub(1);
        self.keep();
    }

    fn columns(&self) -> Vec<Column> {
        T::columns()
    }

    fn sort(&mut self, seen: &[usize]) {
        // A screen may add columns of its own behind these.
        let mut own = seen.iter().copied().filter(|at| T::sorts(*at));
        let first = own.clone().next();
        let Some(next) = own.find(|at| *at > self.column).or(first) else { return };
        self.column = next;
        self.descending = false;
        self.arrange();
    }

    fn sorted(&self) -> Option<usize> {
        Some(self.column)
    }

    fn reverse(&mut self) {
        self.descending = !self.descending;
        self.arrange();
    }

    fn mark(&mut self) {
        let Some(id) = self.chosen().map(|one| one.id().into_owned()) else { return };
        if !self.marked.remove(&id) {
            self.marked.insert(id);
        }
        self.go(1);
    }

    fn marks(&self) -> usize {
        self.marked.len()
    }

    fn unmark(&mut self) {
        self.marked.clear();
    }

    fn set_filter(&mut self, filter: Option<Filter>) {
        if filter.is_some() {
            self.last.clone_from(&filter);
        }
        self.filter = filter;
        self.arrange();
    }

    fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    fn find(&mut self, forward: bool) -> bool {
        let (Some(filter), count) = (self.last.clone(), self.shown.len()) else { return false };
        let found = (1..=count).map(|step| {
            let step = if forward { step } else { count - step };
            (self.at + step) % count
        });
        let found = found.into_iter().find(|at| self.shown(*at).is_some_and(|one| filter.shows(one)));
        if let Some(at) = found {
            self.at = at;
            self.keep();
        }
        found.is_some()
    }

    fn chosen_name(&self) -> Option<String> {
        self.chosen().map(|one| one.name().to_owned())
    }
}
