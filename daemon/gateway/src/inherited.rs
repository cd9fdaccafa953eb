//! Sockets that systemd opened for the daemon (`aivonxd.socket`): they outlive a restart, and who connects meanwhile
//! waits in their queue.

use std::{env, net::SocketAddr, net::TcpListener};

use aivonx_config::Listen;
use listenfd::ListenFd;
use rustix::net::sockopt;

/// What systemd passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// It is no socket for clients.
    #[error(
        "systemd passed a file descriptor that cannot be served: {0}. aivonxd.socket may hold only TCP addresses \
         (ListenStream=ADDRESS:PORT): see `systemctl cat aivonxd.socket`"
    )]
    NotTcp(String),
    /// Nothing in the configuration has its address.
    #[error(
        "systemd passed a socket on {address}, but no [[listen]] block has this address (they have {}). Make \
         ListenStream= in aivonxd.socket (`systemctl edit aivonxd.socket`) and [[listen]] address the same, or do \
         without it: `systemctl disable --now aivonxd.socket`", join(.configured)
    )]
    Unmatched {
        /// Where the socket listens.
        address: SocketAddr,
        /// Where the configuration wants to.
        configured: Vec<SocketAddr>,
    },
    /// Two sockets for one address: one of them would never be looked at.
    #[error("systemd passed two sockets on {0}: name it once in aivonxd.socket")]
    Twice(SocketAddr),
}

fn join(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The sockets passed to this process.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
}

impl Inherited {
    /// Takes them from the environment, and the variables that name them out of it: to be called before any thread is
    /// started, and once. None is the usual case.
    ///
    /// # Errors
    /// One that is not a TCP socket that listens.
    pub fn take() -> Result<Self, InheritError> {
        // Without it they could be meant for a parent.
        if env::var_os("LISTEN_PID").is_none() {
            return Ok(Self::default());
        }
        let mut passed = ListenFd::from_env();
        let sockets = (0..passed.len()).filter_map(|at| passed.take_tcp_listener(at).transpose());
        Self::new(sockets.collect::<Result<_, _>>().map_err(|e| InheritError::NotTcp(e.to_string()))?)
    }

    fn new(sockets: Vec<TcpListener>) -> Result<Self, InheritError> {
        let mut known: Vec<(SocketAddr, TcpListener)> = Vec::new();
        for socket in sockets {
            let failed = |e: std::io::Error| InheritError::NotTcp(e.to_string());
            let address = socket.local_addr().map_err(failed)?;
            if !sockopt::socket_acceptconn(&socket).map_err(|e| failed(e.into()))? {
                return Err(InheritError::NotTcp(format!("the socket on {address} does not listen")));
            }
            socket.set_nonblocking(true).map_err(failed)?;
            if known.iter().any(|(a, _)| *a == address) {
                return Err(InheritError::Twice(address));
            }
            known.push((address, socket));
        }
        Ok(Self { sockets: known })
    }

    /// Every socket must stand for a configured listener.
    ///
    /// # Errors
    /// One does not.
    pub(super) fn check(&self, listen: &[Listen]) -> Result<(), InheritError> {
        let configured: Vec<_> = listen.iter().map(|l| l.address).collect();
        match self.sockets.iter().find(|(address, _)| !configured.contains(address)) {
            Some((address, _)) => Err(InheritError::Unmatched { address: *address, configured }),
            None => Ok(()),
        }
    }

    /// The socket on `address`.
    pub(super) fn claim(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(a, _)| *a == address)?;
        Some(self.sockets.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_must_be_wanted_once_and_listen() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let twice = Inherited::new(vec![socket.try_clone().unwrap(), socket.try_clone().unwrap()]);
        assert!(matches!(twice, Err(InheritError::Twice(a)) if a == address));
        let mut inherited = Inherited::new(vec![socket]).unwrap();
        let other = Listen { address: "127.0.0.1:1".parse().unwrap(), ..Listen::default() };
        let said = inherited.check(std::slice::from_ref(&other)).unwrap_err().to_string();
        assert!(said.contains(&address.to_string()) && said.contains("they have 127.0.0.1:1"), "{said}");
        inherited.check(&[other, Listen { address, ..Listen::default() }]).unwrap();
        assert!(inherited.claim("127.0.0.1:1".parse().unwrap()).is_none());
        assert!(inherited.claim(address).is_some() && inherited.claim(address).is_none());

        let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        deaf.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let said = Inherited::new(vec![deaf.into()]).unwrap_err().to_string();
        assert!(said.contains("does not listen"), "{said}");
    }
}
