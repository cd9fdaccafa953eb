//! Slices: what an account may reserve of budgets that several gateways share, without asking anybody.
//!
//! A slice says how much this gateway was granted in a period of the bank, and how much of that it has used. A request
//! that does not fit into it waits until [`super::refill`] has asked for more; it is refused when the bank has said that
//! the cap is used up.

use std::sync::Arc;

use aivonx_protocol::limit::LimitName;
use aivonx_store::bank::{Answer, Budget, Period, Report};
use tokio::sync::watch;

use super::{
    Account, Caps, OnStoreLoss,
    clock::{MINUTE, Now},
    refill::Refill,
    reserve::Used,
};

/// How many budgets of an account are shared.
pub(super) const COUNT: usize = 8;

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Requests,
    Tokens,
    Spend,
    Places,
    /// Requests of any kind, which are not given back.
    Calls,
}

/// The budgets of an account.
const SHARED: [(LimitName, Period, Unit); COUNT] = [
    (LimitName::UserHour, Period::Hour, Unit::Calls),
    (LimitName::InferenceDay, Period::Day, Unit::Requests),
    (LimitName::BurstMinute, Period::Minute, Unit::Requests),
    (LimitName::SpendDay, Period::Day, Unit::Spend),
    (LimitName::SpendMonth, Period::Month, Unit::Spend),
    (LimitName::TokensMinute, Period::Minute, Unit::Tokens),
    (LimitName::TokensDay, Period::Day, Unit::Tokens),
    (LimitName::Concurrent, Period::None, Unit::Places),
];

/// Milliseconds for which it is believed that a budget cannot be had.
const BELIEVED: i64 = 1000;

/// Most that is counted as used: a wrong number of one request does not leave the range of the bank.
const MOST: u64 = 100_000_000_000_000_000;

/// Whether a budget has what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The slice has not, the cap may have.
    Short,
    /// The cap is used up: so much is used by all gateways.
    Used(u64),
    /// The cap may have it, but it cannot be had now; so much is known to be used.
    Unknown(u64),
}

/// What is told when nothing is known to have been: to be told again.
const NOTHING_TOLD: (u64, u64) = (u64::MAX, u64::MAX);

/// What a reservation took of each slice: the serial of its period; 0 is nothing.
pub(super) type Serials = [u32; COUNT];

#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    id: i64,
    /// The bank's number of the period; None before it was said.
    window: Option<i64>,
    /// When the period ends, and until when the lease lasts without being renewed, by the steady clock.
    ends: i64,
    lasts: i64,
    /// Differs from that of the period before.
    serial: u32,
    cap: u64,
    granted: u64,
    used: u64,
    /// What requests wait for.
    waiting: u64,
    /// What is kept beside what is used, so that no request has to wait. Grows with demand.
    step: u64,
    others_held: u64,
    others_spent: u64,
    /// Until when a request is refused at once because the bank said that all is used, or could not be asked.
    dry_until: i64,
    scarce_until: i64,
    /// Least that is refused until then: what did not arrive in time.
    scarce: u64,
    /// What somebody needs who does not wait; asked for once.
    passing: u64,
    /// When the last report that was answered was made, by the steady clock.
    heard: i64,
    /// Granted and used as the bank was told last.
    told: (u64, u64),
    used_at_renewal: u64,
    /// Others wait for what is not needed here.
    is_wanted: bool,
    /// From before a restart: the bank has not been told yet.
    is_resumed: bool,
    /// The cap was lowered, and less is held since: the bank has not been told yet.
    is_lowered: bool,
    /// The bank did not grant all that was waited for: it is told when nothing is any more.
    is_lacking: bool,
}

impl Slice {
    fn new(serial: u32) -> Self {
        Self {
            id: rand_id(),
            window: None,
            ends: i64::MIN,
            lasts: i64::MIN,
            serial,
            cap: 0,
            granted: 0,
            used: 0,
            waiting: 0,
            step: 0,
            others_held: 0,
            others_spent: 0,
            dry_until: i64::MIN,
            scarce_until: i64::MIN,
            scarce: 0,
            passing: 0,
            heard: i64::MIN,
            told: (0, 0),
            used_at_renewal: 0,
            is_wanted: false,
            is_resumed: false,
            is_lowered: false,
            is_lacking: false,
        }
    }

