//! The certificates of the listeners, read again when they change and when an administrator asks for it.

use std::{sync::Arc, time::Duration};

use aivonx_gateway::{Bound, PairError, ServedCertificate, Tls};
use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::MissedTickBehavior};

use crate::acme::troubles::Troubles;

/// Time between looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// Those of every listener that has some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    listeners: Arc<[Arc<Tls>]>,
    /// Of those that are obtained.
    troubles: Arc<Troubles>,
}

impl Certificates {
    pub(crate) fn of(listeners: &[Bound]) -> Self {
        Self {
            listeners: listeners.iter().filter_map(Bound::tls).cloned().collect(),
            troubles: Arc::default(),
        }
    }

    /// Reads all of them again; names those that are new.
    ///
    /// # Errors
    /// The first that cannot be used. The others are in force.
    pub(crate) fn reload(&self) -> Result<Vec<String>, PairError> {
        // Every one is read, whatever becomes of those before it.
        let read: Vec<_> = self.listeners.iter().map(|tls| (tls, tls.reload())).collect();
        let mut new = Vec::new();
        for (tls, done) in read {
            if done? {
                new.push(format!("{tls}.tls_cert"));
            }
        }
        Ok(new)
    }

    /// What an administrator should know of them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let now = Timestamp::now();
        let served = self.listeners.iter().flat_map(|tls| tls.warnings(now));
        served.chain(self.troubles.warnings()).collect()
    }

    /// When the first of them expires.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.listeners.iter().filter_map(|tls| tls.until()).min()
    }

    /// Why others are not obtained.
    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// Each that is served.
    pub(crate) fn served(&self) -> Vec<ServedCertificate> {
        self.listeners.iter().flat_map(|tls| tls.served()).collect()
    }

    /// Why some on the disk are not served.
    pub(crate) fn refused(&self) -> impl Iterator<Item = String> {
        self.listeners.iter().filter_map(|tls| tls.refused())
    }

    /// Looks now and then whether the files have changed.
    pub(crate) fn follow(&self) {
        if self.listeners.is_empty() {
            return;
        }
        let certificates = self.listeners.clone();
        tokio::spawn(async move {
            let mut turn = tokio::time::interval(LOOK);
            turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                turn.tick().await;
                let certificates = certificates.clone();
                let looked = spawn_blocking(move || certificates.iter().for_each(|tls| tls.look()));
                // At the end of the process.
                if looked.await.is_err() {
                    return;
                }
            }
        });
    }
}
