//! Client listeners: one socket per thread and address, all bound to the same port (SO_REUSEPORT), so that
//! the kernel spreads connections over the threads.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aivonx_config::{AccessMode, Listen};
use aivonx_protocol::{
    network::Network,
    route::{RouteGroup, RouteRule},
};
use aivonx_wire::api::Route;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{
    endpoints::routes::group,
    inherited::{InheritError, Inherited},
    tls::{Acme, PairError, Tls},
};

/// Bytes that the kernel takes for a client beyond what it can send. Without the bound it takes megabytes, and has room
/// for more only when a third of them is gone: a client that reads slowly, but all the time, would look like one that
/// does not read. Connections have it of their listener.
const UNSENT: u32 = 4 << 10;

/// Where HTTPS is served by default.
pub(super) const HTTPS: u16 = 443;

/// Length of the queue of connections not yet accepted.
const BACKLOG: i32 = 4096;

/// A listener could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(.source))]
pub struct BindError {
    /// The address wanted.
    pub address: SocketAddr,
    source: io::Error,
}

/// The listeners could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What systemd passed is not what is configured.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// One could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] PairError),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it: stop that one, or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

/// What holds of the connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Its address is loopback.
    pub(super) loopback: bool,
    /// Diagnostics are served here.
    pub(super) diagnostics: bool,
    /// It speaks HTTPS.
    pub(super) tls: Option<Arc<Tls>>,
    /// Networks whose machines may connect; empty: all.
    pub(super) allow: Vec<Network>,
    /// What comes from trusted proxies begins with the PROXY protocol.
    pub(super) proxy_protocol: bool,
    /// Who may use the gateway here, if not everywhere the same.
    pub(super) access: Option<AccessMode>,
    /// Who may ask which group of routes, where it says so.
    pub(super) routes: [Option<RouteRule>; RouteGroup::ALL.len()],
    /// Its clients are sent to this port for HTTPS.
    pub(super) redirect: Option<u16>,
    /// What is proved here to who issues certificates, where clients are sent to HTTPS.
    pub(super) acme: Option<Arc<Acme>>,
}

impl Rules {
    fn new(listen: &Listen, tls: Option<Arc<Tls>>, https: u16, acme: &Arc<Acme>) -> Arc<Self> {
        Arc::new(Self {
            loopback: listen.address.ip().is_loopback(),
            diagnostics: listen.diagnostics,
            tls,
            allow: listen.allow.clone(),
            proxy_protocol: listen.proxy_protocol,
            access: listen.access,
            routes: RouteGroup::ALL
                .map(|group| listen.routes.iter().find(|(of, _)| *of == group).map(|(_, rule)| *rule)),
            redirect: listen.redirect.then_some(https),
            acme: listen.redirect.then(|| acme.clone()),
        })
    }

    /// Who may ask `route`, if that is said here.
    pub(super) fn rule(&self, route: &Route) -> Option<RouteRule> {
        self.routes[group(route) as usize]
    }

    /// Whether the machine at `address` may connect.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(address))
    }
}

/// One configured address with a socket for each thread.
#[derive(Debug)]
pub struct Bound {
    /// The address, with the port the kernel chose if it was 0.
    pub address: SocketAddr,
    pub(super) rules: Arc<Rules>,
    pub(super) sockets: Vec<std::net::TcpListener>,
}

impl Bound {
    /// Its certificates, if it speaks HTTPS.
    #[must_use]
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.rules.tls.as_ref()
    }
}

/// Opens every listener: those that systemd passed, and the others anew.
///
/// # Errors
/// [`ListenError`] with what to do.
pub fn bind_all(
    listen: &[Listen],
    threads: usize,
    mut inherited: Inherited,
    acme: &Arc<Acme>,
) -> Result<Vec<Bound>, ListenError> {
    inherited.check(listen)?;
    let certificates = Tls::open_all(listen, acme)?;
    let mut open = |l: &Listen| {
        let fail = |source| BindError { address: l.address, source };
        match inherited.claim(l.address) {
            Some(socket) => adopt(&socket, threads).map(|sockets| (l.address, sockets)),
            None => bind(l.address, threads),
        }
        .map_err(fail)
    };
    let bound: Vec<_> = listen.iter().map(&mut open).collect::<Result<_, _>>()?;
    let secure = bound.iter().zip(&certificates).find(|(_, tls)| tls.is_some());
    let https = secure.map_or(HTTPS, |((address, _), _)| address.port());
    let each = bound.into_iter().zip(listen).zip(certificates);
    Ok(each
        .map(|(((address, sockets), l), tls)| Bound {
            address,
            rules: Rules::new(l, tls, https, acme),
            sockets,
        })
        .collect())
}

/// Gives every thread a handle of the one socket that was passed: each is woken, the quickest accepts. Sockets of our
/// own beside it would share its connections out better, but what waits in their queues is lost when the daemon ends.
fn adopt(socket: &std::net::TcpListener, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)?;
    (0..threads).map(|_| socket.try_clone()).collect()
}

/// Binds `address` once per thread; returns it with the port that the kernel chose.
fn bind(address: SocketAddr, threads: usize) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    if address.port() != 0 {
        // SO_REUSEPORT would let a second gateway of the same user share the port unnoticed: binding an
        // ordinary socket fails if the port is taken.
        drop(socket(address, false)?);
    }
    let first = socket(address, true)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(socket(address, true)?);
    }
    Ok((address, sockets))
}

fn socket(address: SocketAddr, share: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if share {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

/// How long to wait after an accept that failed for want of descriptors or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When all threads together last logged that they cannot accept.
#[derive(Debug, Default)]
pub struct AcceptFailures(Mutex<Option<Instant>>);

impl AcceptFailures {
    /// Whether one that happens `now` is to be logged: one a second is.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= Duration::from_secs(1));
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpStream,
        path::Path,
        time::{Duration, Instant},
    };

    use socket2::SockRef;

    use super::{AcceptFailures, Acme, Inherited, UNSENT, adopt, bind, bind_all};
    use aivonx_config::Listen;

    #[test]
    fn failed_accepts_are_logged_once_a_second() {
        let failures = AcceptFailures::default();
        let begin = Instant::now();
        let each = (0..50).map(|n| begin + n * Duration::from_millis(50));
        assert_eq!(each.filter(|now| failures.is_due(*now)).count(), 3);
    }

    #[test]
    fn the_kernel_takes_little_for_a_client_that_does_not_read() {
        let any = "127.0.0.1:0".parse().unwrap();
        let passed = std::net::TcpListener::bind(any).unwrap();
        for sockets in [bind(any, 1).unwrap().1, adopt(&passed, 1).unwrap()] {
            let listener = &sockets[0];
            listener.set_nonblocking(false).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT);
        }
    }

    #[test]
    fn threads_share_a_port_but_gateways_do_not() {
        let acme = Acme::new(Path::new("/nowhere"));
        let any = Listen { address: "127.0.0.1:0".parse().unwrap(), ..Listen::default() };
        let bound = bind_all(&[any], 3, Inherited::default(), &acme).unwrap().remove(0);
        assert_eq!(bound.sockets.len(), 3);
        let again = Listen { address: bound.address, ..Listen::default() };
        let again = bind_all(&[again], 1, Inherited::default(), &acme).unwrap_err();
        assert!(again.to_string().contains("another program has it"), "{again}");
    }
}
