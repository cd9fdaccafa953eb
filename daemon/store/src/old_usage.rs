//! What schema 1 kept of usage in the engine, taken over into the ledgers' own files: see [`old`].

use super::{
    StoreError, codec,
    counters::{Change, Table},
    engine::Engine,
    ledgers::Ledgers,
};

/// Values taken over as one.
const GROUP: usize = 1000;

/// A key, and the version and payload of its value: the form of payloads in the ledgers.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// Takes requests, sums, names, counters of limits and last uses of keys over.
pub(super) fn take_over(engine: &Engine, ledgers: &Ledgers) -> Result<(), StoreError> {
    let mut unreadable = 0;
    for (tree, table) in
        [("limit_counter", Table::LimitCounter), ("key_use", Table::KeyUse), ("usage_name", Table::UsageName)]
    {
        for part in records(engine, tree, &mut unreadable)?.chunks(GROUP) {
            let moved = part.iter().map(|(key, value)| Change::moved(table, key.clone(), value.clone()));
            ledgers.counters.change(moved.collect())?;
        }
    }
    let requests = records(engine, "usage_raw", &mut unreadable)?;
    let sums = records(engine, "usage_day", &mut unreadable)?;
    unreadable += ledgers.usage.take_over(&requests, &sums)?;
    if unreadable > 0 {
        tracing::error!(
            event = "usage_lost",
            count = unreadable,
            "records of usage, or counters of limits, cannot be read, and are not taken over"
        );
    }
    Ok(())
}

fn records(engine: &Engine, tree: &str, unreadable: &mut u64) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    for item in engine.backend().scan(tree, b"") {
        let (key, bytes) = item?;
        match codec::check(tree, &key, &bytes) {
            Ok((version, payload)) => records.push((key, [&[version], payload].concat())),
            Err(_) => *unreadable += 1,
        }
    }
    Ok(records)
}
