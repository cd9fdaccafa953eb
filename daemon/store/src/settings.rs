//! Settings that are not records of a noun: the strategy, the daemon's id.

use std::time::Duration;

use aivonx_protocol::{
    UnixMillis,
    organization::{LimitProfile, PrivacyMode},
    privacy::Category,
    strategy::Strategy,
};
use serde::{Deserialize, Serialize};

use super::{Change, Collection, Store, StoreError, tree::Tree};

pub(super) const DAEMON_ID: &[u8] = b"daemon_id";
const STRATEGY: &[u8] = b"strategy";
const MODEL_STRATEGIES: &[u8] = b"model_strategies";
const LIMIT_PROFILE: &[u8] = b"limit_profile";
const PRIVACY: &[u8] = b"privacy";
const DAY_OFFSET: &[u8] = b"day_offset";
const SETUP_USED: &[u8] = b"setup_used";
pub(super) const HIDDEN_USAGE: &[u8] = b"hidden_usage";
const ISOLATION_CHECK: &[u8] = b"isolation_check";
pub(super) const RESTORATION: &[u8] = b"restoration";
/// What the ledgers have lost, see [`super::losses`].
pub(super) const LOSSES: &[u8] = b"ledger_losses";

/// The collection that those follow who keep this setting in memory; None if nobody does.
pub(super) fn collection(key: &[u8]) -> Option<Collection> {
    match key {
        STRATEGY | MODEL_STRATEGIES => Some(Collection::Strategy),
        LIMIT_PROFILE => Some(Collection::Limit),
        PRIVACY => Some(Collection::Privacy),
        HIDDEN_USAGE => Some(Collection::Organization),
        _ => None,
    }
}

/// What `recover` did, until it is recorded in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// When.
    pub time: UnixMillis,
    /// File name of the snapshot.
    pub snapshot: String,
    /// When the snapshot had been taken.
    pub snapshot_time: UnixMillis,
    /// Acknowledged changes that it lacked, where that is known.
    pub changes_behind: Option<u64>,
    /// How many ledgers were whole, or what they lacked.
    pub ledgers: Result<u64, String>,
}

/// What happens to personal data in the prompts of those without an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPrivacy {
    /// What happens.
    pub mode: PrivacyMode,
    /// Which of it is looked for; empty is all.
    pub categories: Vec<Category>,
}

/// Access to the settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) store: Store,
}

