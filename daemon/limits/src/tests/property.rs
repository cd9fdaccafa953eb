//! Random operations in random order: no budget is exceeded, and none leaks.

use proptest::prelude::*;

use super::*;
use crate::window::LiveCounters;

#[derive(Debug, Clone)]
enum Step {
    /// One of the users asks, for so much prompt and output.
    Reserve(usize, u64, u64),
    /// One that runs is over, having used so much in a thousand of what it reserved.
    Settle(usize, u64),
    /// One that runs has failed.
    Refund(usize),
    Pass(u64),
    /// The system's clock is set.
    Set(i64),
    /// The process is killed and started again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0usize..2, 0u64..200, 0u64..400).prop_map(|(user, prompt, output)| Step::Reserve(user, prompt, output)),
        4 => (any::<usize>(), 0u64..1300).prop_map(|(which, part)| Step::Settle(which, part)),
        3 => any::<usize>().prop_map(Step::Refund),
        1 => (0u64..50_000).prop_map(Step::Pass),
        1 => (-172_800i64..172_800).prop_map(Step::Set),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..80)
}

/// What a day should have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Day {
    requests: u64,
    tokens: u64,
    /// By how much settled requests went beyond what they had reserved.
    beyond: u64,
}

struct Running {
    reservation: Reservation,
    user: usize,
    reserved: u64,
    /// Days that each account has begun when it was reserved.
    days: [u32; 3],
}

const REQUESTS: [u64; 3] = [7, 4, 5];
const TOKENS: [u64; 3] = [3000, 1500, 2000];
const AT_ONCE: u64 = 4;

struct World {
    rig: Rig,
    levels: [Arc<Level>; 3],
    model: [Day; 3],
    days: [u32; 3],
    serials: [u32; 3],
    running: Vec<Running>,
}

const KINDS: [(Kind, &str); 3] = [(Kind::Organization, "o"), (Kind::User, "a"), (Kind::User, "b")];

fn levels(accounts: &Accounts) -> [Arc<Level>; 3] {
    std::array::from_fn(|at| {
        let caps = caps(&[
            (LimitName::InferenceDay, REQUESTS[at]),
            (LimitName::TokensDay, TOKENS[at]),
            (LimitName::Concurrent, AT_ONCE),
        ]);
        accounts.level(KINDS[at].0, &KINDS[at].1.into(), caps)
    })
}

impl World {
    fn new() -> Self {
        let rig = rig(NOON);
        let levels = levels(&rig.accounts);
        Self { rig, levels, model: Default::default(), days: [0; 3], serials: [0; 3], running: Vec::new() }
    }

    /// Finds the accounts that have begun another day, by their serial.
    fn days(&mut self) {
        let now = self.rig.clock.now();
        for at in 0..3 {
            let mut live = self.levels[at].account.lock();
            live.roll(&now);
            if live.day.serial != self.serials[at] {
                self.serials[at] = live.day.serial;
                self.days[at] += 1;
                self.model[at] = Day::default();
            }
        }
    }

    fn done(&mut self, running: Running, used: Option<u64>) {
        for at in [0, running.user + 1] {
            let same = running.days[at] == self.days[at];
            let day = &mut self.model[at];
            match used {
                Some(used) => {
                    let beyond = used.saturating_sub(running.reserved);
                    day.beyond += beyond;
                    day.tokens =
                        if same { day.tokens - running.reserved + used } else { day.tokens + beyond };
                }
                None if same => {
                    day.requests -= 1;
                    day.tokens -= running.reserved;
                }
                None => {}
            }
        }
        match used {
            Some(tokens) => running.reservation.settle(Used { tokens, cost: 0 }, &self.rig.clock.now()),
            None => drop(running.reservation),
        }
    }

    fn step(&mut self, step: Step) {
        self.days();
        match step {
            Step::Reserve(user, prompt, output) => {
                let asked = [&self.levels[0], &self.levels[user + 1]];
                let fits = [0, user + 1].into_iter().all(|at| {
                    let running = self.running.iter().filter(|r| at == 0 || r.user + 1 == at).count() as u64;
                    let day = self.model[at];
                    let tokens = day.tokens + prompt + output;
                    running < AT_ONCE
                        && day.requests < REQUESTS[at]
                        && (tokens <= TOKENS[at] || (prompt + output == 0 && day.tokens <= TOKENS[at]))
                });
                let reservation = self.rig.ask(&asked, at_most(prompt, output));
                assert_eq!(reservation.is_ok(), fits, "{:?} {reservation:?}", self.model);
                let Ok(reservation) = reservation else { return };
                for at in [0, user + 1] {
                    self.model[at].requests += 1;
                    self.model[at].tokens += prompt + output;
                }
                self.running.push(Running { reservation, user, reserved: prompt + output, days: self.days });
            }
            Step::Settle(..) | Step::Refund(_) if self.running.is_empty() => {}
            Step::Settle(which, part) => {
                let running = self.running.swap_remove(which % self.running.len());
                let used = running.reserved * part / 1000;
                self.done(running, Some(used));
            }
            Step::Refund(which) => {
                let running = self.running.swap_remove(which % self.running.len());
                self.done(running, None);
            }
            Step::Pass(seconds) => self.rig.hand.pass(Duration::from_secs(seconds)),
            Step::Set(seconds) => self.rig.hand.step(seconds * 1000),
            Step::Restart => self.restart(),
        }
        self.check();
    }

    /// What ran stays counted as it was reserved.
    fn restart(&mut self) {
        let now = self.rig.clock.now();
        let saved = self.levels.each_ref().map(|level| level.account.lock().saved(&now));
        let (hand, clock) = self.rig.hand.another(Duration::ZERO);
        let later = clock.now();
        let rig = Rig { hand, clock, accounts: Accounts::default() };
        for ((kind, id), saved) in KINDS.into_iter().zip(&saved) {
            rig.accounts.restore(kind, &id.into(), LiveCounters::restored(saved, now.wall, &later));
        }
        self.levels = levels(&rig.accounts);
        self.rig = rig;
        self.serials = [0; 3];
        self.running.clear();
    }

    fn check(&mut self) {
        self.days();
        let now = self.rig.clock.now();
        for at in 0..3 {
            let counters = self.levels[at].account.counters(&now);
            let Day { requests, tokens, beyond } = self.model[at];
            assert_eq!((counters.day.requests, counters.day.tokens), (requests, tokens), "{}", KINDS[at].1);
            assert!(requests <= REQUESTS[at], "a request too many");
            assert!(tokens <= TOKENS[at] + beyond, "more than estimates were wrong by");
            let running = self.running.iter().filter(|r| at == 0 || r.user + 1 == at).count() as u64;
            assert_eq!(counters.running, running);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_budget_is_exceeded_and_none_leaks(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        while let Some(running) = world.running.pop() {
            world.days();
            world.done(running, None);
        }
        world.check();
        // However the clock was set before: some days later every counter is back at zero.
        world.rig.hand.pass(Duration::from_secs(3 * 86_400));
        world.days();
        prop_assert_eq!(world.model, [Day::default(); 3]);
        world.check();
        for at in [1, 2] {
            world.step(Step::Reserve(at - 1, 1, 1));
        }
        prop_assert_eq!(world.running.len(), 2);
    }
}
