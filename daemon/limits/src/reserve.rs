//! Reservations: a request takes its share of every limit before it is forwarded, and what it really used is put
//! in the place of that share when it is over.
//!
//! All levels are locked together, in the order of [`Levels`], so that a request is let through by all of them or
//! counts for none: N requests at once against a budget of K let exactly K through.

use std::{
    array,
    sync::{Arc, MutexGuard},
};

use aivonx_protocol::limit::LimitName;

use super::{
    Account, Exceeded, Level, Levels, Price, Who,
    clock::Now,
    slices::{Patience, Room, Serials},
    wait::{Short, Waiting},
    window::{LiveCounters, Window},
};
/// Tokens of output that a request without a limit of its own is given under a cap on tokens or money, if that
/// many are left.
pub const OPEN_OUTPUT: u64 = 4096;

/// How much a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Tokens of its prompt, estimated.
    pub prompt: u64,
    /// Tokens of its output.
    pub output: Output,
    /// What they cost.
    pub price: Price,
}

/// How much output a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// None: embeddings.
    Nothing,
    /// Some answers at once.
    UpTo {
        /// Most tokens of each. None is as many as the node makes; under a cap on tokens or money it is given a
        /// limit.
        each: Option<u64>,
        /// How many; at least 1.
        answers: u64,
        /// How many are made, of which the best are sent; at least as many.
        made: u64,
    },
}

impl Output {
    /// Most tokens of all answers together; None is no bound.
    #[must_use]
    pub fn total(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::UpTo { each, .. } => each.map(|each| each.saturating_mul(self.made())),
        }
    }

    /// How many answers are made, those too that are not sent.
    #[must_use]
    pub fn made(self) -> u64 {
        match self {
            Self::Nothing => 1,
            Self::UpTo { made, .. } => made.max(self.answers()),
        }
    }

    /// How many answers are sent.
    #[must_use]
    pub fn answers(self) -> u64 {
        match self {
            Self::Nothing => 1,
            Self::UpTo { answers, .. } => answers.max(1),
        }
    }
}

/// What a request really used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Tokens, of prompt and output.
    pub tokens: u64,
    /// Micro-USD.
    pub cost: u64,
}

type LockedCounters<'a> = [Option<MutexGuard<'a, LiveCounters>>; 3];

/// The limits of a reservation that are counted in requests.
const COUNTED: [LimitName; 3] = [LimitName::InferenceDay, LimitName::BurstMinute, LimitName::Concurrent];
/// Those counted in tokens.
const TOKENS: [LimitName; 2] = [LimitName::TokensMinute, LimitName::TokensDay];
/// Those counted in money.
pub(super) const SPEND: [LimitName; 2] = [LimitName::SpendDay, LimitName::SpendMonth];

/// What the same client took before, which ends under the same lock, with what it used: nothing if it was this request,
/// whose size was not known.
pub(super) type Before = (Reservation, Option<Used>);

/// Why nothing was taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// A limit does not have it.
    Exceeded(Exceeded),
    /// What this gateway holds of a shared limit does not have it; nothing has changed.
    Short(Box<Short>),
}

/// Takes what `ask` needs from every level, or says which limit does not have it. `before` ends under the same lock.
pub(super) fn reserve(
    levels: Levels<'_>,
    before: Option<Before>,
    ask: &Ask,
    now: &Now,
    patience: Patience,
) -> Result<Reservation, Refused> {
    let mut locked: LockedCounters<'_> = levels.map(|level| level.map(|level| level.account.lock()));
    locked.iter_mut().flatten().for_each(|live| live.roll(now));
    let mut undo = None;
    if let Some((before, used)) = &before {
        let is_shared = locked.iter().flatten().any(|live| live.slices.is_some());
        undo = is_shared.then(|| locked.each_ref().map(|live| live.as_deref().cloned()));
        for (hold, live) in before.holds.iter().zip(&mut locked) {
            if let (Some(hold), Some(live)) = (hold, live) {
                hold.close(live, before.reserved, *used);
            }
        }
    }
    let (output, bound) = output(&levels, &locked, ask, now);
    let tokens = ask.prompt.saturating_add(output);
    let cost = ask.price.cost(ask.prompt, output);
    let asked = [1, tokens, cost];
    match missing(&levels, &mut locked, asked, now, patience) {
        Missing::Nothing => {}
        Missing::Cap(exceeded) => {
            forget(before);
            return Err(Refused::Exceeded(*exceeded));
        }
        Missing::Slices(short) => {
            let waiting = Waiting::begin(&levels, &mut locked, &short, patience);
            if let Some(undo) = undo {
                for (live, old) in locked.iter_mut().zip(undo) {
                    if let (Some(live), Some(old)) = (live, old) {
                        live.undo(old);
                    }
                }
            }
            return Err(Refused::Short(Box::new(Short { waiting, before })));
        }
    }
    forget(before);
    let mut locked = locked.into_iter();
    let holds = levels.map(|level| {
        let (live, level) = (locked.next().flatten(), level);
        let (mut live, level) = (live?, level?);
        live.running += 1;
        live.dirty = true;
        let serials = windows(&mut live).map(|window| {
            window.counts.requests += 1;
            window.counts.tokens = window.counts.tokens.saturating_add(tokens);
            window.counts.spend = window.counts.spend.saturating_add(cost);
            window.serial
        });
        let slices = live.slices.as_mut().map(|slices| slices.take(&level.caps, asked, now, &level.account));
        Some(Hold { account: level.account.clone(), serials, slices })
    });
    let mut ask = *ask;
    if let Output::UpTo { each, .. } = &mut ask.output {
        *each = bound.or(*each);
    }
    Ok(Reservation { holds, reserved: Used { tokens, cost }, ask, bound })
}

