//! Where the gateway does not connect for a node: to itself; and, where somebody bound to an organization named the
//! address, outside the networks that organization was given, and where the fleet has another node.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, OnceLock, Weak},
};

use ipnet::IpNet;

use super::{Endpoint, Hot, address::embedded, dial_error::DialError};

/// What the nodes' bounds have in common.
#[derive(Debug)]
pub(super) struct Grounds {
    /// The gateway's own listeners, once there are any.
    own: OnceLock<Vec<SocketAddr>>,
    /// Where the other nodes are.
    hot: Weak<Hot>,
}

impl Grounds {
    pub(super) fn new(hot: &Arc<Hot>) -> Arc<Self> {
        Arc::new(Self { own: OnceLock::new(), hot: Arc::downgrade(hot) })
    }

    /// Says where the gateway itself listens; the first time counts.
    pub(super) fn set_own(&self, listeners: &[SocketAddr]) {
        self.own.get_or_init(|| listeners.to_vec());
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let own = self.own.get().into_iter().flatten();
        own.filter(|listener| listener.port() == address.port())
            .any(|listener| arrives(embedded(address.ip()), listener.ip()))
    }
}

/// To what the connections of one node are held.
#[derive(Debug, Clone)]
pub struct Bounds {
    grounds: Arc<Grounds>,
    /// Id of the node; empty for one that is only asked what it is.
    node: Arc<str>,
    /// None if the user who named the address is bound to no organization.
    networks: Option<Arc<[IpNet]>>,
}

impl Bounds {
    pub(super) fn new(grounds: &Arc<Grounds>, node: &str, networks: Option<&[String]>) -> Self {
        // They were checked when they were given; one that cannot be read opens nothing.
        let parse = |all: &[String]| all.iter().filter_map(|network| network.parse().ok()).collect();
        Self { grounds: grounds.clone(), node: node.into(), networks: networks.map(parse) }
    }

    /// Whether they hold to more than not reaching the gateway itself.
    pub(super) fn confine(&self) -> bool {
        self.networks.is_some()
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.node == other.node && self.networks == other.networks
    }

    /// Whether `endpoint` may be connected to at `address`, to which its host resolves.
    ///
    /// # Errors
    /// [`DialError::Closed`] or [`DialError::Own`].
    pub(super) fn check(&self, endpoint: &Endpoint, address: SocketAddr) -> Result<(), DialError> {
        if let Some(networks) = &self.networks {
            let ip = reached(embedded(address.ip()));
            if !networks.iter().any(|network| network.contains(&ip)) || self.is_taken(endpoint, address) {
                return Err(DialError::Closed);
            }
        }
        if self.grounds.is_own(address) { Err(DialError::Own(address)) } else { Ok(()) }
    }

    /// Whether another node is at `address`.
    fn is_taken(&self, endpoint: &Endpoint, address: SocketAddr) -> bool {
        let Some(hot) = self.grounds.hot.upgrade() else { return false };
        let literal = endpoint.is_literal();
        hot.load().nodes.iter().any(|other| {
            let at = &other.endpoint;
            // The owner of a name chooses what it resolves to: it takes no address away from a node that has it in
            // its URL.
            let believed = !literal || at.is_literal() || !at.bounds.as_ref().is_some_and(Self::confine);
            at.port == address.port()
                && other.id != self.node
                && believed
                && at.is_at(&endpoint.host, address.ip())
        })
    }
}

/// Whether two addresses lead to the same machine, as far as it is known: all local ones are this machine's.
pub(super) fn same_place(a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (embedded(a), embedded(b));
    a == b || (is_local(a) && is_local(b))
}

/// Where a connection to `ip` arrives: that to the unspecified address at this machine.
fn reached(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Whether a connection to `ip` arrives at a listener on `listener`. One on `[::]` may take IPv4 as well.
fn arrives(ip: IpAddr, listener: IpAddr) -> bool {
    let ip = reached(ip);
    ip == listener.to_canonical()
        || (listener.is_unspecified() && (listener.is_ipv6() || ip.is_ipv4()) && is_local(ip))
}

/// Whether `ip` is an address of this machine: the kernel sends from the very address it sends to. Sends nothing.
fn is_local(ip: IpAddr) -> bool {
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;
