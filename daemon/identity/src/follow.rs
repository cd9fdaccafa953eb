//! The snapshot kept in line with the store.
//!
//! Most changes are logins, which begin a session and note the time of the login on the user: of those the sessions that
//! changed are read, and nothing else is rebuilt.

use std::sync::Arc;

use aivonx_domain::{TenantScope, now};
use aivonx_limits::{Accounts, configured::Given};
use aivonx_store::{
    Changed, Collection, Projection, SessionRecord, Store, StoreError, Which, secrets::Vault,
};

use super::{
    Identity, IdentityError, Snapshot, entries::Judged, key_material, privacy::of_fleet, snapshot::Records,
};

impl Projection for Identity {
    const COLLECTIONS: &'static [Collection] = &[
        Collection::Organization,
        Collection::User,
        Collection::Key,
        Collection::KeyQueueing,
        Collection::KeyCertificate,
        Collection::DisabledKey,
        Collection::ModelAccess,
        Collection::Session,
        Collection::Secret,
        Collection::Limit,
        Collection::Privacy,
        Collection::Answers,
        Collection::Pattern,
    ];
    type Error = IdentityError;

    async fn refresh(&self, changed: &Changed) -> Result<(), IdentityError> {
        let old = self.hot.full();
        if changed.is_only(&[Collection::User, Collection::Session])
            && self.judges_as_before(changed, &old).await?
        {
            if let Some(new) = self.with_sessions(changed, &old).await? {
                self.hot.set(Arc::new(new));
            }
            return Ok(());
        }
        let new = read(&self.store, &self.vault, self.accounts.clone(), Some(&old)).await?;
        let new = Arc::new(new);
        // First: who sees the new snapshot does not look again.
        if let Some(limits) = self.limits.get() {
            limits.set_fleet(new.anonymous());
        }
        self.hot.set(new.clone());
        old.withdraw_for(&new);
        // Those of keys that are revoked now are nowhere else.
        self.key_uses.gather(&old);
        if changed.has(Collection::Secret) {
            self.secrets_changed.notify_one();
        }
        Ok(())
    }

    fn stale(&self, error: &IdentityError) {
        tracing::error!(event = "identity_stale", %error, "users and keys cannot be read; the old ones stay");
    }
}

impl Identity {
    /// Whether no request is judged otherwise for what changed of users.
    async fn judges_as_before(&self, changed: &Changed, old: &Snapshot) -> Result<bool, StoreError> {
        let ids = match changed.of(Collection::User) {
            None => return Ok(true),
            Some(Which::Any) => return Ok(false),
            Some(Which::These(ids)) => ids,
        };
        for id in ids {
            let now = self.store.users().get(&TenantScope::All, id).await?;
            if now.map(Judged::of).as_ref() != old.user(id).map(|user| &user.judged) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `old` with the sessions as they are now; None if none of them changed.
    async fn with_sessions(&self, changed: &Changed, old: &Snapshot) -> Result<Option<Snapshot>, StoreError> {
        let sessions = self.store.sessions();
        Ok(match changed.of(Collection::Session) {
            None => None,
            Some(Which::Any) => Some(old.with_sessions(sessions.list(&TenantScope::All).await?)),
            Some(Which::These(ids)) => {
                let mut now: Vec<(&str, Option<SessionRecord>)> = Vec::new();
                for id in ids {
                    now.push((id, sessions.get(&TenantScope::All, id).await?));
                }
                Some(old.with_changed_sessions(now))
            }
        })
    }
}

/// Reads everything.
pub(super) async fn read(
    store: &Store,
    vault: &Vault,
    accounts: Arc<Accounts>,
    old: Option<&Snapshot>,
) -> Result<Snapshot, IdentityError> {
    let material = key_material::load(store, vault, now()).await?;
    let records = Records {
        organizations: store.organizations().list(&TenantScope::All).await?,
        hidden_usage: store.settings().hidden_usage().await?,
        users: store.users().list(&TenantScope::All).await?,
        keys: store.keys().list(&TenantScope::All).await?,
        sessions: store.sessions().list(&TenantScope::All).await?,
        accounts,
        privacy: of_fleet(store).await?.0,
        answers: store.answers().list(&TenantScope::All).await?,
        patterns: store.patterns().list(&TenantScope::All).await?,
        limits: Given::read(store).await?,
        queueing: store.key_queueing().list(&TenantScope::All).await?,
        certificates: store.key_certificates().list(&TenantScope::All).await?,
        model_access: store.model_access().list(&TenantScope::All).await?,
        disabled_keys: store.disabled_keys().list(&TenantScope::All).await?,
    };
    Ok(Snapshot::build(records, material, old))
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
