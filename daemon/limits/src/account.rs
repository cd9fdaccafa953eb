//! Accounts: the live counters of organizations, users and keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
};

use super::{
    Caps,
    clock::Now,
    refill::Refill,
    slices::Slices,
    window::{Counters, LiveCounters},
};

/// What an account is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An organization: the total of its users and keys.
    Organization,
    /// A user: what it uses itself, and through its keys.
    User,
    /// An API key.
    Key,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Organization, Self::User, Self::Key];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::User => "user",
            Self::Key => "key",
        }
    }

    /// The option that names one on a command line.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Organization => "--org",
            Self::User => "--user",
            Self::Key => "--key",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The counters of one subject. Its lock is held for some additions and never while anything is waited for.
#[derive(Debug)]
pub struct Account {
    kind: Kind,
    id: Arc<str>,
    live: Mutex<LiveCounters>,
    bodies: Arc<AtomicU64>,
}

impl Account {
    pub(super) fn new(kind: Kind, id: Arc<str>, live: LiveCounters) -> Self {
        Self { kind, id, live: Mutex::new(live), bodies: Arc::default() }
    }

    /// What it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Id of the organization, user or key.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Bytes of request bodies that are held for it now; kept by those who hold them.
    #[must_use]
    pub fn bodies(&self) -> &Arc<AtomicU64> {
        &self.bodies
    }

    /// What is used now.
    #[must_use]
    pub fn counters(&self, now: &Now) -> Counters {
        self.lock().counters(now)
    }

    /// The counters of a subject that has used nothing.
    pub(super) fn nothing(now: &Now) -> Counters {
        LiveCounters::default().counters(now)
    }

    /// Nothing that is done under the lock can panic half way.
    pub(super) fn lock(&self) -> MutexGuard<'_, LiveCounters> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one subject has used, and how much it may: part of identity's entries, so that a request looks nothing
/// up.
#[derive(Debug)]
pub struct Level {
    /// Its counters.
    pub account: Arc<Account>,
    /// Its caps.
    pub caps: Caps,
}

/// The levels of one request: organization, user, key, always in this order. It is the order in which their
/// accounts are locked.
pub type Levels<'a> = [Option<&'a Arc<Level>>; 3];

type Map = HashMap<(Kind, Arc<str>), Arc<Account>>;

/// All accounts. They outlive the snapshots of identity, whose entries hold them.
#[derive(Debug, Default)]
pub struct Accounts {
    map: Mutex<Map>,
    /// What refills their slices, where several gateways share limits.
    refill: OnceLock<Arc<Refill>>,
}

impl Accounts {
    /// The account of a subject; made on first use.
    #[must_use]
    pub fn account(&self, kind: Kind, id: &Arc<str>) -> Arc<Account> {
        let mut map = self.map();
        let made = || {
            let slices = self.refill.get().map(|refill| Box::new(Slices::new(refill.clone())));
            Arc::new(Account::new(kind, id.clone(), LiveCounters::default().sharing(slices)))
        };
        map.entry((kind, id.clone())).or_insert_with(made).clone()
    }

    /// The account of a subject together with its caps.
    #[must_use]
    pub fn level(&self, kind: Kind, id: &Arc<str>, caps: Caps) -> Arc<Level> {
        Arc::new(Level { account: self.account(kind, id), caps })
    }

    /// The account of a subject, if there is one.
    #[must_use]
    pub fn find(&self, kind: Kind, id: &str) -> Option<Arc<Account>> {
        self.map().get(&(kind, id.into())).cloned()
    }

    /// Puts what was stored into an account.
    pub(super) fn restore(&self, kind: Kind, id: &Arc<str>, live: LiveCounters) {
        let account = self.account(kind, id);
        let mut kept = account.lock();
        let slices = kept.slices.take();
        *kept = live.sharing(slices);
    }

    /// Has all of them, and those that are made later, count in slices of what several gateways share.
    pub(super) fn share(&self, refill: &Arc<Refill>) {
        let map = self.map();
        // Under the lock of the map no account is made.
        let _ = self.refill.set(refill.clone());
        map.values().for_each(|account| account.lock().slices = Some(Box::new(Slices::new(refill.clone()))));
    }

    /// Every account.
    pub(super) fn all(&self) -> Vec<Arc<Account>> {
        self.map().values().cloned().collect()
    }

    /// Forgets the accounts of subjects that are gone once nothing in them counts, and returns those.
    pub(super) fn sweep(&self, now: &Now) -> Vec<(Kind, Arc<str>)> {
        let mut map = self.map();
        let mut gone = Vec::new();
        map.retain(|place, account| {
            // Only this map holds it, and under its lock nobody else can come to.
            let keep = Arc::strong_count(account) > 1 || !account.lock().is_over(now);
            if !keep {
                gone.push(place.clone());
            }
            keep
        });
        gone
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
