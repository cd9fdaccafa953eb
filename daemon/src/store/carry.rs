//! Taking ledgers over from a store that may be damaged into one rebuilt from a snapshot.
//!
//! The old store may panic or hang when it is read, so that happens in a thread of its own, and whoever waits for it
//! loses patience. What was read until then is kept: what is missing from a ledger shows in the ledger itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{
    Restoration, StoreError,
    engine::Engine,
    layout::Layout,
    open::{open_engine, panic_text},
    settings::RESTORATION,
    tree::{Kind, Tree},
};

/// Longest silence of a store that is being read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records taken over as one.
const BATCH: usize = 1000;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

enum Step {
    Read(Tree, Records),
    End(Result<(), String>),
}

/// Copies all ledgers of the store in `layout` into the one in `fresh`; returns how many records those were, or why
/// not all could be read.
pub(super) fn ledgers(layout: &Layout, fresh: &Engine) -> Result<Result<u64, String>, StoreError> {
    if !layout.db().exists() {
        return Ok(Err("the directory held no store before".to_owned()));
    }
    let (steps, taken) = mpsc::sync_channel(2);
    let layout = layout.clone();
    thread::Builder::new()
        .name("store-carry".into())
        .spawn(move || {
            let read = catch_unwind(AssertUnwindSafe(|| read(&layout, &steps)));
            // If nobody waits any more, the process is on its way out.
            let _ = steps.send(Step::End(read.unwrap_or_else(|panic| Err(panic_text(&*panic)))));
        })
        .map_err(StoreError::io("start a thread to read", Path::new("store")))?;
    let mut count = 0;
    loop {
        match taken.recv_timeout(PATIENCE) {
            Ok(Step::Read(tree, records)) => {
                count += records.len() as u64;
                fresh.append(|group| {
                    records.into_iter().for_each(|(key, value)| group.put_raw(tree, &key, value));
                    Ok(())
                })?;
            }
            Ok(Step::End(Ok(()))) => return Ok(Ok(count)),
            Ok(Step::End(Err(why))) => return Ok(Err(format!("{why} (after {count} records)"))),
            Err(RecvTimeoutError::Timeout) => {
                return Ok(Err(format!(
                    "reading the store that was there came to no end (after {count} records)"
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err(format!(
                    "reading the store that was there broke off (after {count} records)"
                )));
            }
        }
    }
}

fn read(layout: &Layout, steps: &mpsc::SyncSender<Step>) -> Result<(), String> {
    let engine = open_engine(layout, 0).map_err(|e| e.to_string())?;
    for tree in Tree::ALL.into_iter().filter(|tree| tree.kind() == Kind::Ledger && *tree != Tree::LedgerHead)
    {
        let mut records = Records::new();
        for item in engine.tree(tree) {
            let (key, value) =
                item.map_err(|e| format!("the tree \"{}\" cannot be read: {e}", tree.name()))?;
            records.push((key.to_vec(), value.to_vec()));
            if records.len() == BATCH && steps.send(Step::Read(tree, std::mem::take(&mut records))).is_err() {
                return Ok(());
            }
        }
        // Who took them has lost patience otherwise.
        let _ = steps.send(Step::Read(tree, records));
    }
    Ok(())
}

/// Notes in the store in `fresh` what was done, for the audit log to record.
pub(super) fn note(fresh: &Engine, restoration: &Restoration) -> Result<(), StoreError> {
    fresh.write(|batch| batch.put(Tree::Setting, RESTORATION, restoration))
}
