//! Shutting off whoever does harm, in one transaction: nothing of it is in force before all of it is.

use aivonx_domain::{TenantScope, now};
use aivonx_protocol::network::Network;

use super::{
    BlockRecord, DisabledBy, DisabledKeyRecord, KeyRecord, OrganizationRecord, Record, SessionRecord, Store,
    StoreError, UserRecord,
    transaction::{Transaction, current},
};

/// What is shut off together.
#[derive(Debug, Clone)]
pub struct Containment {
    /// What it is.
    pub targets: Vec<Contain>,
    /// Whether the keys are revoked, of users and organizations too, and not only disabled.
    pub revoke: bool,
}

/// One thing to shut off. Keys, users and organizations are named by their ids.
#[derive(Debug, Clone)]
pub enum Contain {
    /// A key.
    Key(String),
    /// A user: disabled, its sessions end, and its password must be changed before anything else.
    User(String),
    /// An organization, with all of its users.
    Organization(String),
    /// A network: blocked, and the sessions that were begun there end.
    Network(Network, BlockRecord),
}

/// What came of shutting off one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contained {
    /// Sessions and control tokens that ended.
    pub sessions: u32,
    /// Keys that were revoked.
    pub revoked: u32,
    /// Users who must change their password.
    pub users: u32,
    /// Whether it was not shut off before.
    pub changed: bool,
}

impl Store {
    /// Shuts all of it off, or nothing; durable when it returns. One answer for each target, in order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::LastSuperadmin`]; or the store fails.
    pub async fn contain(&self, containment: Containment) -> Result<Vec<Contained>, StoreError> {
        let Containment { targets, revoke } = containment;
        self.keys()
            .write(move |batch| targets.into_iter().map(|target| contain(batch, target, revoke)).collect())
            .await
    }
}

fn contain(batch: &mut Transaction<'_, '_>, target: Contain, revoke: bool) -> Result<Contained, StoreError> {
    let mut done = Contained::default();
    match target {
        Contain::Key(id) => {
            let key: KeyRecord = current(batch, &TenantScope::All, &id, None)?;
            if revoke {
                done.revoked = revoke_all(batch, vec![key])?;
                done.changed = done.revoked > 0;
            } else if key.revoked.is_none() {
                done.changed = disable(batch, id)?;
            }
        }
        Contain::User(id) => {
            let user: UserRecord = current(batch, &TenantScope::All, &id, None)?;
            done.changed = user.enabled;
            shut_out(batch, user, false, &mut done)?;
            if revoke {
                let keys = batch.list_of_user(&id)?;
                done.revoked = revoke_all(batch, keys)?;
            }
        }
        Contain::Organization(id) => {
            let old: OrganizationRecord = current(batch, &TenantScope::All, &id, None)?;
            done.changed = old.enabled;
            batch.replace(&old, OrganizationRecord { enabled: false, ..old.clone() })?;
            let own = TenantScope::Organization(id);
            for user in batch.list::<UserRecord>(&own)? {
                let enabled = user.enabled;
                shut_out(batch, user, enabled, &mut done)?;
            }
            if revoke {
                let keys = batch.list(&own)?;
                done.revoked = revoke_all(batch, keys)?;
            }
        }
        Contain::Network(network, mut block) => {
            let old: Option<BlockRecord> = batch.get(BlockRecord::TREES.record, block.id.as_bytes())?;
            done.changed = old.as_ref().is_none_or(|old| old.until.is_some_and(|until| until <= now()));
            match old {
                // It must not end sooner than it would have.
                Some(old) if lasts_longer(&old, &block) => {}
                Some(old) => drop(batch.replace(&old, block)?),
                None => batch.insert(&mut block)?,
            }
            let mut sessions: Vec<SessionRecord> = batch.list(&TenantScope::All)?;
            sessions.retain(|session| {
                let begun_at = session.address.as_ref().and_then(|address| address.parse().ok());
                begun_at.is_some_and(|address| network.contains(address))
            });
            done.sessions = end_all(batch, &sessions)?;
        }
    }
    Ok(done)
}

fn lasts_longer(old: &BlockRecord, new: &BlockRecord) -> bool {
    let end = |block: &BlockRecord| block.until.unwrap_or(u64::MAX);
    end(old) > end(new)
}

/// Disables a key for the fleet, also one that somebody else has disabled. Returns whether nobody had.
fn disable(batch: &mut Transaction<'_, '_>, id: String) -> Result<bool, StoreError> {
    let old: Option<DisabledKeyRecord> = batch.get(DisabledKeyRecord::TREES.record, id.as_bytes())?;
    let (by, was_enabled) = (DisabledBy::Fleet, old.is_none());
    match old {
        Some(old) => drop(batch.replace(&old, DisabledKeyRecord { by, ..old.clone() })?),
        None => batch.insert(&mut DisabledKeyRecord { id, by, ..DisabledKeyRecord::default() })?,
    }
    Ok(was_enabled)
}

