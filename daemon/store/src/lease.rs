//! The right to write a database: shown while it lasts, and what follows when it is lost.

use std::{sync::Weak, time::Duration};

use super::{Engine, Feed, Inner, Store, StoreError};

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
            (StoreError::Failed, Some(_)) => match self.condition.get() {
                Some(trouble) => StoreError::Away(trouble.what.clone()),
                None => error,
            },
            _ => error,
        }
    }

    /// Another process writes the settings now.
    pub(super) fn is_superseded(&self, why: &str) {
        self.superseded.send_if_modified(|known| known.is_none() && known.replace(why.to_owned()).is_none());
    }
}

/// Time between two signs of life to others who could write the settings.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(5);

/// Shows that this process writes the settings, and notices if another does.
pub(super) async fn renew(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.server.is_none() {
            return;
        }
        // One that is opened anew shows itself by that.
        if inner.condition.get().is_some() {
            continue;
        }
        // Whoever may not show itself any more may not write either.
        let renewed = |engine: &Engine, _: &Feed| engine.backend().renew().inspect_err(|_| engine.retire());
        let _ = Store { inner }.run(renewed).await;
    }
}
