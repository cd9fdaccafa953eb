//! Limits: throttles, quotas and spend, counted so that nobody can overrun them by asking often at once.
//!
//! A request is counted three times, each time by all levels it belongs to ([`Levels`]: its organization, its
//! user, its key; anonymous requests are counted by address):
//!
//! 1. [`Limits::throttle`], for every kind of request, once its caller is known.
//! 2. [`Limits::reserve`], of inference alone, when its size is known and before a node is chosen; where its body
//!    keeps it waiting, [`Limits::enter`] counts it by then.
//! 3. [`Reservation::settle`], when it is over: real counts take the place of estimates. A request that a node
//!    failed is given back by dropping its reservation; one whose client left pays for what was produced.
//!
//! Requests are exact. Tokens and money are reserved as estimated (four bytes of the body are a token of the prompt,
//! and the output is as long as it may be); what a budget is overrun by is at most what the estimates of the
//! prompts that run at the same time fall short of their real counts. Under a cap on tokens or money, a request that
//! does not bound its output is bound by the gateway: to [`OPEN_OUTPUT`], or to what is left.
//!
//! Counters live in memory ([`Accounts`]) and are saved every second. A request that ran when the process was killed
//! stays counted as it was reserved; what was counted in the last second before may be lost.
//!
//! Where several gateways share the limits, each reserves in memory from the slices that it holds of them
//! ([`Sharing`]); a request whose slice is used up waits, for two seconds at most, until more was granted.
//!
//! Nothing here knows identity, and nothing waits while it holds a lock.

mod account;
mod caps;
mod clock;
pub mod configured;
mod exceeded;
mod logins;
mod prices;
pub mod pricing;
pub mod profile;
mod refill;
mod reserve;
pub mod resolve;
mod save;
pub mod setting;
pub mod shown;
mod slices;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;
mod wait;
mod window;

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aivonx_domain::network;
use aivonx_protocol::limit::LimitName;
use aivonx_store::Store;
use arc_swap::ArcSwap;

pub use account::{Account, Accounts, Kind, Level, Levels};
pub use caps::Caps;
pub use clock::{Clock, Now};
pub use exceeded::{Exceeded, Who, duration, usd};
pub use prices::{Price, Prices};
pub use refill::{OnStoreLoss, Shared, Sharing};
pub use reserve::{Ask, OPEN_OUTPUT, Output, Reservation, Used};
pub use window::Counters;

use reserve::Refused;
use wait::Wait;

/// The limits of the daemon.
pub struct Limits {
    clock: Clock,
    store: Store,
    accounts: Arc<Accounts>,
    throttles: throttle::Throttles,
    /// Caps of callers without an account: anonymous requests and logins.
    fleet: ArcSwap<Caps>,
    prices: Prices,
    refusals: [AtomicU64; LimitName::ALL.len()],
    /// What has the slices refilled, where several gateways share the limits.
    refill: Option<Arc<refill::Refill>>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// Now, as windows are counted.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The live counters.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// What tokens cost.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// The caps of anonymous callers and of logins, by address: `anonymous.hour`, `login.hour`, `reset.hour`,
    /// `token.hour`, `refused.hour` and `prompt.chars`.
    #[must_use]
    pub fn fleet(&self) -> Arc<Caps> {
        self.fleet.load_full()
    }

    /// Puts other caps of anonymous callers and logins in place.
    pub fn set_fleet(&self, caps: Caps) {
        self.fleet.store(Arc::new(caps));
    }

    /// What sharing the limits with other gateways came to; None where this one is alone.
    #[must_use]
    pub fn shared(&self) -> Option<Shared> {
        self.refill.as_ref().map(|refill| refill.figures())
    }

    /// What all gateways together have used of a shared limit, as the bank said last, with what others hold of it.
    pub(crate) fn used_by_all(&self, kind: Kind, id: &str, limit: LimitName) -> Option<u64> {
        self.refill.as_ref()?;
        let account = self.accounts.find(kind, id)?;
        let live = account.lock();
        live.slices.as_ref()?.shown(limit, &self.now())
    }

