//! The service: the rules in force, which follow the store.

use std::sync::Arc;

use aivonx_domain::TenantScope;
use aivonx_identity::Identity;
use aivonx_store::{Changed, Collection, Follower, InForce, Projection, Store, StoreError};
use arc_swap::{ArcSwapOption, Guard};

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
    pub(super) in_force: InForce,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

impl Policies {
    /// Reads the rules, and follows the store from then on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(store: Store, identity: Arc<Identity>) -> Result<Arc<Self>, StoreError> {
        let follower = Follower::new(&store);
        let policies = Arc::new(Self { store, identity, hot: Arc::default(), in_force: follower.in_force() });
        policies.refresh(&Changed::any_of(Self::COLLECTIONS)).await?;
        follower.follow(&policies);
        Ok(policies)
    }

    /// The rules in force.
    #[must_use]
    pub fn hot(&self) -> &Arc<Hot> {
        &self.hot
    }
}

impl Projection for Policies {
    const COLLECTIONS: &'static [Collection] =
        &[Collection::Policy, Collection::Alias, Collection::AliasWeights];
    type Error = StoreError;

    async fn refresh(&self, _: &Changed) -> Result<(), StoreError> {
        let policies = self.store.policies().list(&TenantScope::All).await?;
        let aliases = self.store.aliases().list(&TenantScope::All).await?;
        let weights = self.store.alias_weights().list(&TenantScope::All).await?;
        let old = self.hot.0.load_full();
        let rules = Rules::new(policies, aliases).map(|rules| rules.with_shares(weights, old.as_deref()));
        self.hot.0.store(rules.map(Arc::new));
        Ok(())
    }

    fn stale(&self, error: &StoreError) {
        tracing::error!(event = "policy_stale", %error, "model policy cannot be read; the old one stays");
    }
}
