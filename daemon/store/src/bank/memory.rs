//! A bank in memory with the semantics of the one in PostgreSQL, for tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Answer, Bank, Budget, Expired, Period, Report, Turn};
use crate::StoreError;

/// Milliseconds after which a lease that was not renewed is booked as spent.
const EXPIRES: i64 = 30_000;

#[derive(Debug, Clone, Default)]
struct Lease {
    id: i64,
    amount: u64,
    spent: u64,
    live: bool,
    expires: i64,
}

#[derive(Debug, Clone, Default)]
struct Account {
    used: u64,
    leases: BTreeMap<String, Lease>,
    wanted: Option<(String, i64)>,
    places: bool,
}

impl Account {
    fn leased(&self) -> u64 {
        self.leases.values().filter(|lease| lease.live).map(|lease| lease.amount).sum()
    }
}

/// Everything in it; can be put back to an earlier state.
#[derive(Debug, Clone, Default)]
struct State {
    now: i64,
    epoch: i64,
    held_until: i64,
    turns: BTreeMap<String, i64>,
    budgets: BTreeMap<(Budget, i64), Account>,
    away: BTreeSet<String>,
}

/// See the module. Its time is set by hand.
#[derive(Debug, Clone, Default)]
pub struct MemoryBank(Arc<Mutex<State>>);

/// One gateway's way to it.
#[derive(Debug)]
struct Member {
    bank: MemoryBank,
    name: String,
    /// The last one tried, and the last one answered.
    turns: Mutex<(i64, i64)>,
}

impl MemoryBank {
    /// The way of a gateway.
    #[must_use]
    pub fn member(&self, name: &str) -> Arc<dyn Bank> {
        Arc::new(Member { bank: self.clone(), name: name.to_owned(), turns: Mutex::default() })
    }

    /// Lets milliseconds pass.
    pub fn pass(&self, millis: i64) {
        self.state().now += millis;
    }

    /// Cuts a gateway off, or lets it in again.
    pub fn cut(&self, name: &str, off: bool) {
        let mut state = self.state();
        if off {
            state.away.insert(name.to_owned())
        } else {
            state.away.remove(name)
        };
    }

    /// A copy of it as it is now.
    #[must_use]
    pub fn backup(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Puts a copy back; its time goes on.
    pub fn restore(&self, backup: &Self) {
        let now = self.state().now;
        let old = backup.state().clone();
        *self.state() = State { now, ..old };
    }

    /// Booked as spent, and leased, of every budget and period.
    #[must_use]
    pub fn books(&self) -> Vec<(Budget, i64, u64, u64)> {
        let state = self.state();
        state.budgets.iter().map(|((budget, at), a)| (budget.clone(), *at, a.used, a.leased())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn period(period: Period, now: i64) -> (i64, Option<i64>) {
    let of = |length: i64| (now.div_euclid(length), Some(length - now.rem_euclid(length)));
    match period {
        Period::None => (0, None),
        Period::Minute => of(60_000),
        Period::Hour => of(3_600_000),
        Period::Day => of(86_400_000),
        Period::Month => of(30 * 86_400_000),
    }
}

impl State {
    fn report(&mut self, member: &str, report: &Report) -> Answer {
        let (now, is_held) = (self.now, self.held_until > self.now);
        let (window, left) = period(report.period, now);
        let account = self.budgets.entry((report.budget.clone(), window)).or_default();
        account.places = report.period == Period::None;
        let known = report.window == Some(window);
        let (hold, spent) = if known { (report.hold.max(report.spent), report.spent) } else { (0, 0) };
        let is_live = account.leases.get(member).is_some_and(|lease| lease.live && lease.id == report.id);
        let hold = if account.places && !is_held && !is_live { spent } else { hold };
        let mut corrected = 0;
        if let Some(old) = account.leases.remove(member) {
            if old.id == report.id {
                if !old.live {
                    account.used -= old.amount;
                    corrected = if account.places { 0 } else { old.amount.saturating_sub(spent) as i64 };
                }
            } else if !account.places {
                if old.live {
                    account.used += old.amount;
                }
                corrected = old.spent as i64 - old.amount as i64;
            }
        }
        let others_held = account.used + account.leased();
        let free = report.cap.saturating_sub(others_held + spent);
        let wish = report.need.max((report.need + report.more).min(free / 4)).min(free);
        let is_wanted = account.wanted.as_ref().is_some_and(|(by, until)| by != member && *until > now);
        let is_granted = !(is_held || is_wanted && report.need > free);
        let amount = if is_granted { hold.max(spent + wish) } else { hold };
        let others = account.leases.values().filter(|lease| lease.live).map(|lease| lease.spent);
        let others_spent = account.used + others.sum::<u64>();
        let lease = Lease { id: report.id, amount, spent, live: true, expires: now + EXPIRES };
        account.leases.insert(member.to_owned(), lease);
        if !is_wanted {
            let is_short = amount < spent + report.need;
            let until = account.wanted.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
            account.wanted = is_short.then(|| (member.to_owned(), until.unwrap_or(now + 2000)));
        }
        Answer { window, left: left.map(i64::unsigned_abs), amount, others_held, others_spent, corrected }
    }
}

impl Bank for Member {
    fn turn(&self, reports: &[Report]) -> Result<Turn, StoreError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.bank.state();
        if state.away.contains(&self.name) {
            return Err(StoreError::Database("the bank is away".into()));
        }
        let reached = state.turns.get(&self.name).copied().unwrap_or(0);
        if reached < turns.1 {
            // By a random step: no number comes twice when an earlier state is put back again.
            state.epoch += 1 + (RandomState::new().hash_one(state.now) % 1_000_000) as i64;
            state.held_until = state.now + EXPIRES;
        }
        turns.0 = turns.0.max(reached) + 1;
        turns.1 = turns.0;
        state.turns.insert(self.name.clone(), turns.0);
        let answers = reports.iter().map(|report| state.report(&self.name, report)).collect();
        let is_wanted = |account: &Account| {
            let idle = account.leases.get(&self.name).is_some_and(|l| l.live && l.amount > l.spent);
            idle && account.wanted.as_ref().is_some_and(|(by, until)| *by != self.name && *until > state.now)
        };
        let wanted = state.budgets.iter().filter(|(_, account)| is_wanted(account));
        let wanted = wanted.map(|((budget, _), _)| budget.clone()).collect();
        Ok(Turn { epoch: state.epoch, answers, wanted })
    }

    fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        let mut state = self.bank.state();
        if state.away.contains(&self.name) {
            return Err(StoreError::Database("the bank is away".into()));
        }
        let (now, mut expired) = (state.now, Vec::new());
        for ((budget, _), account) in &mut state.budgets {
            for (member, lease) in account.leases.iter_mut().filter(|(_, l)| l.live && l.expires < now) {
                let Lease { amount, spent, .. } = *lease;
                lease.live = false;
                if account.places {
                    lease.amount = 0;
                } else {
                    account.used += amount;
                }
                if amount > spent {
                    expired.push(Expired { budget: budget.clone(), member: member.clone(), amount, spent });
                }
            }
        }
        Ok(expired)
    }
}
