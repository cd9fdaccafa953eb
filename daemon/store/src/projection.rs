//! Following the store: how a part of the daemon that keeps in memory what it needs of some records (a projection of
//! them) learns that they changed, and reads them anew.
//!
//! A [`Follower`] has its [`Projection`] refreshed whenever one of its collections changes. Changes that come meanwhile are
//! taken together. A refresh that fails is logged once and tried again every second; until one succeeds what was
//! in force stays. A change of a record is answered after [`InForce::settle`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    marker::PhantomData,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{
        broadcast::{self, error::RecvError, error::TryRecvError},
        watch,
    },
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Change, Collection, Inner, Store, StoreError};

/// Pause before a refresh that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Longest that [`InForce::settle`] waits.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);

/// What is kept in memory of some records.
pub trait Projection: Send + Sync + 'static {
    /// What it is made of.
    const COLLECTIONS: &'static [Collection];
    /// Why a refresh fails.
    type Error: fmt::Display + Send;

    /// Reads what changed as it is now, and puts that in force. May be asked for what is in force already.
    ///
    /// # Errors
    /// If it cannot be read. It is asked for again, with what changed since.
    fn refresh(&self, changed: &Changed) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Logs that what is in force is behind the store. Called once until a refresh succeeds.
    fn stale(&self, error: &Self::Error);
}

/// Which records changed, as far as a [`Projection`] is made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed(BTreeMap<Collection, Which>);

/// Which records of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those with these ids.
    These(BTreeSet<String>),
    /// It may be any of them.
    Any,
}

impl Changed {
    /// Any record of these collections may have changed.
    #[must_use]
    pub fn any_of(collections: &[Collection]) -> Self {
        Self(collections.iter().map(|collection| (*collection, Which::Any)).collect())
    }

    /// Which records of `collection` changed; None if none did.
    #[must_use]
    pub fn of(&self, collection: Collection) -> Option<&Which> {
        self.0.get(&collection)
    }

    /// Whether some record of `collection` changed.
    #[must_use]
    pub fn has(&self, collection: Collection) -> bool {
        self.0.contains_key(&collection)
    }

    /// Whether nothing but records of `collections` changed.
    #[must_use]
    pub fn is_only(&self, collections: &[Collection]) -> bool {
        self.0.keys().all(|collection| collections.contains(collection))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, Change { collection, id, .. }: Change) {
        let which = self.0.entry(collection).or_insert_with(|| Which::These(BTreeSet::new()));
        match which {
            _ if id.is_empty() => *which = Which::Any,
            Which::These(ids) => drop(ids.insert(id)),
            Which::Any => {}
        }
    }
}

/// How far a [`Projection`] is in force. Kept by the service that changes its records.
#[derive(Debug, Clone)]
pub struct InForce {
    store: Store,
    collections: &'static [Collection],
    /// How many changes it has.
    has: watch::Receiver<u64>,
}

impl InForce {
    /// Returns once every change that was durable before the call is in force: what an answer promises must hold for
    /// the next request. Waits 10 seconds at most.
    ///
    /// # Errors
    /// [`StoreError::NotInForce`] if the records cannot be read back in time; [`StoreError::Closed`].
    pub async fn settle(&self) -> Result<(), StoreError> {
        let wanted = self.store.inner.feed.told(self.collections);
        let mut has = self.has.clone();
        match timeout(IN_FORCE_WITHIN, has.wait_for(|has| *has >= wanted)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Closed),
            Err(_) => Err(StoreError::NotInForce),
        }
    }

    /// Notified after every refresh. The value is the number of changes since the open that are in force.
    #[must_use]
    pub fn refreshes(&self) -> watch::Receiver<u64> {
        self.has.clone()
    }
}

/// Has a [`Projection`] refreshed. To be made before the projection is read for the first time, so that no change is
/// missed between.
#[must_use = "nothing is followed without Follower::follow"]
pub struct Follower<P> {
    store: Weak<Inner>,
    changes: broadcast::Receiver<Change>,
    has: watch::Sender<u64>,
    in_force: InForce,
    projection: PhantomData<fn(&P)>,
}

impl<P: Projection> Follower<P> {
    /// Has `P` refreshed for what changes from now on.
    pub fn new(store: &Store) -> Self {
        let changes = store.subscribe();
        let (has, receiver) = watch::channel(store.inner.feed.told(P::COLLECTIONS));
        let in_force = InForce { store: store.clone(), collections: P::COLLECTIONS, has: receiver };
        Self { store: Arc::downgrade(&store.inner), changes, has, in_force, projection: PhantomData }
    }

    /// How far it is in force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    /// Keeps `projection` in line with the store, as long as both are there.
    pub fn follow(self, projection: &Arc<P>) -> JoinHandle<()> {
        let Self { store, changes, has, .. } = self;
        tokio::spawn(run(store, changes, has, Arc::downgrade(projection)))
    }
}

impl<P> fmt::Debug for Follower<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("in_force", &self.in_force).finish_non_exhaustive()
    }
}

async fn run<P: Projection>(
    store: Weak<Inner>,
    mut changes: broadcast::Receiver<Change>,
    has: watch::Sender<u64>,
    projection: Weak<P>,
) {
    let mut changed = Changed::default();
    loop {
        let next = changes.recv().await;
        if !note::<P>(&mut changed, next) {
            return;
        }
        let mut is_stale = false;
        while !changed.is_empty() {
            let (Some(inner), Some(projection)) = (store.upgrade(), projection.upgrade()) else { return };
            let store = Store { inner };
            // Counted before and after: nothing that is counted is still to be received, and nothing that was received
            // is not counted, or it would be in force and nobody would know.
            let mut counted = store.inner.feed.told(P::COLLECTIONS);
            loop {
                while let Some(next) = received(&mut changes) {
                    if !note::<P>(&mut changed, next) {
                        return;
                    }
                }
                let now = store.inner.feed.told(P::COLLECTIONS);
                if std::mem::replace(&mut counted, now) == now {
                    break;
                }
            }
            match projection.refresh(&changed).await {
                Ok(()) => {
                    changed = Changed::default();
                    has.send_replace(counted);
                    continue;
                }
                Err(_) if store.is_closed() => return,
                Err(error) if !is_stale => {
                    is_stale = true;
                    projection.stale(&error);
                }
                Err(_) => {}
            }
            // Neither is kept from ending meanwhile.
            drop((store, projection));
            sleep(RETRY).await;
        }
    }
}

/// Takes in what was received; false when there will be nothing any more.
fn note<P: Projection>(changed: &mut Changed, received: Result<Change, RecvError>) -> bool {
    match received {
        Ok(change) if P::COLLECTIONS.contains(&change.collection) => changed.add(change),
        Ok(_) => {}
        // What was missed may be anything.
        Err(RecvError::Lagged(_)) => *changed = Changed::any_of(P::COLLECTIONS),
        Err(RecvError::Closed) => return false,
    }
    true
}

/// What is to be received without waiting.
fn received(changes: &mut broadcast::Receiver<Change>) -> Option<Result<Change, RecvError>> {
    match changes.try_recv() {
        Ok(change) => Some(Ok(change)),
        Err(TryRecvError::Lagged(missed)) => Some(Err(RecvError::Lagged(missed))),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