/// The same without waiting: what is not held is refused.
pub(super) fn at_once(
    levels: Levels<'_>,
    before: Option<Before>,
    ask: &Ask,
    now: &Now,
) -> Result<Reservation, Exceeded> {
    match reserve(levels, before, ask, now, Patience::Never) {
        Ok(reservation) => Ok(reservation),
        Err(Refused::Exceeded(exceeded)) => Err(exceeded),
        Err(Refused::Short(_)) => unreachable!("a request without patience does not wait"),
    }
}

/// Of one that is closed already.
fn forget(before: Option<Before>) {
    if let Some((mut before, _)) = before {
        before.holds = [const { None }; 3];
    }
}

fn windows(live: &mut LiveCounters) -> [&mut Window; 3] {
    [&mut live.minute, &mut live.day, &mut live.month]
}

/// Least that is left of `limits`, over all levels; None if there is no cap.
fn room(levels: &Levels<'_>, locked: &LockedCounters<'_>, limits: &[LimitName], now: &Now) -> Option<u64> {
    let each = levels.iter().zip(locked).filter_map(|(level, live)| Some(((*level)?, live.as_deref()?)));
    each.flat_map(|(level, live)| {
        limits.iter().filter_map(|limit| Some(live.room(*limit, level.caps.of(*limit)?, now)))
    })
    .min()
}

/// Tokens of output to be reserved, and the limit of each answer if a budget relies on it.
fn output(levels: &Levels<'_>, locked: &LockedCounters<'_>, ask: &Ask, now: &Now) -> (u64, Option<u64>) {
    let Output::UpTo { each, .. } = ask.output else { return (0, None) };
    let answers = ask.output.made();
    let by_tokens = room(levels, locked, &TOKENS, now).map(|left| left.saturating_sub(ask.prompt));
    let by_money = room(levels, locked, &SPEND, now)
        .map(|left| left.saturating_sub(ask.price.cost(ask.prompt, 0)))
        // What is free needs no limit.
        .and_then(|left| ask.price.output_for(left));
    let Some(left) = [by_tokens, by_money].into_iter().flatten().min() else {
        return (each.unwrap_or(0).saturating_mul(answers), None);
    };
    // Where not even one token is left, one is asked for in vain, and refused.
    let each = each.unwrap_or_else(|| (left / answers).clamp(1, OPEN_OUTPUT));
    (each.saturating_mul(answers), Some(each))
}

/// What does not have what is asked for.
enum Missing {
    Nothing,
    Cap(Box<Exceeded>),
    /// Of each level by its place, the limit and how much is asked of it.
    Slices(Vec<(usize, LimitName, u64)>),
}

/// The limit that does not have what is `asked` (requests, tokens, micro-USD); of several the one that will be
/// missing longest.
fn missing(
    levels: &Levels<'_>,
    locked: &mut LockedCounters<'_>,
    asked: [u64; 3],
    now: &Now,
    patience: Patience,
) -> Missing {
    let mut worst: Option<Exceeded> = None;
    let mut short = Vec::new();
    for (at, (level, live)) in levels.iter().zip(locked).enumerate() {
        let (Some(level), Some(live)) = (level, live.as_deref_mut()) else { continue };
        for (limits, asked) in [&COUNTED[..], &TOKENS, &SPEND].into_iter().zip(asked) {
            for limit in limits {
                let Some(cap) = level.caps.of(*limit) else { continue };
                let (used, is_unsure) = match live.check(*limit, cap, asked, now, patience) {
                    Room::Enough => continue,
                    Room::Short => {
                        short.push((at, *limit, asked));
                        continue;
                    }
                    Room::Used(used) => (used, false),
                    Room::Unknown(used) => {
                        // What is asked for without waiting is there for the next one.
                        if let (Patience::Never, Some(slices)) = (patience, &mut live.slices) {
                            slices.look_after(&level.account);
                        }
                        (used, true)
                    }
                };
                let of = [cap, used, asked];
                let found = Exceeded { is_unsure, ..found(level, *limit, of, live.left(*limit, now), now) };
                if worst.as_ref().is_none_or(|worst| worst.resets_in < found.resets_in) {
                    worst = Some(found);
                }
            }
        }
    }
    match worst {
        Some(worst) => Missing::Cap(Box::new(worst)),
        None if short.is_empty() => Missing::Nothing,
        None => Missing::Slices(short),
    }
}