    fn is_over(&self, now: &Now) -> bool {
        now.steady >= self.ends
    }

    /// Used by all gateways, as far as it is known.
    fn used_by_all(&self, now: &Now) -> u64 {
        if self.is_over(now) { 0 } else { self.others_spent.saturating_add(self.used) }
    }

    /// Whether the bank has more, as far as it is known.
    fn is_low(&self, now: &Now) -> bool {
        let left = self.granted.saturating_sub(self.used);
        left < self.step / 2 && self.others_held.saturating_add(self.granted) < self.cap && !self.is_over(now)
    }

    fn grow(&mut self, asked: u64) {
        self.step = self.step.max(asked).saturating_mul(2).min(self.cap / 8);
    }

    /// Begins anew with what the bank says of another period.
    fn begin(&mut self, keep: u64) {
        let (cap, waiting, step) = (self.cap, self.waiting, self.step);
        // 0 stands for nothing taken.
        let serial = self.serial.wrapping_add(1).max(1);
        *self = Self { id: self.id, cap, waiting, step, used: keep, ..Self::new(serial) };
    }

    fn forget(&mut self) {
        let is_places = self.window == Some(0);
        self.begin(if is_places { self.used } else { 0 });
        self.id = rand_id();
    }
}

/// The ids of leases only have to differ from those that this gateway had before.
fn rand_id() -> i64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()).cast_signed()
}

/// The slices of an account.
#[derive(Debug, Clone)]
pub(super) struct Slices {
    each: [Slice; COUNT],
    /// Whether the refilling task looks after it.
    is_known: bool,
    /// Told whenever the bank has answered, or cannot be asked.
    arrived: watch::Sender<u64>,
    refill: Arc<Refill>,
}

impl Slices {
    pub(super) fn new(refill: Arc<Refill>) -> Self {
        let each = std::array::from_fn(|_| Slice::new(1));
        Self { each, is_known: false, arrived: watch::Sender::new(0), refill }
    }

    /// Takes back what was done under the same lock since `old` was copied, but for what is waited for.
    pub(super) fn undo(&mut self, old: &Self) {
        for (slice, old) in self.each.iter_mut().zip(old.each) {
            (slice.used, slice.serial) = (old.used, old.serial);
        }
    }

    /// Told with the bank's next answer.
    pub(super) fn arrives(&self) -> watch::Receiver<u64> {
        self.arrived.subscribe()
    }

    fn slice(&self, limit: LimitName) -> Option<&Slice> {
        place(limit).map(|at| &self.each[at])
    }

    /// Whether there is room for `asked` under `cap`. `patience` is what the request has waited.
    pub(super) fn check(
        &mut self,
        limit: LimitName,
        cap: u64,
        asked: u64,
        now: &Now,
        patience: Patience,
    ) -> Room {
        let Some(at) = place(limit) else { return Room::Enough };
        let slice = &mut self.each[at];
        let is_over = slice.is_over(now);
        if cap < slice.cap && !is_over {
            let granted = slice.used.max(slice.granted.min(cap.saturating_sub(slice.others_held)));
            if granted < slice.granted {
                (slice.granted, slice.is_lowered) = (granted, true);
                self.refill.hurry();
            }
        }
        slice.cap = cap;
        let used = if is_over { 0 } else { slice.used };
        let all = slice.used_by_all(now);
        if asked == 0 {
            return if all > cap { Room::Used(all) } else { Room::Enough };
        }
        if asked > cap {
            return Room::Used(all);
        }
        let loss = self.refill.is_away().then_some(self.refill.on_loss);
        if loss == Some(OnStoreLoss::Closed) {
            return Room::Unknown(all);
        }
        let wanted = used.saturating_add(asked);
        // Places are free again for others where a lease was not renewed.
        let is_held = limit != LimitName::Concurrent || now.steady < slice.lasts;
        if !is_over && is_held && wanted <= slice.granted.min(cap) {
            return Room::Enough;
        }
        match loss {
            Some(OnStoreLoss::Open) => return Room::Enough,
            Some(_) => return Room::Unknown(all),
            None => {}
        }
        let has_heard = match patience {
            Patience::Fresh | Patience::Never => false,
            Patience::Answered(since) | Patience::Ended(since) => slice.heard >= since,
        };
        let is_said = has_heard || patience == Patience::Never || now.steady < slice.dry_until;
        if !is_over && is_said && cap.saturating_sub(slice.others_spent) < wanted {
            // Not renewed by those who did not wait for an answer: the bank is asked again when it is over.
            if has_heard {
                slice.dry_until = now.steady + BELIEVED;
            }
            return Room::Used(all);
        }
        let is_scarce = now.steady < slice.scarce_until;
        match patience {
            Patience::Never => {
                slice.passing = slice.passing.max(asked);
                self.refill.hurry();
                Room::Unknown(all)
            }
            Patience::Ended(_) => {
                slice.scarce = if is_scarce { slice.scarce.min(asked) } else { asked };
                slice.scarce_until = now.steady + BELIEVED;
                Room::Unknown(all)
            }
            _ if is_scarce && asked >= slice.scarce => Room::Unknown(all),
            _ => Room::Short,
        }
    }

