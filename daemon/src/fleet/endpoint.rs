//! Where a node is and how the gateway proves itself there: everything a connection depends on.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rustls_pki_types::ServerName;

/// One node's address. Two snapshots share it as long as nothing a connection depends on changed, so that
/// a pool can tell by pointer whether its connections are still the right ones.
#[derive(Clone)]
pub struct Endpoint {
    /// Host name or address literal, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Value of `Host`: the host in URL form, with the port unless it is the scheme's default.
    pub authority: HeaderValue,
    /// Path prefix without a trailing slash; empty for none.
    pub prefix: Box<str>,
    /// TLS set-up; None is plain HTTP.
    pub tls: Option<EndpointTls>,
    /// The header that carries the credential, marked sensitive.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// Whether link-local and metadata addresses are dialled too, because the administrator insisted.
    pub forced: bool,
}

/// TLS towards a node.
#[derive(Clone)]
pub struct EndpointTls {
    /// Roots and versions.
    pub config: Arc<rustls::ClientConfig>,
    /// Name expected in the certificate.
    pub server_name: ServerName<'static>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}