impl Settings {
    /// How the scheduler chooses; `cost` until it is set.
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
                feed.tell(Change { collection: Collection::Strategy, id: String::new(), revision: 0 });
                Ok(())
            })
            .await
    }

    /// Patterns of models with a strategy of their own.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn model_strategies(&self) -> Result<Vec<(String, Strategy)>, StoreError> {
        self.store
            .run(|engine, _| engine.get(Tree::Setting, MODEL_STRATEGIES))
            .await
            .map(Option::unwrap_or_default)
    }

    /// Sets them; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_model_strategies(&self, models: Vec<(String, Strategy)>) -> Result<(), StoreError> {
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| batch.put(Tree::Setting, MODEL_STRATEGIES, &models))?;
                feed.tell(Change { collection: Collection::Strategy, id: String::new(), revision: 0 });
                Ok(())
            })
            .await
    }

    /// The limit profile of what has no organization, and of organizations added without one; `unlimited` until
    /// it is chosen at set-up.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn limit_profile(&self) -> Result<LimitProfile, StoreError> {
        self.store
            .run(|engine, _| engine.get(Tree::Setting, LIMIT_PROFILE))
            .await
            .map(Option::unwrap_or_default)
    }

    /// Sets it; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_limit_profile(&self, profile: LimitProfile) -> Result<(), StoreError> {
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| batch.put(Tree::Setting, LIMIT_PROFILE, &profile))?;
                feed.tell(Change { collection: Collection::Limit, id: String::new(), revision: 0 });
                Ok(())
            })
            .await
    }

    /// What happens to personal data of those without an organization; None until it is set, which is what belongs
    /// to the limit profile.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn privacy(&self) -> Result<Option<FleetPrivacy>, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::Setting, PRIVACY)).await
    }

    /// Sets it; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_privacy(&self, privacy: FleetPrivacy) -> Result<(), StoreError> {
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| batch.put(Tree::Setting, PRIVACY, &privacy))?;
                feed.tell(Change { collection: Collection::Privacy, id: String::new(), revision: 0 });
                Ok(())
            })
            .await
    }

    /// Ids of the organizations that hide from their members what they use together.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn hidden_usage(&self) -> Result<Vec<String>, StoreError> {
        self.store
            .run(|engine, _| engine.get(Tree::Setting, HIDDEN_USAGE))
            .await
            .map(Option::unwrap_or_default)
    }

    /// Adds an organization to them, or removes it; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn hide_usage(&self, organization: String, hidden: bool) -> Result<(), StoreError> {
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| {
                    let mut ids: Vec<String> = batch.get(Tree::Setting, HIDDEN_USAGE)?.unwrap_or_default();
                    ids.retain(|id| *id != organization);
                    if hidden {
                        ids.push(organization.clone());
                    }
                    batch.put(Tree::Setting, HIDDEN_USAGE, &ids)
                })?;
                feed.tell(Change { collection: Collection::Organization, id: organization, revision: 0 });
                Ok(())
            })
            .await
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

    /// What the names end in that the last check of isolation gave to what it made; None before the first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn isolation_check(&self) -> Result<Option<String>, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::Setting, ISOLATION_CHECK)).await
    }

    /// Remembers it; durable when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn set_isolation_check(&self, suffix: String) -> Result<(), StoreError> {
        self.put(ISOLATION_CHECK, suffix).await
    }

    /// Keeps when days begin, after midnight UTC. Returns when they did until now, if that is another time; durable
    /// when it returns.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep_day_offset(&self, offset: Duration) -> Result<Option<Duration>, StoreError> {
        let seconds = offset.as_secs();
        let before = self.store.run(|engine, _| engine.get::<u64>(Tree::Setting, DAY_OFFSET)).await?;
        if before != Some(seconds) {
            self.put(DAY_OFFSET, seconds).await?;
        }
        Ok(before.filter(|before| *before != seconds).map(Duration::from_secs))
    }

    async fn put<T: Serialize + Send + 'static>(
        &self,
        name: &'static [u8],
        value: T,
    ) -> Result<(), StoreError> {
        self.store.run(move |engine, _| engine.write(|batch| batch.put(Tree::Setting, name, &value))).await
    }

    /// What `recover` did and is not yet recorded.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn restoration(&self) -> Result<Option<Restoration>, StoreError> {
        self.store.run(|engine, _| engine.get(Tree::Setting, RESTORATION)).await
    }

    /// Forgets that, once it is.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_restoration(&self) -> Result<(), StoreError> {
        self.store
            .run(|engine, _| {
                engine.write(|batch| {
                    batch.remove(Tree::Setting, RESTORATION);
                    Ok(())
                })
            })
            .await
    }

    /// The id this installation was given when its store was made. Not secret.
    #[must_use]
    pub fn daemon_id(&self) -> &str {
        self.store.daemon()
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::open;

    #[tokio::test(flavor = "multi_thread")]
    async fn those_who_hide_at_once_all_do() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let hide = |nth: u32| {
            let settings = store.settings();
            tokio::spawn(async move { settings.hide_usage(nth.to_string(), true).await })
        };
        for hides in (0..20).map(hide).collect::<Vec<_>>() {
            hides.await.unwrap().unwrap();
        }
        assert_eq!(store.settings().hidden_usage().await.unwrap().len(), 20);
        store.settings().hide_usage("7".into(), false).await.unwrap();
        assert!(!store.settings().hidden_usage().await.unwrap().contains(&"7".to_owned()));
    }
}
