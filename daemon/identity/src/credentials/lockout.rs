//! Lockout after failed logins: the policy, and the failures it is applied to. Pure: the time is an argument, and
//! what has to be stored is returned.
//!
//! Five failures for one user from one address lock that pair for an hour, whether the user exists or not.
//! Failures from many addresses only add delay for the user, so that nobody can lock the owner out. Attempts in
//! flight count as failures until they succeed: a hundred at once get no more guesses than five.

use std::{collections::HashMap, time::Duration};

use aivonx_protocol::UnixMillis;
use sha2::{Digest as _, Sha256};

/// Longest user name kept as it is; no user has a longer one.
const NAME: usize = 63;

/// When to lock and when to delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Failures of one user from one address that lock the pair.
    pub failures: u32,
    /// How long the lock holds, and how long failures that did not lock are remembered.
    pub lock: Duration,
    /// Failures of one user, from everywhere, before attempts are delayed.
    pub free: u32,
    /// Delay added by each further failure.
    pub step: Duration,
    /// Longest delay.
    pub longest: Duration,
    /// Time after which one failure no longer counts for the delay.
    pub forgive: Duration,
    /// Most pairs, and most users, remembered.
    pub entries: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            failures: 5,
            lock: Duration::from_secs(3600),
            free: 10,
            step: Duration::from_millis(500),
            longest: Duration::from_secs(10),
            forgive: Duration::from_secs(60),
            entries: 50_000,
        }
    }
}

/// Who is tried, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    user: String,
    address: String,
}

impl Place {
    /// The user name as it was given, and [`address_key`] or [`peer_key`]. Case makes no difference; a text that cannot be
    /// a user name is replaced by a short digest.
    #[must_use]
    pub fn new(user: &str, address: impl Into<String>) -> Self {
        Self { user: name_key(user), address: address.into() }
    }

    /// The user name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The address, or the peer's uid.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Key of the record in the store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}\0{}", self.user, self.address)
    }
}

/// What failures over the control socket are counted by.
#[must_use]
pub fn peer_key(uid: u32) -> String {
    format!("uid {uid}")
}

fn name_key(name: &str) -> String {
    if name.len() <= NAME && !name.chars().any(char::is_control) {
        return name.to_lowercase();
    }
    format!("sha256:{}", hex::encode(&Sha256::digest(name.as_bytes())[..12]))
}

/// Failures of one user from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How many.
    pub failures: u32,
    /// The first of them.
    pub first: UnixMillis,
    /// The last of them.
    pub last: UnixMillis,
    /// Until when the pair is locked.
    pub locked_until: Option<UnixMillis>,
}

/// Failures of one user from everywhere, those forgiven taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spray {
    /// How many at `last`.
    pub failures: u32,
    /// When the last one was.
    pub last: UnixMillis,
}

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Wait `delay`, then check the password; then [`FailedLogins::failed`], [`FailedLogins::succeeded`] or [`FailedLogins::abandoned`]
    /// must be called.
    Proceed {
        /// How long to wait first.
        delay: Duration,
    },
    /// Locked: refuse without looking at the password.
    Locked {
        /// Until when.
        until: UnixMillis,
    },
    /// As many attempts are being made as there are guesses left: refuse, and let it be tried again shortly.
    Crowded,
}

/// What a failure changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The pair's failures, to be kept.
    pub entry: Entry,
    /// The user's failures, to be kept.
    pub spray: Spray,
    /// This failure locked the pair.
    pub locked: bool,
    /// Pairs that had to be forgotten to make room; their records are to be removed.
    pub forgotten: Vec<Place>,
}

#[derive(Debug, Default)]
struct Tried {
    entry: Option<Entry>,
    in_flight: u32,
}

/// The failures remembered. Bounded: when it is full, the oldest are forgotten, locked pairs last.
#[derive(Debug)]
pub struct FailedLogins {
    policy: Policy,
    pairs: HashMap<Place, Tried>,
    users: HashMap<String, Spray>,
}