    /// What is left under `cap`, as far as it is known.
    pub(super) fn left(&self, limit: LimitName, cap: u64, now: &Now) -> u64 {
        let known = self.slice(limit).filter(|slice| !slice.is_over(now));
        known.map_or(cap, |slice| cap.saturating_sub(slice.others_held.saturating_add(slice.used)))
    }

    /// Used of a limit by all gateways, where there is a cap on it; what others hold unspent is in it.
    pub(super) fn shown(&self, limit: LimitName, now: &Now) -> Option<u64> {
        let slice = self.slice(limit).filter(|slice| slice.window.is_some() && slice.cap > 0)?;
        Some(if slice.is_over(now) { 0 } else { slice.others_held.saturating_add(slice.used) })
    }

    /// Takes requests, tokens and micro-USD of everything that has a cap.
    pub(super) fn take(
        &mut self,
        caps: &Caps,
        asked: [u64; 3],
        now: &Now,
        account: &Arc<Account>,
    ) -> Serials {
        let serials = std::array::from_fn(|at| {
            let (limit, _, unit) = SHARED[at];
            let amount = match unit {
                Unit::Requests | Unit::Places => asked[0],
                Unit::Tokens => asked[1],
                Unit::Spend => asked[2],
                Unit::Calls => return 0,
            };
            if caps.of(limit).is_none() { 0 } else { self.add(at, amount, now) }
        });
        self.changed(now, account);
        serials
    }

    /// Takes a request of the hour.
    pub(super) fn call(&mut self, now: &Now, account: &Arc<Account>) {
        self.add(0, 1, now);
        self.changed(now, account);
    }

    fn add(&mut self, at: usize, amount: u64, now: &Now) -> u32 {
        let slice = &mut self.each[at];
        // Only where it is let through without the bank. What it held is spent for the bank then.
        if amount > 0 && slice.window.is_some() && slice.is_over(now) {
            slice.forget();
        }
        slice.used = slice.used.saturating_add(amount).min(MOST);
        if slice.is_low(now) {
            slice.grow(1);
        }
        slice.serial
    }

    /// Puts what was `used` in the place of what was `reserved`, or gives that back.
    pub(super) fn close(
        &mut self,
        serials: &Serials,
        reserved: Used,
        used: Option<Used>,
        account: &Arc<Account>,
    ) {
        self.look_after(account);
        for (at, serial) in serials.iter().enumerate().filter(|(_, serial)| **serial != 0) {
            let slice = &mut self.each[at];
            let same = slice.serial == *serial;
            let (reserved, real) = match SHARED[at].2 {
                Unit::Places => (1, 0),
                Unit::Requests => (1, used.map_or(0, |_| 1)),
                Unit::Tokens => (reserved.tokens, used.map_or(0, |used| used.tokens)),
                Unit::Spend => (reserved.cost, used.map_or(0, |used| used.cost)),
                Unit::Calls => continue,
            };
            // Of a period that is over only what goes beyond is counted, in the present one.
            slice.used = if same {
                slice.used.saturating_sub(reserved).saturating_add(real)
            } else {
                slice.used.saturating_add(real.saturating_sub(reserved))
            }
            .min(MOST);
        }
    }

