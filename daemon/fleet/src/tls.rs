//! TLS towards nodes: the system's roots, read once, or certificates of the node's own.

use std::sync::{Arc, OnceLock};

use aivonx_protocol::{UnixMillis, WireSecret};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error,
    RootCertStore, SignatureScheme,
    client::{
        WantsClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

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
    /// The client certificate cannot be read, is empty, or has expired.
    #[error("client-cert is not a usable certificate: {0}")]
    ClientCert(String),
    /// The key cannot be read, is empty, or belongs to another certificate.
    #[error("client-key {0}")]
    ClientKey(&'static str),
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
            Self::ClientCert(_) => "client-cert",
            Self::ClientKey(_) => "client-key",
            Self::NoRoots | Self::Rustls(_) => "url",
        }
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Ca(_) => "give a file that holds the CA's certificate as PEM (-----BEGIN CERTIFICATE-----)",
            Self::ServerName(_) => "give the name that stands in the node's certificate",
            Self::ClientCert(_) => {
                "give a file that holds the client certificate as PEM, the gateway's own first, and one that is still good"
            }
            Self::ClientKey(_) => {
                "give the file with the private key of the client certificate as PEM (-----BEGIN PRIVATE KEY-----), \
                 without a passphrase: openssl pkey -in OLD -out NEW"
            }
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

/// The set-up for `url`, or None if it is plain HTTP. `client` is the certificate that the gateway shows, and its key.
///
/// # Errors
/// [`TlsError`], naming the field.
pub(super) fn set_up(
    url: &NodeUrl,
    ca_pem: Option<&str>,
    server_name: Option<&str>,
    client: Option<(&str, &WireSecret)>,
) -> Result<Option<EndpointTls>, TlsError> {
    if !url.https {
        return Ok(None);
    }
    let name = server_name.unwrap_or(&url.host);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))?;
    let config = match (ca_pem, client) {
        (Some(pem), client) => finished(with_named(named(pem)?)?, client)?,
        (None, None) => system()?,
        (None, client) => finished(builder()?.with_root_certificates(system_roots()?), client)?,
    };
    Ok(Some(EndpointTls { config, server_name }))
}

/// The set-up with the system's roots and no certificate of the gateway's.
fn system() -> Result<Arc<ClientConfig>, TlsError> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SYSTEM.get() {
        return Ok(config.clone());
    }
    let config = finished(builder()?.with_root_certificates(system_roots()?), None)?;
    Ok(SYSTEM.get_or_init(|| config).clone())
}

/// The system's roots; read when the first node needs them, since they take a megabyte.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
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
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
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

/// The chain in `pem`, the gateway's own certificate first.
fn client_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = read.map_err(|e| TlsError::ClientCert(e.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::ClientCert("it holds no certificate".into()));
    }
    Ok(chain)
}

/// Until when the client certificate in `pem` is good.
///
/// # Errors
/// It is over, or cannot be read.
pub(super) fn good_until(pem: &str) -> Result<UnixMillis, TlsError> {
    let chain = client_chain(pem)?;
    let (_, own) = X509Certificate::from_der(&chain[0]).map_err(|e| TlsError::ClientCert(e.to_string()))?;
    let until = own.validity().not_after;
    let ends = u64::try_from(until.timestamp()).unwrap_or(0).saturating_mul(1000);
    if ends < aivonx_domain::now() {
        return Err(TlsError::ClientCert(format!("it has expired, at {until}")));
    }
    Ok(ends)
}

fn builder() -> Result<ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

/// Trusts what `named` has signed, and each of them as the node's own certificate.
fn with_named(
    named: Vec<CertificateDer<'static>>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in &named {
        roots.add(certificate.clone()).map_err(|e| TlsError::Ca(e.to_string()))?;
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
        .build()
        .map_err(|e| TlsError::Ca(e.to_string()))?;
    let verifier = Arc::new(Named { named, authorities });
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier))
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn finished(
    trusting: ConfigBuilder<ClientConfig, WantsClientCert>,
    client: Option<(&str, &WireSecret)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = match client {
        None => trusting.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = client_chain(chain)?;
            let encrypted = key.expose().contains("ENCRYPTED");
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| {
                let why = if encrypted { "is encrypted with a passphrase" } else { "holds no private key" };
                TlsError::ClientKey(why)
            })?;
            trusting.with_client_auth_cert(chain, key).map_err(|error| match error {
                Error::InconsistentKeys(_) => TlsError::ClientKey("is not the key of the client certificate"),
                Error::InvalidCertificate(_) => TlsError::ClientCert(error.to_string()),
                _ => TlsError::ClientKey("is no RSA, ECDSA (P-256, P-384) or Ed25519 key"),
            })?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Certificates that an administrator named for a node. Such a one is trusted as itself, whatever it says of what it is
/// for: `openssl req -x509` makes certificates of authorities, which are no servers' for public roots. Its time and the
/// proof that the node has its key count all the same, and so does its name, if there is one in it.
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
            // All come after its time was found right: nobody trusted has signed it, it is an authority's, or it is
            // another's.
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::Other(_)
                | CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. },
            )) if self.named.iter().any(|named| named == certificate) => {
                if has_names(certificate) {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                }
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

/// Whether its subjectAltName has a DNS name or an address; the common name does not count (RFC 9525).
fn has_names(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return true };
    // Names that cannot be read are left to the usual checks, which refuse them.
    let Ok(names) = certificate.subject_alternative_name() else { return true };
    let mut names = names.iter().flat_map(|names| &names.value.general_names);
    names.any(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
}

/// What to do about a handshake that failed, if that can be said.
pub(super) fn cure(error: &std::io::Error) -> &'static str {
    let certificate = match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(certificate)) => certificate,
        Some(Error::AlertReceived(alert)) => return about_ours(*alert),
        _ => return "",
    };
    match certificate {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "; no name stands in it: name the certificate itself with --ca-file"
        }
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

