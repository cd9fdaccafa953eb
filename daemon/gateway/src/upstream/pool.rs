//! Connections kept between requests: per thread and node, last in first out.

use std::{cell::RefCell, sync::Arc};

use aivonx_domain::table::Map;
use aivonx_fleet::{DialError, Endpoint, Node, dial::dial};
use http::{HeaderMap, StatusCode};
use rustix::io::Errno;
use scopeguard::ScopeGuard;

use super::{
    Outgoing, SendError,
    connection::{Connection, NodeBody},
};
use crate::places::{NodePlace, Places};

/// Connections of one thread.
pub(crate) struct Upstream {
    pools: RefCell<Map<Arc<str>, Pool>>,
    places: Arc<Places>,
}

struct Pool {
    endpoint: Arc<Endpoint>,
    idle: Vec<Idle>,
}

struct Idle {
    connection: Connection,
    since: u32,
}

/// The beginning of a node's answer.
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: NodeBody,
    /// The body is compressed, or coded otherwise, although that was not asked for.
    pub(crate) coded: bool,
}

impl Upstream {
    pub(crate) fn new(places: Arc<Places>) -> Self {
        Self { pools: RefCell::default(), places }
    }

    /// Sends one request to `node` and waits for the head of its answer. `fresh` demands a new connection.
    /// Dropping the future closes the connection, unless it has an heir.
    pub(crate) async fn send(
        &self,
        node: &Node,
        request: Outgoing<'_>,
        fresh: bool,
    ) -> Result<Incoming, SendError> {
        let kept = if fresh { None } else { self.take(node) };
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let place = self.place().ok_or(SendError::NoRoom)?;
                let stream = dial(&node.endpoint, request.connect_within).await;
                Connection::new(
                    stream.map_err(|e| if is_ours(&e) { SendError::NoRoom } else { e.into() })?,
                    place,
                )
            }
        };
        let mut held = scopeguard::guard(connection, |connection| {
            if let Some(heir) = request.heir {
                heir.gets(connection);
            }
        });
        let head = held.exchange(&request, &node.endpoint).await;
        let connection = ScopeGuard::into_inner(held);
        let head = head?;
        let body = NodeBody::new(connection, head.framing, head.keep);
        Ok(Incoming { status: head.status, headers: head.headers, body, coded: head.coded })
    }

    /// A place for a new connection; an idle one makes room for it.
    fn place(&self) -> Option<NodePlace> {
        self.places.node().or_else(|| {
            self.pools.borrow_mut().values_mut().find_map(|pool| pool.idle.pop())?;
            self.places.node()
        })
    }

    /// The connection used last that is still good.
    fn take(&self, node: &Node) -> Option<Connection> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(&node.id)?;
        if !Arc::ptr_eq(&pool.endpoint, &node.endpoint) {
            pools.remove(&node.id);
            return None;
        }
        while let Some(mut idle) = pool.idle.pop() {
            if idle.connection.is_quiet() {
                idle.connection.reused = true;
                return Some(idle.connection);
            }
        }
        None
    }

    pub(super) fn give(&self, connection: Connection, node: &Node, now: u32, most: usize) {
        let mut pools = self.pools.borrow_mut();
        let new = || Pool { endpoint: node.endpoint.clone(), idle: Vec::new() };
        let pool = match pools.get_mut(&node.id) {
            Some(pool) => pool,
            None => pools.entry(node.id.clone()).or_insert_with(new),
        };
        // If the node changed meanwhile, the pool or this connection is out of date: either way it is not kept.
        if Arc::ptr_eq(&pool.endpoint, &node.endpoint)
            && pool.idle.len() < most
            && !self.places.nodes_are_scarce()
        {
            pool.idle.push(Idle { connection, since: now });
        }
    }

    /// Closes what idled too long or was closed by the node, and forgets nodes that are gone.
    pub(crate) fn sweep(&self, now: u32, idle_close: u32, exists: impl Fn(&str) -> bool) {
        self.pools.borrow_mut().retain(|id, pool| {
            pool.idle
                .retain_mut(|i| now.saturating_sub(i.since) < idle_close.max(1) && i.connection.is_quiet());
            exists(id)
        });
    }
}

/// Whether a connection failed for want of something on this side: descriptors, memory, local ports.
fn is_ours(error: &DialError) -> bool {
    const OURS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
    let DialError::Tcp(error) = error else { return false };
    error.raw_os_error().is_some_and(|raw| OURS.iter().any(|errno| errno.raw_os_error() == raw))
}
