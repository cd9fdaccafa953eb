//! A database that others write too: what they change is followed, and what comes of a lost right to write.

use std::{
    sync::{Arc, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::{Engine, Feed, Inner, Store, StoreError, member::Followed};

impl Store {
    /// Returns when another process writes the settings, and why. This one must end then: what it serves by is not what
    /// is stored.
    pub async fn superseded(&self) -> String {
        let mut why = self.inner.superseded.subscribe();
        match why.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // Not while the store is there.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Inner {
    /// What of the database is behind an error, where that says nothing of it.
    pub(super) fn named(&self, error: StoreError) -> StoreError {
        match (&error, &self.server) {
            (StoreError::Superseded(why), _) => {
                self.is_superseded(why);
                error
            }
            (StoreError::Failed, Some(_)) => match (self.superseded.borrow().clone(), self.condition.get()) {
                (Some(why), _) => StoreError::Superseded(why),
                (None, Some(trouble)) => StoreError::Away(trouble.what.clone()),
                (None, None) => error,
            },
            _ => error,
        }
    }

    /// Another process writes the settings now.
    pub(super) fn is_superseded(&self, why: &str) {
        self.superseded.send_if_modified(|known| known.is_none() && known.replace(why.to_owned()).is_none());
    }
}

/// Time between two looks at what other members changed.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// Time between two signs of life to them.
const SIGN_EVERY: Duration = Duration::from_secs(5);

/// Tells the feed what other members change, shows them that this one is alive, and notices if it may not write any more.
pub(super) async fn follow(inner: Weak<Inner>) {
    let mut signed = (None, Arc::from(""));
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.server.is_none() {
            return;
        }
        // One that is opened anew shows itself by that, and has everything read again.
        if inner.condition.get().is_some() {
            continue;
        }
        let address = inner.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_due = signed.0.is_none_or(|at: Instant| at.elapsed() >= SIGN_EVERY) || signed.1 != address;
        if is_due {
            signed = (Some(Instant::now()), address.clone());
        }
        // Whoever cannot follow may not write either.
        let seen = inner.clone();
        let followed = move |engine: &Engine, feed: &Feed| {
            let look = || -> Result<_, StoreError> {
                let found = engine.follow()?;
                // Where something changed, also that it is followed.
                if is_due || found != Followed::Nothing {
                    engine.backend().sign(&address)?;
                    seen.members.store(Arc::new(engine.backend().members()?));
                }
                Ok(found)
            };
            match look().inspect_err(|_| engine.retire())? {
                Followed::Nothing => {}
                Followed::These(changed) => changed.iter().for_each(|(space, key)| feed.tell_of(space, key)),
                Followed::Any => feed.tell_all(),
            }
            Ok(())
        };
        let _ = Store { inner }.run(followed).await;
    }
}
