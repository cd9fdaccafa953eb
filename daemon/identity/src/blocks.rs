//! Blocks: who may not use the gateway, for a while or until it is taken back.

use std::sync::Arc;

use aivonx_domain::{TenantScope, now};
use aivonx_protocol::{
    Fault, FaultKind, UnixMillis,
    block::{Block, BlockOf},
    network::Network,
};
use aivonx_store::{
    BlockRecord, Changed, Collection, Follower, InForce, Projection, Store, StoreError, Which,
};
use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::{
    Actor, Identity,
    blocked::{ADDRESS, Blocked, KEY, USER},
};

/// Longest reason, characters.
const REASON_MAX: usize = 200;

/// Most blocks.
const BLOCKS_MAX: usize = 1_000_000;

/// The blocks in the store, and as requests are judged by them.
#[derive(Debug)]
pub struct Blocks {
    pub(super) store: Store,
    pub(super) identity: Arc<Identity>,
    hot: ArcSwap<Blocked>,
    pub(super) in_force: InForce,
}

impl Projection for Blocks {
    const COLLECTIONS: &'static [Collection] = &[Collection::Block];
    type Error = StoreError;

    async fn refresh(&self, changed: &Changed) -> Result<(), StoreError> {
        let mut next = Blocked::clone(&self.hot.load());
        match changed.of(Collection::Block) {
            Some(Which::These(ids)) => {
                for id in ids {
                    let record = self.store.blocks().get(&TenantScope::All, id).await?;
                    next.put(id, record.as_ref());
                }
            }
            _ => {
                next = next.emptied();
                for record in self.store.blocks().list(&TenantScope::All).await? {
                    next.put(&record.id, Some(&record));
                }
            }
        }
        self.hot.store(Arc::new(next));
        Ok(())
    }

    fn stale(&self, error: &StoreError) {
        tracing::error!(event = "identity_stale", %error, "blocks cannot be read; the old ones stay");
    }
}

