//! The service: what everything here shares, and the snapshot that follows the store.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_domain::{Reach, now};
use aivonx_ledgers::audit::Audit;
use aivonx_limits::{self as limits, Accounts, Limits, given::Given};
use aivonx_store::{Noun, Store, StoreError, secrets::Vault};
use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, broadcast::error::RecvError, mpsc, watch};

use super::{
    IdentityError, Lockouts, Renewal,
    hashers::Hashers,
    key_uses::{self, KeyUses},
    lockout::Policy,
    material,
    password::Hasher,
    sessions::Sessions,
    snapshot::{Records, Snapshot},
};

/// Keys to be renewed that may wait; further ones are renewed at their next use.
const RENEWALS: usize = 1024;
/// Longest wait for a snapshot.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a snapshot could not be built.
const AGAIN: Duration = Duration::from_secs(1);

/// The snapshot in force.
pub struct Hot(ArcSwap<Snapshot>);

impl Hot {
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

/// What metrics tell. Since the start.
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
    /// What metrics tell.
    pub counters: Counters,
    daemon_id: String,
    accounts: Arc<Accounts>,
    /// Where the caps of strangers belong, and what is used is known.
    pub(super) limits: OnceLock<Arc<Limits>>,
    hot: Arc<Hot>,
    /// How many changes the snapshot has.
    built: watch::Sender<u64>,
    wake: Notify,
    renewals: mpsc::Sender<Renewal>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// What the snapshots are made of.
const OURS: [Noun; 7] =
    [Noun::Organization, Noun::User, Noun::Key, Noun::Session, Noun::Secret, Noun::Limit, Noun::Privacy];

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
        let mut changes = store.subscribe();
        let accounts = Arc::<Accounts>::default();
        let changed = store.changes_of(&OURS);
        let first = read(&store, &vault, accounts.clone(), None).await?;
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
            built: watch::channel(changed).0,
            wake: Notify::new(),
            renewals,
        });
        let weak = Arc::downgrade(&identity);
        tokio::spawn(async move {
            loop {
                let ours = match changes.recv().await {
                    Ok(change) => OURS.contains(&change.noun),
                    Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return,
                };
                let Some(identity) = weak.upgrade() else { return };
                if ours {
                    identity.wake.notify_one();
                }
            }
        });
        let weak = Arc::downgrade(&identity);
        tokio::spawn(async move {
            while let Some(identity) = weak.upgrade() {
                identity.changed().await;
                identity.rebuild().await;
            }
        });
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

    /// Keeps the caps of strangers in `limits` as they are set, from now on.
    pub fn count_with(&self, limits: &Arc<Limits>) {
        // Once: there is one daemon.
        let _ = self.limits.set(limits.clone());
        limits.set_fleet(self.hot.load().strangers);
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
    pub async fn settle(&self) {
        let wanted = self.store.changes_of(&OURS);
        self.wake.notify_one();
        let mut built = self.built.subscribe();
        // The sender lives as long as `self`. A store that fails is in the log; the reply need not wait for it.
        let _ = tokio::time::timeout(PATIENCE, built.wait_for(|built| *built >= wanted)).await;
    }

    /// Told of every new snapshot.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.built.subscribe()
    }

    /// Has a key written under the newest pepper. Never blocks.
    pub fn renewal(&self, renewal: Renewal) {
        // Full: the key's next use asks again.
        let _ = self.renewals.try_send(renewal);
    }

    /// Returns once the snapshot lacks a change.
    async fn changed(&self) {
        while *self.built.borrow() >= self.store.changes_of(&OURS) {
            self.wake.notified().await;
        }
    }

    async fn rebuild(&self) {
        let changes = self.store.changes_of(&OURS);
        let old = self.hot.full();
        match read(&self.store, &self.vault, self.accounts.clone(), Some(&old)).await {
            Ok(new) => {
                let new = Arc::new(new);
                self.hot.0.store(new.clone());
                old.withdraw_for(&new);
                // Those of keys that are revoked now are nowhere else.
                self.key_uses.gather(&old);
                if let Some(limits) = self.limits.get() {
                    limits.set_fleet(new.strangers);
                }
                self.built.send_replace(changes);
            }
            // The daemon stops.
            Err(IdentityError::Store(StoreError::Closed)) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                // Who waits for it waits on: an answer now would promise what is not so.
                tracing::error!(event = "identity_stale", %error, "users and keys cannot be read; the old ones stay");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn renew(&self, renewal: Renewal) {
        let Renewal { key, found, pepper, hash } = renewal;
        let written = self
            .store
            .keys()
            .update(&Reach::All, &key, None, move |record| {
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

async fn read(
    store: &Store,
    vault: &Vault,
    accounts: Arc<Accounts>,
    old: Option<&Snapshot>,
) -> Result<Snapshot, IdentityError> {
    let material = material::load(store, vault, now()).await?;
    let records = Records {
        organizations: store.organizations().list(&Reach::All).await?,
        users: store.users().list(&Reach::All).await?,
        keys: store.keys().list(&Reach::All).await?,
        sessions: store.sessions().list(&Reach::All).await?,
        accounts,
        privacy: super::privacy::of_fleet(store).await?.0,
        limits: Given::read(store).await?,
    };
    Ok(Snapshot::build(records, material, old))
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::strategy::Strategy;

    use super::*;
    use crate::rig::Rig;
    use aivonx_domain::Reach;

    #[tokio::test]
    async fn a_change_is_one_new_snapshot_however_often_it_is_waited_for() {
        let (rig, tenant, _) = Rig::with_two().await;
        let identity = &rig.identity;
        identity.settle().await;
        let before = identity.hot().full();
        rig.store().settings().set_strategy(Strategy::LowestLatency).await.unwrap();
        identity.settle().await;
        assert!(Arc::ptr_eq(&before, &identity.hot().full()), "nothing of it has changed");

        let demand = |record: &mut aivonx_store::OrganizationRecord| record.require_totp = true;
        rig.store().organizations().update(&Reach::All, &tenant.id, None, demand).await.unwrap();
        identity.settle().await;
        let after = identity.hot().full();
        assert!(after.organization(&tenant.id).unwrap().require_totp);
        // The feed has told of it by now, or does so in the meantime.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        identity.settle().await;
        assert!(Arc::ptr_eq(&after, &identity.hot().full()), "made once");
    }
}
