//! The counters of limits, written every second while they change.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    counters::{Change, Table},
    ledgers::Ledgers,
};

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Tokens, of prompt and output. Of requests that still run, as estimated.
    pub tokens: u64,
    /// Micro-USD. Of requests that still run, as estimated.
    pub spend: u64,
}

/// A window as stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWindow {
    /// The day or month it is.
    pub index: i64,
    /// Its age, milliseconds.
    pub age: i64,
    /// What was used in it.
    pub counts: Counts,
}

/// The counters of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRecord {
    /// Whether it is an organization (0), a user (1) or a key (2).
    pub kind: u8,
    /// Its id.
    pub id: String,
    /// When this was saved.
    pub saved: UnixMillis,
    /// Its minute, hour, day and month.
    pub windows: [SavedWindow; 4],
}

/// Access to the counters of limits.
#[derive(Debug, Clone)]
pub struct LimitCounters {
    pub(super) store: Store,
}

fn key(kind: u8, id: &str) -> Vec<u8> {
    [&[kind], id.as_bytes()].concat()
}

impl LimitCounters {
    /// Every record, or why it cannot be read.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn load(&self) -> Result<Vec<Result<CounterRecord, StoreError>>, StoreError> {
        let load = |ledgers: &Ledgers| {
            Ok(ledgers.counters.all(Table::LimitCounter).into_iter().map(|(_, record)| record).collect())
        };
        self.store.with_ledgers(load).await
    }

    /// Puts these in the place of what was there; durable when it returns.
    ///
    /// # Errors
    /// If they cannot be written; none of them is then.
    pub async fn save(&self, records: Vec<CounterRecord>) -> Result<(), StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let put = |r: &CounterRecord| Change::put(Table::LimitCounter, key(r.kind, &r.id), r);
                ledgers.counters.change(records.iter().map(put).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Forgets these, by kind and id.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub async fn forget(&self, gone: Vec<(u8, String)>) -> Result<(), StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let forget = |(kind, id): &(u8, String)| Change::forget(Table::LimitCounter, key(*kind, id));
                ledgers.counters.change(gone.iter().map(forget).collect())
            })
            .await
    }
}
