//! Requests per hour and address, in tables that do not grow.
//!
//! A table that is full first lets go of the hours that are over, then of the quarter with the fewest requests: who is
//! close to a limit stays, and a flood of addresses takes the places of one another. Exact for about a hundred thousand
//! addresses an hour. Nothing of it survives a restart.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aivonx_domain::table::Map;
use aivonx_protocol::limit::LimitName;

use super::{
    Exceeded, Who,
    clock::{HOUR, Now},
};

/// Tables, each under a lock of its own.
const SHARDS: usize = 64;
/// Most hours of a table: what a map of 2048 buckets holds, 3.5 MiB for all of them.
const HOURS_MAX: usize = 1792;

/// One address and limit in one hour.
#[derive(Debug, Clone, Copy)]
struct Hour {
    /// By the steady clock.
    began: i64,
    /// One without a request has not begun.
    requests: u64,
}

impl Hour {
    fn is_over(&self, now: &Now) -> bool {
        self.requests == 0 || now.steady - self.began >= HOUR
    }
}

/// By a hash of the limit and whom it counts.
type Hours = Map<u64, Hour>;

/// See the module.
#[derive(Debug)]
pub(super) struct Throttles {
    /// Keyed at random, so that nobody can choose addresses that are taken for one another.
    hasher: RandomState,
    shards: [Mutex<Hours>; SHARDS],
}

impl Default for Throttles {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// What is left of an hour in which everything is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) used: u64,
    /// Milliseconds until the hour ends.
    pub(super) left: u64,
}

impl Full {
    /// The refusal that the client gets.
    pub(super) fn exceeded(self, limit: LimitName, cap: u64, who: Who, now: &Now) -> Exceeded {
        Exceeded {
            limit,
            cap,
            used: self.used,
            asked: 1,
            resets_in: Some(self.left),
            resets_at: now.wall.saturating_add(self.left),
            who,
            is_unsure: false,
        }
    }
}

impl Throttles {
    /// Counts one use of `limit` by `who`, of which `cap` are allowed an hour.
    pub(super) fn count(&self, limit: LimitName, who: impl Hash, cap: u64, now: &Now) -> Result<(), Full> {
        let (tag, mut hours) = self.hours(limit, who);
        if hours.len() >= HOURS_MAX && !hours.contains_key(&tag) {
            make_room(&mut hours, now);
        }
        let new = Hour { began: now.steady, requests: 0 };
        let hour = hours.entry(tag).or_insert(new);
        if hour.is_over(now) {
            *hour = new;
        }
        if hour.requests >= cap {
            let left = (hour.began + HOUR - now.steady).clamp(0, HOUR).unsigned_abs();
            return Err(Full { used: hour.requests, left });
        }
        hour.requests += 1;
        Ok(())
    }

    /// Takes back one use of `limit` by `who`, if there is any in its hour.
    pub(super) fn give_back(&self, limit: LimitName, who: impl Hash, now: &Now) {
        let (tag, mut hours) = self.hours(limit, who);
        if let Some(hour) = hours.get_mut(&tag).filter(|hour| !hour.is_over(now)) {
            hour.requests -= 1;
        }
    }

    /// Whether `who` has used `limit` as often as `cap` allows in its hour. Counts nothing.
    pub(super) fn is_full(&self, limit: LimitName, who: impl Hash, cap: u64, now: &Now) -> bool {
        let (tag, hours) = self.hours(limit, who);
        hours.get(&tag).is_some_and(|hour| hour.requests >= cap && !hour.is_over(now))
    }

    /// The hash of `who` and `limit`, and the table that has it.
    fn hours(&self, limit: LimitName, who: impl Hash) -> (u64, MutexGuard<'_, Hours>) {
        let tag = self.hasher.hash_one((limit, who));
        let shard = &self.shards[usize::from(tag.to_le_bytes()[0]) % SHARDS];
        (tag, shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes room for a quarter of a table at least, so that the next time is far.
fn make_room(hours: &mut Hours, now: &Now) {
    const QUARTER: usize = HOURS_MAX / 4;
    let mut left: Vec<(u64, Hour)> = hours.drain().filter(|(_, hour)| !hour.is_over(now)).collect();
    if left.len() > HOURS_MAX - QUARTER {
        left.select_nth_unstable_by_key(QUARTER, |(_, hour)| hour.requests);
        left.drain(..QUARTER);
    }
    hours.extend(left);
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use aivonx_domain::network;

    use super::*;
    use crate::clock::Hand;

    const LIMIT: LimitName = LimitName::AnonymousHour;

    #[test]
    fn an_hour_begins_with_the_first_request_and_ends_an_hour_later() {
        let (hand, clock) = Hand::at("2027-01-01T12:00:00Z", Duration::ZERO);
        let table = Throttles::default();
        for _ in 0..3 {
            table.count(LIMIT, 1, 3, &clock.now()).unwrap();
            hand.pass(Duration::from_secs(60));
        }
        let left = u64::try_from(HOUR).unwrap() - 180_000;
        assert_eq!(table.count(LIMIT, 1, 3, &clock.now()), Err(Full { used: 3, left }));
        table.count(LIMIT, 2, 3, &clock.now()).unwrap();
        table.count(LimitName::LoginHour, 1, 3, &clock.now()).unwrap();
        hand.step(-7_200_000);
        assert!(table.count(LIMIT, 1, 3, &clock.now()).is_err(), "a step of the clock is no time");
        hand.pass(Duration::from_millis(left));
        table.count(LIMIT, 1, 3, &clock.now()).unwrap();
        for _ in 0..2 {
            table.count(LIMIT, 1, 3, &clock.now()).unwrap();
        }
        assert!(table.count(LIMIT, 1, 3, &clock.now()).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_used_once_more() {
        let (hand, clock) = Hand::at("2027-01-01T12:00:00Z", Duration::ZERO);
        let (table, now) = (Throttles::default(), clock.now());
        table.give_back(LIMIT, 1, &now);
        table.count(LIMIT, 1, 2, &now).unwrap();
        table.count(LIMIT, 1, 2, &now).unwrap();
        table.give_back(LIMIT, 2, &now);
        table.give_back(LIMIT, 1, &now);
        table.count(LIMIT, 1, 2, &now).unwrap();
        assert!(table.count(LIMIT, 1, 2, &now).is_err());
        hand.pass(Duration::from_secs(3600));
        table.give_back(LIMIT, 1, &clock.now());
        table.count(LIMIT, 1, 1, &clock.now()).unwrap();
        assert!(table.count(LIMIT, 1, 1, &clock.now()).is_err());
    }

    #[test]
    fn a_million_addresses_take_no_room_and_free_nobody() {
        let (_, clock) = Hand::at("2027-01-01T12:00:00Z", Duration::ZERO);
        let (table, now) = (Throttles::default(), clock.now());
        while table.count(LIMIT, "busy", 50, &now).is_ok() {}
        for address in 0..1_000_000u32 {
            table.count(LIMIT, IpAddr::from(address.to_be_bytes()), 50, &now).unwrap();
        }
        assert!(table.count(LIMIT, "busy", 50, &now).is_err());
        let held = |shard: &Mutex<Hours>| shard.lock().unwrap().capacity();
        assert!(table.shards.iter().map(held).max() <= Some(HOURS_MAX));
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_addresses_as_what_they_are() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
