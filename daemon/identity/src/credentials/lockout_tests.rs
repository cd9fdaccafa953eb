use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use aivonx_domain::address_key;

use super::*;

const HOUR: u64 = 3_600_000;
const NOW: UnixMillis = 1_700_000_000_000;
const GO: Decision = Decision::Proceed { delay: Duration::ZERO };

fn logins() -> FailedLogins {
    FailedLogins::new(Policy::default())
}

fn place(user: &str, last: u8) -> Place {
    Place::new(user, address_key(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))))
}

fn fail(logins: &mut FailedLogins, place: &Place, now: UnixMillis) -> Failed {
    assert!(matches!(logins.begin(place, now), Decision::Proceed { .. }));
    logins.failed(place, now)
}

#[test]
fn the_fifth_failure_locks_for_an_hour() {
    let (mut logins, at) = (logins(), place("alice", 1));
    for n in 1..=5 {
        let failed = fail(&mut logins, &at, NOW + n);
        assert_eq!((failed.entry.failures, failed.locked), (n as u32, n == 5));
    }
    let until = NOW + 5 + HOUR;
    assert_eq!(logins.begin(&at, NOW + 6), Decision::Locked { until });
    assert_eq!(logins.begin(&Place::new("ALICE", at.address()), NOW + 6), Decision::Locked { until });
    // Trying while locked does not make it longer.
    assert_eq!(logins.begin(&at, until - 1), Decision::Locked { until });
    assert_eq!(logins.begin(&at, until), GO);
    assert_eq!(logins.failed(&at, until).entry.failures, 1);
}

#[test]
fn other_users_and_other_addresses_are_not_locked() {
    let mut logins = logins();
    for _ in 0..5 {
        fail(&mut logins, &place("alice", 1), NOW);
    }
    assert_eq!(logins.begin(&place("alice", 2), NOW), GO);
    assert_eq!(logins.begin(&place("bob", 1), NOW), GO);
    assert_eq!(logins.begin(&Place::new("alice", peer_key(1000)), NOW), GO);
}

#[test]
fn success_forgets_failures_and_so_does_an_hour_of_peace() {
    let (mut logins, at) = (logins(), place("alice", 1));
    for _ in 0..4 {
        fail(&mut logins, &at, NOW);
    }
    assert_eq!(logins.begin(&at, NOW), GO);
    assert!(logins.succeeded(&at));
    assert!(!logins.succeeded(&at));
    assert!(logins.list(NOW).is_empty());
    for _ in 0..4 {
        fail(&mut logins, &at, NOW);
    }
    assert_eq!(fail(&mut logins, &at, NOW + HOUR).entry.failures, 1);
}

#[test]
fn attempts_at_once_get_no_more_guesses() {
    let (mut logins, at) = (logins(), place("alice", 1));
    let begun = (0..100).filter(|_| logins.begin(&at, NOW) == GO).count();
    assert_eq!(begun, 5);
    assert_eq!(logins.begin(&at, NOW), Decision::Crowded);
    logins.abandoned(&at);
    assert_eq!(logins.begin(&at, NOW), GO);
    let locked = (0..5).filter(|_| logins.failed(&at, NOW).locked).count();
    assert_eq!(locked, 1);
    assert!(matches!(logins.begin(&at, NOW), Decision::Locked { .. }));
}

#[test]
fn a_spray_delays_the_user_but_locks_nobody_out() {
    let mut logins = logins();
    for last in 0..100 {
        assert!(!fail(&mut logins, &place("alice", last), NOW).locked);
    }
    let owner = place("alice", 200);
    assert_eq!(logins.begin(&owner, NOW), Decision::Proceed { delay: Duration::from_secs(10) });
    assert!(!logins.succeeded(&owner));
    assert_eq!(logins.begin(&place("bob", 1), NOW), GO);
    // One failure a minute is forgiven.
    assert_eq!(logins.spray("alice", NOW + 89 * 60_000).unwrap().failures, 11);
    let delay = Duration::from_millis(500);
    assert_eq!(logins.begin(&owner, NOW + 89 * 60_000), Decision::Proceed { delay });
    assert_eq!(logins.begin(&owner, NOW + 90 * 60_000), GO);
}

#[test]
fn what_was_kept_holds_after_a_restart() {
    let (mut before, at) = (logins(), place("alice", 1));
    let last = (0..5).map(|_| fail(&mut before, &at, NOW)).last().unwrap();
    let mut after = logins();
    after.restore(at.clone(), last.entry);
    after.restore_spray("Alice", Spray { failures: 12, ..last.spray });
    assert_eq!(after.begin(&at, NOW), Decision::Locked { until: NOW + HOUR });
    assert_eq!(after.begin(&place("alice", 2), NOW), Decision::Proceed { delay: Duration::from_secs(1) });
}

#[test]
fn clearing_lifts_what_it_names() {
    let mut logins = logins();
    for user in ["alice", "bob"] {
        for last in 1..=2 {
            for _ in 0..5 {
                fail(&mut logins, &place(user, last), NOW);
            }
        }
    }
    assert_eq!(logins.clear(Some("alice"), Some("192.0.2.1")), [place("alice", 1)]);
    assert_eq!(logins.begin(&place("alice", 1), NOW), GO);
    assert!(matches!(logins.begin(&place("alice", 2), NOW), Decision::Locked { .. }));
    assert_eq!(logins.clear(Some("Alice"), None), [place("alice", 2)]);
    assert!(logins.spray("alice", NOW).is_none() && logins.spray("bob", NOW).is_some());
    assert_eq!(logins.clear(None, None).len(), 2);
    assert!(logins.list(NOW).is_empty() && logins.spray("bob", NOW).is_none());
}

#[test]
fn the_book_is_bounded_and_forgets_locks_last() {
    let mut logins = FailedLogins::new(Policy { entries: 80, ..Policy::default() });
    let locked = place("victim", 1);
    for _ in 0..5 {
        fail(&mut logins, &locked, NOW);
    }
    let mut forgotten = 0;
    for n in 1..=1000u64 {
        forgotten += fail(&mut logins, &place(&format!("user{n}"), 7), NOW + n).forgotten.len();
        assert!(logins.pairs.len() <= 80 && logins.users.len() <= 80);
    }
    assert_eq!(forgotten + logins.list(NOW + 1000).len(), 1001);
    assert!(matches!(logins.begin(&locked, NOW + 1000), Decision::Locked { .. }));
    // An hour later all of it is over.
    assert_eq!(logins.sweep(NOW + 1000 + HOUR).len() + forgotten, 1001);
    assert!(logins.pairs.is_empty());
}

#[test]
fn attempts_in_flight_survive_the_sweep() {
    let (mut logins, at) = (logins(), place("alice", 1));
    assert_eq!(logins.begin(&at, NOW), GO);
    assert!(logins.sweep(NOW + HOUR).is_empty());
    assert!(logins.clear(None, None).is_empty());
    assert_eq!(logins.pairs[&at].in_flight, 1);
    logins.abandoned(&at);
    assert!(logins.pairs.is_empty());
}

#[test]
fn a_name_of_any_length_takes_little_room() {
    let long = Place::new(&"x".repeat(1 << 20), peer_key(0));
    assert!(long.key().len() < 80, "{}", long.user());
    assert_eq!(Place::new(&"x".repeat(1 << 20), peer_key(0)), long);
    assert_ne!(Place::new("a\0b", "c"), Place::new("a", "b\0c"));
    assert_eq!(place("a", 1).key(), "a\u{0}192.0.2.1");
}
