//! How a directory looks for proofs.

use std::{net::SocketAddr, sync::Arc};

use ring::digest::{SHA256, digest};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring as provider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Client, Request};

/// RFC 8555, 8.3.
pub(super) async fn http(address: SocketAddr, name: &str, token: &str, expected: &str) -> Result<(), String> {
    TcpStream::connect(address).await.map_err(|error| format!("no connection to {name}: {error}"))?;
    let request = Request::get(&format!("/.well-known/acme-challenge/{token}")).field("Host", name);
    let answer = Client::connect(address).await.ask(&request).await;
    match (answer.status, answer.text()) {
        (200, text) if text == expected => Ok(()),
        (status, _) => Err(format!("{name} answers {status} with something else")),
    }
}

/// RFC 8737, 3.
pub(super) async fn tls(address: SocketAddr, name: &str, expected: &str) -> Result<(), String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream =
        TcpStream::connect(address).await.map_err(|error| format!("no connection to {name}: {error}"))?;
    let asked = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(asked, stream).await;
    let stream = stream.map_err(|error| format!("no TLS with {name}: {error}"))?;
    let (_, session) = stream.get_ref();
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err(format!("{name} does not speak acme-tls/1"));
    }
    let shown = session.peer_certificates().and_then(|chain| chain.first()).ok_or("no certificate")?;
    // The digest as the extension has it: an octet string of 32 bytes, critical.
    let digest = digest(&SHA256, expected.as_bytes());
    let extension = [&[0x01, 0x01, 0xff, 0x04, 0x22, 0x04, 0x20], digest.as_ref()].concat();
    let holds = |part: &[u8]| shown.windows(part.len()).any(|window| window == part);
    let is_proof = holds(&extension) && holds(name.as_bytes());
    if is_proof { Ok(()) } else { Err(format!("the certificate of {name} proves nothing")) }
}

/// Takes any certificate, for what it says of itself is what counts.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
