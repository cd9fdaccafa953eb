//! Refilling slices: one task that asks the bank for more before slices are used up, renews leases, gives back what is not
//! needed, and says so when the bank is away. Requests never ask the bank themselves.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aivonx_store::{
    StoreError,
    bank::{Bank, Report, Turn},
};
use tokio::{sync::Notify, time::Instant};

use super::{Account, Accounts, Kind, Limits, slices::When};

/// Least time between two turns: what comes meanwhile goes into one.
const GAP: Duration = Duration::from_millis(5);
/// Most time between two looks for what others wait for, while something is held.
const LOOK: Duration = Duration::from_millis(200);
/// A bank that has not answered for so long is away.
const AWAY: Duration = Duration::from_secs(2);
/// Reports of one turn.
const REPORTS: usize = 256;

/// What happens when the database cannot be asked and the part of a limit that this gateway holds is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStoreLoss {
    /// Requests are refused.
    #[default]
    Slice,
    /// Requests are let through, and counted when the database is there again.
    Open,
    /// Requests are refused at once, before that part is used up.
    Closed,
}

impl OnStoreLoss {
    /// Its word, as in `cluster.on_store_loss`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slice => "slice",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// How limits are shared with other gateways.
pub struct Sharing {
    /// Where.
    pub bank: Arc<dyn Bank>,
    /// Time between two renewals of leases.
    pub renew: Duration,
    /// How long a lease lasts without.
    pub expires: Duration,
    /// While the bank is away.
    pub on_loss: OnStoreLoss,
}

/// What shared limits came to since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shared {
    /// Whether the bank is away.
    pub is_away: bool,
    /// Turns it answered, and those it did not.
    pub turns: u64,
    /// See there.
    pub failures: u64,
    /// Leases, of any gateway, that this one found expired and booked as spent.
    pub expired: u64,
    /// How much was booked as spent and put right.
    pub put_right: u64,
    /// How much this gateway let go as spent because it did not know its leases any more.
    pub let_go: u64,
}

/// See the module.
pub(super) struct Refill {
    bank: Arc<dyn Bank>,
    renew: Duration,
    expires: Duration,
    pub(super) on_loss: OnStoreLoss,
    /// Accounts to look after that the task does not know yet.
    new: Mutex<Vec<Arc<Account>>>,
    wake: Notify,
    /// Held during a turn, so that what is said last is what holds; true when the gateway has stopped.
    ended: tokio::sync::Mutex<bool>,
    is_away: AtomicBool,
    turns: AtomicU64,
    failures: AtomicU64,
    expired: AtomicU64,
    put_right: AtomicU64,
    let_go: AtomicU64,
}

impl fmt::Debug for Refill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refill").finish_non_exhaustive()
    }
}

