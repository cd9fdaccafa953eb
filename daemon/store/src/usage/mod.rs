//! The usage ledger: each request for a while, and sums of each day for much longer.
//!
//! Requests are stored in blocks of up to [`block::ROWS`], which share what they have in common; see [`kept`] for how
//! sums come of them. Organizations, users, keys, models, nodes and routes stand in both as [`Code`]s; their names are
//! kept apart, among the [`counters`](super::counters), and go with the last that needs them.

mod block;
mod code;
mod day;
pub(crate) mod kept;
mod names;
mod stored;
mod sum;
mod sums;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

pub use block::UsageEntry;
pub use code::{Code, Part, Parties, Wanted};
pub use day::{Calendar, DAY_MS, Step};
pub use sums::{Group, Piece, Summed, UsageSums};

use super::{
    Ledger, Store, StoreError,
    counters::{Change, Table},
};
use kept::Placed;

/// Entries that are best given to [`UsageLog::add`] at once: for more of them the memory is not worth it.
pub const APPEND_MAX: usize = 4096;

/// Access to the usage ledger.
#[derive(Debug, Clone)]
pub struct UsageLog {
    pub(super) store: Store,
    /// The days that sums are of. What was summed up by another calendar stays as it is.
    pub(super) calendar: Calendar,
}

/// Who or what a code stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageName {
    /// What kind.
    pub part: Part,
    /// The id; of a model, node or route its name.
    pub id: String,
    /// The name it last had.
    pub name: String,
}

/// Where a page of entries ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    frame: u64,
    row: usize,
}

/// Some entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePage {
    /// In about the order of their time.
    pub entries: Vec<UsageEntry>,
    /// Where to go on; None if there are no more.
    pub next: Option<Cursor>,
}

impl UsageLog {
    /// The days that sums are of.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// Stores requests and names; durable when it returns.
    ///
    /// # Errors
    /// If they cannot be written; none of the requests is there then.
    pub async fn append(
        &self,
        entries: Vec<UsageEntry>,
        names: Vec<(Code, UsageName)>,
    ) -> Result<(), StoreError> {
        self.add(entries, names).await?;
        self.flush().await
    }

    /// As [`Self::append`], but durable only with the next [`Self::flush`]. Returns the entries' memory, empty. For
    /// one caller at a time.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn add(
        &self,
        mut entries: Vec<UsageEntry>,
        names: Vec<(Code, UsageName)>,
    ) -> Result<Vec<UsageEntry>, StoreError> {
        let calendar = self.calendar;
        self.store
            .with_ledgers(move |ledgers| {
                let put = |(code, name): &(Code, UsageName)| {
                    Change::put(Table::UsageName, code.bytes().to_vec(), name)
                };
                // First, so that no request is there without them.
                ledgers.counters.change(names.iter().map(put).collect::<Result<_, _>>()?)?;
                entries.sort_by_key(|entry| entry.time);
                ledgers.usage.add(calendar, &entries)?;
                entries.clear();
                Ok(entries)
            })
            .await
    }

    /// Makes what was added so far durable.
    ///
    /// # Errors
    /// If that cannot be done; what was added since the last time is not there any more then.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.store.with_ledgers(|ledgers| ledgers.usage.flush()).await
    }

    /// Notes that so many requests will never be stored, to be reported at the next start. Needs no room on the disk.
    ///
    /// # Errors
    /// If it cannot be written all the same.
    pub async fn note_unwritten(&self, count: u64) -> Result<(), StoreError> {
        self.store.with_ledgers(move |ledgers| ledgers.note_unwritten(Ledger::Usage, count)).await
    }

    /// Up to `limit` entries of the time from `since` to before `until` that are `wanted`, from where the page
    /// before ended.
    ///
    /// # Errors
    /// If the ledger cannot be read. What of it is damaged is left out.
    pub async fn page(
        &self,
        wanted: Wanted,
        since: UnixMillis,
        until: UnixMillis,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<UsagePage, StoreError> {
        let from = cursor.unwrap_or_default();
        self.store
            .with_ledgers(move |ledgers| {
                let times = since..until;
                let mut page = UsagePage { entries: Vec::new(), next: None };
                ledgers.usage.blocks(&times, from.frame, |Placed { frame, begin, block }| {
                    if !block.has(&wanted) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    let first = if frame == from.frame { from.row } else { 0 };
                    for row in first..block.len() {
                        if page.entries.len() >= limit {
                            page.next = Some(Cursor { frame, row });
                            return Ok(ControlFlow::Break(()));
                        }
                        let entry = block.entry(begin, row);
                        let is_meant = |e: &UsageEntry| times.contains(&e.time) && wanted.wants(e);
                        page.entries.extend(entry.filter(is_meant));
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(page)
            })
            .await
    }

    /// Sums of what is `wanted` over `pieces` of time, by group. Of more than `most` groups only so many are
    /// kept, and [`Summed::cut`] says so.
    ///
    /// # Errors
    /// If the ledger cannot be read. What of it is damaged is left out.
    pub async fn sum(
        &self,
        wanted: Wanted,
        pieces: Vec<Piece>,
        group: Group,
        most: usize,
    ) -> Result<Summed, StoreError> {
        let calendar = self.calendar;
        self.store
            .with_ledgers(move |ledgers| sum::sum(&ledgers.usage, calendar, &wanted, &pieces, group, most))
            .await
    }

    /// Forgets requests that ended before `before`, as far as they fill files of their own; returns how many files
    /// those were.
    ///
    /// # Errors
    /// If that cannot be noted.
    pub async fn forget_entries(&self, before: UnixMillis) -> Result<usize, StoreError> {
        let calendar = self.calendar;
        self.store.with_ledgers(move |ledgers| ledgers.usage.forget_requests(calendar, before)).await
    }

    /// Forgets sums of days before `day`, as the calendar numbers them, as far as they fill files of their own; returns
    /// how many files those were.
    ///
    /// # Errors
    /// If that cannot be noted.
    pub async fn forget_days(&self, day: u32) -> Result<usize, StoreError> {
        self.store.with_ledgers(move |ledgers| ledgers.usage.forget_days(day)).await
    }
}
