//! Finding entries by the index.

use aivonx_domain::TenantScope;
use aivonx_protocol::audit::{AuditEntry, AuditFilter};

use super::{
    super::StoreError,
    index,
    kept::{Kept, entry},
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
pub(super) fn covers(reach: &TenantScope, entry: &AuditEntry) -> bool {
    reach.covers(entry.organization.as_ref().map(|o| &*o.id), entry.actor.id.as_deref())
}

/// An entry that cannot be read is left out: verification reports it, and readers of the log want to see the rest.
pub(super) fn page(kept: &Kept, reach: &TenantScope, query: &Query) -> Result<Page, StoreError> {
    let first = kept.removed() + 1;
    let numbers = match query.cursor {
        Some(cursor) if query.oldest_first => first.max(cursor.saturating_add(1))..=u64::MAX,
        Some(0) => return Ok(Page::default()),
        Some(cursor) => first..=cursor - 1,
        None => first..=u64::MAX,
    };
    let AuditFilter { since, until, .. } = query.filter;
    let conditions = index::conditions(&query.filter, reach.organization());
    let mut found = Found { reach, query, size: 0, page: Page::default() };
    let mut segments = kept.log.segments();
    if !query.oldest_first {
        segments.reverse();
    }
    for segment in segments {
        let index = kept.index(&segment)?;
        let mut wanted = index.wanted(&numbers, (since, until), &conditions);
        if wanted.is_empty() {
            continue;
        }
        if !query.oldest_first {
            wanted.reverse();
        }
        let reader = segment.reader()?;
        for at in wanted {
            let read = reader.frame(at)?.and_then(|frame| entry(&frame).ok());
            if let Some(entry) = read
                && !found.take(entry)
            {
                return Ok(found.page);
            }
        }
    }
    Ok(found.page)
}

struct Found<'q> {
    reach: &'q TenantScope,
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
