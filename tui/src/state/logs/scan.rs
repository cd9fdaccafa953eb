//! What a filter shows of the store. Each text is looked at once per segment and term.

use super::{
    segment::{Entry, Segment, word},
    store::Store,
};
use crate::filter::{Filter, Subject as _, Term};

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Fits,
    Not,
}

/// A search through a store.
pub(super) struct Scan<'f> {
    filter: &'f Filter,
    /// Of which segment, by the number of its first event, the rest is known.
    of: Option<u64>,
    terms: Vec<Memory>,
}

/// What is known of one segment for one term.
#[derive(Debug, Default)]
struct Memory {
    /// Of the values.
    fits: Vec<Known>,
    /// Of the names of fields.
    named: Vec<Known>,
}

impl<'f> Scan<'f> {
    /// For this filter.
    pub(super) fn new(filter: &'f Filter) -> Self {
        let terms = filter.terms().iter().map(|_| Memory::default()).collect();
        Self { filter, of: None, terms }
    }

    /// Whether the event with this number is to be shown.
    pub(super) fn shows(&mut self, store: &Store, number: u64) -> bool {
        let Some((_, segment)) = store.segment(number) else { return false };
        let at = usize::try_from(number - segment.first).ok();
        let Some(entry) = at.and_then(|at| segment.entry(at)) else { return false };
        if self.of != Some(segment.first) {
            self.of = Some(segment.first);
            for memory in &mut self.terms {
                memory.fits.clear();
                memory.named.clear();
            }
        }
        let mut terms = self.filter.terms().iter().zip(&mut self.terms);
        terms.all(|(term, memory)| memory.fits(term, segment, &entry)) != self.filter.is_inverse()
    }
}

impl Memory {
    fn fits(&mut self, term: &Term, segment: &Segment, entry: &Entry<'_>) -> bool {
        self.fits.resize(segment.texts(), Known::Nothing);
        self.named.resize(segment.texts(), Known::Nothing);
        let mut value = |id: u32| known(&mut self.fits, id, || term.fits_text(segment.text(id)));
        let Some(name) = term.field() else {
            return value(entry.message)
                || value(entry.target)
                || entry.codes().any(|(_, id)| value(id))
                || term.fits_text(word(entry.level))
                || (term.is_pair() && entry.any_pair(&mut |pair| term.fits_text(pair)));
        };
        let named = &mut self.named;
        let found = entry.codes().find(|(key, _)| known(named, *key, || segment.text(*key) == name));
        match (found, name) {
            (Some((_, id)), _) => value(id),
            (None, "level") => term.fits_text(word(entry.level)),
            (None, "target") => value(entry.target),
            (None, _) => false,
        }
    }
}

fn known(memory: &mut [Known], id: u32, find: impl FnOnce() -> bool) -> bool {
    let Some(slot) = memory.get_mut(id as usize) else { return find() };
    if *slot == Known::Nothing {
        *slot = if find() { Known::Fits } else { Known::Not };
    }
    *slot == Known::Fits
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::log::{Level, LogEvent};

    use super::*;

    /// The search that remembers finds what one finds that looks at every event by itself.
    #[test]
    fn it_finds_what_the_filter_shows() {
        let mut store = Store::new(10_000, usize::MAX);
        for seq in 0..3000_u64 {
            let level = if seq % 3 == 0 { Level::Warn } else { Level::Info };
            let mut fields = vec![("status".into(), (400 + seq % 200).to_string())];
            if seq % 2 == 0 {
                fields.push(("node".into(), format!("gpu{}", seq % 5)));
            }
            let message = format!("request {}", seq % 7);
            store.push(&LogEvent { seq, time: seq, level, target: "access".into(), message, fields });
        }
        for text in [
            "gpu1",
            "request level:warn",
            "node:gpu[12] status:>=500",
            "!node:gpu1",
            "warn",
            "target:acc",
            "!request",
            "absent:x",
            "!absent:x",
            "status:<450 \"request 3\"",
            "status=500",
            "node=gpu[12] !",
            "=5.1$",
            "!status=4",
        ] {
            let filter = Filter::parse(text).unwrap().unwrap();
            let mut scan = Scan::new(&filter);
            let found: Vec<u64> =
                (store.front()..store.back()).rev().filter(|at| scan.shows(&store, *at)).collect();
            let expected: Vec<u64> = (store.front()..store.back())
                .rev()
                .filter(|at| filter.shows(&store.get(*at).unwrap()))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
