//! Finding entries by the index.

use std::{collections::BTreeSet, ops::RangeInclusive};

use aivonx_protocol::audit::{AuditEntry, AuditFilter};

use super::{
    super::{Reach, StoreError, engine::Engine, ledger::prefixed, tree::Tree},
    index::{self, Set, Term},
    span,
};

/// Which entries are wanted, and how many of them.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The filter.
    pub filter: AuditFilter,
    /// Go on behind this entry.
    pub cursor: Option<u64>,
    /// How many at most.
    pub limit: usize,
    /// About how many bytes at most.
    pub bytes: usize,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
}

/// Some of the entries that a query asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order asked for.
    pub entries: Vec<AuditEntry>,
    /// The cursor for what comes next; None if nothing does.
    pub next: Option<u64>,
}

/// Whether `entry` is within `reach`.
pub(super) fn covers(reach: &Reach, entry: &AuditEntry) -> bool {
    reach.covers(entry.organization.as_ref().map(|o| &*o.id), entry.actor.id.as_deref())
}

pub(super) fn page(engine: &Engine, reach: &Reach, query: &Query) -> Result<Page, StoreError> {
    let Some(range) = positions(engine, query)? else { return Ok(Page::default()) };
    let conditions = index::conditions(&query.filter, reach.organization());
    let mut found = Found { reach, query, size: 0, page: Page::default() };
    match conditions.split_first() {
        None => {
            let keys = range.start().to_be_bytes().to_vec()..=range.end().to_be_bytes().to_vec();
            let mut entries = engine.range(Tree::Audit, keys);
            while let Some(entry) = if query.oldest_first { entries.next() } else { entries.next_back() } {
                if !found.take(entry?.1) {
                    break;
                }
            }
        }
        Some((first, others)) => {
            for block in in_order(blocks(engine, first, &range)?, query.oldest_first) {
                let set = members(engine, first, others, block)?;
                for seq in in_order(set.entries(block), query.oldest_first) {
                    if range.contains(&seq)
                        && let Some(entry) = engine.get(Tree::Audit, &seq.to_be_bytes())?
                        && !found.take(entry)
                    {
                        return Ok(found.page);
                    }
                }
            }
        }
    }
    Ok(found.page)
}

/// Between which positions the entries lie; None if there can be none.
fn positions(engine: &Engine, query: &Query) -> Result<Option<RangeInclusive<u64>>, StoreError> {
    let AuditFilter { since, until, .. } = query.filter;
    let (mut first, mut last) = match (since, until) {
        (None, None) => (0, u64::MAX),
        _ => match span(engine, since, until)? {
            Some(span) => span,
            None => return Ok(None),
        },
    };
    match query.cursor {
        Some(cursor) if query.oldest_first => first = first.max(cursor.saturating_add(1)),
        Some(0) => return Ok(None),
        Some(cursor) => last = last.min(cursor - 1),
        None => {}
    }
    Ok((first <= last).then_some(first..=last))
}

/// The blocks that have any of `terms`, within `range`.
fn blocks(engine: &Engine, terms: &[Term], range: &RangeInclusive<u64>) -> Result<BTreeSet<u32>, StoreError> {
    let within = index::block(*range.start())..=index::block(*range.end());
    let mut blocks = BTreeSet::new();
    for term in terms {
        let keys = match (within.start(), within.end()) {
            (0, &u32::MAX) => prefixed(&term.prefix()),
            (from, to) => {
                (std::ops::Bound::Included(term.key(*from)), std::ops::Bound::Included(term.key(*to)))
            }
        };
        for key in engine.keys(Tree::AuditIndex, keys) {
            blocks.extend(index::block_of(&key?));
        }
    }
    Ok(blocks)
}

/// The entries of `block` that have any term of `first` and any of each of `others`.
fn members(engine: &Engine, first: &[Term], others: &[Vec<Term>], block: u32) -> Result<Set, StoreError> {
    let mut set = Set::all();
    for terms in std::iter::once(first).chain(others.iter().map(Vec::as_slice)) {
        let mut any = Set::default();
        for term in terms {
            if let Some(bytes) = engine.get::<Vec<u8>>(Tree::AuditIndex, &term.key(block))? {
                any.union(&Set::from_bytes(&bytes));
            }
        }
        set.intersect(&any);
        if set.is_empty() {
            break;
        }
    }
    Ok(set)
}

fn in_order<I>(items: I, forward: bool) -> Box<dyn Iterator<Item = I::Item>>
where
    I: IntoIterator,
    I::IntoIter: DoubleEndedIterator,
    I::Item: 'static,
{
    let items: Vec<I::Item> = items.into_iter().collect();
    if forward { Box::new(items.into_iter()) } else { Box::new(items.into_iter().rev()) }
}

struct Found<'q> {
    reach: &'q Reach,
    query: &'q Query,
    size: usize,
    page: Page,
}

impl Found<'_> {
    /// Takes the entry if it is wanted; false once the page is full.
    fn take(&mut self, entry: AuditEntry) -> bool {
        if !covers(self.reach, &entry) || !self.query.filter.matches(&entry) {
            return true;
        }
        let size = size(&entry);
        let full = self.page.entries.len() >= self.query.limit || self.size + size > self.query.bytes;
        if full && let Some(last) = self.page.entries.last() {
            self.page.next = Some(last.seq);
            return false;
        }
        self.size += size;
        self.page.entries.push(entry);
        true
    }
}

/// Bytes of an entry on the control socket, or a few more.
fn size(entry: &AuditEntry) -> usize {
    let details: usize = entry.details.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let object = entry.object.as_ref();
    let texts = [
        entry.actor.id.as_ref(),
        Some(&entry.actor.name),
        entry.source.address.as_ref(),
        entry.source.user_agent.as_ref(),
        entry.organization.as_ref().map(|o| &o.id),
        entry.organization.as_ref().and_then(|o| o.name.as_ref()),
        object.map(|o| &o.kind),
        object.and_then(|o| o.id.as_ref()),
        object.and_then(|o| o.name.as_ref()),
        entry.via.as_ref(),
        entry.request_id.as_ref(),
    ];
    texts.into_iter().flatten().map(|text| text.len() + 4).sum::<usize>() + details + 128
}
