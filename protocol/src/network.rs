//! Networks, by which what came from an address is found.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A network (CIDR), or one address. On the wire and in JSON it is its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no network; use 192.0.2.0/24, 2001:db8::/32 or an address")]
pub struct NoNetwork;

/// Bits of an IPv6 address that an IPv4 address within it has before its own (RFC 4291, 2.5.5.2).
const V4_IN_V6: u8 = 96;

impl Network {
    /// Whether `address` is in it. An IPv4 address in IPv6 form is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// Bits of the address that all in it share.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// The network of all that share the first `prefix` bits of an address; at most as many as it has.
    #[must_use]
    pub fn around(address: IpAddr, prefix: u8) -> Self {
        let address = address.to_canonical();
        Self(IpNet::new(address, prefix).unwrap_or_else(|_| address.into()).trunc())
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let net = text.parse::<IpNet>().map_err(|_| NoNetwork)?.trunc();
        // IPv4 in IPv6 form is the IPv4 network, as it is with addresses.
        let v4 = match net.prefix_len().checked_sub(V4_IN_V6) {
            Some(prefix) if !net.addr().is_ipv4() => IpNet::new(net.addr().to_canonical(), prefix).ok(),
            _ => None,
        };
        Ok(Self(v4.filter(|v4| v4.addr().is_ipv4()).unwrap_or(net)))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_an_address_itself() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (net, inside, outside) in [
            ("192.0.2.7/24", "192.0.2.200", "192.0.3.1"),
            ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
            ("::ffff:0:0/96", "198.51.100.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("2001:db8::/112", "2001:db8::ffff", "0.0.0.1"),
            ("0.0.0.0/0", "198.51.100.1", "::1"),
        ] {
            assert!(network(net).contains(address(inside)), "{net} {inside}");
            assert!(!network(net).contains(address(outside)), "{net} {outside}");
        }
        assert_eq!(network("192.0.2.7/24").to_string(), "192.0.2.0/24");
        assert_eq!(Network::around(address("192.0.2.7"), 16), network("192.0.0.0/16"));
        for wrong in ["", "acme", "192.0.2.0/33", "192.0.2", "::/129"] {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
