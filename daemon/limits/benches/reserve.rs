//! What a reservation costs, alone and with limits that are shared with other gateways.
//!
//! `cargo bench -p aivonx-limits --bench reserve`: nanoseconds of a reservation and its settlement under caps on requests,
//! tokens and money of an organization and a user, the best of several rounds that take turns, of one thread.

#![expect(clippy::unwrap_used, reason = "without its store there is nothing to measure")]

use std::{hint::black_box, sync::Arc, time::Duration};

use aivonx_limits::{Ask, Caps, Clock, Kind, Level, Limits, OnStoreLoss, Output, Price, Sharing, Used};
use aivonx_protocol::limit::LimitName;
use aivonx_store::{
    bank::MemoryBank,
    testing::{Stand, stand},
};

const TURNS: u32 = 100_000;
const ROUNDS: u32 = 20;

struct Subject {
    _stand: Stand,
    limits: Arc<Limits>,
    levels: [Arc<Level>; 2],
}

async fn subject(sharing: Option<Sharing>) -> Subject {
    let stand = stand().await;
    let clock = Clock::system(Duration::ZERO);
    let limits = Limits::open_shared(stand.store.clone(), Arc::default(), clock, sharing).await.unwrap();
    let limited = [
        LimitName::InferenceDay,
        LimitName::BurstMinute,
        LimitName::TokensDay,
        LimitName::SpendDay,
        LimitName::SpendMonth,
        LimitName::Concurrent,
    ];
    let caps = limited.into_iter().fold(Caps::UNLIMITED, |caps, limit| caps.with(limit, 1_000_000_000_000));
    let level = |kind, id: &str| limits.accounts().level(kind, &id.into(), caps);
    let levels = [level(Kind::Organization, "o"), level(Kind::User, "u")];
    Subject { _stand: stand, levels, limits }
}

impl Subject {
    async fn one(&self) {
        let price = Price { prompt: 1_000_000, output: 1_000_000 };
        let output = Output::UpTo { each: Some(20), answers: 1, made: 1 };
        let ask = Ask { prompt: 10, output, price };
        let levels = [Some(&self.levels[0]), Some(&self.levels[1]), None];
        let reserved = self.limits.reserve(black_box(levels), &ask).await.unwrap();
        reserved.settle(Used { tokens: 15, cost: 15 }, &self.limits.now());
    }

    /// Nanoseconds of one.
    async fn round(&self) -> f64 {
        let began = std::time::Instant::now();
        for _ in 0..TURNS {
            self.one().await;
        }
        began.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS)
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    // Cargo asks every bench whether it has tests.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let sharing = Sharing {
        bank: MemoryBank::default().member("a"),
        renew: Duration::from_secs(10),
        expires: Duration::from_secs(30),
        on_loss: OnStoreLoss::Slice,
    };
    let subjects = [("alone", subject(None).await), ("shared", subject(Some(sharing)).await)];
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (at, (_, subject)) in subjects.iter().enumerate() {
            best[at] = best[at].min(subject.round().await);
        }
    }
    for ((name, _), best) in subjects.iter().zip(best) {
        println!("{name:8} {best:8.0} ns");
    }
    println!("shared costs {:+.0} ns, {:+.1} %", best[1] - best[0], (best[1] / best[0] - 1.0) * 100.0);
}
