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
