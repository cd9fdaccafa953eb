//! Replacing the data keys while the daemon serves.
//!
//! A rotation makes a data key, seals every secret anew under it in small transactions, and then forgets the
//! older keys. How far it is stands in the store itself: as long as there is more than one data key it is not
//! finished, and nothing else is needed to finish it. So it may be killed at any point; at the next start, or by the
//! next rotation, it is brought to its end.
//!
//! Others go on changing records meanwhile. A secret that is sealed anew is read within the transaction that
//! writes it, and its record keeps its revision: nobody's change is lost, nobody gets a conflict. What was
//! sealed under an old key and stored late is found by the next pass; and once the old key is gone, such a record is
//! refused by the store, and its writer seals again.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc, time::Duration};

use super::{SecretsError, Vault};
use crate::{Reseal, Store, Unopened};

/// Records sealed anew in one transaction.
const AT_ONCE: usize = 16;

/// How long retired data keys stay in memory, for those who have read a record and not opened its secret yet.
const LINGER: Duration = Duration::from_secs(60);

/// How far a rotation is with one kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What they are, in plural: `node credentials`.
    pub kind: &'static str,
    /// How many were sealed anew.
    pub done: u64,
    /// How many there are to seal anew.
    pub total: u64,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Number of the data key that everything is sealed under now.
    pub data_key: u32,
    /// How many secrets of each kind were sealed anew.
    pub parts: Vec<Part>,
    /// Numbers of the data keys that were forgotten.
    pub retired: Vec<u32>,
    /// Secrets that do not open. They stay as they are, and so do their data keys.
    pub unopened: Vec<Unopened>,
}

/// How a rotation ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is through.
    Done(Rotated),
    /// It was stopped by the report, and can be finished later.
    Stopped,
}

/// Called with the progress between two steps; `Break` stops it there.
pub type Report<'a> = &'a (dyn Fn(&[Part]) -> ControlFlow<()> + Send + Sync);

/// Makes a new data key, seals everything under it and forgets the others. For one caller at a time.
///
/// # Errors
/// If the master key's file is not the one the daemon started with, or the store fails. It can be finished later.
pub async fn rotate(store: &Store, vault: &Vault, report: Report<'_>) -> Result<Outcome, SecretsError> {
    if report(&[]).is_break() {
        return Ok(Outcome::Stopped);
    }
    vault.add_key(store).await?;
    finish(store, vault, report).await
}

/// Whether a rotation was begun and not finished.
///
/// # Errors
/// If the store fails.
pub async fn is_unfinished(store: &Store) -> Result<bool, SecretsError> {
    Ok(store.data_keys().list().await?.len() > 1)
}

/// Brings a rotation to its end that was begun earlier. For one caller at a time.
///
/// # Errors
/// If the store fails. It can be finished later.
pub async fn finish(store: &Store, vault: &Vault, report: Report<'_>) -> Result<Outcome, SecretsError> {
    let newest = vault.newest();
    let keys = store.data_keys();
    let sealer = vault.clone();
    let reseal: Reseal =
        Arc::new(move |tree, id, sealed| sealer.reseal(tree, id, sealed).map_err(|e| e.to_string()));
    let mut parts = BTreeMap::new();
    let mut unopened = Vec::new();
    let mut retired = Vec::new();
    loop {
        count(&mut parts, store, newest).await?;
        let mut behind = keys.behind(newest, unopened.clone()).await?;
        if report(&list(&parts)).is_break() {
            return Ok(Outcome::Stopped);
        }
        while let Some(few) = behind.next(AT_ONCE) {
            let step = keys.reseal(few, newest, reseal.clone()).await?;
            for kind in step.done {
                parts.entry(kind).or_insert((0, 0)).0 += 1;
            }
            unopened.extend(step.failed);
            if report(&list(&parts)).is_break() {
                return Ok(Outcome::Stopped);
            }
        }
        retired.extend(keys.retire(newest).await?);
        // Something sealed before the rotation may have been stored since the last look.
        if keys.behind(newest, unopened.clone()).await?.is_empty() {
            break;
        }
    }
    vault.forget_after(LINGER, &retired);
    // What is named as not opening is no work left to do.
    let parts = parts.into_iter().map(|(kind, (done, _))| Part { kind, done, total: done }).collect();
    Ok(Outcome::Done(Rotated { data_key: newest, parts, retired, unopened }))
}

/// Done, and in all, by kind.
type Counts = BTreeMap<&'static str, (u64, u64)>;

async fn count(parts: &mut Counts, store: &Store, newest: u32) -> Result<(), SecretsError> {
    for (done, total) in parts.values_mut() {
        *total = *done;
    }
    for found in store.data_keys().uses().await?.iter().filter(|found| found.key != newest) {
        parts.entry(found.kind).or_insert((0, 0)).1 += found.count;
    }
    Ok(())
}

fn list(parts: &Counts) -> Vec<Part> {
    parts.iter().map(|(kind, (done, total))| Part { kind, done: *done, total: *total }).collect()
}

#[cfg(test)]
#[path = "rotate_tests.rs"]
pub(super) mod tests;