    /// What a subject has used.
    #[must_use]
    pub fn usage_of(&self, kind: Kind, id: &str) -> Counters {
        let now = self.now();
        self.accounts.find(kind, id).map_or_else(|| Account::nothing(&now), |account| account.counters(&now))
    }

    /// How many requests each limit refused since the start, by [`LimitName`].
    #[must_use]
    pub fn refusals(&self) -> [u64; LimitName::ALL.len()] {
        self.refusals.each_ref().map(|n| n.load(Ordering::Relaxed))
    }

    /// Counts one request of any kind: of somebody by `levels` (`user.hour`), of an anonymous caller by `address`
    /// (`anonymous.hour`).
    ///
    /// # Errors
    /// [`Exceeded`]; then it does not count.
    pub async fn throttle(&self, levels: Option<Levels<'_>>, address: IpAddr) -> Result<(), Exceeded> {
        let Some(levels) = levels else { return self.throttle_address(LimitName::AnonymousHour, address) };
        if levels.iter().flatten().all(|level| level.caps.of(LimitName::UserHour).is_none()) {
            return Ok(());
        }
        let mut wait = Wait::default();
        loop {
            let now = self.now();
            match reserve::throttle(levels, &now, wait.patience()) {
                Ok(()) => return Ok(()),
                Err(Refused::Exceeded(exceeded)) => return self.noted(Err(exceeded)),
                Err(Refused::Short(short)) => drop(wait.for_more(*short, &now).await),
            }
        }
    }

    /// Counts one use of `limit`, which is per hour, from `address` (an IPv6 network of 64 bits is one address). Does
    /// nothing without a cap in [`Self::fleet`].
    ///
    /// # Errors
    /// [`Exceeded`]; then it does not count.
    pub fn throttle_address(&self, limit: LimitName, address: IpAddr) -> Result<(), Exceeded> {
        let Some(cap) = self.fleet.load().of(limit) else { return Ok(()) };
        let now = self.now();
        let counted = self.throttles.count(limit, network(address), cap, &now);
        self.noted(counted.map_err(|full| full.exceeded(limit, cap, Who::Address, &now)))
    }

    /// Counts one use of `limit`, which is per hour, by a subject, of which `cap` are allowed.
    ///
    /// # Errors
    /// [`Exceeded`]; then it does not count.
    pub fn throttle_subject(
        &self,
        limit: LimitName,
        kind: Kind,
        id: &Arc<str>,
        cap: u64,
    ) -> Result<(), Exceeded> {
        let now = self.now();
        let counted = self.throttles.count(limit, (kind, &**id), cap, &now);
        self.noted(counted.map_err(|full| full.exceeded(limit, cap, Who::Subject(kind, id.clone()), &now)))
    }

    /// Counts a request that is still coming in against the limits that are counted in requests. To be given to
    /// [`Self::complete`] once its size is known, or dropped if it is not carried out.
    ///
    /// # Errors
    /// [`Exceeded`]: the limit that does not have room for it; then it does not count.
    pub async fn enter(&self, levels: Levels<'_>) -> Result<Reservation, Exceeded> {
        self.reserve(levels, &Ask::ENTRY).await
    }

    /// Takes what `ask` needs from every level. To be settled, or dropped where nothing was produced.
    ///
    /// # Errors
    /// [`Exceeded`]: the limit that does not have it; then nothing is taken.
    pub async fn reserve(&self, levels: Levels<'_>, ask: &Ask) -> Result<Reservation, Exceeded> {
        self.complete(None, levels, ask).await
    }

    /// The same for a request that may have `entered` before with the same levels: what it took then is part of it.
    ///
    /// # Errors
    /// [`Exceeded`]: the limit that does not have it; then nothing is taken, and what was is given back.
    pub async fn complete(
        &self,
        entered: Option<Reservation>,
        levels: Levels<'_>,
        ask: &Ask,
    ) -> Result<Reservation, Exceeded> {
        self.take(entered.map(|entered| (entered, None)), levels, ask).await
    }

