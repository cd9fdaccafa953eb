//! Where a node is and how the gateway proves itself there: everything a connection depends on.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aivonx_protocol::{WireSecret, node::Credential};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{
    address::{NodeUrl, special},
    bounds::{Bounds, same_place},
    dial_error::DialError,
    tls::{self, EndpointTls, TlsError},
};

/// One node's address. Two snapshots share it as long as nothing a connection depends on changed, so that a pool can
/// check by pointer whether its connections are still the right ones.
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
    /// Where it is not dialled.
    pub bounds: Option<Bounds>,
    /// The addresses to which the host resolved last, of those that may be dialled.
    found: Arc<Mutex<Vec<IpAddr>>>,
}

/// A credential that no header can carry. Never shows the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The secret is empty or holds characters that a header must not.
    #[error("credential holds a line break or another character that a header cannot carry, or is empty")]
    Value,
    /// The user name of basic authentication has a colon or a control character.
    #[error("credential user name '{0}' is empty or holds a colon or a control character")]
    User(String),
    /// Not a header name, or one that the gateway sets itself.
    #[error("credential header '{0}' is not a header name or is one that the gateway sets itself")]
    Header(String),
}

impl Endpoint {
    /// One that is no node: trusted by what `ca_pem` has signed, or by whom the system trusts.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn trusting(url: &NodeUrl, ca_pem: Option<&str>) -> Result<Self, TlsError> {
        Ok(Self::new(url, tls::set_up(url, ca_pem, None, None)?, None, true))
    }

    /// Puts an endpoint together.
    #[must_use]
    pub fn new(
        url: &NodeUrl,
        tls: Option<EndpointTls>,
        credential: Option<(HeaderName, HeaderValue)>,
        forced: bool,
    ) -> Self {
        Self {
            host: url.host.clone(),
            port: url.port,
            authority: url.authority.clone(),
            prefix: url.prefix.clone(),
            tls,
            credential,
            forced,
            bounds: None,
            found: Arc::new(Mutex::new(url.host.parse().into_iter().collect())),
        }
    }

    /// Whether it may be dialled at `address`, to which its host resolves. Judged at every connection: a name that was
    /// harmless when the node was added may point at a metadata service today.
    ///
    /// # Errors
    /// [`DialError`] says why not.
    pub(super) fn admits(&self, address: SocketAddr) -> Result<(), DialError> {
        if !self.forced
            && let Some(what) = special(address.ip())
        {
            return Err(DialError::Special(address.ip(), what));
        }
        self.bounds.as_ref().map_or(Ok(()), |bounds| bounds.check(self, address))
    }

    /// Remembers to what the host resolves.
    pub(super) fn found_at(&self, addresses: &[SocketAddr]) {
        *self.lock() = addresses.iter().map(SocketAddr::ip).collect();
    }

    /// Whether it is at `ip`, to which `host` resolves. Until it was looked up it is known by its name alone.
    pub(super) fn is_at(&self, host: &str, ip: IpAddr) -> bool {
        let found = self.lock();
        self.host.eq_ignore_ascii_case(host) || found.iter().any(|own| same_place(*own, ip))
    }

    /// Whether it was looked up.
    pub(super) fn is_found(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Whether the host is an address, not a name.
    pub(super) fn is_literal(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        // Whole at any time, so a panic elsewhere has left nothing half done.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection made for `other` is as good as one made for `self`. TLS set-ups of their own are
    /// compared by pointer: code that rebuilds one keeps the old where its inputs are the same.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.config, &b.config) && a.server_name == b.server_name,
            _ => false,
        };
        tls && self.host == other.host
            && self.port == other.port
            && self.authority == other.authority
            && self.prefix == other.prefix
            && self.credential == other.credential
            && self.forced == other.forced
            && match (&self.bounds, &other.bounds) {
                (Some(a), Some(b)) => a.same_as(b),
                (a, b) => a.is_none() && b.is_none(),
            }
    }
}

/// Headers whose meaning is the gateway's: a credential must not replace them.
const RESERVED: [&str; 13] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "accept",
];

/// The header that carries `credential`, marked sensitive.
///
/// # Errors
/// [`CredentialError`] if no header can carry it.
pub fn credential_header(
    credential: &Credential,
) -> Result<Option<(HeaderName, HeaderValue)>, CredentialError> {
    let (name, text) = match credential {
        Credential::None => return Ok(None),
        Credential::Bearer(token) => (AUTHORIZATION, Zeroizing::new(format!("Bearer {}", trimmed(token)?))),
        Credential::Basic { user, password } => {
            if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
                return Err(CredentialError::User(user.clone()));
            }
            let pair = Zeroizing::new(format!("{user}:{}", trimmed(password)?));
            (AUTHORIZATION, Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
        }
        Credential::Certificate { header: None, .. } => return Ok(None),
        Credential::Header { name, value } | Credential::Certificate { header: Some((name, value)), .. } => {
            let parsed = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|parsed| !RESERVED.contains(&parsed.as_str()))
                .ok_or_else(|| CredentialError::Header(name.clone()))?;
            (parsed, Zeroizing::new(trimmed(value)?.to_owned()))
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| CredentialError::Value)?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// The secret without the line break that a file ends with.
fn trimmed(secret: &WireSecret) -> Result<&str, CredentialError> {
    Some(secret.expose().trim_end_matches(['\r', '\n']))
        .filter(|s| !s.is_empty())
        .ok_or(CredentialError::Value)
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::{WireSecret, node::Credential};

    use super::{CredentialError, credential_header};

    fn secret(text: &str) -> WireSecret {
        WireSecret::new(text.into())
    }

    #[test]
    fn builds_sensitive_headers() {
        let (name, value) = credential_header(&Credential::Bearer(secret("tok\n"))).unwrap().unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer tok"));
        assert_eq!(format!("{value:?}"), "Sensitive");
        let basic = Credential::Basic { user: "u".into(), password: secret("p") };
        assert_eq!(credential_header(&basic).unwrap().unwrap().1, "Basic dTpw");
        let own = Credential::Header { name: "X-Key".into(), value: secret("k") };
        assert_eq!(credential_header(&own).unwrap().unwrap().0, "x-key");
    }

    #[test]
    fn refuses_what_no_header_can_carry() {
        let header = |name: &str| Credential::Header { name: name.into(), value: secret("v") };
        assert_eq!(credential_header(&Credential::Bearer(secret("a\nb"))), Err(CredentialError::Value));
        assert_eq!(credential_header(&Credential::Bearer(secret("\n"))), Err(CredentialError::Value));
        assert!(matches!(credential_header(&header("Host")), Err(CredentialError::Header(_))));
        assert!(matches!(credential_header(&header("a b")), Err(CredentialError::Header(_))));
        let user = Credential::Basic { user: "a:b".into(), password: secret("p") };
        assert!(matches!(credential_header(&user), Err(CredentialError::User(_))));
    }
}
