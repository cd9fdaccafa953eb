//! What is overwritten again and again, each value under a key of its own: the counters of limits, the last uses of
//! keys, the names of the usage ledger, what was learned of nodes. A log of the changes, and what they come to in memory; when most of the log is
//! of no use any more, what there is is written anew and the rest forgotten.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    StoreError, codec,
    segment::{Item, Log},
};

/// What a value is about. The numbers are kinds of frames: never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Kind and id of a subject -> `CounterRecord`
    LimitCounter = 1,
    /// Id of a key -> when it was last used
    KeyUse = 2,
    /// Code -> `UsageName`
    UsageName = 3,
    /// Id of a node, or `models`, `inventory:ID`, `response:OWNER/ID` -> what was learned of it, as text
    Learned = 4,
}

impl Table {
    const ALL: [Self; 4] = [Self::LimitCounter, Self::KeyUse, Self::UsageName, Self::Learned];

    const fn name(self) -> &'static str {
        match self {
            Self::LimitCounter => "limit_counter",
            Self::KeyUse => "key_use",
            Self::UsageName => "usage_name",
            Self::Learned => "learned",
        }
    }
}

/// Version of the values.
const VERSION: u8 = 1;
/// Bytes that a change takes in the log beside its key and value, about.
const FRAME: usize = 32;
/// So much of the log is worth no writing anew, bytes.
const SLACK: usize = 1 << 20;
/// Changes written as one.
const GROUP: usize = 4096;

/// A value under its key, or none any more.
pub(super) struct Change {
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Change {
    /// Puts `value` in the place of what was there.
    pub(super) fn put<T: Serialize>(table: Table, key: Vec<u8>, value: &T) -> Result<Self, StoreError> {
        let value = codec::to_payload(VERSION, value);
        let value = value.map_err(|source| StoreError::Record { tree: table.name(), source })?;
        Ok(Self { table, key, value: Some(value) })
    }

    /// Forgets what was there.
    pub(super) fn forget(table: Table, key: Vec<u8>) -> Self {
        Self { table, key, value: None }
    }

    /// Puts a value that is encoded already.
    pub(super) fn moved(table: Table, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { table, key, value: Some(value) }
    }

    /// Length of the key (u16, little-endian), key, value; without a value it is one that was forgotten.
    fn frame(&self) -> (u8, Vec<u8>) {
        // Ids are far shorter.
        let length = u16::try_from(self.key.len()).unwrap_or(u16::MAX).to_le_bytes();
        (self.table as u8, [&length[..], &self.key, self.value.as_deref().unwrap_or_default()].concat())
    }

    /// None for a frame that does not parse.
    fn read(kind: u8, payload: &[u8]) -> Option<Self> {
        let table = Table::ALL.into_iter().find(|table| *table as u8 == kind)?;
        let (length, rest) = payload.split_first_chunk()?;
        let (key, value) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        let value = Some(value.to_vec()).filter(|value| !value.is_empty());
        Some(Self { table, key: key.to_vec(), value })
    }
}

/// See the module.
pub(super) struct Counters {
    pub(super) log: Log,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    values: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Bytes that these would take in the log.
    live: usize,
    /// Bytes of all changes in the log.
    written: usize,
    /// Not written anew before the log has so many.
    next: usize,
}

impl Kept {
    fn apply(&mut self, Change { table, key, value }: Change) {
        let size = |value: &[u8]| FRAME + key.len() + value.len();
        self.written += size(value.as_deref().unwrap_or_default());
        let added = value.as_deref().map_or(0, size);
        let length = key.len();
        let old = match value {
            Some(value) => self.values.insert((table, key), value),
            None => self.values.remove(&(table, key)),
        };
        self.live = self.live + added - old.map_or(0, |old| FRAME + length + old.len());
    }

