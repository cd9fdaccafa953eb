//! TLS towards nodes: the system's roots, read once, or certificates of the node's own.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};

use super::{address::NodeUrl, endpoint::EndpointTls};

/// Why no TLS set-up came about.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text holds no certificate, or a damaged one.
    #[error("ca is not a usable certificate: {0}")]
    Ca(String),
    /// The name cannot stand in a certificate.
    #[error("server-name '{0}' is neither a host name nor an address")]
    ServerName(String),
    /// The system has no roots.
    #[error("the system has no trusted root certificates")]
    NoRoots,
    /// rustls refused the set-up.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    /// The field at fault, as the command line spells it.
    #[must_use]
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Ca(_) => "ca",
            Self::ServerName(_) => "server-name",
            Self::NoRoots | Self::Rustls(_) => "url",
        }
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Ca(_) => "give a file that holds the CA's certificate as PEM (-----BEGIN CERTIFICATE-----)",
            Self::ServerName(_) => "give the name that stands in the node's certificate",
            Self::NoRoots => "install the package ca-certificates, or give the node's CA with --ca FILE",
            Self::Rustls(_) => "see the daemon's log",
        }
    }
}

/// The set-up for `url`, or None if it is plain HTTP.
///
/// # Errors
/// [`TlsError`], naming the field.
pub(super) fn set_up(
    url: &NodeUrl,
    ca_pem: Option<&str>,
    server_name: Option<&str>,
) -> Result<Option<EndpointTls>, TlsError> {
    if !url.https {
        return Ok(None);
    }
    let name = server_name.unwrap_or(&url.host);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
    let config = match ca_pem {
        Some(pem) => with_roots(own_roots(pem)?)?,
        None => system()?,
    };
    Ok(Some(EndpointTls { config, server_name }))
}

/// The set-up with the system's roots; read when the first node needs it, since they take a megabyte.
fn system() -> Result<Arc<ClientConfig>, TlsError> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SYSTEM.get() {
        return Ok(config.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a system root certificate could not be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(TlsError::NoRoots);
    }
    let config = with_roots(roots)?;
    Ok(SYSTEM.get_or_init(|| config).clone())
}

fn own_roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|e| TlsError::Ca(e.to_string()))?;
        roots.add(certificate).map_err(|e| TlsError::Ca(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Ca("it holds no certificate".into()));
    }
    Ok(roots)
}

fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::{TlsError, set_up};
    use crate::address::NodeUrl;

    #[test]
    fn names_the_field_at_fault() {
        let url = NodeUrl::parse("https://gpu1").unwrap();
        assert!(matches!(set_up(&url, Some("not pem"), None), Err(TlsError::Ca(_))));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(set_up(&url, Some(broken), None).err().unwrap().field(), "ca");
        assert_eq!(set_up(&url, Some(broken), Some("no name")).err().unwrap().field(), "server-name");
        assert!(set_up(&NodeUrl::parse("http://gpu1").unwrap(), None, None).unwrap().is_none());
    }
}
