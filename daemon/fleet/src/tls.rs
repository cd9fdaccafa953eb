//! TLS towards nodes: the system's roots, read once, or certificates of the node's own.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

use super::address::NodeUrl;

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
            Self::NoRoots => "install the package ca-certificates, or give the node's CA with --ca-file FILE",
            Self::Rustls(_) => "see the daemon's log",
        }
    }
}

/// TLS towards a node.
#[derive(Clone)]
pub struct EndpointTls {
    /// Roots and versions.
    pub config: Arc<rustls::ClientConfig>,
    /// Name expected in the certificate.
    pub server_name: ServerName<'static>,
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
        Some(pem) => with_named(named(pem)?)?,
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

/// The certificates in `pem`.
fn named(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let named = read.map_err(|e| TlsError::Ca(e.to_string()))?;
    if named.is_empty() {
        return Err(TlsError::Ca("it holds no certificate".into()));
    }
    Ok(named)
}

fn with_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(finished(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Trusts what `named` has signed, and each of them as the node's own certificate.
fn with_named(named: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in &named {
        roots.add(certificate.clone()).map_err(|e| TlsError::Ca(e.to_string()))?;
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
        .build()
        .map_err(|e| TlsError::Ca(e.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { named, authorities }));
    Ok(finished(config.with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Certificates that an administrator named for a node. Such a one is trusted as itself, whatever it says of what it is
/// for: `openssl req -x509` makes certificates of authorities, which are no servers' for public roots. Its time, its
/// name and the proof that the node has its key count all the same.
#[derive(Debug)]
struct Named {
    named: Vec<CertificateDer<'static>>,
    /// What they have signed.
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.authorities.verify_server_cert(certificate, others, name, ocsp, now);
        match verified {
            // Both come after its time was found right: nobody trusted has signed it, or it is an authority's.
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.named.iter().any(|named| named == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// What to do about a handshake that failed, if that can be said.
pub(super) fn cure(error: &std::io::Error) -> &'static str {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(certificate)) = error else { return "" };
    match certificate {
        CertificateError::UnknownIssuer => {
            "; if it is the right one, name it, or that of the CA that made it, with --ca-file"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "; give the name that stands in it with --server-name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "; renew it on the node",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "; check the clocks of the node and of this host"
        }
        _ => "; make another one on the node, or name it with --ca-file",
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    };
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::{Named, TlsError, cure, set_up};
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
    /// A verifier that trusts a certificate made for `name`, and the certificate.
    fn of(name: &str, change: impl Fn(&mut CertificateParams)) -> (Named, CertificateDer<'static>) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let der = made.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).unwrap();
        let authorities =
            WebPkiServerVerifier::builder_with_provider(roots.into(), super::provider()).build().unwrap();
        (Named { named: vec![der.clone()], authorities }, der)
    }

    #[test]
    fn a_named_certificate_is_trusted_as_itself() {
        let verify = |verifier: &Named, certificate: &CertificateDer<'_>, name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now()).map(drop)
        };
        let authority =
            |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let (verifier, own) = of("gpu1", authority);
        assert_eq!(verify(&verifier, &own, "gpu1"), Ok(()));
        assert!(verify(&verifier, &own, "gpu2").is_err(), "the name counts");
        let (_, other) = of("gpu1", authority);
        assert!(verify(&verifier, &other, "gpu1").is_err(), "it is not the one that was named");
        let (verifier, past) = of("gpu1", |params| {
            authority(params);
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let error = verify(&verifier, &past, "gpu1").unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        assert_eq!(cure(&std::io::Error::other(error)), "; renew it on the node");
    }
}
