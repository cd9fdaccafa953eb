//! Random gateways over a bank: the cap holds whatever fails when, and all of it can be used in the end.

use std::collections::BTreeMap;

use aivonx_store::bank::{Answer, Bank, Budget, MemoryBank, Period, Report};
use proptest::prelude::*;

use super::*;

const CAP: u64 = 100;
const MEMBERS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A gateway asks for so much that requests wait for and so much beside; its answer may be lost.
    Ask(usize, u64, u64, bool),
    /// It uses some of what it holds.
    Use(usize, u64),
    /// A request gives some of that back.
    Return(usize, u64),
    /// It gives back what it does not use.
    GiveBack(usize, bool),
    /// It is killed, and started anew without what it knew.
    Kill(usize),
    /// It cannot reach the bank, or can again.
    Cut(usize, bool),
    Pass(i64),
    Expire(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = 0..MEMBERS;
    let step = prop_oneof![
        6 => (member.clone(), 0u64..40, 0u64..40, any::<bool>()).prop_map(|(m, need, more, lost)| Step::Ask(m, need, more, lost)),
        6 => (member.clone(), 1u64..30).prop_map(|(m, n)| Step::Use(m, n)),
        2 => (member.clone(), 1u64..10).prop_map(|(m, n)| Step::Return(m, n)),
        3 => (member.clone(), any::<bool>()).prop_map(|(m, lost)| Step::GiveBack(m, lost)),
        1 => member.clone().prop_map(Step::Kill),
        1 => (member.clone(), any::<bool>()).prop_map(|(m, off)| Step::Cut(m, off)),
        2 => (0i64..40_000).prop_map(Step::Pass),
        2 => member.prop_map(Step::Expire),
    ];
    proptest::collection::vec(step, 1..80)
}

#[derive(Debug, Default)]
struct Member {
    id: i64,
    window: Option<i64>,
    hold: u64,
    spent: u64,
}

struct World {
    bank: MemoryBank,
    ways: Vec<Arc<dyn Bank>>,
    members: Vec<Member>,
    /// What was really used, by period; by processes that were killed since, too.
    used: BTreeMap<i64, u64>,
    ids: i64,
}

const NAMES: [&str; MEMBERS] = ["a", "b", "c"];

impl World {
    fn new() -> Self {
        let bank = MemoryBank::default();
        let ways = NAMES.map(|name| bank.member(name)).into();
        let members = (0..MEMBERS).map(|at| Member { id: at as i64, ..Member::default() }).collect();
        Self { bank, ways, members, used: BTreeMap::new(), ids: 10 }
    }

    fn turn(&mut self, at: usize, need: u64, more: u64, is_lost: bool) -> Option<Answer> {
        let member = &self.members[at];
        let report = Report {
            budget: Budget { kind: 1, subject: "u".into(), name: "inference.day".into() },
            period: Period::Day,
            cap: CAP,
            id: member.id,
            window: member.window,
            hold: member.hold,
            spent: member.spent,
            need,
            more,
        };
        let answer = self.ways[at].turn(&[report]).ok()?.answers[0];
        if is_lost {
            return None;
        }
        let member = &mut self.members[at];
        if member.window != Some(answer.window) {
            (member.window, member.spent) = (Some(answer.window), 0);
        }
        member.hold = answer.amount;
        Some(answer)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(at, need, more, is_lost) => {
                self.turn(at, need, more, is_lost);
            }
            Step::Use(at, n) => {
                let member = &mut self.members[at];
                let n = n.min(member.hold - member.spent);
                member.spent += n;
                if let Some(window) = member.window {
                    *self.used.entry(window).or_default() += n;
                }
            }
            Step::Return(at, n) => {
                let member = &mut self.members[at];
                let n = n.min(member.spent);
                member.spent -= n;
                if let Some(window) = member.window {
                    *self.used.entry(window).or_default() -= n;
                }
            }
            Step::GiveBack(at, is_lost) => {
                self.members[at].hold = self.members[at].spent;
                self.turn(at, 0, 0, is_lost);
            }
            Step::Kill(at) => {
                self.ids += 1;
                self.members[at] = Member { id: self.ids, ..Member::default() };
            }
            Step::Cut(at, off) => self.bank.cut(NAMES[at], off),
            Step::Pass(millis) => self.bank.pass(millis),
            Step::Expire(at) => {
                let _ = self.ways[at].expire();
            }
        }
        for (window, used) in &self.used {
            assert!(*used <= CAP, "{used} used in {window}");
        }
        for (_, window, used, leased) in self.bank.books() {
            assert!(used + leased <= CAP, "{used} + {leased} in {window}");
        }
    }
}