    /// The same for what follows at once on something that is over and `used` so much, with the same levels: nobody
    /// else gets its place in between. It does not wait for more of a limit that is shared with other gateways.
    ///
    /// # Errors
    /// [`Exceeded`]: the limit that does not have it; then only what was used is taken.
    pub fn follow(
        &self,
        over: Option<(Reservation, Used)>,
        levels: Levels<'_>,
        ask: &Ask,
    ) -> Result<Reservation, Exceeded> {
        if levels.iter().all(Option::is_none) {
            return Ok(Reservation::of_nobody(ask));
        }
        let over = over.map(|(over, used)| (over, Some(used)));
        self.noted(reserve::at_once(levels, over, ask, &self.now()))
    }

    async fn take(
        &self,
        mut before: Option<reserve::Before>,
        levels: Levels<'_>,
        ask: &Ask,
    ) -> Result<Reservation, Exceeded> {
        if levels.iter().all(Option::is_none) {
            return Ok(Reservation::of_nobody(ask));
        }
        let mut wait = Wait::default();
        loop {
            let now = self.now();
            match reserve::reserve(levels, before, ask, &now, wait.patience()) {
                Ok(reservation) => return Ok(reservation),
                Err(Refused::Exceeded(exceeded)) => return self.noted(Err(exceeded)),
                Err(Refused::Short(short)) => before = wait.for_more(*short, &now).await,
            }
        }
    }

    /// Whether a model without a price is refused: `spend.unpriced` says so on any level, and money is limited on
    /// any.
    #[must_use]
    pub fn refuses_unpriced(levels: Levels<'_>) -> bool {
        let any = |limits: &[LimitName]| {
            let capped = |level: &Arc<Level>| limits.iter().any(|limit| level.caps.of(*limit).is_some());
            levels.iter().copied().flatten().any(capped)
        };
        any(&[LimitName::SpendUnpriced]) && any(&reserve::SPEND)
    }

    /// Counts a request that was refused because its model has no price.
    pub fn refused_unpriced(&self) {
        self.refusals[LimitName::SpendUnpriced as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The tightest `prompt.chars`, of every level or of anonymous callers.
    #[must_use]
    pub fn prompt_cap(&self, levels: Levels<'_>) -> Option<u64> {
        self.tightest_prompt(levels).map(|(cap, _)| cap)
    }

    fn tightest_prompt<'a>(&self, levels: Levels<'a>) -> Option<(u64, Option<&'a Arc<Level>>)> {
        let limit = LimitName::PromptChars;
        if levels.iter().all(Option::is_none) {
            return self.fleet.load().of(limit).map(|cap| (cap, None));
        }
        let caps =
            levels.into_iter().flatten().filter_map(|level| Some((level.caps.of(limit)?, Some(level))));
        caps.min_by_key(|(cap, _)| *cap)
    }

    /// Whether a prompt of so many characters is within `prompt.chars`, of every level or of anonymous callers.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn check_prompt(&self, levels: Levels<'_>, characters: u64) -> Result<(), Exceeded> {
        let limit = LimitName::PromptChars;
        let Some((cap, level)) = self.tightest_prompt(levels).filter(|(cap, _)| characters > *cap) else {
            return Ok(());
        };
        let of = |level: &Arc<Level>| Who::Subject(level.account.kind(), level.account.id().clone());
        let who = level.map_or(Who::Address, of);
        let now = self.now().wall;
        let (used, asked) = (characters, characters);
        self.noted(Err(Exceeded {
            limit,
            cap,
            used,
            asked,
            resets_in: None,
            resets_at: now,
            who,
            is_unsure: false,
        }))
    }

    fn noted<T>(&self, done: Result<T, Exceeded>) -> Result<T, Exceeded> {
        if let Err(exceeded) = &done {
            self.refusals[exceeded.limit as usize].fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}
