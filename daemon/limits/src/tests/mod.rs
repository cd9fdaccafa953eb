//! Counting, as seen from outside.

mod leases;
mod property;
mod saving;
mod sharing;
mod time;

use std::{sync::Arc, time::Duration};

use aivonx_protocol::limit::LimitName;

use super::{
    Accounts, Ask, Caps, Clock, Exceeded, Kind, Level, Output, Price, Reservation, Used, Who,
    clock::Hand,
    reserve::{Refused, reserve, throttle},
    slices::Patience,
};

/// Levels under one clock.
struct Rig {
    hand: Arc<Hand>,
    clock: Clock,
    accounts: Accounts,
}

fn rig(time: &str) -> Rig {
    let (hand, clock) = Hand::at(time, Duration::ZERO);
    Rig { hand, clock, accounts: Accounts::default() }
}

impl Rig {
    fn level(&self, kind: Kind, id: &str, caps: Caps) -> Arc<Level> {
        self.accounts.level(kind, &id.into(), caps)
    }

    fn user(&self, caps: Caps) -> Arc<Level> {
        self.level(Kind::User, "u", caps)
    }

    fn ask(&self, levels: &[&Arc<Level>], ask: Ask) -> Result<Reservation, Exceeded> {
        let at = |at: usize| levels.get(at).copied();
        let done = reserve([at(0), at(1), at(2)], None, &ask, &self.clock.now(), Patience::Fresh);
        done.map_err(exceeded)
    }

    /// Asks, and is done at once having used nothing.
    fn once(&self, level: &Arc<Level>) -> Result<(), Exceeded> {
        self.ask(&[level], FREE).map(|reservation| reservation.settle(Used::default(), &self.clock.now()))
    }
}

/// Without other gateways nothing is short.
fn exceeded(refused: Refused) -> Exceeded {
    match refused {
        Refused::Exceeded(exceeded) => exceeded,
        Refused::Short(_) => panic!("no limit is shared"),
    }
}

/// One that takes nothing but its turn.
const FREE: Ask = Ask { prompt: 0, output: Output::Nothing, price: Price::FREE };

fn open(prompt: u64, price: Price) -> Ask {
    Ask { prompt, output: Output::UpTo { each: None, answers: 1, made: 1 }, price }
}

fn at_most(prompt: u64, each: u64) -> Ask {
    Ask { prompt, output: Output::UpTo { each: Some(each), answers: 1, made: 1 }, price: Price::FREE }
}

fn caps(each: &[(LimitName, u64)]) -> Caps {
    each.iter().fold(Caps::UNLIMITED, |caps, (limit, cap)| caps.with(*limit, *cap))
}

const NOON: &str = "2027-05-31T12:00:00Z";

#[test]
fn what_one_level_refuses_counts_for_none() {
    let rig = rig(NOON);
    let organization = rig.level(Kind::Organization, "o", caps(&[(LimitName::InferenceDay, 3)]));
    let user = rig.level(Kind::User, "u", caps(&[(LimitName::InferenceDay, 2)]));
    let key = rig.level(Kind::Key, "k", caps(&[(LimitName::Concurrent, 1)]));
    let first = rig.ask(&[&organization, &user, &key], FREE).unwrap();
    let refused = rig.ask(&[&organization, &user, &key], FREE).unwrap_err();
    assert_eq!((refused.limit, refused.cap, refused.used), (LimitName::Concurrent, 1, 1));
    assert_eq!(refused.who, Who::Subject(Kind::Key, "k".into()));
    drop(rig.ask(&[&organization, &user], FREE).unwrap());
    first.settle(Used::default(), &rig.clock.now());
    rig.ask(&[&organization, &user], FREE).unwrap().settle(Used::default(), &rig.clock.now());
    let refused = rig.ask(&[&organization, &user], FREE).unwrap_err();
    assert_eq!(refused.who, Who::Subject(Kind::User, "u".into()));
    assert_eq!(refused.resets_in, Some(12 * 3_600_000));
    let now = rig.clock.now();
    let used = [&organization, &user, &key].map(|level| level.account.counters(&now).day.requests);
    assert_eq!(used, [2, 2, 1]);
    assert!([organization, user, key].iter().all(|level| level.account.counters(&now).running == 0));
}