/// Of `name`, of which there are 10.
fn report(name: LimitName, id: i64, hold: u64, spent: u64, need: u64) -> Report {
    let period = if name == LimitName::Concurrent { Period::None } else { Period::Day };
    let budget = Budget { kind: 1, subject: "u".into(), name: name.name().into() };
    Report { budget, period, cap: 10, id, window: Some(0), hold, spent, need, more: 0 }
}

#[test]
fn places_that_expired_and_went_to_others_are_not_taken_back() {
    let bank = MemoryBank::default();
    let [a, b] = ["a", "b"].map(|name| bank.member(name));
    let say = |way: &Arc<dyn Bank>, id, hold, spent, need| {
        way.turn(&[report(LimitName::Concurrent, id, hold, spent, need)]).unwrap().answers[0].amount
    };
    assert_eq!(say(&a, 1, 0, 0, 6), 6);
    bank.pass(31_000);
    b.expire().unwrap();
    assert_eq!(say(&b, 2, 0, 0, 8), 8);
    assert_eq!(say(&a, 1, 6, 0, 0), 0);
    assert_eq!(say(&a, 1, 0, 0, 6), 2);
    assert_eq!(bank.books()[0].3, 10);
}

#[test]
fn of_two_that_hold_what_the_other_needs_the_first_to_ask_is_given_all() {
    let bank = MemoryBank::default();
    let [a, b] = ["a", "b"].map(|name| bank.member(name));
    let say = |way: &Arc<dyn Bank>, id, hold, need| {
        let turn = way.turn(&[report(LimitName::InferenceDay, id, hold, 0, need)]).unwrap();
        (turn.answers[0].amount, turn.wanted.len())
    };
    assert_eq!(say(&a, 1, 0, 5), (5, 0));
    assert_eq!(say(&b, 2, 0, 5), (5, 0));
    assert_eq!(say(&a, 1, 5, 8), (5, 0));
    assert_eq!(say(&b, 2, 5, 8), (5, 1));
    assert_eq!(say(&a, 1, 5, 8), (5, 0), "the second did not take its place");
    assert_eq!(say(&b, 2, 0, 8), (0, 0), "what was given back is kept for the first");
    assert_eq!(say(&a, 1, 5, 8), (8, 0));
    assert_eq!(say(&b, 2, 0, 8), (2, 0));
}

#[test]
fn no_epoch_comes_twice() {
    let bank = MemoryBank::default();
    let a = bank.member("a");
    let backup = bank.backup();
    let mut epochs = std::collections::BTreeSet::new();
    for _ in 0..3 {
        a.turn(&[]).unwrap();
        bank.restore(&backup);
        epochs.insert(a.turn(&[]).unwrap().epoch);
    }
    assert_eq!(epochs.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_cap_holds_and_all_of_it_can_be_used(steps in steps()) {
        let was_killed = steps.iter().any(|step| matches!(step, Step::Kill(_)));
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        for name in NAMES {
            world.bank.cut(name, false);
        }
        for at in 0..MEMBERS {
            world.step(Step::GiveBack(at, false));
        }
        // One uses the rest: but for what was held by those that were killed, all of it.
        world.step(Step::Ask(0, CAP, 0, false));
        world.step(Step::Use(0, CAP));
        let window = world.members[0].window.unwrap();
        if !was_killed {
            prop_assert_eq!(world.used[&window], CAP);
        }
        let books = world.bank.books();
        let (_, _, used, leased) = books.iter().find(|books| books.1 == window).unwrap();
        prop_assert_eq!(used + leased, CAP);
    }
}
