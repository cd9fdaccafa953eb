//! Places for connections: of clients, in all and of each address, and to nodes. What they may take together leaves
//! descriptors for the store, the control socket and everything else.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use aivonx_domain::network;

/// Descriptors beside connections: store, log, control socket, health checks, runtimes.
const OTHER_DESCRIPTORS: u64 = 256;

/// How the descriptors there are, are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Most connections of clients.
    pub clients: usize,
    /// Most connections to nodes that carry requests. One client may need many over HTTP/2.
    pub nodes: usize,
}

impl Descriptors {
    /// Descriptors that `connections` client connections need: one each, one each to a node, and the rest.
    #[must_use]
    pub fn needed(connections: usize) -> u64 {
        (connections as u64).saturating_mul(2).saturating_add(OTHER_DESCRIPTORS)
    }

    /// Of `limit` (`u64::MAX` without one), for up to `connections` of clients. The store and the control socket keep
    /// what they need.
    #[must_use]
    pub fn share(limit: u64, connections: usize) -> Self {
        let room = usize::try_from(limit - OTHER_DESCRIPTORS.min(limit / 2)).unwrap_or(usize::MAX);
        let clients = connections.min(room / 2).max(1);
        Self { clients, nodes: room - clients.min(room) }
    }
}

/// Places of which one address may have a part.
#[derive(Debug)]
struct Shares {
    most: usize,
    /// Most of one address.
    of_address: usize,
    taken: AtomicUsize,
    /// Those taken by address; of IPv6 by network.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

impl Shares {
    /// So many, of which one address may take `of_address`; 0 is half.
    fn new(most: usize, of_address: usize) -> Arc<Self> {
        let of_address = match of_address {
            0 => most.div_ceil(2),
            n => n,
        };
        Arc::new(Self { most, of_address, taken: AtomicUsize::new(0), addresses: Mutex::default() })
    }

    /// `is_many` is whether many clients come from the address, so that it has no share.
    fn take(self: &Arc<Self>, address: IpAddr, is_many: bool) -> Option<ClientPlace> {
        let address = network(address);
        if self.taken.fetch_add(1, Relaxed) >= self.most {
            self.taken.fetch_sub(1, Relaxed);
            return None;
        }
        let mut addresses = self.addresses();
        let taken = addresses.entry(address).or_default();
        if *taken >= self.of_address && !is_many {
            self.taken.fetch_sub(1, Relaxed);
            return None;
        }
        *taken += 1;
        drop(addresses);
        Some(ClientPlace { shares: self.clone(), address })
    }

    /// Nothing that is done under the lock can panic half way.
    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places of the process.
#[derive(Debug)]
pub struct Places {
    most_nodes: usize,
    clients: Arc<Shares>,
    handshakes: Arc<Shares>,
    nodes: AtomicUsize,
}

impl Places {
    /// So many, of which one address may take `of_address` for its connections, 0 being half, and half of the
    /// handshakes.
    #[must_use]
    pub fn new(most: Descriptors, of_address: usize, handshakes: usize) -> Self {
        Self {
            most_nodes: most.nodes,
            clients: Shares::new(most.clients, of_address),
            handshakes: Shares::new(handshakes, 0),
            nodes: AtomicUsize::new(0),
        }
    }

    /// Client connections open now.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.taken.load(Relaxed)
    }

    /// A place for a connection from `address`, which may be that of a proxy.
    pub(super) fn client(&self, address: IpAddr, is_proxy: bool) -> Option<ClientPlace> {
        self.clients.take(address, is_proxy)
    }

    /// A place for a TLS handshake with a client at `address`.
    pub(super) fn handshake(&self, address: IpAddr) -> Option<ClientPlace> {
        self.handshakes.take(address, false)
    }

    /// A place for a connection to a node.
    pub(super) fn node(self: &Arc<Self>) -> Option<NodePlace> {
        let place = NodePlace(self.clone());
        // Given back by the place, also where it is one too many.
        (self.nodes.fetch_add(1, Relaxed) < self.most_nodes).then_some(place)
    }

    /// Whether so many connections to nodes are open that none should be kept idle.
    pub(super) fn nodes_are_scarce(&self) -> bool {
        self.nodes.load(Relaxed) > self.most_nodes / 4 * 3
    }
}

/// The place of one client connection or handshake.
#[derive(Debug)]
pub(super) struct ClientPlace {
    shares: Arc<Shares>,
    address: IpAddr,
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut addresses = self.shares.addresses();
        if let Some(taken) = addresses.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                addresses.remove(&self.address);
            }
        }
        self.shares.taken.fetch_sub(1, Relaxed);
    }
}

/// The place of one connection to a node.
#[derive(Debug)]
pub(super) struct NodePlace(Arc<Places>);

impl Drop for NodePlace {
    fn drop(&mut self) {
        self.0.nodes.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(clients: usize, of_address: usize) -> Arc<Places> {
        Arc::new(Places::new(Descriptors { clients, nodes: 2 }, of_address, 3))
    }

    fn at(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_half_to_the_others() {
        let places = places(5, 0);
        let mut taken: Vec<_> = (0..9).filter_map(|_| places.client(at("192.0.2.1"), false)).collect();
        assert_eq!((taken.len(), places.clients()), (3, 3));
        let others: Vec<_> = (0..9).filter_map(|_| places.client(at("192.0.2.2"), false)).collect();
        assert_eq!((others.len(), places.clients()), (2, 5));
        taken.pop();
        assert!(places.client(at("192.0.2.1"), false).is_some());
        drop((taken, others));
        let of_proxy: Vec<_> = (0..9).filter_map(|_| places.client(at("192.0.2.1"), true)).collect();
        assert_eq!(of_proxy.len(), 5);
        drop(of_proxy);
        assert_eq!(places.clients(), 0);
        assert!(places.clients.addresses().is_empty());
    }

    #[test]
    fn handshakes_have_places_of_their_own() {
        let places = places(1, 0);
        let taken: Vec<_> = (0..9).filter_map(|_| places.handshake(at("192.0.2.1"))).collect();
        assert_eq!((taken.len(), places.clients()), (2, 0));
        assert!(places.handshake(at("192.0.2.2")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let places = places(10, 2);
        let taken: Vec<_> =
            (0..5).filter_map(|n| places.client(at(&format!("2001:db8::{n}")), false)).collect();
        assert_eq!(taken.len(), 2);
        assert!(places.client(at("2001:db8:0:1::1"), false).is_some());
        assert!(places.client(at("::ffff:192.0.2.1"), false).is_some());
    }

    #[test]
    fn connections_to_nodes_are_bounded() {
        let places = places(1, 0);
        let taken = (places.node().unwrap(), places.node().unwrap());
        assert!(places.node().is_none() && places.node().is_none());
        drop(taken);
        assert!(places.node().is_some());
    }

    #[test]
    fn descriptors_are_kept_for_the_store() {
        let share = Descriptors::share;
        assert_eq!(share(20_256, 10_000), Descriptors { clients: 10_000, nodes: 10_000 });
        assert_eq!(share(2_256, 10_000), Descriptors { clients: 1_000, nodes: 1_000 });
        assert_eq!(share(2_256, 100), Descriptors { clients: 100, nodes: 1_900 });
        assert_eq!(share(256, 10_000), Descriptors { clients: 64, nodes: 64 });
        assert_eq!(Descriptors::needed(10_000), 20_256);
        assert!(share(u64::MAX, 10_000).nodes > 1 << 32);
    }
}