    fn is_stale(&self) -> bool {
        self.written > (2 * self.live + SLACK).max(self.next)
    }
}

impl Counters {
    /// Takes over a log. What cannot be read of it is left out: the log says so itself.
    pub(super) fn open(log: Log) -> Result<Self, StoreError> {
        let mut kept = Kept::default();
        for item in log.read(0..=u64::MAX) {
            if let Item::Frame(placed) = item?
                && let Some(change) = Change::read(placed.frame.kind, &placed.frame.payload)
            {
                kept.apply(change);
            }
        }
        Ok(Self { log, kept: Mutex::new(kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole at any time.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value under a key.
    pub(super) fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.kept().values.get(&(table, key.to_vec())).map(|value| read(table, value)).transpose()
    }

    /// Every key of a table and its value, or why that cannot be read.
    pub(super) fn all<T: DeserializeOwned>(&self, table: Table) -> Vec<(Vec<u8>, Result<T, StoreError>)> {
        let kept = self.kept();
        let of = kept.values.range((table, Vec::new())..).take_while(|((found, _), _)| *found == table);
        of.map(|((_, key), value)| (key.clone(), read(table, value))).collect()
    }

    /// Every key of a table.
    pub(super) fn keys(&self, table: Table) -> Vec<Vec<u8>> {
        let kept = self.kept();
        let of = kept.values.range((table, Vec::new())..).take_while(|((found, _), _)| *found == table);
        of.map(|((_, key), _)| key.clone()).collect()
    }

    /// Makes changes, all or none; durable when it returns.
    pub(super) fn change(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        // Held to the end, so that what is in memory follows in the order of the log.
        let mut kept = self.kept();
        let frames: Vec<_> = changes.iter().map(Change::frame).collect();
        self.log.sync(&self.log.append(&frames)?)?;
        changes.into_iter().for_each(|change| kept.apply(change));
        if kept.is_stale()
            && let Err(error) = self.renew(&mut kept)
        {
            tracing::warn!(%error, "the log of the counters is not written anew, and grows until it can be");
            kept.next = kept.written.saturating_mul(2);
        }
        Ok(())
    }

    /// Writes what there is in memory anew, in place of a log that lost some of it.
    pub(super) fn write_anew(&self) {
        if let Err(error) = self.renew(&mut self.kept()) {
            tracing::warn!(%error, "what was lost of the log of the counters is not written anew");
        }
    }

    /// Writes what there is anew, and forgets the rest.
    fn renew(&self, kept: &mut Kept) -> Result<(), StoreError> {
        self.log.roll()?;
        let mut first = None;
        let values: Vec<_> = kept.values.iter().collect();
        for part in values.chunks(GROUP) {
            let frame = |((table, key), value): &(&(Table, Vec<u8>), &Vec<u8>)| {
                Change { table: *table, key: key.clone(), value: Some((*value).clone()) }.frame()
            };
            let appended = self.log.append(&part.iter().map(frame).collect::<Vec<_>>())?;
            first.get_or_insert(appended.first);
            self.log.sync(&appended)?;
        }
        if let Some(first) = first {
            self.log.forget(first)?;
        }
        (kept.written, kept.next) = (kept.live, 0);
        Ok(())
    }
}

fn read<T: DeserializeOwned>(table: Table, value: &[u8]) -> Result<T, StoreError> {
    codec::from_payload(VERSION, value).map_err(|source| StoreError::Record { tree: table.name(), source })
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").field("log", &self.log).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, tests::open};

    fn put(key: &str, value: u64) -> Change {
        Change::put(Table::KeyUse, key.into(), &value).unwrap()
    }

    #[tokio::test]
    async fn values_survive_a_restart_and_the_log_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        for round in 0..40_u64 {
            store
                .with_ledgers(move |ledgers| {
                    let changes = (0..1000).map(|n| put(&format!("{n:04}"), round * n)).collect();
                    ledgers.counters.change(changes)?;
                    ledgers.counters.change(vec![Change::forget(Table::KeyUse, b"0007".to_vec())])
                })
                .await
                .unwrap();
        }
        let read = |store: &Store| {
            let store = store.clone();
            async move {
                store
                    .with_ledgers(|ledgers| {
                        let of = ledgers.counters.all::<u64>(Table::KeyUse).into_iter();
                        let of: Vec<_> = of.map(|(key, value)| (key, value.unwrap())).collect();
                        let segments = ledgers.counters.log.segments();
                        Ok((of, segments.last().unwrap().end - segments[0].first))
                    })
                    .await
                    .unwrap()
            }
        };
        let (values, frames) = read(&store).await;
        assert_eq!(values.len(), 999);
        assert!(values.contains(&(b"0999".to_vec(), 39 * 999)));
        assert!(frames < 40_000, "{frames}");
        store.close().await.unwrap();
        assert_eq!(read(&open(dir.path()).await).await.0, values);
    }
}
