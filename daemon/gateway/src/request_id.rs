//! Ids of requests: UUIDs of version 7 (RFC 9562, 5.7), which sort by time to the millisecond.

use std::{
    cell::{Cell, RefCell},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rand::{RngCore as _, SeedableRng as _, rngs::SmallRng};
use uuid::{Builder, Uuid};

/// The ids that one thread gives out. They are no secrets, so that a fast source of random bits will do; each thread's
/// is seeded by the system.
pub(super) struct RequestIds {
    random: RefCell<SmallRng>,
    /// Milliseconds since 1970, and the same moment by the steady clock: the wall clock is not read for each.
    anchor: Cell<(u64, Instant)>,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self { random: RefCell::new(SmallRng::from_os_rng()), anchor: Cell::new(anchor()) }
    }

    /// Follows the wall clock, which may have been set.
    pub(super) fn adjust(&self) {
        self.anchor.set(anchor());
    }

    /// An id for what happens at `at`.
    pub(super) fn next(&self, at: Instant) -> Uuid {
        let (wall, steady) = self.anchor.get();
        let since = at.saturating_duration_since(steady).as_millis();
        let mut random = [0; 10];
        self.random.borrow_mut().fill_bytes(&mut random);
        Builder::from_unix_timestamp_millis(wall + u64::try_from(since).unwrap_or(0), &random).into_uuid()
    }
}

fn anchor() -> (u64, Instant) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (u64::try_from(wall.as_millis()).unwrap_or(u64::MAX / 2), Instant::now())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        time::{Duration, Instant},
    };

    use super::{RequestIds, anchor};

    #[test]
    fn ids_tell_the_time_and_are_never_given_twice() {
        let (ids, (wall, steady)) = (RequestIds::new(), anchor());
        let mut seen = HashSet::new();
        for thousand in 0..10_u64 {
            for _ in 0..1000 {
                let id = ids.next(steady + Duration::from_secs(thousand));
                assert_eq!(id.get_version_num(), 7);
                let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
                let told = seconds * 1000 + u64::from(nanos / 1_000_000);
                assert!(told.abs_diff(wall + thousand * 1000) < 5_000, "{told} {wall}");
                assert!(seen.insert(id));
            }
        }
        ids.adjust();
        assert!(seen.insert(ids.next(Instant::now())));
    }
}
