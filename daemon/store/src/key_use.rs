//! When API keys were last used; kept for revoked keys too.

use aivonx_protocol::UnixMillis;

use super::{
    Store, StoreError,
    counters::{Change, Table},
};

/// Access to the last uses of keys.
#[derive(Debug, Clone)]
pub struct KeyUses {
    pub(super) store: Store,
}

impl KeyUses {
    /// Every key's id and its last use; what cannot be read is left out.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn load(&self) -> Result<Vec<(String, UnixMillis)>, StoreError> {
        self.store
            .with_ledgers(|ledgers| {
                let uses = ledgers.counters.all(Table::KeyUse).into_iter();
                let name = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
                Ok(uses.filter_map(|(id, at)| Some((name(&id), at.ok()?))).collect())
            })
            .await
    }

    /// Puts these in the place of what was there, or forgets a key (None); durable when it returns.
    ///
    /// # Errors
    /// If they cannot be written; none of them is then.
    pub async fn save(&self, uses: Vec<(String, Option<UnixMillis>)>) -> Result<(), StoreError> {
        self.store
            .with_ledgers(move |ledgers| {
                let change = |(id, at): (String, Option<UnixMillis>)| match at {
                    Some(at) => Change::put(Table::KeyUse, id.into_bytes(), &at),
                    None => Ok(Change::forget(Table::KeyUse, id.into_bytes())),
                };
                ledgers.counters.change(uses.into_iter().map(change).collect::<Result<_, _>>()?)
            })
            .await
    }
}
