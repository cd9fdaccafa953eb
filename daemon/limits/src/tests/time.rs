//! Midnight, the end of the month, and a clock that steps.

use super::*;

const DAY: i64 = 86_400_000;

fn daily(cap: u64) -> Caps {
    caps(&[(LimitName::InferenceDay, cap)])
}

#[test]
fn a_day_ends_at_midnight_and_not_before() {
    let rig = rig("2027-05-30T23:59:59Z");
    let user = rig.user(daily(1));
    rig.once(&user).unwrap();
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(1000));
    rig.hand.pass(Duration::from_millis(999));
    let refused = rig.once(&user).unwrap_err();
    assert_eq!(refused.resets_in, Some(1));
    assert_eq!(refused.resets_at, rig.clock.now().wall + 1);
    rig.hand.pass(Duration::from_millis(1));
    rig.once(&user).unwrap();
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(86_400_000));
}

#[test]
fn a_month_ends_with_its_last_day() {
    let rig = rig("2028-02-28T12:00:00Z");
    let price = Price { prompt: 1_000_000, output: 0 };
    let user = rig.user(caps(&[(LimitName::SpendMonth, 10)]));
    let spend = || rig.ask(&[&user], Ask { price, ..at_most(10, 0) }).map(std::mem::forget);
    spend().unwrap();
    rig.hand.pass(Duration::from_secs(86_400));
    let refused = spend().unwrap_err();
    assert_eq!(
        (refused.limit, refused.resets_in),
        (LimitName::SpendMonth, Some(12 * 3_600_000)),
        "a leap year"
    );
    rig.hand.pass(Duration::from_secs(12 * 3600));
    spend().unwrap();
    assert_eq!(spend().unwrap_err().resets_in, Some(31 * 86_400_000));
}

#[test]
fn a_minute_begins_with_the_first_request() {
    let rig = rig("2027-05-30T12:00:59Z");
    let user = rig.user(caps(&[(LimitName::BurstMinute, 2)]));
    rig.once(&user).unwrap();
    rig.hand.pass(Duration::from_secs(30));
    rig.once(&user).unwrap();
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(30_000));
    // The system's clock has nothing to do with it.
    rig.hand.step(DAY);
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(30_000));
    rig.hand.step(-3 * DAY);
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(30_000));
    rig.hand.pass(Duration::from_secs(30));
    rig.once(&user).unwrap();
}

#[test]
fn a_step_back_over_midnight_refunds_nothing() {
    let rig = rig("2027-05-31T00:00:10Z");
    let user = rig.user(daily(2));
    rig.once(&user).unwrap();
    rig.hand.step(-60_000);
    rig.once(&user).unwrap();
    let refused = rig.once(&user).unwrap_err();
    assert_eq!(refused.resets_in, Some(86_390_000), "the day it was begun for, still");
    // Midnight comes again.
    rig.hand.pass(Duration::from_secs(60));
    rig.once(&user).unwrap_err();
    rig.hand.pass(Duration::from_secs(86_390));
    rig.once(&user).unwrap();
}

#[test]
fn a_step_back_by_years_locks_for_no_longer_than_a_day() {
    let rig = rig("2037-05-31T18:00:00Z");
    let user = rig.user(daily(1));
    rig.once(&user).unwrap();
    rig.hand.step(-3650 * DAY);
    let refused = rig.once(&user).unwrap_err();
    assert_eq!(refused.resets_in, Some(6 * 3_600_000));
    rig.hand.pass(Duration::from_secs(6 * 3600 - 1));
    rig.once(&user).unwrap_err();
    rig.hand.pass(Duration::from_secs(1));
    rig.once(&user).unwrap();
    // And from then on as ever.
    let now = rig.clock.now();
    assert_eq!(rig.once(&user).unwrap_err().resets_at, now.wall + now.day().left.unsigned_abs());
}

#[test]
fn a_step_forward_into_another_day_begins_it() {
    let rig = rig(NOON);
    let user = rig.user(daily(1));
    rig.once(&user).unwrap();
    rig.hand.step(DAY / 4);
    assert_eq!(rig.once(&user).unwrap_err().resets_in, Some(6 * 3_600_000));
    rig.hand.step(DAY);
    rig.once(&user).unwrap();
    // Back again: the day that was begun goes on.
    rig.hand.step(-DAY);
    rig.once(&user).unwrap_err();
}

#[test]
fn a_request_over_midnight_belongs_to_the_day_it_began() {
    let rig = rig("2027-05-30T23:59:59Z");
    let user = rig.user(caps(&[(LimitName::TokensDay, 1000)]));
    let long = rig.ask(&[&user], at_most(100, 400)).unwrap();
    let failed = rig.ask(&[&user], at_most(0, 100)).unwrap();
    rig.hand.pass(Duration::from_secs(2));
    rig.ask(&[&user], at_most(0, 300)).unwrap().settle(Used { tokens: 300, cost: 0 }, &rig.clock.now());
    drop(failed);
    assert_eq!(user.account.counters(&rig.clock.now()).day.tokens, 300, "nothing of yesterday is given back");
    long.settle(Used { tokens: 540, cost: 0 }, &rig.clock.now());
    let counters = user.account.counters(&rig.clock.now());
    assert_eq!((counters.day.tokens, counters.day.requests), (340, 1), "but what goes beyond is not lost");
}
