//! The logins of failed logins, kept in the store: a restart forgets nothing.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_domain::TenantScope;
use aivonx_protocol::{UnixMillis, lockout::Lockout};
use aivonx_store::{LockoutRecord, Store, StoreError};

use super::lockout::{Decision, Entry, Failed, FailedLogins, Place, Policy, Spray};

/// Failed logins. Clones share them.
#[derive(Clone)]
pub struct Lockouts {
    store: Store,
    logins: Arc<Mutex<FailedLogins>>,
}

/// Why an attempt may not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Locked until then.
    Locked(UnixMillis),
    /// Too many are being made already.
    Crowded,
}

/// An attempt that may be made; dropped without a result, it counts for nothing.
#[must_use]
pub struct Attempt {
    lockouts: Lockouts,
    place: Place,
    delay: Duration,
    open: bool,
}

impl Lockouts {
    /// Reads what was kept.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(store: &Store, policy: Policy, now: UnixMillis) -> Result<Self, StoreError> {
        let mut logins = FailedLogins::new(policy);
        for record in store.lockouts().list(&TenantScope::All).await? {
            match &record.address {
                Some(address) => {
                    let entry = Entry {
                        failures: record.failures,
                        first: record.created,
                        last: record.last,
                        locked_until: record.locked_until,
                    };
                    logins.restore(Place::new(&record.user, address), entry);
                }
                None => {
                    logins
                        .restore_spray(&record.user, Spray { failures: record.failures, last: record.last });
                }
            }
        }
        let this = Self { store: store.clone(), logins: Arc::new(Mutex::new(logins)) };
        this.sweep(now).await?;
        Ok(this)
    }

    /// Asks whether an attempt may be made.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn begin(&self, place: Place, now: UnixMillis) -> Result<Attempt, Refused> {
        match self.lock().begin(&place, now) {
            Decision::Proceed { delay } => Ok(Attempt { lockouts: self.clone(), place, delay, open: true }),
            Decision::Locked { until } => Err(Refused::Locked(until)),
            Decision::Crowded => Err(Refused::Crowded),
        }
    }

    /// The pairs that are locked, or (`all`) all with failures, by user and address.
    #[must_use]
    pub fn list(&self, all: bool, now: UnixMillis) -> Vec<Lockout> {
        let list = self.lock().list(now);
        list.into_iter()
            .filter(|(_, entry)| all || entry.locked_until.is_some())
            .map(|(place, entry)| Lockout {
                user: place.user().to_owned(),
                address: place.address().to_owned(),
                failures: entry.failures,
                last: entry.last,
                locked_until: entry.locked_until,
            })
            .collect()
    }

    /// Forgets the failures of a user, from an address, or all. Returns how many pairs that were.
    ///
    /// # Errors
    /// If the store fails: then they are forgotten until the next start only.
    pub async fn clear(&self, user: Option<&str>, address: Option<&str>) -> Result<usize, StoreError> {
        let cleared = self.lock().clear(user, address);
        self.erase(&cleared).await?;
        if address.is_none() {
            let users: Vec<String> = match user {
                Some(user) => vec![Place::new(user, "").user().to_owned()],
                None => {
                    let kept = self.store.lockouts().list(&TenantScope::All).await?;
                    kept.into_iter().filter(|r| r.address.is_none()).map(|r| r.user).collect()
                }
            };
            for user in users {
                self.remove(LockoutRecord::id_of(&user, None)).await?;
            }
        }
        Ok(cleared.len())
    }

    /// Forgets what is over; to be called now and then.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sweep(&self, now: UnixMillis) -> Result<(), StoreError> {
        let over = self.lock().sweep(now);
        self.erase(&over).await?;
        for record in self.store.lockouts().list(&TenantScope::All).await? {
            let stale = match &record.address {
                Some(_) => false,
                None => self.lock().spray(&record.user, now).is_none(),
            };
            if stale {
                self.remove(record.id).await?;
            }
        }
        Ok(())
    }

    async fn erase(&self, places: &[Place]) -> Result<(), StoreError> {
        for place in places {
            self.remove(LockoutRecord::id_of(place.user(), Some(place.address()))).await?;
        }
        Ok(())
    }

    async fn remove(&self, id: String) -> Result<(), StoreError> {
        self.store.lockouts().alter(&id, |_| None).await.map(drop)
    }

    async fn keep(&self, place: &Place, failed: &Failed) -> Result<(), StoreError> {
        let Failed { entry, spray, .. } = failed.clone();
        let pair = LockoutRecord {
            id: LockoutRecord::id_of(place.user(), Some(place.address())),
            user: place.user().to_owned(),
            address: Some(place.address().to_owned()),
            failures: entry.failures,
            created: entry.first,
            last: entry.last,
            locked_until: entry.locked_until,
            revision: 0,
        };
        let everywhere = LockoutRecord {
            id: LockoutRecord::id_of(place.user(), None),
            address: None,
            failures: spray.failures,
            last: spray.last,
            locked_until: None,
            ..pair.clone()
        };
        for record in [pair, everywhere] {
            let id = record.id.clone();
            // Of two failures at once the later count stays, in whichever order they arrive.
            let newer = move |old: Option<LockoutRecord>| match old {
                Some(old) if old.last > record.last => Some(old),
                Some(old) if old.last == record.last && old.failures > record.failures => Some(old),
                _ => Some(record),
            };
            self.store.lockouts().alter(&id, newer).await?;
        }
        self.erase(&failed.forgotten).await
    }

    fn lock(&self) -> MutexGuard<'_, FailedLogins> {
        // It is consistent after each call; none of them panics.
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// How long to wait before the password is checked.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// It failed. Returns whether that locked the pair.
    pub async fn failed(mut self, now: UnixMillis) -> bool {
        self.open = false;
        let failed = self.lockouts.lock().failed(&self.place, now);
        if let Err(error) = self.lockouts.keep(&self.place, &failed).await {
            // It counts all the same, until the next start.
            tracing::error!(error = %error, "a failed login could not be kept");
        }
        failed.locked
    }

    /// It succeeded: the failures of this user from this address are forgotten.
    pub async fn succeeded(mut self) {
        self.open = false;
        let had = self.lockouts.lock().succeeded(&self.place);
        if had && let Err(error) = self.lockouts.erase(std::slice::from_ref(&self.place)).await {
            tracing::error!(error = %error, "failed logins could not be forgotten");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.open {
            self.lockouts.lock().abandoned(&self.place);
        }
    }
}

