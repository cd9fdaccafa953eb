//! Opening a connection to a node.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Endpoint, dial_error::DialError};

/// A connection to a node.
#[derive(Debug)]
pub enum NodeStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to `endpoint`, TLS included, within `deadline`.
///
/// # Errors
/// [`DialError`], naming the step that failed.
pub async fn dial(endpoint: &Endpoint, deadline: Duration) -> Result<NodeStream, DialError> {
    tokio::time::timeout(deadline, connect(endpoint)).await.map_err(|_| DialError::TimedOut(deadline))?
}

async fn connect(endpoint: &Endpoint) -> Result<NodeStream, DialError> {
    let tcp = reach(endpoint).await?;
    tcp.set_nodelay(true).map_err(DialError::Tcp)?;
    let Some(tls) = &endpoint.tls else {
        return Ok(NodeStream::Plain(tcp));
    };
    let connector = TlsConnector::from(tls.config.clone());
    let stream = connector.connect(tls.server_name.clone(), tcp).await.map_err(DialError::Tls)?;
    Ok(NodeStream::Tls(Box::new(stream)))
}

/// Tries the host's addresses in turn.
async fn reach(endpoint: &Endpoint) -> Result<TcpStream, DialError> {
    let mut last = None;
    for address in resolve(endpoint).await? {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = Some(error),
        }
    }
    Err(DialError::Tcp(last.unwrap_or_else(|| io::Error::other("the name has no address"))))
}

/// The host's addresses, of those that may be dialled.
///
/// # Errors
/// [`DialError`] if none is left.
pub(super) async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, DialError> {
    let mut refused = None;
    let mut admitted = Vec::new();
    for address in lookup_host((&*endpoint.host, endpoint.port)).await.map_err(DialError::Tcp)? {
        match endpoint.admits(address) {
            Ok(()) => admitted.push(address),
            Err(error) => refused = Some(error),
        }
    }
    if admitted.is_empty()
        && let Some(refused) = refused
    {
        return Err(refused);
    }
    endpoint.found_at(&admitted);
    Ok(admitted)
}

impl AsyncRead for NodeStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for NodeStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
