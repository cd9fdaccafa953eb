//! When keys were last used, over restarts and beyond their end. The data path marks a use in the snapshot; here
//! the marks are gathered now and then, and written down at most once a minute for each key.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_domain::TenantScope;
use aivonx_protocol::UnixMillis;
use aivonx_store::{Store, StoreError};

use super::{Identity, snapshot::Snapshot};

/// Time between two looks at the marks.
const EVERY: Duration = Duration::from_secs(5);
/// A use is written down if the one written down before it is as old as that.
const NOTED: UnixMillis = 60_000;

/// The last uses by the id of the key, of revoked keys too.
#[derive(Debug, Default)]
pub(super) struct KeyUses(Mutex<HashMap<String, Use>>);

#[derive(Debug, Clone, Copy)]
struct Use {
    last: UnixMillis,
    /// The last use that the store has; 0 if it has none.
    noted: UnixMillis,
}

impl KeyUses {
    /// What was written down, without that of keys which are no more.
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let noted = store.key_uses().load().await?;
        let keys = store.keys().list(&TenantScope::All).await?;
        let keys: HashSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let (noted, gone): (Vec<_>, Vec<_>) = noted.into_iter().partition(|(id, _)| keys.contains(&**id));
        if !gone.is_empty() {
            store.key_uses().save(gone.into_iter().map(|(id, _)| (id, None)).collect()).await?;
        }
        let uses = noted.into_iter().map(|(id, at)| (id, Use { last: at, noted: at }));
        Ok(Self(Mutex::new(uses.collect())))
    }

    /// Takes the marks over.
    pub(super) fn gather(&self, snapshot: &Snapshot) {
        let mut uses = self.lock();
        for key in snapshot.keys() {
            let Some(at) = key.live.last_used() else { continue };
            match uses.get_mut(&*key.id) {
                Some(known) => known.last = known.last.max(at),
                None => drop(uses.insert(key.id.to_string(), Use { last: at, noted: 0 })),
            }
        }
    }

    /// The last use that was gathered.
    pub(super) fn last(&self, id: &str) -> Option<UnixMillis> {
        self.lock().get(id).map(|known| known.last)
    }

    /// What is newer than what is written down, by at least so many milliseconds.
    fn due(&self, least: UnixMillis) -> Vec<(String, Option<UnixMillis>)> {
        let is_due = |known: &Use| known.last >= known.noted.saturating_add(least.max(1));
        let uses = self.lock();
        uses.iter()
            .filter(|(_, known)| is_due(known))
            .map(|(id, known)| (id.clone(), Some(known.last)))
            .collect()
    }

    fn noted(&self, written: Vec<(String, Option<UnixMillis>)>) {
        let mut uses = self.lock();
        for (id, at) in written {
            if let (Some(known), Some(at)) = (uses.get_mut(&id), at) {
                known.noted = at;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identity {
    /// Writes down every use of a key that is not written down yet; durable when it returns. To be called before
    /// the store is closed.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn flush_key_uses(&self) -> Result<(), StoreError> {
        self.note_key_uses(0).await
    }

    async fn note_key_uses(&self, least: UnixMillis) -> Result<(), StoreError> {
        self.key_uses.gather(&self.hot().full());
        let due = self.key_uses.due(least);
        if !due.is_empty() {
            self.store.key_uses().save(due.clone()).await?;
            self.key_uses.noted(due);
        }
        Ok(())
    }
}

/// Writes uses down as they become due, as long as `identity` is there.
pub(super) fn follow(identity: &Arc<Identity>) {
    let weak = Arc::downgrade(identity);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(identity) = weak.upgrade() else { return };
            match identity.note_key_uses(NOTED).await {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "last uses of keys are not saved");
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::key::{KeyScope, NewKey};

    use super::*;
    use crate::{
        password::Hasher,
        rig::{Rig, root},
    };
    use aivonx_domain::now;
    use aivonx_ledgers::audit::Audit;

    async fn made(identity: &Identity, name: &str) -> String {
        let new = NewKey {
            name: name.into(),
            organization: None,
            user: None,
            scopes: vec![KeyScope::Infer],
            models: vec![],
            networks: vec![],
            expires: None,
        };
        identity.create_key(&root(), new).await.unwrap().key.id
    }

    fn touch(identity: &Identity, id: &str, at: UnixMillis) {
        identity.hot().load().key(id).unwrap().live.touch(at);
    }

    async fn last(identity: &Identity, id: &str) -> Option<UnixMillis> {
        identity.key(&root(), None, id).await.unwrap().last_used
    }

    #[tokio::test]
    async fn the_last_use_outlives_the_key_and_the_daemon() {
        let rig = Rig::new().await;
        let (used, revoked) = (made(&rig.identity, "used").await, made(&rig.identity, "revoked").await);
        let unused = made(&rig.identity, "unused").await;
        let at = now();
        touch(&rig.identity, &used, at);
        touch(&rig.identity, &revoked, at + 1);
        let shown = rig.identity.revoke_key(&root(), None, &revoked).await.unwrap();
        assert_eq!(shown.last_used, Some(at + 1), "at once");
        rig.identity.flush_key_uses().await.unwrap();

        let again =
            Identity::open(rig.stand.store.clone(), rig.stand.vault.clone(), Audit::memory(), Hasher::weak())
                .await
                .unwrap();
        assert_eq!(last(&again, &used).await, Some(at));
        assert_eq!(last(&again, &revoked).await, Some(at + 1));
        assert_eq!(last(&again, &unused).await, None);
        touch(&again, &used, at + 2);
        assert_eq!(last(&again, &used).await, Some(at + 2));
    }

    #[tokio::test]
    async fn a_use_is_written_down_once_a_minute() {
        let rig = Rig::new().await;
        let id = made(&rig.identity, "busy").await;
        let (at, uses) = (now(), rig.store().key_uses());
        for (used, written) in [(at, at), (at + NOTED - 1, at), (at + NOTED, at + NOTED)] {
            touch(&rig.identity, &id, used);
            rig.identity.note_key_uses(NOTED).await.unwrap();
            assert_eq!(uses.load().await.unwrap(), [(id.clone(), written)]);
        }
        touch(&rig.identity, &id, at + NOTED + 1);
        rig.identity.flush_key_uses().await.unwrap();
        assert_eq!(uses.load().await.unwrap(), [(id.clone(), at + NOTED + 1)]);
        rig.store().keys().remove(&TenantScope::All, &id, None).await.unwrap();
        KeyUses::load(rig.store()).await.unwrap();
        assert_eq!(uses.load().await.unwrap(), [], "of a key that is gone");
    }
}