impl fmt::Debug for Lockouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lockouts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aivonx_store::testing::stand;

    const NOW: UnixMillis = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn place(last: u8) -> Place {
        Place::new("alice", format!("192.0.2.{last}"))
    }

    async fn fail(lockouts: &Lockouts, place: Place, now: UnixMillis) -> bool {
        lockouts.begin(place, now).ok().unwrap().failed(now).await
    }

    async fn records(store: &Store) -> Vec<LockoutRecord> {
        store.lockouts().list(&TenantScope::All).await.unwrap()
    }

    #[tokio::test]
    async fn a_restart_keeps_locks_and_delays_and_clearing_lifts_them() {
        let stand = stand().await;
        let lockouts = Lockouts::open(&stand.store, Policy::default(), NOW).await.unwrap();
        for n in 1..=5 {
            assert_eq!(fail(&lockouts, place(1), NOW + n).await, n == 5);
        }
        for last in 2..=9 {
            assert!(!fail(&lockouts, place(last), NOW + 10).await);
        }
        let again = Lockouts::open(&stand.store, Policy::default(), NOW + 20).await.unwrap();
        let until = NOW + 5 + HOUR;
        assert_eq!(again.begin(place(1), NOW + 20).err(), Some(Refused::Locked(until)));
        assert_eq!(again.begin(place(2), NOW + 20).ok().unwrap().delay(), Duration::from_millis(1500));
        assert_eq!(again.list(true, NOW + 20).len(), 9);
        let locked = again.list(false, NOW + 20);
        assert_eq!((locked.len(), locked[0].failures, locked[0].locked_until), (1, 5, Some(until)));

        assert_eq!(again.clear(Some("Alice"), Some("192.0.2.1")).await.unwrap(), 1);
        assert!(again.begin(place(1), NOW + 20).is_ok());
        assert_eq!(again.clear(Some("alice"), None).await.unwrap(), 8);
        assert!(records(&stand.store).await.is_empty());
        assert_eq!(again.begin(place(2), NOW + 20).ok().unwrap().delay(), Duration::ZERO);
    }

    #[tokio::test]
    async fn success_and_time_leave_nothing_behind() {
        let stand = stand().await;
        let lockouts = Lockouts::open(&stand.store, Policy::default(), NOW).await.unwrap();
        fail(&lockouts, place(1), NOW).await;
        fail(&lockouts, place(2), NOW).await;
        lockouts.begin(place(1), NOW).ok().unwrap().succeeded().await;
        assert_eq!(lockouts.list(true, NOW).len(), 1);
        drop(lockouts.begin(place(3), NOW).ok().unwrap());
        assert_eq!(records(&stand.store).await.len(), 2);
        lockouts.sweep(NOW + HOUR).await.unwrap();
        assert!(records(&stand.store).await.is_empty());
        // All and everyone.
        fail(&lockouts, place(1), NOW + HOUR).await;
        assert_eq!(lockouts.clear(None, None).await.unwrap(), 1);
        assert!(records(&stand.store).await.is_empty());
    }
}
