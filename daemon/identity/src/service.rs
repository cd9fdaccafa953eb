//! The service: what everything here shares, and the snapshot that follows the store.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aivonx_domain::{TenantScope, now};
use aivonx_ledgers::audit::Audit;
use aivonx_limits::{self as limits, Accounts, Limits};
use aivonx_store::{Follower, InForce, Store, StoreError, secrets::Vault};
use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, mpsc, watch};

use super::{
    IdentityError, Lockouts, Renewal, follow,
    hashers::Hashers,
    key_uses::{self, KeyUses},
    lockout::Policy,
    password::Hasher,
    sessions::Sessions,
    snapshot::Snapshot,
};

/// Keys to be renewed that may wait; further ones are renewed at their next use.
const RENEWALS: usize = 1024;

/// The snapshot in force.
pub struct Hot(ArcSwap<Snapshot>);

impl Hot {
    pub(super) fn set(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }

    /// The snapshot now. Cheap; not to be kept.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// The snapshot now, to be kept.
    #[must_use]
    pub fn full(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

impl fmt::Debug for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hot")
    }
}

/// Counters for the metrics, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Logins refused for a wrong name, password or code.
    pub login_failures: AtomicU64,
    /// Locks that fell.
    pub lockouts: AtomicU64,
    /// Requests refused for want of a valid credential or permission.
    pub denials: AtomicU64,
    /// Attempts to reach another organization's records.
    pub cross_organization: AtomicU64,
}

/// Identity: one per daemon.
pub struct Identity {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub audit: Audit,
    pub(crate) hashers: Hashers,
    pub(crate) lockouts: Lockouts,
    pub(super) sessions: Sessions,
    pub(super) key_uses: KeyUses,
    /// Held while the first administrator is made.
    pub(super) setting_up: tokio::sync::Mutex<()>,
    /// Two-factor authentication is demanded of every user.
    pub(super) two_factor: AtomicBool,
    /// Counters for the metrics.
    pub counters: Counters,
    daemon_id: String,
    pub(super) accounts: Arc<Accounts>,
    /// Where the caps of anonymous callers belong, and what is used is known.
    pub(super) limits: OnceLock<Arc<Limits>>,
    pub(super) hot: Arc<Hot>,
    in_force: InForce,
    /// Notified when a pepper or signing key has changed.
    pub(super) secrets_changed: Arc<Notify>,
    renewals: mpsc::Sender<Renewal>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads everything, makes the daemon's own keys if there are none, and follows the store from then on.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub async fn open(
        store: Store,
        vault: Vault,
        audit: Audit,
        hasher: Hasher,
    ) -> Result<Arc<Self>, IdentityError> {
        let follower = Follower::new(&store);
        let accounts = Arc::<Accounts>::default();
        let first = follow::read(&store, &vault, accounts.clone(), None).await?;
        let lockouts = Lockouts::open(&store, Policy::default(), now()).await?;
        let key_uses = KeyUses::load(&store).await?;
        let (renewals, mut renew) = mpsc::channel(RENEWALS);
        let identity = Arc::new(Self {
            daemon_id: store.settings().daemon_id().to_owned(),
            store,
            vault,
            audit,
            hashers: Hashers::of(hasher),
            lockouts,
            sessions: Sessions::default(),
            key_uses,
            setting_up: tokio::sync::Mutex::default(),
            two_factor: AtomicBool::new(false),
            counters: Counters::default(),
            accounts,
            limits: OnceLock::new(),
            hot: Arc::new(Hot(ArcSwap::from_pointee(first))),
            in_force: follower.in_force(),
            secrets_changed: Arc::default(),
            renewals,
        });
        follower.follow(&identity);
        let weak = Arc::downgrade(&identity);
        tokio::spawn(async move {
            while let Some(renewal) = renew.recv().await {
                let Some(identity) = weak.upgrade() else { return };
                identity.renew(renewal).await;
            }
        });
        key_uses::follow(&identity);
        Ok(identity)
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The snapshots.
    #[must_use]
    pub fn hot(&self) -> &Arc<Hot> {
        &self.hot
    }

    /// The moment that limits are counted by; None before they are.
    #[must_use]
    pub fn limits_now(&self) -> Option<limits::Now> {
        self.limits.get().map(|limits| limits.now())
    }

    /// Keeps the caps of anonymous callers in `limits` as they are set, from now on.
    pub fn count_with(&self, limits: &Arc<Limits>) {
        // Once: there is one daemon.
        let _ = self.limits.set(limits.clone());
        limits.set_fleet(self.hot.load().anonymous());
    }

    /// What everybody has used; the snapshots' entries hold the same accounts.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Id of this installation: who issues its access tokens.
    #[must_use]
    pub fn daemon_id(&self) -> &str {
        &self.daemon_id
    }

    /// Whether two-factor authentication is demanded of every user from now on; as configured.
    pub fn demand_two_factor(&self, demanded: bool) {
        self.two_factor.store(demanded, Ordering::Relaxed);
    }

    /// Whether two-factor authentication is demanded of every user.
    pub fn demands_two_factor(&self) -> bool {
        self.two_factor.load(Ordering::Relaxed)
    }

    /// Failed logins.
    #[must_use]
    pub fn lockouts(&self) -> &Lockouts {
        &self.lockouts
    }

    /// Whether there is an administrator.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.hot.load().is_set_up()
    }

    /// Returns once the snapshot has every change that was durable before the call: what a reply promises must
    /// hold for the next request.
    ///
    /// # Errors
    /// As of [`InForce::settle`].
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.in_force.settle().await
    }

    /// Notified of every new snapshot.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.in_force.refreshes()
    }

    /// Has a key written under the newest pepper. Never blocks.
    pub fn renewal(&self, renewal: Renewal) {
        // Full: the key's next use asks again.
        let _ = self.renewals.try_send(renewal);
    }

    async fn renew(&self, renewal: Renewal) {
        let Renewal { key, found, pepper, hash } = renewal;
        let written = self
            .store
            .keys()
            .update(&TenantScope::All, &key, None, move |record| {
                // Rotated or renewed in the meantime: nothing to do.
                if record.pepper == found {
                    (record.pepper, record.hash) = (pepper, hash);
                }
            })
            .await;
        if let Err(error) = written {
            tracing::warn!(event = "renewal_failed", %error, "an API credential stays under its old pepper");
        }
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::strategy::Strategy;

    use super::*;
    use crate::rig::Rig;
    use aivonx_domain::TenantScope;

    #[tokio::test]
    async fn a_change_is_one_new_snapshot_however_often_it_is_waited_for() {
        let (rig, tenant, _) = Rig::with_two().await;
        let identity = &rig.identity;
        identity.settle().await.unwrap();
        let before = identity.hot().full();
        rig.store().settings().set_strategy(Strategy::LowestLatency).await.unwrap();
        identity.settle().await.unwrap();
        assert!(Arc::ptr_eq(&before, &identity.hot().full()), "nothing of it has changed");

        let demand = |record: &mut aivonx_store::OrganizationRecord| record.require_totp = true;
        rig.store().organizations().update(&TenantScope::All, &tenant.id, None, demand).await.unwrap();
        identity.settle().await.unwrap();
        let after = identity.hot().full();
        assert!(after.organization(&tenant.id).unwrap().require_totp);
        // The feed has delivered the change by now, or does so in the meantime.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        identity.settle().await.unwrap();
        assert!(Arc::ptr_eq(&after, &identity.hot().full()), "made once");
    }
}
