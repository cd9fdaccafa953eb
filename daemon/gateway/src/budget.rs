//! The budget of memory for request bodies: what the process holds at once, and who may hold how much of it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use aivonx_domain::network;

/// What every body may have while anything is left at all.
const SMALL: u64 = 64 << 10;

/// Bodies up to here lie in the allocator's heap, which keeps for itself what it once had. Beyond it they are given
/// pages of their own, which go back to the system with the body.
const HEAP: u64 = 32 << 20;

/// The process-wide budget.
#[derive(Debug)]
pub struct Budget {
    held: AtomicU64,
    most: u64,
    /// What callers without a credential hold, where others need one.
    anonymous: Arc<AtomicU64>,
    /// What each address holds, where nobody needs one; of IPv6 each network. Those that hold nothing are forgotten as
    /// others come.
    addresses: Mutex<HashMap<IpAddr, Weak<AtomicU64>>>,
}

impl Budget {
    /// A budget of `most` bytes.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self { held: AtomicU64::new(0), most, anonymous: Arc::default(), addresses: Mutex::default() }
    }

    /// What all anonymous callers hold together.
    pub(super) fn anonymous(&self) -> &Arc<AtomicU64> {
        &self.anonymous
    }

    /// What `address` holds.
    fn of_address(&self, address: IpAddr) -> Arc<AtomicU64> {
        // Nothing that is done under the lock can panic half way.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() == addresses.capacity() {
            addresses.retain(|_, held| held.strong_count() > 0);
        }
        let known = addresses.entry(network(address)).or_default();
        known.upgrade().unwrap_or_else(|| {
            let held = Arc::default();
            *known = Arc::downgrade(&held);
            held
        })
    }

    /// Takes `bytes` for a request that holds `own` already, if
    ///
    /// - there are so many,
    /// - the last eighth is left to small bodies,
    /// - those who share `group` hold no more than is left for all others, or than one body of `largest` bytes.
    fn take(&self, bytes: u64, own: u64, group: Option<&AtomicU64>, largest: u64) -> bool {
        let held = self.held.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let of_group = group.map_or(0, |group| group.fetch_add(bytes, Relaxed).saturating_add(bytes));
        let left = self.most.checked_sub(held);
        // Nobody is refused the one body that the configuration promises.
        let kept = (self.most / 8).min(self.most.saturating_sub(largest));
        // What one body takes while it is gathered may be a little more than its bytes.
        let promised = largest.max(own + bytes);
        let fits = left.is_some_and(|left| {
            (own + bytes <= SMALL || left >= kept) && (of_group <= left || of_group <= promised)
        });
        if !fits {
            self.give(bytes, group);
        }
        fits
    }

    fn give(&self, bytes: u64, group: Option<&AtomicU64>) {
        self.held.fetch_sub(bytes, Relaxed);
        if let Some(group) = group {
            group.fetch_sub(bytes, Relaxed);
        }
    }
}

/// With whom a request shares a part of the budget.
#[derive(Debug, Clone)]
pub(super) enum Group {
    /// With nobody.
    Own,
    /// With all of its organization, or all anonymous callers: what they hold.
    Of(Arc<AtomicU64>),
    /// With all from its address, once it is more than a small body.
    Address(IpAddr),
}

impl Group {
    fn held(&self) -> Option<&AtomicU64> {
        if let Self::Of(held) = self { Some(held) } else { None }
    }
}

/// Bytes of the budget held by one request; given back on drop.
pub(super) struct Held {
    budget: Arc<Budget>,
    group: Group,
    /// The largest body there may be.
    largest: u64,
    bytes: u64,
}

impl Held {
    pub(super) fn none(budget: &Arc<Budget>, group: Group, largest: u64) -> Self {
        Self { budget: budget.clone(), group, largest, bytes: 0 }
    }

