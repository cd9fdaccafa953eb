//! Shared budgets in PostgreSQL.

use std::sync::Arc;

use super::*;
use crate::{
    bank::{Answer, Bank, Budget, Period, Report, Turn},
    database::Server,
    testing::PostgresServer,
};

const EXPIRES: Duration = Duration::from_millis(400);

struct Rig {
    postgres: PostgresServer,
}

fn rig() -> Option<Rig> {
    let postgres = PostgresServer::start()?;
    postgres.server().migrate("aivonx").unwrap();
    Some(Rig { postgres })
}

impl Rig {
    fn member(&self, name: &str) -> Arc<dyn Bank> {
        let server = Server::at(self.postgres.url("aivonx").parse().unwrap(), None).unwrap();
        server.bank(name, EXPIRES, Duration::ZERO).unwrap()
    }

    /// Booked as spent, and leased.
    fn books(&self) -> String {
        self.postgres.sql(
            "aivonx",
            "SELECT used || ' ' || leased FROM aivonx.budget ORDER BY period_index DESC LIMIT 1",
        )
    }
}

fn budget() -> Budget {
    Budget { kind: 1, subject: "u".into(), name: "inference.day".into() }
}

/// Of the month: no test runs into the next one twice.
fn asks(id: i64, need: u64) -> Report {
    let budget = budget();
    Report { budget, period: Period::Month, cap: 100, id, window: None, hold: 0, spent: 0, need, more: 0 }
}

fn one(turn: Turn) -> Answer {
    assert_eq!(turn.answers.len(), 1);
    turn.answers[0]
}

/// Asks for `need` beside what `last` says is held, of which `spent` are spent.
fn again(id: i64, last: &Answer, spent: u64, need: u64) -> Report {
    Report { window: Some(last.window), hold: last.amount, spent, ..asks(id, need) }
}

#[test]
fn grants_never_exceed_the_cap_and_a_retry_changes_nothing() {
    let Some(rig) = rig() else { return };
    let (a, b) = (rig.member("a"), rig.member("b"));
    let first = one(a.turn(&[asks(1, 60)]).unwrap());
    assert_eq!((first.amount, first.others_held), (60, 0));
    // As if the answer had been lost.
    assert_eq!(one(a.turn(&[asks(1, 60)]).unwrap()).amount, 60);
    let second = one(b.turn(&[asks(2, 60)]).unwrap());
    assert_eq!((second.amount, second.others_held, second.others_spent), (40, 60, 0));
    assert_eq!(rig.books(), "0 100");
    // The other one is told that somebody waits, and gives back.
    let turn = a.turn(&[]).unwrap();
    assert_eq!(turn.wanted, [budget()]);
    let given = one(a.turn(&[Report { hold: 50, ..again(1, &first, 50, 0) }]).unwrap());
    assert_eq!(given.amount, 50);
    assert!(a.turn(&[]).unwrap().wanted.is_empty());
    let more = one(b.turn(&[again(2, &second, 40, 20)]).unwrap());
    assert_eq!((more.amount, more.others_held, more.others_spent), (50, 50, 50));
    // What nobody waits for takes a part of the rest.
    let given = one(b.turn(&[Report { hold: 0, ..again(2, &more, 0, 0) }]).unwrap());
    assert_eq!(given.amount, 0);
    assert_eq!(one(b.turn(&[Report { more: 50, ..again(2, &given, 0, 0) }]).unwrap()).amount, 12);
}

