//! When API keys were last used. Overwritten now and then, one record each, outside of any transaction; kept for
//! revoked keys too.

use aivonx_protocol::UnixMillis;

use super::{Store, StoreError, tree::Tree};

/// Access to the last uses of keys.
#[derive(Debug, Clone)]
pub struct KeyUses {
    pub(super) store: Store,
}

impl KeyUses {
    /// Every key's id and its last use; what cannot be read is left out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn load(&self) -> Result<Vec<(String, UnixMillis)>, StoreError> {
        self.store
            .run(|engine, _| {
                let mut uses = Vec::new();
                for item in engine.items::<UnixMillis, _>(Tree::KeyUse, ..) {
                    if let (id, Ok(at)) = item? {
                        uses.push((String::from_utf8_lossy(&id).into_owned(), at));
                    }
                }
                Ok(uses)
            })
            .await
    }

    /// Puts these in the place of what was there, or forgets a key (None); durable when it returns.
    ///
    /// # Errors
    /// If the store fails; some of them may be stored all the same.
    pub async fn save(&self, uses: Vec<(String, Option<UnixMillis>)>) -> Result<(), StoreError> {
        self.store
            .run(move |engine, _| {
                let records = uses.iter().map(|(id, at)| (id.as_bytes().to_vec(), at.as_ref()));
                engine.overwrite(Tree::KeyUse, records)
            })
            .await
    }
}
