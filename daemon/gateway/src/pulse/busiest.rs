//! The callers with the most requests of late.
//!
//! Counts are kept in slices of ten seconds, each with at most so many callers; what others ask in a slice is counted
//! together. So the memory is bounded, the list is exact as long as no more callers than that come within ten seconds,
//! and sums are exact always.

use std::{collections::VecDeque, sync::Arc};

use aivonx_domain::{
    access::{AccessRecord, Subject},
    table::Map,
};

/// Seconds of a slice.
const SLICE: u64 = 10;

/// Callers counted apart in one slice: some 200 kB of them.
const CALLERS_MAX: usize = 1024;

/// What somebody asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Tokens of prompt and output.
    pub tokens: u64,
}

impl Asked {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.tokens = self.tokens.saturating_add(other.tokens);
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Models, by what the catalogue calls them.
    Models,
    /// Organizations.
    Organizations,
    /// API keys.
    Keys,
}

/// One of those who asked the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Id; of a model its name.
    pub id: Arc<str>,
    /// Name, as it was last.
    pub name: Arc<str>,
    /// Slug of the organization of a key.
    pub organization: Option<Arc<str>>,
    /// What it asked.
    pub asked: Asked,
}

type Name = Option<Arc<str>>;

/// Ids of the organization and the key, and the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Caller {
    organization: Name,
    key: Name,
    model: Name,
}

#[derive(Debug, Default)]
struct Slice {
    at: u64,
    callers: Map<Caller, (Asked, Option<Arc<Subject>>)>,
    others: Asked,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Busiest {
    slices: VecDeque<Slice>,
}

impl Busiest {
    /// Adds what `record` asked, which ended in the second `now`.
    pub(super) fn add(&mut self, record: &AccessRecord, asked: Asked, now: u64) {
        let at = now / SLICE;
        self.forget(now);
        if self.slices.back().is_none_or(|slice| slice.at != at) {
            self.slices.push_back(Slice { at, ..Slice::default() });
        }
        let Some(slice) = self.slices.back_mut() else { return };
        let id = |of: Option<&(Arc<str>, Arc<str>)>| of.map(|(id, _)| id.clone());
        let caller = Caller {
            organization: id(record.organization()),
            key: id(record.key()),
            model: record.model.clone(),
        };
        if let Some((sum, last)) = slice.callers.get_mut(&caller) {
            sum.add(asked);
            last.clone_from(&record.subject);
        } else if slice.callers.len() < CALLERS_MAX {
            slice.callers.insert(caller, (asked, record.subject.clone()));
        } else {
            slice.others.add(asked);
        }
    }

    /// Forgets slices that ended before the window of `now`.
    fn forget(&mut self, now: u64) {
        let oldest = (now + 1).saturating_sub(super::series::WINDOW) / SLICE;
        while self.slices.front().is_some_and(|slice| slice.at < oldest) {
            self.slices.pop_front();
        }
    }

    /// Those who asked the most up to the second `now`: by tokens, then by requests. `within` is the organization
    /// looked at, by its id; None is all.
    pub(super) fn top(&self, of: Of, within: Option<&str>, most: usize, now: u64) -> Vec<Busy> {
        let mut found: Map<&Arc<str>, Busy> = Map::default();
        for (caller, (asked, subject)) in self.callers(within, now) {
            let subject = subject.as_deref();
            let organization = subject.and_then(|s| s.organization.as_ref());
            let key = subject.and_then(|s| s.key.as_ref());
            let (id, name) = match of {
                Of::Models => (caller.model.as_ref(), caller.model.as_ref()),
                Of::Organizations => (caller.organization.as_ref(), organization.map(|(_, name)| name)),
                Of::Keys => (caller.key.as_ref(), key.map(|(_, name)| name)),
            };
            let (Some(id), Some(name)) = (id, name) else { continue };
            let slug = organization.filter(|_| of == Of::Keys).map(|(_, slug)| slug.clone());
            let new = || Busy {
                id: id.clone(),
                name: name.clone(),
                organization: slug.clone(),
                asked: Asked::default(),
            };
            let busy = found.entry(id).or_insert_with(new);
            busy.name.clone_from(name);
            busy.asked.add(*asked);
        }
        let mut all: Vec<Busy> = found.into_values().collect();
        let rank =
            |busy: &Busy| (std::cmp::Reverse((busy.asked.tokens, busy.asked.requests)), busy.name.clone());
        all.sort_by_cached_key(rank);
        all.truncate(most);
        all
    }

    fn callers<'s>(
        &'s self,
        within: Option<&'s str>,
        now: u64,
    ) -> impl Iterator<Item = (&'s Caller, &'s (Asked, Option<Arc<Subject>>))> {
        let oldest = (now + 1).saturating_sub(super::series::WINDOW) / SLICE;
        self.slices
            .iter()
            .filter(move |slice| slice.at >= oldest)
            .flat_map(|slice| &slice.callers)
            .filter(move |(caller, _)| within.is_none() || caller.organization.as_deref() == within)
    }

    /// The sum over all callers.
    #[cfg(test)]
    pub(super) fn sum(&self, now: u64) -> Asked {
        let mut sum = Asked::default();
        for (_, (asked, _)) in self.callers(None, now) {
            sum.add(*asked);
        }
        for slice in &self.slices {
            sum.add(slice.others);
        }
        sum
    }
}
