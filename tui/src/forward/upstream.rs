//! The gateway: where it is, and a line to it.

use std::{io, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, response::Parts, uri::Scheme};
use http_body_util::Empty;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, ServerName,
        pem::{self, PemObject as _},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::guard::is_loopback;

/// How long connecting may take, with TLS. An answer may take as long as it likes: models load.
const CONNECT: Duration = Duration::from_secs(15);

/// Why there is no gateway, or no answer from it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The URL.
    #[error("\"{0}\" is no address of a gateway; give http://HOST:PORT or https://HOST[:PORT]")]
    Url(String),
    /// The system's certificates.
    #[error("the system's certificates cannot be read: {0}; install ca-certificates")]
    Roots(String),
    /// The file with an authority of one's own.
    #[error("--ca {0}; give a PEM file with the authority's certificate")]
    Authority(String),
    /// No connection.
    #[error("the gateway {0} cannot be reached: {1}")]
    Unreachable(String, io::Error),
    /// No answer.
    #[error("the gateway {0} broke off: {1}")]
    Broken(String, hyper::Error),
}

/// Where the gateway is.
pub struct Upstream {
    /// For people: scheme and authority.
    pub name: String,
    host: HeaderValue,
    address: (String, u16),
    /// Path before every request's own, without a slash at its end.
    prefix: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Upstream").field(&self.name).finish()
    }
}

impl Upstream {
    /// The gateway at `url`.
    ///
    /// # Errors
    /// [`UpstreamError::Url`], [`UpstreamError::Roots`], [`UpstreamError::Authority`].
    pub fn new(url: &str) -> Result<Self, UpstreamError> {
        Self::trusting(url, None)
    }

    /// The gateway at `url`, whose certificate may also be signed by an authority in the PEM file `ca`.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn trusting(url: &str, ca: Option<&Path>) -> Result<Self, UpstreamError> {
        let wrong = || UpstreamError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty() {
            return Err(wrong());
        }
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong()),
        };
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if secure {
            let name = ServerName::try_from(bare.clone()).map_err(|_| wrong())?;
            Some((connector(ca)?, name))
        } else {
            None
        };
        Ok(Self {
            name: format!("{}://{authority}", if secure { "https" } else { "http" }),
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            address: (bare, authority.port_u16().unwrap_or(if secure { 443 } else { 80 })),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }

    /// Whether others on the way could read the key.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.tls.is_none() && !is_loopback(&self.address.0)
    }

    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The target of a request for `path`.
    pub(super) fn path(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.prefix).parse().ok()
    }

    /// Asks for `path` without a credential, and takes the head of the answer alone.
    ///
    /// # Errors
    /// If there is no connection, or no answer in time.
    pub async fn head_of(&self, path: &str) -> io::Result<Parts> {
        let target = self.path(path).ok_or(io::ErrorKind::InvalidInput)?;
        let request =
            Request::get(target).header(header::HOST, self.host.clone()).body(Empty::<Bytes>::new());
        let request = request.map_err(io::Error::other)?;
        let mut sender = self.connect().await?;
        match timeout(CONNECT, sender.send_request(request)).await {
            Ok(answer) => Ok(answer.map_err(io::Error::other)?.into_parts().0),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.address.0
    }

    /// Whether it speaks HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    async fn connect<B: Sendable>(&self) -> io::Result<SendRequest<B>> {
        let connecting = async {
            let (host, port) = &self.address;
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => talk(stream).await,
                Some((connector, name)) => talk(connector.connect(name.clone(), stream).await?).await,
            }
        };
        timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// What a request can carry.
trait Sendable:
    Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}
impl<B> Sendable for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static
{
}

async fn talk<B: Sendable>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<B>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the sender and the answer's body, and then closes what was left in between.
    tokio::spawn(connection);
    Ok(sender)
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, UpstreamError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (mut added, _) = roots.add_parsable_certificates(found.certs);
    if let Some(ca) = ca {
        let before = added;
        let unusable = |error: pem::Error| UpstreamError::Authority(format!("{}: {error}", ca.display()));
        for certificate in CertificateDer::pem_file_iter(ca).map_err(unusable)? {
            let certificate = certificate.map_err(unusable)?;
            roots
                .add(certificate)
                .map_err(|error| UpstreamError::Authority(format!("{}: {error}", ca.display())))?;
            added += 1;
        }
        if added == before {
            return Err(UpstreamError::Authority(format!("{}: holds no certificate", ca.display())));
        }
    }
    if added == 0 {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(UpstreamError::Roots(why));
    }
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Roots(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection to the gateway that is used for one request after another.
#[derive(Default)]
pub(super) struct Line {
    sender: Option<SendRequest<Incoming>>,
}

impl Line {
    /// Sends a request over the connection there is, or a fresh one if that was closed meanwhile.
    pub(super) async fn send(
        &mut self,
        upstream: &Upstream,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let broken = |error| UpstreamError::Broken(upstream.name.clone(), error);
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.sender = Some(sender);
                    return Ok(response);
                }
                // Closed before a byte of the request was sent: nothing is lost, try again.
                Err(mut unsent) => match unsent.take_message() {
                    Some(message) => request = message,
                    None => return Err(broken(unsent.into_error())),
                },
            }
        }
        let connected = upstream.connect().await;
        let mut sender =
            connected.map_err(|error| UpstreamError::Unreachable(upstream.name.clone(), error))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        self.sender = Some(sender);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let at = Upstream::new("http://gw.example:8080/team/").unwrap();
        assert_eq!((at.name.as_str(), at.address), ("http://gw.example:8080", ("gw.example".into(), 8080)));
        let at = Upstream::new("http://[::1]").unwrap();
        assert_eq!(
            (at.path("/api/tags?x=1").unwrap().to_string(), at.is_exposed()),
            ("/api/tags?x=1".into(), false)
        );
        assert_eq!(at.address, ("::1".into(), 80));
        let at = Upstream::new("http://10.0.0.1/team/").unwrap();
        assert_eq!((at.path("/api").unwrap().to_string(), at.is_exposed()), ("/team/api".into(), true));
        for wrong in
            ["", "gw:80", "127.0.0.1:80", "ftp://a", "http://", "http://u:p@a", "http://a/?x=1", "/x"]
        {
            assert!(matches!(Upstream::new(wrong), Err(UpstreamError::Url(_))), "{wrong}");
        }
    }
}
