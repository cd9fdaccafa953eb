//! Requests per hour and address, in a table that does not grow.
//!
//! A set of the table has eight places. Where all are taken by hours that are not over, the one with the fewest
//! requests makes room: who is close to a limit stays, and a flood of addresses takes the places of one another.
//! Exact for about a hundred thousand addresses an hour. Nothing of it survives a restart.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, OnceLock, PoisonError},
};

use aivonx_protocol::limit::LimitName;

use super::{
    Exceeded, Who,
    clock::{HOUR, Now},
};

/// Locks; each has as many sets.
const SHARDS: usize = 64;
/// Sets of a shard.
const SETS: usize = 256;
/// Places of a set.
const WAYS: usize = 8;

/// One address and limit in one hour.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Hash of both; an hour without a request has not begun.
    tag: u64,
    /// When the hour began, by the steady clock.
    began: i64,
    requests: u64,
}

impl Place {
    fn is_over(&self, now: &Now) -> bool {
        self.requests == 0 || now.steady - self.began >= HOUR
    }
}

type Set = [Place; WAYS];

/// The table: 3 MiB when every part of it is in use.
#[derive(Debug)]
pub(super) struct Throttles {
    /// Keyed at random, so that nobody can choose addresses that share a set.
    hasher: RandomState,
    shards: [OnceLock<Mutex<Box<[Set]>>>; SHARDS],
}

impl Default for Throttles {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| OnceLock::new()) }
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
    /// As it is told.
    pub(super) fn exceeded(self, limit: LimitName, cap: u64, who: Who, now: &Now) -> Exceeded {
        Exceeded {
            limit,
            cap,
            used: self.used,
            asked: 1,
            resets_in: Some(self.left),
            resets_at: now.wall.saturating_add(self.left),
            who,
        }
    }
}

impl Throttles {
    /// Counts one use of `limit` by `who`, of which `cap` are allowed an hour.
    pub(super) fn count(&self, limit: LimitName, who: impl Hash, cap: u64, now: &Now) -> Result<(), Full> {
        let tag = self.hasher.hash_one((limit, who));
        let [low, high, ..] = tag.to_le_bytes();
        let (shard, set) = (usize::from(low) % SHARDS, usize::from(high) % SETS);
        let shard = self.shards[shard].get_or_init(|| Mutex::new(vec![Set::default(); SETS].into()));
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let places = &mut sets[set];
        let place = match places.iter().position(|place| place.tag == tag && place.requests > 0) {
            Some(at) => &mut places[at],
            None => {
                // Free ones first, then the one with the fewest requests.
                let fewest = (0..WAYS).min_by_key(|at| {
                    let place = &places[*at];
                    if place.is_over(now) { 0 } else { place.requests }
                });
                // There are places.
                let place = &mut places[fewest.unwrap_or(0)];
                *place = Place { tag, began: now.steady, requests: 0 };
                place
            }
        };
        if place.is_over(now) {
            (place.began, place.requests) = (now.steady, 0);
        }
        if place.requests >= cap {
            let left = (place.began + HOUR - now.steady).clamp(0, HOUR).unsigned_abs();
            return Err(Full { used: place.requests, left });
        }
        place.requests += 1;
        Ok(())
    }

    /// Takes back one use of `limit` by `who`, if there is any in its hour.
    pub(super) fn give_back(&self, limit: LimitName, who: impl Hash, now: &Now) {
        let tag = self.hasher.hash_one((limit, who));
        let [low, high, ..] = tag.to_le_bytes();
        let (shard, set) = (usize::from(low) % SHARDS, usize::from(high) % SETS);
        let Some(shard) = self.shards[shard].get() else { return };
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = sets[set].iter_mut().find(|place| place.tag == tag && !place.is_over(now)) {
            place.requests -= 1;
        }
    }

    /// Whether `who` has used `limit` as often as `cap` allows in its hour. Counts nothing.
    pub(super) fn is_full(&self, limit: LimitName, who: impl Hash, cap: u64, now: &Now) -> bool {
        let tag = self.hasher.hash_one((limit, who));
        let [low, high, ..] = tag.to_le_bytes();
        let (shard, set) = (usize::from(low) % SHARDS, usize::from(high) % SETS);
        let Some(shard) = self.shards[shard].get() else { return false };
        let sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places = sets[set].iter();
        places.any(|place| place.tag == tag && place.requests >= cap && !place.is_over(now))
    }
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
        let bytes = SHARDS * SETS * size_of::<Set>();
        assert!(bytes <= 4 << 20, "{bytes}");
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
