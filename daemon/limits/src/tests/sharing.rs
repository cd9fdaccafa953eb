//! Several gateways over one bank.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aivonx_store::{
    StoreError,
    bank::{Bank, Expired, MemoryBank, Report, Turn},
    testing::{PostgresServer, Stand, stand},
};

use super::*;
use crate::{Limits, OnStoreLoss, Sharing};

const RENEW: Duration = Duration::from_millis(400);

/// One gateway.
struct Member {
    stand: Stand,
    limits: Arc<Limits>,
}

fn sharing(bank: Arc<dyn Bank>) -> Sharing {
    Sharing { bank, renew: RENEW, expires: 3 * RENEW, on_loss: OnStoreLoss::Slice }
}

async fn member_by(sharing: Sharing) -> Member {
    let stand = stand().await;
    let clock = Clock::system(Duration::ZERO);
    let limits =
        Limits::open_shared(stand.store.clone(), Arc::default(), clock, Some(sharing)).await.unwrap();
    Member { stand, limits }
}

async fn member(bank: Arc<dyn Bank>) -> Member {
    member_by(sharing(bank)).await
}

impl Member {
    fn user(&self, id: &str, each: &[(LimitName, u64)]) -> Arc<Level> {
        self.limits.accounts().level(Kind::User, &id.into(), caps(each))
    }

    /// Stops it, and starts it anew.
    async fn restart(self, sharing: Sharing) -> Self {
        self.limits.close().await.unwrap();
        let Self { stand, limits } = self;
        drop(limits);
        let clock = Clock::system(Duration::ZERO);
        let limits =
            Limits::open_shared(stand.store.clone(), Arc::default(), clock, Some(sharing)).await.unwrap();
        Self { stand, limits }
    }

    async fn ask(&self, level: &Arc<Level>, ask: Ask) -> Result<Reservation, Exceeded> {
        self.limits.reserve([None, Some(level), None], &ask).await
    }

    /// Asks `n` times at once, of which so many are let through and done.
    async fn flood(&self, level: &Arc<Level>, n: usize) -> u64 {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..n {
            let (limits, level) = (self.limits.clone(), level.clone());
            all.spawn(async move {
                match limits.reserve([None, Some(&level), None], &FREE).await {
                    Ok(reservation) => {
                        reservation.settle(Used::default(), &limits.now());
                        1
                    }
                    Err(exceeded) => {
                        assert!(!exceeded.is_unsure, "{exceeded}");
                        0
                    }
                }
            });
        }
        all.join_all().await.into_iter().sum()
    }
}

/// A bank that takes its time, or is away.
struct Faulty {
    bank: Arc<dyn Bank>,
    latency: Duration,
    is_away: AtomicBool,
    asked: AtomicU64,
}

impl Faulty {
    fn new(bank: Arc<dyn Bank>, latency: Duration) -> Arc<Self> {
        Arc::new(Self { bank, latency, is_away: AtomicBool::new(false), asked: AtomicU64::new(0) })
    }

    fn go(&self, away: bool) {
        self.is_away.store(away, Ordering::Relaxed);
    }

    fn pass(&self) -> Result<(), StoreError> {
        std::thread::sleep(self.latency);
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Database("the bank is away".into()));
        }
        Ok(())
    }
}

impl Bank for Faulty {
    fn turn(&self, reports: &[Report]) -> Result<Turn, StoreError> {
        self.pass()?;
        self.bank.turn(reports)
    }

    fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        self.pass()?;
        self.bank.expire()
    }
}

