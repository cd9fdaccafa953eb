//! TLS to the server: its certificate and its name are always checked.

use std::{io, path::Path, pin::Pin, sync::Arc, task};

use aivonx_config::PostgresTls;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use crate::StoreError;

/// Makes connections with TLS.
#[derive(Clone)]
pub(super) struct Connector(Arc<ClientConfig>);

impl Connector {
    pub(super) fn new(tls: &PostgresTls) -> Result<Self, StoreError> {
        let mut roots = RootCertStore::empty();
        match &tls.root {
            Some(file) => {
                for certificate in certificates(file, "sslrootcert")? {
                    roots.add(certificate).map_err(|e| unusable("sslrootcert", file, &e))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            let text = "cluster.postgres: no authority is known that could sign the server's certificate; name one with \
                        sslrootcert=FILE";
            return Err(StoreError::DatabaseRefused(text.into()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = |e: rustls::Error| {
            StoreError::DatabaseRefused(format!("cluster.postgres: TLS cannot be used: {e}"))
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots);
        let config = match &tls.client {
            Some((cert, key)) => {
                let chain = certificates(cert, "sslcert")?;
                let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable("sslkey", key, &e))?;
                builder.with_client_auth_cert(chain, private).map_err(refused)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(key, file, &"it has no certificate in PEM")),
        Err(e) => Err(unusable(key, file, &e)),
    }
}

fn unusable(key: &str, file: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::DatabaseRefused(format!(
        "cluster.postgres: the file {} of {key} cannot be used: {why}",
        file.display()
    ))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Connector {
    type Stream = Stream<S>;
    type TlsConnect = ToHost;
    type Error = rustls_pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<ToHost, Self::Error> {
        Ok(ToHost { config: self.0.clone(), name: ServerName::try_from(domain)?.to_owned() })
    }
}

/// Makes a connection to one host.
pub(super) struct ToHost {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for ToHost {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.name, stream);
        Box::pin(async move { Ok(Stream(connecting.await?)) })
    }
}

/// A connection with TLS.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    /// None: the server's name and certificate are checked, which is what it would show.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
