//! Why no connection to a node came about.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::tls::cure;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP failed (refused, unreachable, name not found).
    #[error("cannot connect: {0}")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed: {_0}{cure}", _0 = .0, cure = cure(.0))]
    Tls(#[source] io::Error),
    /// The name resolves to nothing but addresses that are refused unless forced.
    #[error("the host resolves to {0}, {1}, which is refused unless the node is added with --force")]
    Special(IpAddr, &'static str),
    /// The name resolves to nothing but listeners of this gateway.
    #[error("{0} is this gateway itself")]
    Own(SocketAddr),
    /// The name resolves to nothing but addresses where the organization's operators may not have the gateway look.
    #[error("the address is not one where this organization may have nodes")]
    Closed,
    /// It took longer than allowed.
    #[error("no connection within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}