/// What to do where the node does not go on, for this reason, with what the gateway has shown.
fn about_ours(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => {
            "; the node asks for a client certificate: give one with --client-cert and --client-key"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            "; the node refused the client certificate: give one that it trusts with --client-cert and --client-key"
        }
        _ => "",
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

    use aivonx_protocol::WireSecret;

    use super::{Named, TlsError, cure, good_until, set_up};
    use crate::address::NodeUrl;

    #[test]
    fn names_the_field_at_fault() {
        let url = NodeUrl::parse("https://gpu1").unwrap();
        assert!(matches!(set_up(&url, Some("not pem"), None, None), Err(TlsError::Ca(_))));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(set_up(&url, Some(broken), None, None).err().unwrap().field(), "ca");
        assert_eq!(set_up(&url, Some(broken), Some("no name"), None).err().unwrap().field(), "server-name");
        assert!(set_up(&NodeUrl::parse("http://gpu1").unwrap(), None, None, None).unwrap().is_none());
    }

    #[test]
    fn an_unusable_certificate_or_key_is_refused() {
        let url = NodeUrl::parse("https://gpu1").unwrap();
        let made = |days: i64| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["gateway".to_owned()]).unwrap();
            params.not_after = (std::time::SystemTime::now()
                + std::time::Duration::from_secs(days.unsigned_abs() * 86_400))
            .into();
            if days < 0 {
                params.not_before = rcgen::date_time_ymd(2019, 1, 1);
                params.not_after = rcgen::date_time_ymd(2020, 1, 1);
            }
            (params.self_signed(&key).unwrap().pem(), WireSecret::new(key.serialize_pem()))
        };
        let (chain, key) = made(10);
        let (_, other) = made(10);
        let refused = |chain: &str, key: &WireSecret| {
            set_up(&url, None, None, Some((chain, key))).err().map(|e| (e.field(), e.to_string()))
        };
        assert_eq!(refused(&chain, &key), None);
        let (field, why) = refused(&chain, &other).unwrap();
        assert!(field == "client-key" && why.contains("not the key of"), "{field}: {why}");
        let locked = WireSecret::new("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n".into());
        let (field, why) = refused(&chain, &locked).unwrap();
        assert!(field == "client-key" && why.contains("passphrase"), "{field}: {why}");
        for wrong in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(refused(wrong, &key).unwrap().0, "client-cert");
        }
        assert!(good_until(&chain).unwrap() > aivonx_domain::now());
        let expired = good_until(&made(-1).0).unwrap_err();
        assert!(expired.field() == "client-cert" && expired.to_string().contains("expired"), "{expired}");
    }

    /// A verifier that trusts a certificate made for `name`, and the certificate.
    fn of(name: &str, change: impl Fn(&mut CertificateParams)) -> (Named, CertificateDer<'static>) {
        let names: &[String] = if name.is_empty() { &[] } else { &[name.to_owned()] };
        let mut params = CertificateParams::new(names).unwrap();
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
        for authority in [true, false] {
            let (verifier, nameless) = of("", |params| {
                params.distinguished_name.push(rcgen::DnType::CommonName, "gpu1");
                params.is_ca =
                    if authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
            });
            assert_eq!(verify(&verifier, &nameless, "gpu1"), Ok(()), "no name stands in it");
            assert_eq!(verify(&verifier, &nameless, "10.0.0.7"), Ok(()));
            let (_, other) = of("", |params| params.is_ca = IsCa::ExplicitNoCa);
            assert!(verify(&verifier, &other, "gpu1").is_err(), "it is not the one that was named");
        }
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