impl Blocks {
    /// Puts the blocks in force, now and whenever they change.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(store: &Store, identity: &Arc<Identity>) -> Result<Arc<Self>, StoreError> {
        let follower = Follower::new(store);
        let blocks = Arc::new(Self {
            store: store.clone(),
            identity: identity.clone(),
            hot: ArcSwap::default(),
            in_force: follower.in_force(),
        });
        blocks.refresh(&Changed::any_of(Self::COLLECTIONS)).await?;
        follower.follow(&blocks);
        Ok(blocks)
    }

    /// Who is blocked now.
    #[must_use]
    pub fn hot(&self) -> Guard<Arc<Blocked>> {
        self.hot.load()
    }

    /// Notified after every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.in_force.refreshes()
    }

    /// Those in force, the newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self) -> Result<Vec<Block>, Fault> {
        let now = now();
        let mut records = self.store.blocks().list(&TenantScope::All).await?;
        records.retain(|record| record.until.is_none_or(|until| until > now));
        records.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(records.into_iter().map(view).collect())
    }

    /// Blocks; it holds when this returns.
    ///
    /// # Errors
    /// `Invalid` for too long a reason or no time at all; `NotFound` if nobody is called so, `Conflict` if a user and a
    /// key are; or the store fails.
    pub async fn add(
        &self,
        actor: &Actor,
        target: &str,
        lasts_ms: Option<u64>,
        reason: String,
    ) -> Result<Block, Fault> {
        self.check(lasts_ms, &reason, 1)?;
        let Target { id, name } = self.resolve(actor, target).await?;
        if actor.user.as_deref().is_some_and(|own| id.strip_prefix(USER) == Some(own)) {
            let fault = Fault::new(FaultKind::Invalid, "that is you, who would be locked out");
            return Err(fault.field("target").hint("let another administrator do it"));
        }
        let until = lasts_ms.map(|lasts| now().saturating_add(lasts));
        let blocks = self.store.blocks();
        let changed = blocks.alter(&id, move |old| {
            Some(match old {
                Some(old) => BlockRecord { target: name, reason, until, ..old },
                None => {
                    BlockRecord { id: String::new(), target: name, reason, until, created: 0, revision: 0 }
                }
            })
        });
        let record = changed.await?;
        self.in_force.settle().await?;
        record.map(view).ok_or_else(|| Fault::new(FaultKind::Internal, "the block was not stored"))
    }

    /// Whether `more` blocks may be made.
    pub(super) fn check(&self, lasts_ms: Option<u64>, reason: &str, more: usize) -> Result<(), Fault> {
        if reason.chars().count() > REASON_MAX {
            let message = format!("the reason has more than {REASON_MAX} characters");
            return Err(Fault::new(FaultKind::Invalid, message).field("reason").hint("use fewer"));
        }
        if lasts_ms == Some(0) {
            return Err(Fault::new(FaultKind::Invalid, "it would be over at once")
                .field("for")
                .hint("use 1h"));
        }
        if more > 0 && self.hot.load().len().saturating_add(more) > BLOCKS_MAX {
            let fault = Fault::new(FaultKind::Invalid, format!("{BLOCKS_MAX} blocks are the most"));
            return Err(fault.field("target").hint("block whole networks, and remove some"));
        }
        Ok(())
    }

    /// Unblocks; it holds when this returns.
    ///
    /// # Errors
    /// `NotFound` if that is not blocked, `Conflict` if two that are have the name; or the store fails.
    pub async fn remove(&self, actor: &Actor, target: &str) -> Result<(), Fault> {
        let not_blocked = || {
            let fault = Fault::new(FaultKind::NotFound, format!("{target:?} is not blocked"));
            fault.field("target").hint("what is: aivonx block list")
        };
        let id = match self.resolve(actor, target).await {
            Ok(found) if self.store.blocks().get(&TenantScope::All, &found.id).await?.is_some() => found.id,
            // What was blocked may be gone or called otherwise by now, and its block remain.
            Ok(_) => self.blocked_as(target).await?.ok_or_else(not_blocked)?,
            Err(error) => self.blocked_as(target).await?.ok_or(error)?,
        };
        match self.store.blocks().remove(&TenantScope::All, &id, None).await {
            Ok(_) => Ok(self.in_force.settle().await?),
            Err(StoreError::NotFound { .. }) => Err(not_blocked()),
            Err(error) => Err(error.into()),
        }
    }

    /// The id of the block that is listed under this name or id; with two of a name, only the id says which.
    async fn blocked_as(&self, target: &str) -> Result<Option<String>, Fault> {
        let all = self.store.blocks().list(&TenantScope::All).await?;
        let named = |record: &BlockRecord, alone: bool| {
            let (kind, id) = record.id.split_once(':').unwrap_or_default();
            let bare = target.strip_prefix(kind).and_then(|rest| rest.strip_prefix(':')).unwrap_or(target);
            let name = record.target.split_once('/').filter(|_| alone && kind == "key").map(|(_, name)| name);
            bare == record.target || bare == id || name == Some(bare)
        };
        // A key of the fleet is called by its name alone; that of an organization may be, where no other is.
        let alone = !all.iter().any(|record| named(record, false));
        let mut found = all.into_iter().filter(|record| named(record, alone));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                let fault = Fault::new(FaultKind::Conflict, format!("two blocks are called {target:?}"));
                Err(fault.field("target").hint(format!("say which: {} or {}", first.id, second.id)))
            }
            (found, _) => Ok(found.map(|record| record.id)),
        }
    }

    /// Forgets those that have ended by time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        for record in self.store.blocks().list(&TenantScope::All).await? {
            if record.until.is_some_and(|until| until <= now) {
                match self.store.blocks().remove(&TenantScope::All, &record.id, Some(record.revision)).await {
                    // Somebody was quicker.
                    Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// What `target` names.
    async fn resolve(&self, actor: &Actor, target: &str) -> Result<Target, Fault> {
        if let Ok(network) = target.strip_prefix(ADDRESS).unwrap_or(target).parse::<Network>() {
            let id = format!("{ADDRESS}{network}");
            return Ok(Target { id, name: shown(network) });
        }
        if let Some(name) = target.strip_prefix(USER) {
            return self.user(actor, name).await;
        }
        if let Some(name) = target.strip_prefix(KEY) {
            return self.key(actor, name).await;
        }
        match (self.user(actor, target).await, self.key(actor, target).await) {
            (Ok(_), Ok(_)) => {
                let fault =
                    Fault::new(FaultKind::Conflict, format!("both a user and a key are called {target:?}"));
                Err(fault.field("target").hint(format!("say which: user:{target} or key:{target}")))
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(error), Err(_)) if error.kind != FaultKind::NotFound => Err(error),
            (Err(_), Err(error)) if error.kind != FaultKind::NotFound => Err(error),
            (Err(_), Err(_)) => {
                let fault = Fault::new(FaultKind::NotFound, format!("there is no user or key {target:?}"));
                Err(fault.field("target").hint("or give an address or network: 192.0.2.1, 2001:db8::/32"))
            }
        }
    }

    async fn user(&self, actor: &Actor, name: &str) -> Result<Target, Fault> {
        let user = self.identity.user(actor, name).await?;
        Ok(Target { id: format!("{USER}{}", user.id), name: user.name })
    }

    async fn key(&self, actor: &Actor, name: &str) -> Result<Target, Fault> {
        let key = self.identity.key(actor, None, name).await?;
        // Organizations may have keys of the same name.
        let name = match key.organization {
            Some(organization) => format!("{organization}/{}", key.name),
            None => key.name,
        };
        Ok(Target { id: format!("{KEY}{}", key.id), name })
    }
}

/// What can be blocked: the id of the block's record, and a name for people.
struct Target {
    id: String,
    name: String,
}

/// A network of one address is written as that.
pub(super) fn shown(network: Network) -> String {
    let address = network.address();
    let all = if address.is_ipv4() { 32 } else { 128 };
    if network.prefix() == all { address.to_string() } else { network.to_string() }
}

fn view(record: BlockRecord) -> Block {
    let BlockRecord { id, target, reason, until, created, revision } = record;
    let (of, id) = match id.split_once(':') {
        Some(("user", id)) => (BlockOf::User, id.to_owned()),
        Some(("key", id)) => (BlockOf::Key, id.to_owned()),
        Some((_, network)) => (BlockOf::Address, network.to_owned()),
        None => (BlockOf::Address, id.clone()),
    };
    Block { of, target, id, reason, until, created, revision }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{
        key::{KeyScope, NewKey},
        user::Role,
    };
    use aivonx_store::UserRecord;

    use super::*;
    use crate::rig::{Rig, root, user_record};

    async fn blocks(rig: &Rig) -> Arc<Blocks> {
        Blocks::open(rig.store(), &rig.identity).await.unwrap()
    }

    fn at(address: &str) -> std::net::IpAddr {
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn a_block_holds_at_once_and_over_a_restart() {
        let rig = Rig::new().await;
        let all = blocks(&rig).await;
        let block = all.add(&root(), "192.0.2.9/24", None, "guesses".into()).await.unwrap();
        assert_eq!((block.target.as_str(), block.of, block.until), ("192.0.2.0/24", BlockOf::Address, None));
        all.add(&root(), "2001:db8::1", Some(3_600_000), String::new()).await.unwrap();
        for all in [&all, &blocks(&rig).await] {
            assert!(
                all.hot().address(at("192.0.2.77"), now()) && all.hot().address(at("2001:db8::1"), now())
            );
            assert!(!all.hot().address(at("2001:db8::2"), now()));
        }
        let again = all.add(&root(), "192.0.2.0/24", Some(1000), "again".into()).await.unwrap();
        assert_eq!((again.reason.as_str(), again.revision), ("again", 2));
        let later = now() + 7_200_000;
        all.sweep(later).await.unwrap();
        assert_eq!(all.list().await.unwrap(), []);
        let gone = all.remove(&root(), "192.0.2.0/24").await.unwrap_err();
        assert_eq!(gone.kind, FaultKind::NotFound);
    }

    #[tokio::test]
    async fn a_block_is_removed_by_what_the_list_calls_it() {
        let rig = Rig::new().await;
        let all = blocks(&rig).await;
        let add = async |name: &str| {
            rig.store().users().insert(user_record(name, Role::Member, None)).await.unwrap().id
        };
        let block = async || all.add(&root(), "bob", None, String::new()).await.unwrap();
        let rename = async |id: &str| {
            let name = format!("old-{}", id.replace('_', "-"));
            let set = move |user: &mut UserRecord| user.name = name;
            rig.store().users().update(&TenantScope::All, id, None, set).await.unwrap();
        };
        let first = add("bob").await;
        block().await;
        rename(&first).await;
        let second = add("bob").await;
        all.remove(&root(), "bob").await.unwrap();
        assert_eq!(all.list().await.unwrap(), []);

        // Of two that are called so, and are so no more, the id says which.
        block().await;
        rename(&second).await;
        let third = add("bob").await;
        block().await;
        rename(&third).await;
        let both = all.remove(&root(), "bob").await.unwrap_err();
        assert_eq!(both.kind, FaultKind::Conflict, "{both}");
        all.remove(&root(), &format!("user:{second}")).await.unwrap();
        assert_eq!(all.list().await.unwrap()[0].id, third);
        all.remove(&root(), "bob").await.unwrap();
        assert_eq!(all.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn keys_of_the_same_name_are_told_apart_by_their_organization() {
        let (rig, ..) = Rig::with_two().await;
        let all = blocks(&rig).await;
        for organization in ["a", "b"] {
            let new = NewKey {
                name: "ci".into(),
                organization: Some(organization.into()),
                user: None,
                scopes: vec![KeyScope::Infer],
                models: vec![],
                networks: vec![],
                expires: None,
            };
            rig.identity.create_key(&root(), new).await.unwrap();
            let named = format!("{organization}/ci");
            let block = all.add(&root(), &named, None, String::new()).await.unwrap();
            assert_eq!((block.of, &block.target), (BlockOf::Key, &named));
        }
        all.remove(&root(), "a/ci").await.unwrap();
        let left: Vec<_> = all.list().await.unwrap().into_iter().map(|block| block.target).collect();
        assert_eq!(left, ["b/ci"]);
        all.remove(&root(), "key:b/ci").await.unwrap();
        assert_eq!(all.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_cannot_be_blocked_is_refused() {
        let rig = Rig::new().await;
        let all = blocks(&rig).await;
        for (target, lasts, reason, field) in [
            ("nobody", None, "", "target"),
            ("192.0.2.0/33", None, "", "target"),
            ("192.0.2.1", Some(0), "", "for"),
            ("192.0.2.1", None, &*"x".repeat(201), "reason"),
        ] {
            let fault = all.add(&root(), target, lasts, reason.to_owned()).await.unwrap_err();
            assert_eq!(fault.field.as_deref(), Some(field), "{fault}");
        }
        assert_eq!(all.list().await.unwrap(), []);
    }
}