/// Ends what `user` is logged in with, and has the password changed.
fn shut_out(
    batch: &mut Transaction<'_, '_>,
    user: UserRecord,
    enabled: bool,
    done: &mut Contained,
) -> Result<(), StoreError> {
    let new = UserRecord {
        enabled,
        epoch: user.epoch + 1,
        must_change_password: user.password.is_some(),
        ..user.clone()
    };
    batch.replace(&user, new)?;
    let sessions = batch.list_of_user::<SessionRecord>(&user.id)?;
    done.sessions += end_all(batch, &sessions)?;
    done.users += u32::from(user.password.is_some());
    Ok(())
}

fn end_all(batch: &mut Transaction<'_, '_>, sessions: &[SessionRecord]) -> Result<u32, StoreError> {
    sessions.iter().try_for_each(|session| batch.erase(session))?;
    Ok(u32::try_from(sessions.len()).unwrap_or(u32::MAX))
}

fn revoke_all(batch: &mut Transaction<'_, '_>, keys: Vec<KeyRecord>) -> Result<u32, StoreError> {
    let mut revoked = 0;
    for key in keys.into_iter().filter(|key| key.revoked.is_none()) {
        batch.replace(&key, KeyRecord { revoked: Some(now()), ..key.clone() })?;
        revoked += 1;
    }
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{session::SessionKind, user::Role};

    use super::*;
    use crate::testing;

    fn block(network: &str) -> Contain {
        let record = BlockRecord {
            id: format!("address:{network}"),
            target: network.to_owned(),
            reason: String::new(),
            until: None,
            created: 0,
            revision: 0,
        };
        Contain::Network(network.parse().unwrap(), record)
    }

    #[tokio::test]
    async fn all_of_it_is_shut_off_or_nothing() {
        let stand = testing::stand().await;
        let store = &stand.store;
        let users = store.users();
        let root = users.insert(UserRecord::new("root", Role::Superadmin, None)).await.unwrap();
        let mut alice = UserRecord::new("alice", Role::Operator, None);
        alice.password = Some("$argon2id$".into());
        let alice = users.insert(alice).await.unwrap();
        let mut key = KeyRecord::new("ci", (1, [7; 32]));
        key.user = Some(alice.id.clone());
        let key = store.keys().insert(key).await.unwrap();
        let mut session = SessionRecord::new(SessionKind::Http, &root, [1; 32], 5);
        session.address = Some("192.0.2.9".into());
        store.sessions().insert(session).await.unwrap();
        store.sessions().insert(SessionRecord::new(SessionKind::Http, &alice, [2; 32], 5)).await.unwrap();

        let targets = vec![Contain::Key(key.id.clone()), Contain::User(root.id.clone())];
        let refused = store.contain(Containment { targets, revoke: true }).await.unwrap_err();
        assert!(matches!(refused, StoreError::LastSuperadmin { .. }), "{refused}");
        let all = TenantScope::All;
        assert_eq!(store.keys().get(&all, &key.id).await.unwrap().unwrap().revoked, None);

        let targets = vec![Contain::Key(key.id.clone())];
        store.contain(Containment { targets, revoke: false }).await.unwrap();
        assert_eq!(store.disabled_keys().list(&all).await.unwrap()[0].by, DisabledBy::Fleet);

        let targets = vec![Contain::User(alice.id.clone()), block("192.0.2.0/24")];
        let done = store.contain(Containment { targets, revoke: true }).await.unwrap();
        let of_alice = Contained { sessions: 1, revoked: 1, users: 1, changed: true };
        assert_eq!(done, [of_alice, Contained { sessions: 1, changed: true, ..Contained::default() }]);
        let alice = users.get(&all, &alice.id).await.unwrap().unwrap();
        assert!(!alice.enabled && alice.must_change_password);
        assert!(store.keys().get(&all, &key.id).await.unwrap().unwrap().revoked.is_some());
        assert!(store.sessions().list(&all).await.unwrap().is_empty());
        assert_eq!(store.blocks().list(&all).await.unwrap().len(), 1);
        // Once more it changes nothing, and what is blocked for good stays so.
        let mut shorter = block("192.0.2.0/24");
        if let Contain::Network(_, block) = &mut shorter {
            block.until = Some(now() + 3_600_000);
        }
        let targets = vec![Contain::Key(key.id.clone()), Contain::User(alice.id.clone()), shorter];
        let done = store.contain(Containment { targets, revoke: false }).await.unwrap();
        assert_eq!(done.iter().filter(|done| done.changed).count(), 0);
        assert_eq!(store.blocks().list(&all).await.unwrap()[0].until, None);
        // What is beside a key goes with it.
        store.keys().remove(&all, &key.id, None).await.unwrap();
        assert!(store.disabled_keys().list(&all).await.unwrap().is_empty());
    }
}