impl Refill {
    pub(super) fn new(sharing: Sharing) -> Self {
        let Sharing { bank, renew, expires, on_loss } = sharing;
        let zero = AtomicU64::default;
        Self {
            bank,
            renew,
            expires,
            on_loss,
            new: Mutex::default(),
            wake: Notify::new(),
            ended: tokio::sync::Mutex::default(),
            is_away: AtomicBool::new(false),
            turns: zero(),
            failures: zero(),
            expired: zero(),
            put_right: zero(),
            let_go: zero(),
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    pub(super) fn expires_millis(&self) -> i64 {
        i64::try_from(self.expires.as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn look_after(&self, account: Arc<Account>) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(account);
    }

    /// Has the task ask at once.
    pub(super) fn hurry(&self) {
        self.wake.notify_one();
    }

    pub(super) fn figures(&self) -> Shared {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Shared {
            is_away: self.is_away(),
            turns: load(&self.turns),
            failures: load(&self.failures),
            expired: load(&self.expired),
            put_right: load(&self.put_right),
            let_go: load(&self.let_go),
        }
    }

    /// Runs until `limits` is gone.
    pub(super) async fn run(self: Arc<Self>, limits: Weak<Limits>) {
        let look = LOOK.min(self.renew / 4);
        let mut held: Vec<Arc<Account>> = Vec::new();
        let mut epoch = None;
        let (mut looked, mut renewed) = (Instant::now(), Instant::now());
        loop {
            let pause = if held.is_empty() { self.renew } else { look };
            // What is left to wait for is looked for again and again: others give it back.
            let _ = tokio::time::timeout(pause, self.wake.notified()).await;
            let Some(limits) = limits.upgrade() else { return };
            held.append(&mut self.new.lock().unwrap_or_else(PoisonError::into_inner));
            let when = if renewed.elapsed() >= self.renew {
                renewed = Instant::now();
                When::Renewal
            } else if looked.elapsed() >= look {
                When::Look
            } else {
                When::Hurry
            };
            if when >= When::Look {
                looked = Instant::now();
            }
            let turned = self.turns(&limits, &held, when).await;
            let is_there = turned.is_ok();
            let mut is_forgotten = false;
            for turn in turned.into_iter().flatten() {
                is_forgotten |= epoch.replace(turn.epoch).is_some_and(|known| known != turn.epoch);
                for budget in turn.wanted {
                    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == budget.kind);
                    let account = kind.and_then(|kind| limits.accounts.find(kind, &budget.subject));
                    let Some(account) = account else { continue };
                    let is_new = account.lock().slices.as_mut().is_some_and(|s| s.is_wanted(&budget.name));
                    held.extend(is_new.then_some(account));
                    self.hurry();
                }
            }
            if is_forgotten {
                tracing::warn!(
                    event = "budget_restored",
                    "the database of shared limits went back to an earlier state; every gateway says again what it has used \
                     before more is granted"
                );
                held.extend(limits.accounts.all().into_iter().filter(|account| {
                    account.lock().slices.as_mut().is_some_and(|slices| slices.say_again())
                }));
                self.hurry();
            }
            let now = limits.now();
            held.retain(|account| account.lock().slices.as_mut().is_some_and(|slices| !slices.is_done(&now)));
            drop(limits);
            if when == When::Renewal && is_there {
                self.expire().await;
            }
            tokio::time::sleep(if self.is_away() { look } else { GAP }).await;
        }
    }

    /// Gives back everything that is not used, when nothing is reserved any more.
    ///
    /// # Errors
    /// If the bank is away: then leases expire, and what they hold counts as spent.
    pub(super) async fn end(
        self: &Arc<Self>,
        accounts: &Accounts,
        limits: &Limits,
    ) -> Result<(), StoreError> {
        self.turns(limits, &accounts.all(), When::End).await.map(|_| ())
    }

    async fn expire(self: &Arc<Self>) {
        // Turns go on without it: whether the bank is away is for them to say.
        let bank = self.bank.clone();
        let asked = tokio::task::spawn_blocking(move || bank.expire()).await;
        let Ok(Ok(expired)) = asked else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for lease in expired {
            self.expired.fetch_add(1, Ordering::Relaxed);
            let (budget, member) = (lease.budget, lease.member);
            tracing::warn!(
                event = "budget_expired",
                limit = budget.name,
                subject = budget.subject,
                member,
                amount = lease.amount,
                spent = lease.spent,
                "a gateway did not renew its part of a limit; it counts as spent until that gateway says what it has used"
            );
        }
    }

    /// Tells the bank what is due of `held`, and takes its answers.
    async fn turns(
        self: &Arc<Self>,
        limits: &Limits,
        held: &[Arc<Account>],
        when: When,
    ) -> Result<Vec<Turn>, StoreError> {
        let mut ended = self.ended.lock().await;
        *ended |= when == When::End;
        if *ended && when != When::End {
            return Ok(Vec::new());
        }
        let now = limits.now();
        let mut due: Vec<(&Arc<Account>, usize, Report)> = Vec::new();
        for account in held {
            if let Some(slices) = &mut account.lock().slices {
                let reports = slices.reports(account, when, &now);
                due.extend(reports.into_iter().map(|(at, report)| (account, at, report)));
            }
        }
        if due.is_empty() && when == When::Hurry {
            return Ok(Vec::new());
        }
        let mut done = Vec::new();
        let mut chunks = due.chunks(REPORTS);
        loop {
            let chunk = chunks.next().unwrap_or_default();
            if chunk.is_empty() && !done.is_empty() {
                return Ok(done);
            }
            let reports: Vec<Report> = chunk.iter().map(|(_, _, report)| report.clone()).collect();
            let sent = limits.now().steady;
            let turn = self.ask(move |bank| bank.turn(&reports)).await;
            if turn.is_err() {
                // Told again.
                for (account, ..) in &due {
                    if let Some(slices) = &mut account.lock().slices {
                        slices.say_again();
                    }
                }
            }
            let turn = turn.inspect_err(|_| self.tell(held))?;
            for ((account, at, report), answer) in chunk.iter().zip(&turn.answers) {
                if let Some(slices) = &mut account.lock().slices {
                    slices.answered(*at, answer, now.steady, sent);
                }
                self.note(report, answer.corrected);
            }
            // Once all are there: a request may need several.
            for (account, ..) in chunk {
                if let Some(slices) = &account.lock().slices {
                    slices.tell();
                }
            }
            done.push(turn);
        }
    }

    fn note(&self, report: &Report, corrected: i64) {
        let (limit, subject) = (&report.budget.name, &report.budget.subject);
        let amount = corrected.unsigned_abs();
        if corrected > 0 {
            self.put_right.fetch_add(amount, Ordering::Relaxed);
            tracing::info!(
                event = "budget_put_right",
                limit,
                subject,
                amount,
                "a part of a limit that counted as spent was not; it can be used again"
            );
        } else if corrected < 0 {
            self.let_go.fetch_add(amount, Ordering::Relaxed);
            tracing::warn!(
                event = "budget_let_go",
                limit,
                subject,
                amount,
                "what this gateway held of a limit before it was started anew counts as spent"
            );
        }
    }

    /// Has requests that wait look again.
    fn tell(&self, held: &[Arc<Account>]) {
        held.iter().for_each(|account| {
            if let Some(slices) = &account.lock().slices {
                slices.tell();
            }
        });
    }

    /// Asks the bank in a thread that may block.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&dyn Bank) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let bank = self.bank.clone();
        let mut asked = tokio::task::spawn_blocking(move || ask(&*bank));
        let answer = match tokio::time::timeout(AWAY, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => {
                self.went(Some(&"it has not answered for 2 seconds"));
                asked.await
            }
        };
        let answer = answer.unwrap_or_else(|_| Err(StoreError::Closed));
        match &answer {
            Ok(_) => {
                self.turns.fetch_add(1, Ordering::Relaxed);
                self.went(None);
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.went(Some(error));
            }
        }
        answer
    }

    /// The bank is away, and why; or there.
    fn went(&self, why: Option<&dyn fmt::Display>) {
        let was_away = self.is_away.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(error) if !was_away => tracing::error!(
                event = "budget_degraded",
                %error,
                on_store_loss = self.on_loss.name(),
                "limits cannot be shared with other gateways at the moment; requests go on with what this gateway holds"
            ),
            None if was_away => {
                tracing::info!(event = "budget_recovered", "limits are shared with other gateways again")
            }
            _ => {}
        }
    }
}