impl FailedLogins {
    /// No failed logins.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, pairs: HashMap::new(), users: HashMap::new() }
    }

    /// Puts in what was kept before a restart.
    pub fn restore(&mut self, place: Place, entry: Entry) {
        self.pairs.entry(place).or_default().entry = Some(entry);
    }

    /// Puts in a user's failures that were kept before a restart.
    pub fn restore_spray(&mut self, user: &str, spray: Spray) {
        self.users.insert(name_key(user), spray);
    }

    /// An attempt is about to be made.
    pub fn begin(&mut self, place: &Place, now: UnixMillis) -> Decision {
        let tried = self.pairs.get(place);
        let entry = tried.and_then(|t| t.entry).filter(|e| !over(&self.policy, e, now));
        if let Some(until) = entry.and_then(|e| e.locked_until) {
            return Decision::Locked { until };
        }
        let in_flight = tried.map_or(0, |t| t.in_flight);
        if entry.map_or(0, |e| e.failures) + in_flight >= self.policy.failures {
            return Decision::Crowded;
        }
        self.pairs.entry(place.clone()).or_default().in_flight += 1;
        let failures = self.spray(place.user(), now).map_or(0, |s| s.failures);
        let delay = self.policy.step * failures.saturating_sub(self.policy.free);
        Decision::Proceed { delay: delay.min(self.policy.longest) }
    }

    /// The attempt failed: a wrong password, a wrong code, or no such user.
    pub fn failed(&mut self, place: &Place, now: UnixMillis) -> Failed {
        let forgotten = self.make_room(now);
        let spray = self.spray(place.user(), now);
        let spray = Spray { failures: spray.map_or(0, |s| s.failures).saturating_add(1), last: now };
        self.users.insert(place.user.clone(), spray);
        let policy = &self.policy;
        let tried = self.pairs.entry(place.clone()).or_default();
        tried.in_flight = tried.in_flight.saturating_sub(1);
        let old = tried.entry.filter(|e| !over(policy, e, now));
        let failures = old.map_or(0, |e| e.failures).saturating_add(1);
        let was = old.and_then(|e| e.locked_until);
        let locked_until = was.or_else(|| (failures >= policy.failures).then(|| now + millis(policy.lock)));
        let entry = Entry { failures, first: old.map_or(now, |e| e.first), last: now, locked_until };
        tried.entry = Some(entry);
        Failed { entry, spray, locked: was.is_none() && locked_until.is_some(), forgotten }
    }

    /// The attempt succeeded: the pair's failures are forgotten. Returns whether there were any, so that their
    /// record is removed. The user's delay stays: an attack from elsewhere may be going on.
    pub fn succeeded(&mut self, place: &Place) -> bool {
        let had = self.pairs.get(place).is_some_and(|t| t.entry.is_some());
        if let Some(tried) = self.pairs.get_mut(place) {
            tried.entry = None;
        }
        self.abandoned(place);
        had
    }

    /// The attempt came to no result, such as for a failure of the store.
    pub fn abandoned(&mut self, place: &Place) {
        if let Some(tried) = self.pairs.get_mut(place) {
            tried.in_flight = tried.in_flight.saturating_sub(1);
            if tried.in_flight == 0 && tried.entry.is_none() {
                self.pairs.remove(place);
            }
        }
    }

    /// Forgets the failures of a user, from an address, or all (None and None); an administrator asked for it.
    /// Returns the pairs whose records are to be removed.
    pub fn clear(&mut self, user: Option<&str>, address: Option<&str>) -> Vec<Place> {
        let user = user.map(name_key);
        if address.is_none() {
            self.users.retain(|name, _| user.as_ref().is_some_and(|u| u != name));
        }
        self.forget(|place, _| {
            user.as_ref().is_none_or(|u| *u == place.user) && address.is_none_or(|a| a == place.address)
        })
    }

    /// Forgets what is over. Returns the pairs whose records are to be removed.
    pub fn sweep(&mut self, now: UnixMillis) -> Vec<Place> {
        let policy = self.policy.clone();
        self.users.retain(|_, spray| forgiven(&policy, *spray, now).is_some());
        self.forget(|_, entry| over(&policy, entry, now))
    }

    /// The failures that count now, by user and address.
    #[must_use]
    pub fn list(&self, now: UnixMillis) -> Vec<(Place, Entry)> {
        let mut list: Vec<_> = self
            .pairs
            .iter()
            .filter_map(|(place, tried)| tried.entry.map(|e| (place.clone(), e)))
            .filter(|(_, entry)| !over(&self.policy, entry, now))
            .collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }

    /// The failures of `user` from everywhere that count now.
    #[must_use]
    pub fn spray(&self, user: &str, now: UnixMillis) -> Option<Spray> {
        self.users.get(&name_key(user)).and_then(|spray| forgiven(&self.policy, *spray, now))
    }

    fn forget(&mut self, mut which: impl FnMut(&Place, &Entry) -> bool) -> Vec<Place> {
        let mut forgotten = Vec::new();
        self.pairs.retain(|place, tried| {
            if tried.entry.as_ref().is_some_and(|entry| which(place, entry)) {
                forgotten.push(place.clone());
                tried.entry = None;
            }
            tried.entry.is_some() || tried.in_flight > 0
        });
        forgotten
    }

    /// Makes room for one more pair and user. Forgets an eighth at a time: a flood of names and addresses pays for
    /// a pass over all of them only once in thousands of failures.
    fn make_room(&mut self, now: UnixMillis) -> Vec<Place> {
        let limit = self.policy.entries;
        let mut forgotten = Vec::new();
        if self.pairs.len() >= limit || self.users.len() >= limit {
            forgotten = self.sweep(now);
        }
        if self.pairs.len() >= limit {
            let age = |e: &Entry| (e.locked_until.is_some(), e.last);
            let mut ages: Vec<_> = self.pairs.values().filter_map(|t| t.entry.as_ref().map(age)).collect();
            ages.sort_unstable();
            if let Some(edge) = ages.get(limit / 8).copied() {
                forgotten.extend(self.forget(|_, entry| age(entry) <= edge));
            }
        }
        if self.users.len() >= limit {
            let mut ages: Vec<_> = self.users.values().map(|s| (s.failures, s.last)).collect();
            ages.sort_unstable();
            if let Some(edge) = ages.get(limit / 8).copied() {
                self.users.retain(|_, spray| (spray.failures, spray.last) > edge);
            }
        }
        forgotten
    }
}

fn over(policy: &Policy, entry: &Entry, now: UnixMillis) -> bool {
    now >= entry.locked_until.unwrap_or(entry.last + millis(policy.lock))
}

fn forgiven(policy: &Policy, spray: Spray, now: UnixMillis) -> Option<Spray> {
    let off = now.saturating_sub(spray.last) / millis(policy.forgive).max(1);
    let failures = spray.failures.saturating_sub(u32::try_from(off).unwrap_or(u32::MAX));
    (failures > 0).then_some(Spray { failures, ..spray })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "lockout_tests.rs"]
mod tests;