#[test]
fn a_request_that_comes_in_counts_once() {
    let rig = rig(NOON);
    let level = rig.user(caps(&[(LimitName::Concurrent, 2), (LimitName::InferenceDay, 3)]));
    let levels = [Some(&level), None, None];
    let now = rig.clock.now();
    let enter = || reserve(levels, None, &Ask::ENTRY, &now, Patience::Fresh).map_err(exceeded);
    let complete =
        |entered, ask| reserve(levels, Some((entered, None)), &ask, &now, Patience::Fresh).map_err(exceeded);
    let (first, second) = (enter().unwrap(), enter().unwrap());
    assert_eq!(enter().unwrap_err().limit, LimitName::Concurrent);
    let used = || {
        let counters = level.account.counters(&now);
        (counters.running, counters.day.requests, counters.day.tokens)
    };
    assert_eq!(used(), (2, 2, 0));
    let first = complete(first, at_most(10, 5)).unwrap();
    assert_eq!(used(), (2, 2, 15));
    first.settle(Used { tokens: 4, cost: 0 }, &now);
    assert_eq!(used(), (1, 2, 4));
    // One that is refused after all, or never comes, counts for nothing.
    let greedy = rig.user(caps(&[(LimitName::TokensDay, 1)]));
    let refused =
        reserve([Some(&greedy), None, None], Some((second, None)), &at_most(10, 5), &now, Patience::Fresh)
            .map_err(exceeded)
            .unwrap_err();
    assert_eq!(refused.limit, LimitName::TokensDay);
    assert_eq!(used(), (0, 1, 4));
    drop(enter().unwrap());
    assert_eq!(used(), (0, 1, 4));
}

#[test]
fn what_follows_keeps_the_place_of_what_is_over() {
    let rig = rig(NOON);
    let user = rig.user(caps(&[(LimitName::Concurrent, 1), (LimitName::TokensDay, 25)]));
    let levels = [Some(&user), None, None];
    let now = || rig.clock.now();
    let first = rig.ask(&[&user], at_most(0, 1)).unwrap();
    let used = Used { tokens: 20, cost: 0 };
    let next = reserve(levels, Some((first, Some(used))), &at_most(0, 1), &now(), Patience::Fresh).unwrap();
    let live = || {
        let counters = user.account.counters(&now());
        (counters.running, counters.day.tokens)
    };
    assert_eq!(live(), (1, 21));
    // What was used counts although no more is let through.
    let refused = reserve(levels, Some((next, Some(used))), &at_most(0, 1), &now(), Patience::Fresh)
        .map_err(exceeded)
        .unwrap_err();
    assert_eq!((refused.limit, live()), (LimitName::TokensDay, (0, 40)));
}

#[test]
fn of_several_limits_the_one_that_lasts_longest_is_told() {
    let rig = rig(NOON);
    let user = rig.user(caps(&[(LimitName::BurstMinute, 1), (LimitName::InferenceDay, 1)]));
    rig.once(&user).unwrap();
    assert_eq!(rig.once(&user).unwrap_err().limit, LimitName::InferenceDay);
}

#[test]
fn a_cap_of_nothing_lets_nothing_through() {
    let rig = rig(NOON);
    for limit in [LimitName::InferenceDay, LimitName::BurstMinute, LimitName::Concurrent] {
        let level = rig.user(caps(&[(limit, 0)]));
        assert_eq!(rig.once(&level).unwrap_err().limit, limit);
    }
    let level = rig.user(caps(&[(LimitName::TokensDay, 0)]));
    assert_eq!(rig.ask(&[&level], open(0, Price::FREE)).unwrap_err().limit, LimitName::TokensDay);
    // What is free needs no money.
    let level = rig.user(caps(&[(LimitName::SpendDay, 0)]));
    rig.ask(&[&level], open(9, Price::FREE)).unwrap();
    let price = Price { prompt: 0, output: 1 };
    assert_eq!(rig.ask(&[&level], open(9, price)).unwrap_err().limit, LimitName::SpendDay);
}

