//! Settings that are not records of a noun: the strategy, the daemon's id.

use aivonx_protocol::{organization::LimitProfile, strategy::Strategy};
use serde::Serialize;

use super::{Change, Noun, Store, StoreError, tree::Tree};

pub(super) const DAEMON_ID: &[u8] = b"daemon_id";
const STRATEGY: &[u8] = b"strategy";
const LIMIT_PROFILE: &[u8] = b"limit_profile";
const SETUP_USED: &[u8] = b"setup_used";

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

    /// The limit profile of organizations added without one; `unlimited` until it is chosen at set-up.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn limit_profile(&self) -> Result<LimitProfile, StoreError> {
        self.store
            .run(|engine, _| engine.get(Tree::Setting, LIMIT_PROFILE))
            .await
            .map(Option::unwrap_or_default)
    }

    /// Sets the limit profile of organizations to come; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_limit_profile(&self, profile: LimitProfile) -> Result<(), StoreError> {
        self.put(LIMIT_PROFILE, profile).await
    }

    /// Whether an unattended set-up was done: then its file is worth nothing more.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn setup_used(&self) -> Result<bool, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::Setting, SETUP_USED)).await.map(Option::unwrap_or_default)
    }

    /// Remembers that an unattended set-up was done; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_setup_used(&self) -> Result<(), StoreError> {
        self.put(SETUP_USED, true).await
    }

    async fn put<T: Serialize + Send + 'static>(
        &self,
        name: &'static [u8],
        value: T,
    ) -> Result<(), StoreError> {
        self.store.run(move |engine, _| engine.write(|batch| batch.put(Tree::Setting, name, &value))).await
    }

    /// The id this installation was given when its store was made. Not secret.
    #[must_use]
    pub fn daemon_id(&self) -> &str {
        self.store.daemon()
    }
}
