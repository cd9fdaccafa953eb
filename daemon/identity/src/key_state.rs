//! Keys that may not be used for now.

use aivonx_domain::TenantScope;
use aivonx_protocol::{Fault, FaultKind, key::Key};
use aivonx_store::{DisabledBy, DisabledKeyRecord};

use super::{Actor, Identity, keys::check_live};

impl Identity {
    /// Disables a key, which ends what runs under it, or enables it again.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it is revoked; `NotPermitted` if its scopes exceed the
    /// actor, or one who reaches farther disabled it.
    pub async fn set_key_enabled(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        wanted: &str,
        enabled: bool,
    ) -> Result<Key, Fault> {
        let (key, organization) = self.key_record(actor, organization, wanted).await?;
        check_live(&key)?;
        let by = DisabledBy::from(&actor.reach());
        if enabled {
            super::rules::check_scopes(actor, organization.as_ref(), None, &key.scopes)?;
        }
        // Judged where it is changed: it may be disabled by another at this moment.
        let change = move |old: Option<DisabledKeyRecord>| {
            let old = old.unwrap_or_default();
            let stays = !enabled || old.by > by;
            stays.then(|| DisabledKeyRecord { by: old.by.max(by), ..old })
        };
        let left = self.store.disabled_keys().alter(&key.id, change).await?;
        self.settle().await?;
        if enabled && left.is_some() {
            let fault = Fault::new(FaultKind::NotPermitted, "the key was disabled by those who run this");
            return Err(fault.field("key").hint("ask those who disabled it to enable it"));
        }
        self.key(actor, None, &key.id).await
    }

    /// Ids of the disabled keys within reach.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn disabled_keys(&self, actor: &Actor) -> Result<Vec<String>, Fault> {
        let disabled = self.store.disabled_keys().list(&TenantScope::All).await?;
        if disabled.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.store.keys().list(&actor.reach()).await?;
        let mut ids: Vec<String> = disabled.into_iter().map(|record| record.id).collect();
        ids.retain(|id| keys.iter().any(|key| key.id == *id));
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::key::{KeyScope, NewKey};

    use super::*;
    use crate::rig::{Rig, root};

    #[tokio::test]
    async fn a_disabled_key_opens_nothing_until_it_is_enabled() {
        let (rig, a, b) = Rig::with_two().await;
        let identity = &rig.identity;
        let new = NewKey {
            name: "ci".into(),
            organization: Some("a".into()),
            user: None,
            scopes: vec![KeyScope::Infer],
            models: vec![],
            networks: vec![],
            expires: None,
        };
        let id = identity.create_key(&root(), new).await.unwrap().key.id;
        let before = identity.hot().full().key(&id).unwrap().live.clone();
        identity.set_key_enabled(&a.admin, None, "ci", false).await.unwrap();
        assert!(before.ended() && !identity.hot().full().key(&id).unwrap().enabled);
        assert_eq!(identity.disabled_keys(&a.admin).await.unwrap(), std::slice::from_ref(&id));
        assert!(identity.disabled_keys(&b.admin).await.unwrap().is_empty());
        rig.assert_foreign("key", &id, identity.set_key_enabled(&b.admin, None, &id, true)).await;
        identity.set_key_enabled(&a.admin, None, "ci", true).await.unwrap();
        let now = identity.hot().full().key(&id).cloned().unwrap();
        assert!(now.enabled && !now.live.ended());
        identity.set_key_enabled(&a.admin, None, "ci", true).await.unwrap();
        identity.revoke_key(&a.admin, None, "ci").await.unwrap();
        let revoked = identity.set_key_enabled(&a.admin, None, &id, true).await.unwrap_err();
        assert_eq!(revoked.kind, FaultKind::Conflict);
    }

    #[tokio::test]
    async fn a_key_is_enabled_by_those_who_reach_as_far_as_who_disabled_it() {
        let (rig, a, _) = Rig::with_two().await;
        let identity = &rig.identity;
        let new = NewKey {
            name: "ci".into(),
            organization: None,
            user: None,
            scopes: vec![KeyScope::Infer],
            models: vec![],
            networks: vec![],
            expires: None,
        };
        let id = identity.create_key(&a.member, new).await.unwrap().key.id;
        let set = async |actor: &Actor, enabled| identity.set_key_enabled(actor, None, &id, enabled).await;
        let actors = [&a.member, &a.admin, &root()];
        for (disabler, by) in actors.iter().enumerate() {
            set(by, false).await.unwrap();
            // Disabling it once more does not make it theirs.
            set(&a.member, false).await.unwrap();
            for lesser in &actors[..disabler] {
                let refused = set(lesser, true).await.unwrap_err();
                assert_eq!(refused.kind, FaultKind::NotPermitted, "{refused}");
            }
            assert_eq!(identity.disabled_keys(&root()).await.unwrap(), std::slice::from_ref(&id));
            set(by, true).await.unwrap();
            assert!(identity.disabled_keys(&root()).await.unwrap().is_empty());
        }
    }
}