const DAY: LimitName = LimitName::InferenceDay;

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), so).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Asks until it is granted.
async fn granted(member: &Member, level: &Arc<Level>, ask: Ask) -> Reservation {
    let done = async {
        loop {
            if let Ok(reservation) = member.ask(level, ask).await {
                return reservation;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.unwrap()
}

/// 3 gateways with 500 requests each at once against 1000, each time of another user.
async fn exactly(members: [Member; 3], rounds: usize) {
    let [a, b, c] = &members;
    for round in 0..rounds {
        let user = format!("u{round}");
        let levels = members.each_ref().map(|member| member.user(&user, &[(DAY, 1000)]));
        let [x, y, z] = &levels;
        let (x, y, z) = tokio::join!(a.flood(x, 500), b.flood(y, 500), c.flood(z, 500));
        assert_eq!(x + y + z, 1000, "round {round}: {x} {y} {z}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_let_exactly_the_cap_through() {
    let bank = MemoryBank::default();
    let members =
        [member(bank.member("a")).await, member(bank.member("b")).await, member(bank.member("c")).await];
    exactly(members, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_gateways_over_postgresql_let_exactly_the_cap_through() {
    let Some(postgres) = PostgresServer::start() else { return };
    let migrated = || postgres.server().migrate("aivonx");
    std::thread::scope(|scope| scope.spawn(migrated).join().unwrap()).unwrap();
    let at = |name: &str| postgres.server().bank(name, 3 * RENEW, Duration::ZERO).unwrap();
    let members = [member(at("a")).await, member(at("b")).await, member(at("c")).await];
    exactly(members, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_takes_200_ms_is_waited_for_and_nobody_asks_it_per_request() {
    let (bank, latency) = (MemoryBank::default(), Duration::from_millis(200));
    let slow = ["a", "b", "c"].map(|name| Faulty::new(bank.member(name), latency));
    let [a, b, c] = slow.clone();
    let members = [member(a).await, member(b).await, member(c).await];
    exactly(members, 2).await;
    let asked: u64 = slow.iter().map(|bank| bank.asked.load(Ordering::Relaxed)).sum();
    assert!(asked < 200, "asked {asked} times for 3000 requests");
}

#[tokio::test]
async fn what_one_does_not_need_is_given_back_before_another_is_refused() {
    let bank = MemoryBank::default();
    let [a, b] = [member(bank.member("a")).await, member(bank.member("b")).await];
    let [x, y] = [&a, &b].map(|member| member.user("u", &[(DAY, 40)]));
    assert_eq!(a.flood(&x, 10).await, 10);
    assert_eq!(b.flood(&y, 50).await, 30);
    let refused = a.ask(&x, FREE).await.unwrap_err();
    assert_eq!((refused.used, refused.cap, refused.is_unsure), (40, 40, false));
    assert_eq!(a.limits.used_by_all(Kind::User, "u", DAY), Some(40));
}

#[tokio::test]
async fn places_are_given_back_at_once_and_what_fails_leaks_nothing() {
    let bank = MemoryBank::default();
    let [a, b] = [member(bank.member("a")).await, member(bank.member("b")).await];
    let each = [(LimitName::Concurrent, 4), (LimitName::TokensDay, 1000), (LimitName::SpendDay, 1000)];
    let [x, y] = [&a, &b].map(|member| member.user("u", &each));
    let price = Price { prompt: 1_000_000, output: 1_000_000 };
    for _ in 0..5 {
        let mut running = Vec::new();
        for _ in 0..4 {
            running.push(a.ask(&x, Ask { price, ..at_most(100, 150) }).await.unwrap());
        }
        let refused = b.ask(&y, at_most(1, 1)).await.unwrap_err();
        assert!(!refused.is_unsure, "{refused}");
        // All of them fail.
        drop(running);
        granted(&b, &y, at_most(500, 500)).await;
    }
    // What runs into a timeout is counted once, and a request that is given up while it waits is not.
    let all = granted(&a, &x, Ask { price, ..at_most(500, 0) }).await;
    all.settle(Used { tokens: 400, cost: 400 }, &a.limits.now());
    let waits = b.ask(&y, at_most(601, 0));
    assert!(tokio::time::timeout(Duration::from_millis(1), waits).await.is_err());
    granted(&b, &y, at_most(600, 0)).await.settle(Used { tokens: 600, cost: 0 }, &b.limits.now());
    let refused = a.ask(&x, at_most(1, 0)).await.unwrap_err();
    assert_eq!((refused.limit, refused.used), (LimitName::TokensDay, 1000));
}

#[tokio::test]
async fn an_open_request_is_bound_to_what_is_left_everywhere() {
    let bank = MemoryBank::default();
    let [a, b] = [member(bank.member("a")).await, member(bank.member("b")).await];
    let [x, y] = [&a, &b].map(|member| member.user("u", &[(LimitName::TokensDay, 6000)]));
    let first = a.ask(&x, open(0, Price::FREE)).await.unwrap();
    assert_eq!(first.bound(), Some(crate::OPEN_OUTPUT));
    let second = b.ask(&y, open(4, Price::FREE)).await.unwrap();
    assert_eq!(second.bound(), Some(1900));
}

#[tokio::test]
async fn while_the_bank_is_away_each_limit_does_what_it_was_told() {
    for on_loss in [OnStoreLoss::Slice, OnStoreLoss::Open, OnStoreLoss::Closed] {
        let bank = MemoryBank::default();
        let faulty = Faulty::new(bank.member("a"), Duration::ZERO);
        let a = member_by(Sharing { on_loss, ..sharing(faulty.clone()) }).await;
        let x = a.user("u", &[(DAY, 1000)]);
        assert_eq!(a.flood(&x, 20).await, 20);
        // More than is used is held after that many.
        let spare = || bank.books()[0].3 - 20;
        until("nothing is kept in hand", || spare() > 0).await;
        faulty.go(true);
        until("it is not known to be away", || a.limits.shared().unwrap().is_away).await;
        let mut through = 0;
        while through < 1000
            && a.ask(&x, FREE).await.map(|r| r.settle(Used::default(), &a.limits.now())).is_ok()
        {
            through += 1;
        }
        match on_loss {
            OnStoreLoss::Slice => assert!((1..1000).contains(&through), "{through}"),
            OnStoreLoss::Open => assert_eq!(through, 1000),
            OnStoreLoss::Closed => assert_eq!(through, 0),
        }
        if on_loss != OnStoreLoss::Open {
            let refused = a.ask(&x, FREE).await.unwrap_err();
            assert!(refused.is_unsure && refused.retry_after() == 1, "{refused}");
        }
        faulty.go(false);
        until("it is not known to be there", || !a.limits.shared().unwrap().is_away).await;
        if on_loss == OnStoreLoss::Open {
            let refused = a.ask(&x, FREE).await.unwrap_err();
            assert_eq!((refused.used, refused.is_unsure), (1020, false), "it was counted");
        } else {
            a.ask(&x, FREE).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_loses_its_slice_and_nothing_else() {
    let bank = MemoryBank::default();
    let a = member(bank.member("a")).await;
    let x = a.user("u", &[(DAY, 100)]);
    assert_eq!(a.flood(&x, 10).await, 10);
    drop(a);
    let b = member(bank.member("b")).await;
    let y = b.user("u", &[(DAY, 100)]);
    // It expires, and is booked as spent.
    bank.pass(40_000);
    until("it did not expire", || bank.books()[0].2 > 0).await;
    let held = bank.books()[0].2;
    assert!((10..50).contains(&held), "{held}");
    assert_eq!(b.flood(&y, 200).await, 100 - held);
    let a = member(bank.member("a")).await;
    assert_eq!(a.flood(&a.user("u", &[(DAY, 100)]), 10).await, 0);
}

#[tokio::test]
async fn a_gateway_that_stops_gives_back_and_one_that_cannot_goes_on_with_what_it_held() {
    let bank = MemoryBank::default();
    let faulty = Faulty::new(bank.member("a"), Duration::ZERO);
    let cap = [(DAY, 100)];
    let a = member(faulty.clone()).await;
    assert_eq!(a.flood(&a.user("u", &cap), 40).await, 40);
    let a = a.restart(sharing(faulty.clone())).await;
    assert_eq!((bank.books()[0].2, bank.books()[0].3), (0, 40), "what is not used is free");
    assert_eq!(a.flood(&a.user("u", &cap), 10).await, 10);
    faulty.go(true);
    until("it is not known to be away", || a.limits.shared().unwrap().is_away).await;
    let a = a.restart(sharing(faulty.clone())).await;
    faulty.go(false);
    assert_eq!(a.flood(&a.user("u", &cap), 60).await, 50, "no request is lost, and none counted twice");
    assert_eq!(a.limits.shared().unwrap().let_go, 0);
}

#[tokio::test]
async fn a_partition_is_put_right_and_a_bank_that_went_back_is_told_again() {
    let bank = MemoryBank::default();
    let [a, b] = [member(bank.member("a")).await, member(bank.member("b")).await];
    let [x, y] = [&a, &b].map(|member| member.user("u", &[(DAY, 100)]));
    assert_eq!(a.flood(&x, 10).await, 10);
    bank.cut("a", true);
    until("it is not away", || a.limits.shared().unwrap().is_away).await;
    bank.pass(40_000);
    until("it did not expire", || bank.books()[0].2 >= 10).await;
    let booked = bank.books()[0].2;
    assert_eq!(b.flood(&y, 200).await, 100 - booked);
    bank.cut("a", false);
    until("it was not put right", || bank.books()[0].2 == 0).await;
    assert!(a.limits.shared().unwrap().put_right > 0);
    for _ in 10..booked {
        granted(&b, &y, FREE).await.settle(Used::default(), &b.limits.now());
    }
    assert_eq!(b.flood(&y, 5).await, 0);
    // Back to a state in which nothing was granted.
    bank.restore(&MemoryBank::default());
    until("it is not said again", || bank.books().first().is_some_and(|books| books.3 == 100)).await;
    assert_eq!(a.flood(&x, 5).await + b.flood(&y, 5).await, 0);
}

#[tokio::test]
async fn requests_of_any_kind_per_hour_are_shared_too() {
    let bank = MemoryBank::default();
    let [a, b] = [member(bank.member("a")).await, member(bank.member("b")).await];
    let mut through = 0;
    for _ in 0..15 {
        for member in [&a, &b] {
            let level = member.user("u", &[(LimitName::UserHour, 20)]);
            let levels = [None, Some(&level), None];
            through += u32::from(member.limits.throttle(Some(levels), [127, 0, 0, 1].into()).await.is_ok());
        }
    }
    assert_eq!(through, 20);
}

#[tokio::test]
async fn who_does_not_wait_spoils_nothing_for_others_and_a_lowered_cap_binds_at_once() {
    let bank = MemoryBank::default();
    let a = member(bank.member("a")).await;
    let x = a.user("u", &[(DAY, 1000)]);
    let levels = || [None, Some(&x), None];
    let refused = a.limits.follow(None, levels(), &FREE).unwrap_err();
    assert!(refused.is_unsure, "nothing is held yet");
    let held = || bank.books().first().map_or(0, |books| books.3);
    until("it is not asked for", || held() > 0).await;
    let first = a.ask(&x, FREE).await.unwrap();
    assert_eq!(a.flood(&x, 100).await, 100);
    let second = a.limits.follow(Some((first, Used::default())), levels(), &FREE).unwrap();
    assert!(held() > 101, "something is kept for the next ones");
    let lowered = a.user("u", &[(DAY, 102)]);
    let third = a.ask(&lowered, FREE).await;
    until("it is not given back", || held() <= 102).await;
    drop((second, third));
}
