//! A TLS client, and a way for clients that know no TLS through it.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::within;

/// Trusts one authority.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// One that trusts the authority in this file, and offers these protocols.
    #[must_use]
    pub fn trusting(ca: &Path, alpn: &[&str]) -> Self {
        Self::of_versions(ca, alpn, rustls::DEFAULT_VERSIONS)
    }

    /// The same, which speaks only these versions of TLS.
    #[must_use]
    pub fn of_versions(ca: &Path, alpn: &[&str], versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).expect("a file of our own") {
            roots.add(certificate.expect("PEM")).expect("a certificate");
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config: Arc::new(config) }
    }

    /// The same, which shows the certificate in these files.
    #[must_use]
    pub fn showing(&self, ca: &Path, cert: &Path, key: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).expect("PEM")).expect("a certificate");
        let chain = vec![CertificateDer::from_pem_file(cert).expect("PEM")];
        let key = PrivateKeyDer::from_pem_file(key).expect("PEM");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("they belong together");
        Self { config: Arc::new(config) }
    }

    /// A connection to `address` as to `name`.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn connect(&self, address: SocketAddr, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = within("connecting", TcpStream::connect(address)).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        within("the TLS handshake", TlsConnector::from(self.config.clone()).connect(name, stream)).await
    }

    /// An address that leads through TLS to `address` as to `name`.
    pub async fn tunnel(&self, address: SocketAddr, name: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let own = listener.local_addr().expect("it is bound");
        let (client, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let (client, name) = (client.clone(), name.clone());
                tokio::spawn(async move {
                    if let Ok(mut outer) = client.connect(address, &name).await {
                        // Either end may go away.
                        tokio::io::copy_bidirectional(&mut plain, &mut outer).await.ok();
                    }
                });
            }
        });
        own
    }
}

/// The server's own certificate.
#[must_use]
pub fn served(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.and_then(|chain| chain.first()).expect("servers show theirs").clone()
}
