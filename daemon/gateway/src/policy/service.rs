//! The service: the rules in force, which follow the store.

use std::sync::{Arc, Weak};

use aivonx_domain::Reach;
use aivonx_identity::Identity;
use aivonx_protocol::Fault;
use aivonx_store::{Noun, Store, StoreError};
use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::broadcast::error::RecvError;

use super::Rules;

/// The rules in force.
#[derive(Debug, Default)]
pub struct Hot(ArcSwapOption<Rules>);

impl Hot {
    /// The rules now; None if there are none. Cheap; not to be kept.
    #[must_use]
    pub fn load(&self) -> Guard<Option<Arc<Rules>>> {
        self.0.load()
    }
}

/// Model policy: one per daemon.
pub struct Policies {
    pub(super) store: Store,
    pub(super) identity: Arc<Identity>,
    hot: Arc<Hot>,
    /// How many changes the rules in force have; None before the first. Held while they are read and put in place,
    /// so that older ones never follow newer ones.
    built: tokio::sync::Mutex<Option<u64>>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

/// What the rules are made of.
const OURS: [Noun; 2] = [Noun::Policy, Noun::Alias];

impl Policies {
    /// Reads the rules, and follows the store from then on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(store: Store, identity: Arc<Identity>) -> Result<Arc<Self>, StoreError> {
        let mut changes = store.subscribe();
        let policies =
            Arc::new(Self { store, identity, hot: Arc::default(), built: tokio::sync::Mutex::default() });
        policies.rebuild().await?;
        let weak: Weak<Self> = Arc::downgrade(&policies);
        tokio::spawn(async move {
            loop {
                let ours = match changes.recv().await {
                    Ok(change) => OURS.contains(&change.noun),
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return,
                };
                let Some(policies) = weak.upgrade() else { return };
                match if ours { policies.rebuild().await } else { Ok(()) } {
                    Ok(()) => {}
                    Err(StoreError::Closed) => return,
                    Err(error) => {
                        tracing::error!(event = "policy_stale", %error, "model policy cannot be read; the old one stays");
                    }
                }
            }
        });
        Ok(policies)
    }

    /// The rules in force.
    #[must_use]
    pub fn hot(&self) -> &Arc<Hot> {
        &self.hot
    }

    /// Puts the rules in force as they are now, unless they are.
    async fn rebuild(&self) -> Result<(), StoreError> {
        let mut built = self.built.lock().await;
        let changes = self.store.changes_of(&OURS);
        if *built >= Some(changes) {
            return Ok(());
        }
        let policies = self.store.policies().list(&Reach::All).await?;
        let aliases = self.store.aliases().list(&Reach::All).await?;
        self.hot.0.store(Rules::new(policies, aliases).map(Arc::new));
        *built = Some(changes);
        Ok(())
    }

    /// Puts what was just written into force: what a reply promises must hold for the next request.
    pub(super) async fn settle(&self) -> Result<(), Fault> {
        self.rebuild().await.map_err(Fault::from)
    }
}