    pub(super) fn look_after(&mut self, account: &Arc<Account>) {
        if !std::mem::replace(&mut self.is_known, true) {
            self.refill.look_after(account.clone());
        }
    }

    /// Has the refilling task look after the account, at once where something is low.
    fn changed(&mut self, now: &Now, account: &Arc<Account>) {
        self.look_after(account);
        if self.each.iter().any(|slice| slice.is_low(now)) {
            self.refill.hurry();
        }
    }

    /// Says that a request waits for `asked` of a limit.
    pub(super) fn wait(&mut self, limit: LimitName, asked: u64, patience: Patience, account: &Arc<Account>) {
        let Some(at) = place(limit) else { return };
        let slice = &mut self.each[at];
        slice.waiting = slice.waiting.saturating_add(asked);
        if slice.step < slice.waiting {
            slice.grow(asked);
        }
        self.look_after(account);
        // Those who have waited before are asked for from time to time.
        if patience == Patience::Fresh {
            self.refill.hurry();
        }
    }

    pub(super) fn wait_ends(&mut self, limit: LimitName, asked: u64) {
        if let Some(at) = place(limit) {
            self.each[at].waiting = self.each[at].waiting.saturating_sub(asked);
        }
    }

    /// Others wait for what is not needed here of a limit.
    pub(super) fn is_wanted(&mut self, limit: &str) -> bool {
        let at = SHARED.iter().position(|(name, ..)| name.name() == limit);
        at.is_some_and(|at| {
            self.each[at].is_wanted = true;
            !std::mem::replace(&mut self.is_known, true)
        })
    }

    /// What the bank is to be told now, each with its place. `when` says what is due beside what cannot wait.
    pub(super) fn reports(&mut self, account: &Account, when: When, now: &Now) -> Vec<(usize, Report)> {
        let mut reports = Vec::new();
        for (at, (limit, period, unit)) in SHARED.into_iter().enumerate() {
            let slice = &mut self.each[at];
            let is_over = slice.is_over(now);
            if slice.window.is_some() && !slice.is_resumed && now.steady > slice.ends.saturating_add(MINUTE) {
                slice.forget();
            }
            let waiting = slice.waiting.max(slice.passing);
            if waiting == 0 && !slice.is_resumed && (slice.window.is_none() || is_over) {
                continue;
            }
            if when >= When::Renewal {
                if slice.used_at_renewal == slice.used {
                    slice.step /= 2;
                }
                slice.used_at_renewal = slice.used;
            }
            let is_idle = unit == Unit::Places && slice.used == 0 && waiting == 0 && when >= When::Look;
            let gives = slice.is_wanted || when >= When::Renewal || is_idle;
            let keep = if slice.is_wanted || is_idle || when == When::End { 0 } else { slice.step };
            let most = slice.used.saturating_add(waiting).saturating_add(keep);
            if gives && slice.granted > most {
                slice.granted = most;
            }
            // Another gateway asked first for what is not enough here.
            let is_stuck = slice.is_wanted && slice.granted < slice.used.saturating_add(waiting);
            // Places of a lease that was not renewed are free for others.
            if is_stuck || unit == Unit::Places && now.steady >= slice.lasts {
                slice.granted = slice.granted.min(slice.used);
            }
            // Where the cap was lowered.
            slice.granted = slice.granted.min(slice.used.max(slice.cap.saturating_sub(slice.others_held)));
            let has_changed = slice.told != (slice.granted, slice.used);
            let is_held = slice.granted > slice.used || unit == Unit::Places && slice.granted > 0;
            let is_due = waiting > 0
                || slice.is_resumed
                || slice.is_lacking
                || slice.is_lowered
                || slice.is_low(now)
                || has_changed && gives
                // What was given back others may have at once.
                || when >= When::Look && slice.used < slice.told.1
                || when >= When::Renewal && is_held;
            if !is_due {
                continue;
            }
            slice.told = (slice.granted, slice.used);
            slice.is_lacking = waiting > 0;
            slice.passing = 0;
            let budget = Budget {
                kind: account.kind() as u8,
                subject: account.id().to_string(),
                name: limit.name().to_owned(),
            };
            reports.push((
                at,
                Report {
                    budget,
                    period,
                    cap: slice.cap,
                    id: slice.id,
                    window: slice.window,
                    hold: slice.granted.max(slice.used),
                    spent: slice.used,
                    need: waiting,
                    more: keep,
                },
            ));
        }
        reports
    }

