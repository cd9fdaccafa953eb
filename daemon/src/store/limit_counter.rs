//! The counters of limits. Overwritten every second while they change, one record each, outside of any
//! transaction: a transaction stops every other write of the process.

use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, tree::Tree};
use crate::limits::SavedWindow;

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
    /// If the store fails.
    pub async fn load(&self) -> Result<Vec<Result<CounterRecord, StoreError>>, StoreError> {
        self.store
            .run(|engine, _| {
                engine.items(Tree::LimitCounter, ..).map(|item| item.map(|(_, read)| read)).collect()
            })
            .await
    }

    /// Puts these in the place of what was there; durable when it returns. Each is stored by itself.
    ///
    /// # Errors
    /// If the store fails; some of them may be stored all the same.
    pub async fn save(&self, records: Vec<CounterRecord>) -> Result<(), StoreError> {
        self.store
            .run(move |engine, _| {
                engine.overwrite(Tree::LimitCounter, records.iter().map(|r| (key(r.kind, &r.id), Some(r))))
            })
            .await
    }

    /// Forgets these, by kind and id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget(&self, gone: Vec<(u8, String)>) -> Result<(), StoreError> {
        self.store
            .run(move |engine, _| {
                let gone = gone.iter().map(|(kind, id)| (key(*kind, id), None::<&CounterRecord>));
                engine.overwrite(Tree::LimitCounter, gone)
            })
            .await
    }
}
