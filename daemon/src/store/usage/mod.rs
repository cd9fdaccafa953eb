//! The usage ledger: each request for a while, and sums of each day for much longer.
//!
//! Requests are stored in blocks of up to [`block::ROWS`], which share what they have in common. What a group of
//! requests adds to the sums of their days is stored in the same transaction as the requests themselves: after
//! whatever end of the process, the sums of a day are those of its requests, none missing and none twice.
//! Organizations, users, keys, models, nodes and routes stand in both as [`Code`]s; their names are kept apart,
//! and outlive them. Nothing of it is in snapshots: `recover` takes it over from the store it sets aside.

mod block;
mod code;
mod day;
mod names;
mod sums;
#[cfg(test)]
mod tests;

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

pub use block::UsageEntry;
pub use code::{Code, Part, Parties, Wanted};
pub use day::{Calendar, DAY_MS, Step};
pub use names::{Codes, Used};
pub use sums::{Group, Piece, Summed, UsageSums};

use super::{Store, StoreError, engine::Engine, tree::Tree};
use block::{Block, NewBlock};

/// Most entries one [`UsageLog::append`] takes: a transaction holds up every other writer of the store.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    block: Vec<u8>,
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

    /// Stores entries, adds them to the sums of their days, and stores names; all of it or nothing, and durable
    /// when it returns. Takes at most [`APPEND_MAX`] entries.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn append(
        &self,
        entries: Vec<UsageEntry>,
        names: Vec<(Code, UsageName)>,
    ) -> Result<(), StoreError> {
        self.add(entries, names).await?;
        self.settle().await
    }

    /// As [`Self::append`], but durable only with the next [`Self::settle`]. Returns the entries' memory, empty.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn add(
        &self,
        mut entries: Vec<UsageEntry>,
        names: Vec<(Code, UsageName)>,
    ) -> Result<Vec<UsageEntry>, StoreError> {
        debug_assert!(entries.len() <= APPEND_MAX);
        let calendar = self.calendar;
        self.store
            .run(move |engine, _| {
                entries.sort_by_key(|entry| entry.time);
                engine.gather(|group| {
                    for (code, name) in &names {
                        group.put(Tree::UsageName, &code.bytes(), name)?;
                    }
                    let mut taken = Vec::new();
                    for part in block::parts(&entries) {
                        let key = free_key(engine, part[0].time, &taken);
                        group.put_raw(Tree::UsageRaw, &key, NewBlock::of(part).bytes(&key)?);
                        taken.push(key);
                    }
                    for (key, mut sums) in sums::by_day(calendar, &entries) {
                        // One that cannot be read counts anew from here; the entries tell what it was.
                        if let Ok(Some(before)) = engine.get::<UsageSums>(Tree::UsageDay, &key) {
                            sums.join(&before);
                        }
                        group.put(Tree::UsageDay, &key, &sums)?;
                    }
                    Ok(())
                })?;
                entries.clear();
                Ok(entries)
            })
            .await
    }

    /// Makes what was added so far durable.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.store.run(|engine, _| engine.settle()).await
    }

    /// Up to `limit` entries of the time from `since` to before `until` that are `wanted`, from where the page
    /// before ended.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub async fn page(
        &self,
        wanted: Wanted,
        since: UnixMillis,
        until: UnixMillis,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<UsagePage, StoreError> {
        self.store
            .run(move |engine, _| {
                let (from, skip) = match cursor {
                    Some(Cursor { block, row }) => (block, row),
                    None => (block::first_key(since), 0),
                };
                let mut entries = Vec::new();
                let mut skip = Some(skip);
                for item in engine.tree(Tree::UsageRaw).range(from..block::key(until, 0)) {
                    let (key, bytes) = item?;
                    let block = Block::read(&key, &bytes)?;
                    let begin = block::time(&key);
                    let first = skip.take().unwrap_or(0);
                    if !block.has(&wanted) {
                        continue;
                    }
                    for row in first..block.len() {
                        if entries.len() >= limit {
                            let next = Some(Cursor { block: key.to_vec(), row });
                            return Ok(UsagePage { entries, next });
                        }
                        let entry = block.wanted(begin, row, &wanted);
                        entries.extend(entry.filter(|entry| (since..until).contains(&entry.time)));
                    }
                }
                Ok(UsagePage { entries, next: None })
            })
            .await
    }

    /// Sums of what is `wanted` over `pieces` of time, by group. Of more than `most` groups only so many are
    /// kept, and [`Summed::cut`] says so.
    ///
    /// # Errors
    /// If the store fails or a record is damaged.
    pub async fn sum(
        &self,
        wanted: Wanted,
        pieces: Vec<Piece>,
        group: Group,
        most: usize,
    ) -> Result<Summed, StoreError> {
        let calendar = self.calendar;
        self.store.run_long(move |engine, _| sums::sum(engine, calendar, &wanted, &pieces, group, most)).await
    }

    /// Forgets up to `most` of the blocks whose entries are all older than `before`; returns how many those were.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_entries(&self, before: UnixMillis, most: usize) -> Result<usize, StoreError> {
        // A block reaches a little beyond the time in its key.
        self.forget(Tree::UsageRaw, block::first_key(before), most).await
    }

    /// Forgets up to `most` of the sums of days before `day`, as the calendar numbers them; returns how many those were.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_days(&self, day: u32, most: usize) -> Result<usize, StoreError> {
        self.forget(Tree::UsageDay, day.to_be_bytes().to_vec(), most).await
    }

    async fn forget(&self, tree: Tree, end: Vec<u8>, most: usize) -> Result<usize, StoreError> {
        self.store
            .run(move |engine, _| {
                let keys: Vec<_> = engine.keys(tree, ..end).take(most).collect::<Result<_, _>>()?;
                engine.append(|group| {
                    keys.iter().for_each(|key| group.remove(tree, key));
                    Ok(keys.len())
                })
            })
            .await
    }
}

/// A key for a block that begins at `time`, which nothing stands under. The one who appends is alone.
fn free_key(engine: &Engine, time: UnixMillis, taken: &[Vec<u8>]) -> Vec<u8> {
    let stored = engine.keys(Tree::UsageRaw, block::key(time, 0)..=block::key(time, u32::MAX)).next_back();
    // A key that cannot be read is one whose place nobody may take either; the next write of it fails as well.
    let last = stored.and_then(Result::ok).into_iter().chain(taken.iter().cloned());
    let last = last.filter(|key| block::time(key) == time).map(|key| block::number(&key)).max();
    block::key(time, last.map_or(0, |last| last + 1))
}
