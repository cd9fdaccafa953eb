//! Settings that are not records of a noun: the strategy, the daemon's id.

use aivonx_protocol::strategy::Strategy;

use super::{Change, Noun, Store, StoreError, tree::Tree};

pub(super) const DAEMON_ID: &[u8] = b"daemon_id";
const STRATEGY: &[u8] = b"strategy";

/// Access to the settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) store: Store,
}

impl Settings {
    /// How the scheduler chooses; `least_active` until it is set.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn strategy(&self) -> Result<Strategy, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::Setting, STRATEGY)).await.map(Option::unwrap_or_default)
    }

    /// Sets how the scheduler chooses; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_strategy(&self, strategy: Strategy) -> Result<(), StoreError> {
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| batch.put(Tree::Setting, STRATEGY, &strategy))?;
                feed.tell(Change { noun: Noun::Strategy, id: String::new(), revision: 0 });
                Ok(())
            })
            .await
    }

    /// The id this installation was given when its store was made. Not secret.
    #[must_use]
    pub fn daemon_id(&self) -> &str {
        self.store.daemon()
    }
}