    /// Takes `bytes` more; false if there is no room for them.
    pub(super) fn grow(&mut self, bytes: u64) -> bool {
        if let Group::Address(address) = self.group
            && self.bytes + bytes > SMALL
        {
            let held = self.budget.of_address(address);
            held.fetch_add(self.bytes, Relaxed);
            self.group = Group::Of(held);
        }
        let granted = self.budget.take(bytes, self.bytes, self.group.held(), self.largest);
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    /// What it holds, leaving nothing.
    pub(super) fn take(&mut self) -> Self {
        let empty = self.another();
        std::mem::replace(self, empty)
    }

    /// One for the same request, that holds nothing.
    pub(super) fn another(&self) -> Self {
        Self::none(&self.budget, self.group.clone(), self.largest)
    }

    /// Gives `bytes` of what it took back.
    pub(super) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give(bytes, self.group.held());
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether bodies take so much that they should leave nothing behind in the heap.
    pub(super) fn leaves_heap(&self) -> bool {
        self.budget.held.load(Relaxed) > HEAP
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const LARGEST: u64 = 64 * MIB;

    /// Whole bodies of 64 MiB taken for `group` until one is refused.
    fn fill(budget: &Budget, group: Option<&AtomicU64>) -> u64 {
        (0..).take_while(|_| (0..64).all(|mib| budget.take(MIB, mib * MIB, group, LARGEST))).count() as u64
    }

    #[test]
    fn one_group_leaves_as_much_as_it_holds() {
        let budget = Budget::new(1024 * MIB);
        let (acme, beta) = (AtomicU64::new(0), AtomicU64::new(0));
        assert_eq!(fill(&budget, Some(&acme)), 8);
        assert!(budget.take(20 * MIB, 0, Some(&beta), LARGEST));
        assert!(!budget.take(MIB, 0, Some(&acme), LARGEST));
        budget.give(512 * MIB, Some(&acme));
        assert!(budget.take(MIB, 0, Some(&acme), LARGEST));
    }

    #[test]
    fn one_address_leaves_as_much_as_it_holds() {
        let budget = Arc::new(Budget::new(1024 * MIB));
        let from = |address: &str| Held::none(&budget, Group::Address(address.parse().unwrap()), LARGEST);
        let whole = |address: &str| {
            let mut held = from(address);
            (0..64).all(|_| held.grow(MIB)).then_some(held)
        };
        let held: Vec<_> = std::iter::from_fn(|| whole("192.0.2.1")).collect();
        assert_eq!(held.len(), 8);
        assert!(whole("192.0.2.2").is_some());
        let mut small = from("192.0.2.1");
        assert!(small.grow(SMALL), "small bodies are not looked at");
        assert!(!small.grow(1));
        drop((held, small));
        assert_eq!(budget.held.load(Relaxed), 0);
        for n in 0..100 {
            assert!(from(&format!("2001:db8:{n}::1")).grow(MIB));
        }
        assert!(budget.addresses.lock().unwrap().len() < 50, "those that hold nothing are forgotten");
    }

    #[test]
    fn small_bodies_find_room_when_large_ones_do_not() {
        let budget = Budget::new(1024 * MIB);
        assert_eq!(fill(&budget, None), 14);
        assert!(!budget.take(MIB, 0, None, LARGEST));
        for _ in 0..1000 {
            assert!(budget.take(SMALL, 0, None, LARGEST));
        }
        assert!(!budget.take(1, SMALL, None, LARGEST), "it is small no longer");
    }

    #[test]
    fn the_largest_body_always_fits_alone() {
        let budget = Budget::new(LARGEST);
        let group = AtomicU64::new(0);
        assert!(budget.take(LARGEST, 0, Some(&group), LARGEST));
        assert!(!budget.take(1, 0, None, LARGEST));
        assert_eq!((budget.held.load(Relaxed), group.load(Relaxed)), (LARGEST, LARGEST));
        budget.give(LARGEST, Some(&group));
        assert_eq!((budget.held.load(Relaxed), group.load(Relaxed)), (0, 0));
    }
}
