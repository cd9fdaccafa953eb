//! A projection of the users' names, whose reading can be made to fail and to wait.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use aivonx_domain::TenantScope;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    UserRecord,
    testing::{Stand, stand},
};

struct Names {
    in_force: InForce,
    names: Mutex<Vec<String>>,
    /// What each refresh was asked for.
    asked: Mutex<Vec<Changed>>,
    /// How often it was said to be stale.
    stale: AtomicUsize,
    fails: AtomicBool,
    /// Each refresh takes one, after it has read.
    may_swap: Semaphore,
    /// One for each refresh that has read.
    has_read: Semaphore,
}

impl Projection for Names {
    const COLLECTIONS: &'static [Collection] = &[Collection::User, Collection::Strategy];
    type Error = StoreError;

    async fn refresh(&self, changed: &Changed) -> Result<(), StoreError> {
        self.asked.lock().unwrap().push(changed.clone());
        let users = self.in_force.store.users().list(&TenantScope::All).await?;
        self.has_read.add_permits(1);
        self.may_swap.acquire().await.unwrap().forget();
        if self.fails.load(Relaxed) {
            return Err(StoreError::Failed);
        }
        *self.names.lock().unwrap() = users.into_iter().map(|user| user.name).collect();
        Ok(())
    }

    fn stale(&self, _: &StoreError) {
        self.stale.fetch_add(1, Relaxed);
    }
}

impl Names {
    /// Of an empty store; `swaps` refreshes may swap at once.
    fn follow(stand: &Stand, swaps: usize) -> Arc<Self> {
        let follower = Follower::new(&stand.store);
        let names = Arc::new(Self {
            in_force: follower.in_force(),
            names: Mutex::default(),
            asked: Mutex::default(),
            stale: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            may_swap: Semaphore::new(swaps),
            has_read: Semaphore::new(0),
        });
        follower.follow(&names);
        names
    }

    fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }

    fn asked(&self) -> Vec<Changed> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns when a further refresh has read.
    async fn read(&self) {
        self.has_read.acquire().await.unwrap().forget();
    }
}

fn these(users: &[&UserRecord]) -> Changed {
    let ids: BTreeSet<String> = users.iter().map(|user| user.id.clone()).collect();
    Changed(BTreeMap::from([(Collection::User, Which::These(ids))]))
}

const MANY: usize = Semaphore::MAX_PERMITS;

#[tokio::test]
async fn a_change_is_in_force_once_it_is_settled_and_that_of_another_collection_is_not_read() {
    let stand = stand().await;
    let names = Names::follow(&stand, MANY);
    let ada = stand.user("ada", None).await;
    names.in_force.settle().await.unwrap();
    assert_eq!(names.names(), ["ada"]);
    stand.store.settings().set_limit_profile(Default::default()).await.unwrap();
    names.in_force.settle().await.unwrap();
    let bob = stand.user("bob", None).await;
    names.in_force.settle().await.unwrap();
    assert_eq!(
        (names.names(), names.asked()),
        (vec!["ada".into(), "bob".into()], vec![these(&[&ada]), these(&[&bob])])
    );
    names.in_force.settle().await.unwrap();
    assert_eq!(names.asked().len(), 2, "nothing changed");
}

#[tokio::test]
async fn a_change_during_a_read_is_not_missed_and_settling_waits_for_it() {
    let stand = stand().await;
    let names = Names::follow(&stand, 0);
    stand.user("ada", None).await;
    names.read().await;
    let (bob, eve) = (stand.user("bob", None).await, stand.user("eve", None).await);
    let mut settled = pin!(names.in_force.settle());
    assert!(waits(settled.as_mut()).await);
    names.may_swap.add_permits(1);
    names.read().await;
    assert_eq!(names.names(), ["ada"], "as it was read");
    assert!(waits(settled.as_mut()).await);
    names.may_swap.add_permits(1);
    settled.await.unwrap();
    assert_eq!(names.names(), ["ada", "bob", "eve"]);
    assert_eq!(names.asked()[1..], [these(&[&bob, &eve])], "taken together");
}

#[tokio::test]
async fn a_read_that_fails_is_told_once_and_tried_again_with_what_changed_since() {
    let stand = stand().await;
    let names = Names::follow(&stand, MANY);
    names.fails.store(true, Relaxed);
    let ada = stand.user("ada", None).await;
    names.read().await;
    tokio::time::pause();
    names.read().await;
    assert!(matches!(names.in_force.settle().await, Err(StoreError::NotInForce)));
    assert!(names.names().is_empty() && names.asked().len() > 5, "the old state stays, and it goes on");
    assert_eq!((names.asked()[1].clone(), names.stale.load(Relaxed)), (these(&[&ada]), 1));
    let bob = stand.user("bob", None).await;
    names.fails.store(false, Relaxed);
    names.in_force.settle().await.unwrap();
    assert_eq!(names.names(), ["ada", "bob"]);
    assert_eq!(names.asked().last(), Some(&these(&[&ada, &bob])));
    // The next failure is news again.
    names.fails.store(true, Relaxed);
    stand.user("eve", None).await;
    let _ = names.in_force.settle().await;
    assert_eq!(names.stale.load(Relaxed), 2);
}

#[tokio::test]
async fn whoever_lags_reads_everything_and_so_does_everybody_after_a_mend() {
    let stand = stand().await;
    let names = Names::follow(&stand, 0);
    let feed = &stand.store.inner.feed;
    stand.user("ada", None).await;
    names.read().await;
    for id in 0..2000 {
        feed.tell(Change { collection: Collection::Key, id: id.to_string(), revision: 1 });
    }
    names.may_swap.add_permits(MANY);
    names.read().await;
    feed.tell_all();
    names.in_force.settle().await.unwrap();
    assert_eq!(
        names.asked()[1..],
        [Changed::any_of(Names::COLLECTIONS), Changed::any_of(Names::COLLECTIONS)]
    );
}

#[tokio::test]
async fn it_ends_with_the_store_and_keeps_neither_open() {
    let stand = stand().await;
    let names = Names::follow(&stand, MANY);
    stand.store.close().await.unwrap();
    stand.store.inner.feed.tell_all();
    assert!(matches!(names.in_force.settle().await, Err(StoreError::Closed)));
    assert_eq!(names.stale.load(Relaxed), 0, "the daemon stops, which is no news");

    let (projection, store) = (Arc::downgrade(&names), Arc::downgrade(&stand.store.inner));
    let followed = Names::follow(&stand, MANY);
    drop((names, followed, stand));
    assert!(projection.upgrade().is_none() && store.upgrade().is_none());
}

/// Whether `future` waits.
async fn waits(future: Pin<&mut impl Future>) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = tokio::task::yield_now() => true,
    }
}
