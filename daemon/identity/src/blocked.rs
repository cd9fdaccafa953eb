//! Who is blocked, as requests are judged by it: a look-up costs as many map reads as there are lengths of prefixes,
//! however many blocks there are.

use std::{collections::HashMap, net::IpAddr};

use aivonx_protocol::{UnixMillis, network::Network};
use aivonx_store::BlockRecord;

use super::Caller;

/// Begins the id of a record; see [`BlockRecord::id`].
pub(super) const ADDRESS: &str = "address:";
pub(super) const USER: &str = "user:";
pub(super) const KEY: &str = "key:";

/// Blocks in force. One that has ended by time stays in here until it is swept, and blocks nobody.
#[derive(Debug, Clone, Default)]
pub struct Blocked {
    /// Ends by network; IPv4 is within IPv6.
    networks: HashMap<(u128, u8), UnixMillis>,
    /// How many networks there are of each length.
    lengths: HashMap<u8, usize>,
    /// Ends by id of the user or key.
    users: HashMap<String, UnixMillis>,
    keys: HashMap<String, UnixMillis>,
    /// Rises with every change.
    version: u64,
}

impl Blocked {
    /// Without any, but a later version.
    pub(super) fn emptied(&self) -> Self {
        Self { version: self.version + 1, ..Self::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.networks.len() + self.users.len() + self.keys.len()
    }

    /// Puts `record` in the place of that with its id; None removes it.
    pub(super) fn put(&mut self, id: &str, record: Option<&BlockRecord>) {
        self.version += 1;
        let until = record.map(|record| record.until.unwrap_or(UnixMillis::MAX));
        let set = |map: &mut HashMap<String, UnixMillis>, id: &str| match until {
            Some(until) => map.insert(id.to_owned(), until),
            None => map.remove(id),
        };
        if let Some(id) = id.strip_prefix(USER) {
            set(&mut self.users, id);
        } else if let Some(id) = id.strip_prefix(KEY) {
            set(&mut self.keys, id);
        } else if let Some(network) = id.strip_prefix(ADDRESS).and_then(|text| text.parse::<Network>().ok()) {
            self.put_network(network, until);
        }
    }

    fn put_network(&mut self, network: Network, until: Option<UnixMillis>) {
        let length = network.prefix() + if network.address().is_ipv4() { V4_IN_V6 } else { 0 };
        let key = (bits(network.address()), length);
        match until {
            Some(until) => {
                if self.networks.insert(key, until).is_none() {
                    *self.lengths.entry(length).or_default() += 1;
                }
            }
            None => {
                if self.networks.remove(&key).is_some()
                    && let Some(count) = self.lengths.get_mut(&length)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
    }

    /// Whether nobody is blocked: as good as always, and told without a look at the clock.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.users.is_empty() && self.keys.is_empty()
    }

    /// Whether the address is in a blocked network.
    #[must_use]
    pub fn address(&self, address: IpAddr, now: UnixMillis) -> bool {
        let bits = bits(address);
        // IPv6 networks around all of IPv4 mean IPv6 alone.
        let shortest = if address.to_canonical().is_ipv4() { V4_IN_V6 } else { 0 };
        self.lengths.keys().filter(|length| **length >= shortest).any(|length| {
            let network = bits & mask(*length);
            self.networks.get(&(network, *length)).is_some_and(|until| *until > now)
        })
    }

    /// Whether the user with this id is blocked.
    #[must_use]
    pub fn user(&self, id: &str, now: UnixMillis) -> bool {
        holds(&self.users, id, now)
    }

    /// Whether the caller, or the user it acts for, is blocked.
    #[must_use]
    pub fn caller(&self, caller: &Caller, now: UnixMillis) -> bool {
        let (user, key) = match caller {
            Caller::Anonymous(_) => return false,
            Caller::User { user, .. } => (Some(&*user.id), None),
            Caller::Key(key) => (key.user.as_ref().map(|user| &*user.id), Some(&*key.id)),
        };
        user.is_some_and(|id| self.user(id, now)) || key.is_some_and(|id| holds(&self.keys, id, now))
    }

    /// Another number after every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

fn holds(map: &HashMap<String, UnixMillis>, id: &str, now: UnixMillis) -> bool {
    map.get(id).is_some_and(|until| *until > now)
}

/// Bits of an IPv6 address that an IPv4 address within it has before its own (RFC 4291, 2.5.5.2).
const V4_IN_V6: u8 = 96;

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, until: Option<UnixMillis>) -> BlockRecord {
        BlockRecord {
            id: id.into(),
            target: String::new(),
            reason: String::new(),
            until,
            created: 0,
            revision: 1,
        }
    }

    fn of(networks: &[&str]) -> Blocked {
        let mut blocked = Blocked::default();
        for network in networks {
            let id = format!("{ADDRESS}{network}");
            blocked.put(&id, Some(&record(&id, None)));
        }
        blocked
    }

    #[test]
    fn an_address_is_found_in_any_network() {
        let blocked = of(&["192.0.2.0/24", "192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32", "203.0.113.9/32"]);
        for (address, is) in [
            ("192.0.2.7", true),
            ("192.0.2.200", true),
            ("192.0.3.1", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("203.0.113.9", true),
            ("203.0.113.8", false),
            ("::ffff:10.1.1.1", true),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            assert_eq!(blocked.address(address.parse().unwrap(), 0), is, "{address}");
        }
        assert!(of(&["0.0.0.0/0"]).address("8.8.8.8".parse().unwrap(), 0));
        assert!(!of(&["0.0.0.0/0"]).address("2001:db8::1".parse().unwrap(), 0), "IPv4 alone");
        assert!(of(&["::/0"]).address("2001:db8::1".parse().unwrap(), 0));
        for (network, address) in [("::/0", "8.8.8.8"), ("::/64", "192.0.2.1"), ("::/64", "::ffff:192.0.2.1")]
        {
            assert!(!of(&[network]).address(address.parse().unwrap(), 0), "{network} {address}: IPv6 alone");
        }
        assert!(of(&["::ffff:10.0.0.0/104"]).address("10.1.1.1".parse().unwrap(), 0));
    }

    #[test]
    fn a_block_ends_by_time_or_by_being_removed() {
        let mut blocked = of(&["10.0.0.0/8"]);
        let id = "address:192.0.2.1/32";
        blocked.put(id, Some(&record(id, Some(500))));
        let at = |blocked: &Blocked, now| blocked.address("192.0.2.1".parse().unwrap(), now);
        assert_eq!((at(&blocked, 499), at(&blocked, 500)), (true, false));
        let version = blocked.version();
        blocked.put(id, None);
        blocked.put(id, None);
        assert!(!at(&blocked, 0) && blocked.version() > version);
        blocked.put("address:10.0.0.0/8", None);
        assert!(blocked.networks.is_empty() && blocked.lengths.is_empty());
    }

    #[test]
    fn many_blocks_cost_a_look_up_no_more_than_few() {
        let mut blocked = Blocked::default();
        for n in 0..100_000_u32 {
            let id = format!("{ADDRESS}{}/32", std::net::Ipv4Addr::from(0x0a00_0000 + n));
            blocked.put(&id, Some(&record(&id, None)));
        }
        assert_eq!(blocked.lengths.len(), 1, "what a look-up goes through");
        assert!(blocked.address("10.0.0.77".parse().unwrap(), 0));
        assert!(!blocked.address("10.255.0.77".parse().unwrap(), 0));
    }
}