fn found(level: &Level, limit: LimitName, of: [u64; 3], left: Option<u64>, now: &Now) -> Exceeded {
    let [cap, used, asked] = of;
    Exceeded {
        limit,
        cap,
        used,
        asked,
        resets_in: left,
        resets_at: now.wall.saturating_add(left.unwrap_or(0)),
        who: Who::Subject(level.account.kind(), level.account.id().clone()),
        is_unsure: false,
    }
}

/// Counts one request of any kind against the hour of every level that has a cap on it.
pub(super) fn throttle(levels: Levels<'_>, now: &Now, patience: Patience) -> Result<(), Refused> {
    let limit = LimitName::UserHour;
    let capped = levels.map(|level| level.filter(|level| level.caps.of(limit).is_some()));
    let mut locked: LockedCounters<'_> = capped.map(|level| level.map(|level| level.account.lock()));
    let mut short = Vec::new();
    for (at, (level, live)) in capped.iter().zip(&mut locked).enumerate() {
        let (Some(level), Some(live)) = (level, live) else { continue };
        live.hour(now);
        let cap = level.caps.of(limit).unwrap_or(u64::MAX);
        let (used, is_unsure) = match live.check(limit, cap, 1, now, patience) {
            Room::Enough => continue,
            Room::Short => {
                short.push((at, limit, 1));
                continue;
            }
            Room::Used(used) => (used, false),
            Room::Unknown(used) => (used, true),
        };
        let of = [cap, used, 1];
        let found = found(level, limit, of, live.left(limit, now), now);
        return Err(Refused::Exceeded(Exceeded { is_unsure, ..found }));
    }
    if !short.is_empty() {
        let waiting = Waiting::begin(&capped, &mut locked, &short, patience);
        return Err(Refused::Short(Box::new(Short { waiting, before: None })));
    }
    for (level, live) in capped.iter().zip(&mut locked) {
        let (Some(level), Some(live)) = (level, live) else { continue };
        live.hour(now).requests += 1;
        live.dirty = true;
        if let Some(slices) = &mut live.slices {
            slices.call(now, &level.account);
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Hold {
    account: Arc<Account>,
    /// The minute, day and month it was taken from.
    serials: [u32; 3],
    /// And the slices.
    slices: Option<Serials>,
}

impl Hold {
    /// Puts what was `used` in the place of what was `reserved`, or gives that back.
    fn close(&self, live: &mut LiveCounters, reserved: Used, used: Option<Used>) {
        live.running = live.running.saturating_sub(1);
        live.dirty = true;
        if let (Some(slices), Some(serials)) = (&mut live.slices, &self.slices) {
            slices.close(serials, reserved, used, &self.account);
        }
        for (window, serial) in windows(live).into_iter().zip(self.serials) {
            let (same, counts) = (window.serial == serial, &mut window.counts);
            let put = |count: &mut u64, reserved: u64, real: u64| {
                let before = if same { count.saturating_sub(reserved) } else { *count };
                let more = if same { real } else { real.saturating_sub(reserved) };
                *count = before.saturating_add(more);
            };
            match used {
                Some(used) => {
                    put(&mut counts.tokens, reserved.tokens, used.tokens);
                    put(&mut counts.spend, reserved.cost, used.cost);
                }
                None if same => {
                    put(&mut counts.tokens, reserved.tokens, 0);
                    put(&mut counts.spend, reserved.cost, 0);
                    counts.requests = counts.requests.saturating_sub(1);
                }
                None => {}
            }
        }
    }
}

/// A share of every limit, taken for one request. Dropped, it is given back.
#[derive(Debug)]
pub struct Reservation {
    holds: [Option<Hold>; 3],
    reserved: Used,
    /// What it was taken for, the bound written into the request among it.
    ask: Ask,
    bound: Option<u64>,
}

impl Ask {
    /// Of a request whose size is not known yet.
    pub(super) const ENTRY: Self = Self { prompt: 0, output: Output::Nothing, price: Price::FREE };
}

impl Reservation {
    /// That of an anonymous caller, who shares in no budget.
    pub(super) fn of_nobody(ask: &Ask) -> Self {
        Self { holds: [const { None }; 3], reserved: Used::default(), ask: *ask, bound: None }
    }

    /// Whether anything was taken of any level.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.holds.iter().any(Option::is_some)
    }

    /// What it was taken for: the prompt as estimated, the most output, the price.
    #[must_use]
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The limit of output tokens of each answer that the request must be sent with, because a budget relies on it.
    #[must_use]
    pub fn bound(&self) -> Option<u64> {
        self.bound
    }

    /// Puts what was really used in the place of what was reserved. Where that was taken from a window that has
    /// ended, only what goes beyond it is counted, in the present one.
    pub fn settle(mut self, used: Used, now: &Now) {
        self.close(Some((used, now)));
    }

    fn close(&mut self, used: Option<(Used, &Now)>) {
        let reserved = self.reserved;
        for hold in std::mem::replace(&mut self.holds, array::from_fn(|_| None)).into_iter().flatten() {
            let mut live = hold.account.lock();
            if let Some((_, now)) = used {
                live.roll(now);
            }
            hold.close(&mut live, reserved, used.map(|(used, _)| used));
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(None);
    }
}