#[test]
fn a_gateway_that_starts_anew_goes_on_and_what_it_held_is_spent() {
    let Some(rig) = rig() else { return };
    let a = rig.member("a");
    let held = one(a.turn(&[asks(1, 60)]).unwrap());
    a.turn(&[again(1, &held, 10, 0)]).unwrap();
    // It knows the lease.
    let resumed = one(rig.member("a").turn(&[again(1, &held, 12, 0)]).unwrap());
    assert_eq!((resumed.amount, resumed.corrected), (60, 0));
    // It knows nothing.
    let anew = one(rig.member("a").turn(&[asks(7, 50)]).unwrap());
    assert_eq!((anew.amount, anew.others_held, anew.corrected), (40, 60, -48));
    assert_eq!(rig.books(), "60 40");
    let places = |id| {
        let budget = Budget { name: "concurrent".into(), ..budget() };
        Report { budget, period: Period::None, ..asks(id, 100) }
    };
    assert_eq!(one(rig.member("a").turn(&[places(1)]).unwrap()).amount, 100);
    let anew = one(rig.member("a").turn(&[places(2)]).unwrap());
    assert_eq!((anew.amount, anew.left), (100, None), "places end with the process");
}

#[test]
fn a_lease_that_is_not_renewed_is_spent_until_its_gateway_says_otherwise() {
    let Some(rig) = rig() else { return };
    let (a, b) = (rig.member("a"), rig.member("b"));
    let held = one(a.turn(&[asks(1, 60)]).unwrap());
    let expired = loop {
        let expired = b.expire().unwrap();
        if !expired.is_empty() {
            break expired;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((expired.len(), &*expired[0].member, expired[0].amount, expired[0].spent), (1, "a", 60, 0));
    assert_eq!(rig.books(), "60 0");
    assert!(b.expire().unwrap().is_empty());
    let other = one(b.turn(&[asks(2, 60)]).unwrap());
    assert_eq!((other.amount, other.others_spent), (40, 60));
    let back = one(a.turn(&[Report { hold: 25, ..again(1, &held, 25, 0) }]).unwrap());
    assert_eq!((back.amount, back.corrected), (25, 35));
    assert_eq!(one(b.turn(&[again(2, &other, 40, 60)]).unwrap()).amount, 75);
    assert_eq!(rig.books(), "0 100");
}

#[test]
fn a_bank_that_went_back_grants_nothing_before_all_have_said_what_they_hold() {
    let Some(rig) = rig() else { return };
    let (a, b) = (rig.member("a"), rig.member("b"));
    let held = one(a.turn(&[asks(1, 20)]).unwrap());
    let tables = ["bank", "bank_member", "budget", "lease"];
    for table in tables {
        rig.postgres.sql("aivonx", &format!("CREATE TABLE public.{table} AS SELECT * FROM aivonx.{table}"));
    }
    let before = a.turn(&[]).unwrap().epoch;
    let held = one(a.turn(&[again(1, &held, 20, 50)]).unwrap());
    assert_eq!(held.amount, 70);
    let other = one(b.turn(&[asks(2, 20)]).unwrap());
    assert_eq!(other.amount, 20);
    for table in tables {
        let put_back =
            format!("DELETE FROM aivonx.{table}; INSERT INTO aivonx.{table} SELECT * FROM public.{table}");
        rig.postgres.sql("aivonx", &put_back);
    }
    assert_eq!(rig.books(), "0 20");
    let turn = b.turn(&[again(2, &other, 20, 50)]).unwrap();
    assert!(turn.epoch > before);
    assert_eq!(one(turn).amount, 20, "the other has not said yet what it holds");
    assert_eq!(one(a.turn(&[again(1, &held, 70, 20)]).unwrap()).amount, 70);
    std::thread::sleep(2 * EXPIRES);
    assert_eq!(one(b.turn(&[again(2, &other, 20, 50)]).unwrap()).amount, 30);
}

#[test]
fn places_that_expired_and_went_to_others_are_not_taken_back() {
    let Some(rig) = rig() else { return };
    let (a, b) = (rig.member("a"), rig.member("b"));
    let places = |report: Report| {
        let budget = Budget { name: "concurrent".into(), ..budget() };
        Report { budget, period: Period::None, ..report }
    };
    let held = one(a.turn(&[places(asks(1, 60))]).unwrap());
    while b.expire().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(one(b.turn(&[places(asks(2, 80))]).unwrap()).amount, 80);
    let back = one(a.turn(&[places(again(1, &held, 0, 0))]).unwrap());
    assert_eq!(back.amount, 0);
    assert_eq!(one(a.turn(&[places(again(1, &back, 0, 60))]).unwrap()).amount, 20);
    assert_eq!(rig.books(), "0 100");
}

#[test]
fn of_two_that_hold_what_the_other_needs_the_first_to_ask_is_given_all() {
    let Some(rig) = rig() else { return };
    let (a, b) = (rig.member("a"), rig.member("b"));
    let (x, y) = (one(a.turn(&[asks(1, 50)]).unwrap()), one(b.turn(&[asks(2, 50)]).unwrap()));
    assert_eq!((x.amount, y.amount), (50, 50));
    assert_eq!(one(a.turn(&[again(1, &x, 0, 80)]).unwrap()).amount, 50);
    let told = b.turn(&[again(2, &y, 0, 80)]).unwrap();
    assert_eq!((told.wanted.len(), one(told).amount), (1, 50));
    let nothing = one(b.turn(&[Report { hold: 0, ..again(2, &y, 0, 80) }]).unwrap());
    assert_eq!(nothing.amount, 0);
    assert_eq!(one(a.turn(&[again(1, &x, 0, 80)]).unwrap()).amount, 80);
    assert_eq!(one(b.turn(&[again(2, &nothing, 0, 80)]).unwrap()).amount, 20);
}

#[test]
fn numbers_beyond_the_range_do_no_harm() {
    let Some(rig) = rig() else { return };
    let a = rig.member("a");
    let most = Report { cap: u64::MAX, more: u64::MAX, ..asks(1, u64::MAX) };
    let held = one(a.turn(&[most]).unwrap());
    let spent = Report { spent: u64::MAX, hold: u64::MAX, ..again(1, &held, 0, u64::MAX) };
    assert_eq!(one(a.turn(&[spent]).unwrap()).amount, held.amount);
}

#[test]
fn what_is_over_is_forgotten() {
    let Some(rig) = rig() else { return };
    let a = rig.member("a");
    let minute = Report { period: Period::Minute, ..asks(1, 1) };
    let day = Report { period: Period::Day, ..asks(1, 1) };
    a.turn(&[minute]).unwrap();
    a.turn(&[day]).unwrap();
    rig.member("gone").turn(&[]).unwrap();
    rig.postgres.sql("aivonx", "UPDATE aivonx.budget SET ends = now() - interval '3 hours'");
    rig.postgres.sql("aivonx", "UPDATE aivonx.bank_member SET seen = now() - interval '41 days'");
    a.expire().unwrap();
    let left = "SELECT (SELECT count(*) FROM aivonx.budget) || ' ' || (SELECT count(*) FROM aivonx.lease)
        || ' ' || (SELECT string_agg(member, ',') FROM aivonx.bank_member)";
    assert_eq!(rig.postgres.sql("aivonx", left), "1 1 a");
    rig.postgres.sql("aivonx", "UPDATE aivonx.budget SET ends = now() - interval '25 hours'");
    a.turn(&[]).unwrap();
    a.expire().unwrap();
    assert_eq!(rig.postgres.sql("aivonx", left), "0 0 a", "it was seen since");
}

#[test]
fn many_at_once_are_granted_exactly_the_cap() {
    let Some(rig) = rig() else { return };
    let members: Vec<_> = ["a", "b", "c"].map(|name| rig.member(name)).into();
    let granted: u64 = std::thread::scope(|scope| {
        let ask = |(id, member): (usize, Arc<dyn Bank>)| {
            scope.spawn(move || {
                let (id, mut spent) = (i64::try_from(id).unwrap(), 0);
                let mut last = one(member.turn(&[asks(id, 1)]).unwrap());
                while last.amount > spent {
                    spent = last.amount;
                    last = one(member.turn(&[again(id, &last, spent, 3)]).unwrap());
                }
                spent
            })
        };
        let all: Vec<_> = members.into_iter().enumerate().map(ask).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(granted, 100);
}