#[test]
fn an_answer_without_a_limit_gets_what_is_left() {
    let rig = rig(NOON);
    let dollar = Price { prompt: 1_000_000, output: 2_000_000 };
    // Nothing relies on it.
    let free = rig.level(Kind::Key, "free", Caps::UNLIMITED);
    assert_eq!(rig.ask(&[&free], open(10, dollar)).unwrap().bound(), None);
    let user = rig.user(caps(&[(LimitName::SpendDay, 10_000)]));
    let first = rig.ask(&[&user], open(100, dollar)).unwrap();
    assert_eq!(first.bound(), Some(4096));
    // 10 000 - (100 + 2 * 4096) are left, less the prompt, for two micro-USD each.
    let second = rig.ask(&[&user], open(100, dollar)).unwrap();
    assert_eq!(second.bound(), Some((10_000 - 100 - 2 * 4096 - 100) / 2));
    let third = rig.ask(&[&user], open(100, dollar)).unwrap_err();
    assert_eq!((third.limit, third.used), (LimitName::SpendDay, 10_000));
    first.settle(Used { tokens: 150, cost: 200 }, &rig.clock.now());
    let third = rig.ask(&[&user], open(100, dollar)).unwrap();
    assert_eq!(third.bound(), Some(3996), "what the first did not use");
    drop((second, third));
    assert_eq!(user.account.counters(&rig.clock.now()).day.spend, 200);
    // Of two answers at once, each gets half.
    let two = Ask { output: Output::UpTo { each: None, answers: 2, made: 1 }, ..open(0, dollar) };
    assert_eq!(rig.ask(&[&user], two).unwrap().bound(), Some(2450));
    // One that says how long it may be is taken at its word, which the node is then held to.
    let asked = Ask { price: dollar, ..at_most(0, 4900) };
    assert_eq!(rig.ask(&[&user], asked).unwrap().bound(), Some(4900));
    let asked = Ask { price: dollar, ..at_most(0, 4901) };
    assert_eq!(rig.ask(&[&user], asked).unwrap_err().limit, LimitName::SpendDay);
}

#[test]
fn what_is_settled_takes_the_place_of_the_estimate() {
    let rig = rig(NOON);
    let user = rig.user(caps(&[(LimitName::TokensDay, 1000)]));
    let reservation = rig.ask(&[&user], at_most(100, 500)).unwrap();
    assert_eq!(user.account.counters(&rig.clock.now()).day.tokens, 600);
    assert_eq!(rig.ask(&[&user], at_most(100, 301)).unwrap_err().used, 600);
    reservation.settle(Used { tokens: 1200, cost: 0 }, &rig.clock.now());
    let refused = rig.ask(&[&user], at_most(0, 1)).unwrap_err();
    assert_eq!((refused.used, refused.asked), (1200, 1));
    assert!(rig.ask(&[&user], FREE).is_err(), "overdrawn");
}

#[test]
fn requests_of_any_kind_are_counted_by_the_hour() {
    let rig = rig(NOON);
    let organization = rig.level(Kind::Organization, "o", caps(&[(LimitName::UserHour, 3)]));
    let user = rig.user(caps(&[(LimitName::UserHour, 2)]));
    let levels = [Some(&organization), Some(&user), None];
    let ask = || throttle(levels, &rig.clock.now(), Patience::Fresh).map_err(exceeded);
    ask().unwrap();
    rig.hand.pass(Duration::from_secs(1800));
    ask().unwrap();
    let refused = ask().unwrap_err();
    assert_eq!((refused.limit, refused.resets_in), (LimitName::UserHour, Some(1_800_000)));
    rig.hand.pass(Duration::from_secs(1799));
    ask().unwrap_err();
    rig.hand.pass(Duration::from_secs(1));
    ask().unwrap();
    assert_eq!(organization.account.counters(&rig.clock.now()).hour.requests, 1);
}

/// Exactly as many as the budget has, however many users ask at once.
#[test]
fn parallel_requests_share_a_budget_exactly() {
    let rig = rig(NOON);
    let organization = rig.level(Kind::Organization, "o", caps(&[(LimitName::InferenceDay, 100)]));
    let users: Vec<_> = (0..4)
        .map(|n| rig.level(Kind::User, &format!("u{n}"), caps(&[(LimitName::InferenceDay, 40)])))
        .collect();
    let granted = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for user in users.iter().cycle().take(16) {
            scope.spawn(|| {
                for n in 0..200 {
                    let Ok(reservation) = rig.ask(&[&organization, user], FREE) else { continue };
                    // Some fail and are asked again.
                    if n % 3 == 0 {
                        drop(reservation);
                        continue;
                    }
                    granted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    reservation.settle(Used::default(), &rig.clock.now());
                }
            });
        }
    });
    assert_eq!(granted.into_inner(), 100);
    let now = rig.clock.now();
    let counters = organization.account.counters(&now);
    assert_eq!((counters.day.requests, counters.running), (100, 0));
    let each: Vec<_> = users.iter().map(|user| user.account.counters(&now).day.requests).collect();
    assert!(each.iter().all(|n| *n <= 40) && each.iter().sum::<u64>() == 100, "{each:?}");
}
