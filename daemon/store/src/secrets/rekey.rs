//! Changing the master key, while no daemon runs.
//!
//! The data keys stay; they are wrapped anew, in the store and in every kept snapshot, which has its own. First
//! the snapshots, the store last: until that one transaction the daemon starts with the old master key, from
//! then on with the new. What is wrapped anew already is recognised, so after a crash the same command goes on.

use std::{path::PathBuf, sync::Arc};

use super::{MasterKey, SecretsError, wrap};
use crate::{DataKeyRecord, Rewrap, Rewrapped, Store};

/// What [`rekey`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// Data keys of the store.
    pub data_keys: usize,
    /// How many of them were not under the new master key before.
    pub wrapped: usize,
    /// Every kept snapshot and what became of it, newest first.
    pub snapshots: Vec<(PathBuf, Rewrapped)>,
    /// Stores that `recover` has set aside: they still need the old master key.
    pub set_aside: Vec<PathBuf>,
}

/// Wraps every data key of `store` and its snapshots, which `old` wrapped, by `new`. May be repeated.
///
/// # Errors
/// If the store's data keys are under neither of the two, which is found before anything is changed; or the
/// store fails.
pub async fn rekey(store: &Store, old: MasterKey, new: MasterKey) -> Result<Rekeyed, SecretsError> {
    if old.tag() == new.tag() {
        return Err(SecretsError::SameMasterKey { path: new.path().to_owned() });
    }
    let records = store.data_keys().list().await?;
    for record in &records {
        wrap::rewrap(&old, &new, record)?;
    }
    let with: Rewrap = Arc::new(move |record: &DataKeyRecord| {
        wrap::rewrap(&old, &new, record).map_err(|error| match error {
            SecretsError::WrongMasterKey { .. } => "its data keys are under yet another master key".into(),
            other => other.to_string(),
        })
    });
    carry_out(store, records.len(), with).await
}

async fn carry_out(store: &Store, data_keys: usize, with: Rewrap) -> Result<Rekeyed, SecretsError> {
    let mut snapshots = store.rewrap_snapshots(with.clone()).await?;
    let wrapped = store.data_keys().rewrap(with.clone()).await?.map_err(SecretsError::Rekey)?;
    // One may have been taken since the first look.
    for (path, done) in store.rewrap_snapshots(with).await? {
        match snapshots.iter_mut().find(|(known, _)| *known == path) {
            Some((_, before)) if done != Rewrapped::Already => *before = done,
            Some(_) => {}
            None => snapshots.insert(0, (path, done)),
        }
    }
    Ok(Rekeyed { data_keys, wrapped, snapshots, set_aside: store.set_aside()? })
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