    /// What the bank answered to a report that was made and sent at these times of the steady clock.
    pub(super) fn answered(&mut self, at: usize, answer: &Answer, made: i64, sent: i64) {
        let slice = &mut self.each[at];
        let left = answer.left.map_or(i64::MAX, |left| i64::try_from(left).unwrap_or(i64::MAX));
        match slice.window {
            Some(window) if answer.window < window => {
                // The server's clock went back. What is granted is not used, as it may have been used before.
                slice.forget();
                return;
            }
            Some(window) if answer.window > window => slice.begin(0),
            _ => {}
        }
        if slice.window.is_none() {
            slice.told = (answer.amount, slice.used);
        }
        slice.window = Some(answer.window);
        slice.heard = made;
        slice.ends = sent.saturating_add(left);
        slice.lasts = sent.saturating_add(self.refill.expires_millis());
        slice.granted = answer.amount;
        slice.told.0 = answer.amount;
        (slice.others_held, slice.others_spent) = (answer.others_held, answer.others_spent);
        (slice.is_wanted, slice.is_resumed, slice.is_lowered) = (false, false, false);
        slice.is_lacking &= slice.granted < slice.used.saturating_add(slice.waiting);
    }

    /// Wakes requests that wait.
    pub(super) fn tell(&self) {
        self.arrived.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Has everything said again to a bank that has forgotten.
    pub(super) fn say_again(&mut self) -> bool {
        for slice in &mut self.each {
            slice.told = NOTHING_TOLD;
        }
        let is_any = self.each.iter().any(|slice| slice.window.is_some());
        is_any && !std::mem::replace(&mut self.is_known, true)
    }

    /// What the bank could not be told before the gateway stops, by place: a line each.
    pub(super) fn saved(&self) -> Vec<String> {
        let lines = self.each.iter().enumerate().take(COUNT - 1).filter_map(|(at, slice)| {
            let (window, Slice { id, granted, used, cap, .. }) = (slice.window?, slice);
            Some(format!("{at} {id} {window} {granted} {used} {cap}"))
        });
        lines.collect()
    }

    /// Goes on with one of these.
    pub(super) fn resume(&mut self, line: &str, account: &Arc<Account>) -> Option<()> {
        let mut numbers = line.split(' ').map(str::parse::<i64>);
        let mut number = || numbers.next()?.ok();
        let slice = self.each.get_mut(usize::try_from(number()?).ok()?)?;
        let (id, window) = (number()?, Some(number()?));
        let mut amount = || u64::try_from(number()?).ok();
        let (granted, used, cap) = (amount()?, amount()?, amount()?);
        *slice = Slice { id, window, granted, used, cap, is_resumed: true, ..Slice::new(1) };
        self.look_after(account);
        Some(())
    }

    /// Whether there is nothing to look after any more.
    pub(super) fn is_done(&mut self, now: &Now) -> bool {
        let rests = |slice: &Slice| {
            let is_told = slice.granted == slice.used && slice.told == (slice.granted, slice.used);
            let is_asked = slice.waiting > 0 || slice.passing > 0 || slice.is_wanted || slice.is_resumed;
            !is_asked && (slice.window.is_none() || slice.is_over(now) || is_told)
        };
        // Places are renewed while they are held.
        let is_done = self.each.iter().all(rests) && self.each[COUNT - 1].granted == 0;
        self.is_known = !is_done;
        is_done
    }
}

/// What a request has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not yet.
    Fresh,
    /// Since this time of the steady clock; the bank has answered.
    Answered(i64),
    /// As long as it may, since this time.
    Ended(i64),
    /// It does not wait.
    Never,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// What requests wait for.
    Hurry,
    /// Places that nobody uses are given back.
    Look,
    /// Leases are renewed, and what is not needed is given back.
    Renewal,
    /// The gateway stops: everything that is not used is given back.
    End,
}

fn place(limit: LimitName) -> Option<usize> {
    SHARED.iter().position(|(name, ..)| *name == limit)
}
