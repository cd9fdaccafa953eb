//! Who may be meant by a request, and from which page it may come: `Host`, `:authority` and `Origin`.
//!
//! A listener on loopback answers only to loopback names, so that a web page whose name was made to resolve
//! to 127.0.0.1 (DNS rebinding) does not reach it, and only to pages from loopback.

use http::{Uri, Version};

use super::{
    fields::{Field, Fields},
    shared::Settings,
};

/// Why a request is not for this gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    #[error("the request has no Host header")]
    Missing,
    #[error("the request has more than one Host header, or one that cannot be read")]
    Unreadable,
    #[error("Host and the request target name different hosts")]
    Differs,
    #[error("absolute request targets are not served")]
    Absolute,
    #[error("Host '{0}' is not served here; use a loopback address, or add it to access.allowed_hosts")]
    NotServed(String),
    #[error("Origin '{0}' is not allowed; add it to access.allowed_origins")]
    Origin(String),
}

/// Checks the names in a request's head. `loopback` is whether the listener is on a loopback address.
pub(super) fn check(
    settings: &Settings,
    loopback: bool,
    version: Version,
    uri: &Uri,
    fields: &Fields<'_>,
) -> Result<(), HostError> {
    let mut hosts = fields.all(Field::Host);
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| HostError::Unreadable)?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(HostError::Unreadable),
    };
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let named = match (host, authority, version) {
        (Some(host), None, _) => Some(host),
        (Some(host), Some(authority), Version::HTTP_2) if host.eq_ignore_ascii_case(authority) => Some(host),
        (Some(_), Some(_), Version::HTTP_2) => return Err(HostError::Differs),
        (None, Some(authority), Version::HTTP_2) => Some(authority),
        (Some(host), Some(authority), _) if host.eq_ignore_ascii_case(authority) => Some(host),
        (_, Some(_), _) => return Err(HostError::Absolute),
        (None, None, Version::HTTP_10 | Version::HTTP_09) => None,
        (None, None, _) => return Err(HostError::Missing),
    };
    if let Some(named) = named {
        let name = host_part(named).ok_or(HostError::Unreadable)?;
        let listed = || {
            settings
                .allowed_hosts
                .iter()
                .any(|h| h.eq_ignore_ascii_case(name) || h.eq_ignore_ascii_case(named))
        };
        let served = if loopback {
            is_loopback(name) || listed()
        } else {
            settings.allowed_hosts.is_empty() || is_loopback(name) || listed()
        };
        if !served {
            return Err(HostError::NotServed(named.to_owned()));
        }
    }
    origin(settings, fields)
}

fn origin(settings: &Settings, fields: &Fields<'_>) -> Result<(), HostError> {
    for value in fields.all(Field::Origin) {
        let text = value.to_str().map_err(|_| HostError::Unreadable)?;
        let lower = text.to_ascii_lowercase();
        let local = lower
            .strip_prefix("http://")
            .or_else(|| lower.strip_prefix("https://"))
            .and_then(host_part)
            .is_some_and(is_loopback);
        if !local && !settings.allowed_origins.contains(&lower) {
            return Err(HostError::Origin(text.to_owned()));
        }
    }
    Ok(())
}

/// The host of `host[:port]`, brackets kept off.
fn host_part(authority: &str) -> Option<&str> {
    if authority.is_empty() || authority.bytes().any(|b| matches!(b, b'@' | b'/' | b'?' | b'#' | b'\\')) {
        return None;
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        return (after.is_empty() || port(after.strip_prefix(':')?)).then_some(inside);
    }
    match authority.split_once(':') {
        Some((host, p)) => (port(p) && !host.is_empty()).then_some(host),
        None => Some(authority),
    }
}

fn port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `localhost`, names under it, and loopback addresses.
fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = "localhost";
    if host.eq_ignore_ascii_case(name) {
        return true;
    }
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    host.len() >= name.len()
        && host.is_char_boundary(host.len() - name.len())
        && host[host.len() - name.len()..].eq_ignore_ascii_case(name)
        && (host.len() == name.len() || host[..host.len() - name.len()].ends_with('.'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri, Version};

    use super::{Fields, HostError, check};
    use crate::Settings;
    use aivonx_config::Config;

    fn run(
        loopback: bool,
        uri: &str,
        host: Option<&str>,
        origin: Option<&str>,
        version: Version,
    ) -> Result<(), HostError> {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert("host", HeaderValue::from_str(host).unwrap());
        }
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let settings = Settings::new(&Config::default());
        check(&settings, loopback, version, &uri.parse::<Uri>().unwrap(), &Fields::read(&headers))
    }

    #[test]
    fn loopback_listeners_answer_to_loopback_names_only() {
        for host in [
            "localhost",
            "LOCALHOST:11435",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "x.localhost",
            "localhost.",
        ] {
            assert_eq!(run(true, "/", Some(host), None, Version::HTTP_11), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "[::2]",
            "10.0.0.1",
            "",
            "a@localhost",
            "localhost:x",
        ] {
            assert!(run(true, "/", Some(host), None, Version::HTTP_11).is_err(), "{host}");
        }
        assert_eq!(run(false, "/", Some("gw.example"), None, Version::HTTP_11), Ok(()));
    }

    #[test]
    fn host_and_target_must_agree() {
        assert_eq!(run(true, "/", None, None, Version::HTTP_11), Err(HostError::Missing));
        assert_eq!(run(true, "/", None, None, Version::HTTP_10), Ok(()));
        assert_eq!(run(true, "http://localhost/", Some("localhost"), None, Version::HTTP_11), Ok(()));
        assert_eq!(
            run(true, "http://other/", Some("localhost"), None, Version::HTTP_11),
            Err(HostError::Absolute)
        );
        assert_eq!(
            run(true, "http://localhost/", Some("127.0.0.1"), None, Version::HTTP_2),
            Err(HostError::Differs)
        );
        assert_eq!(run(true, "http://localhost/", None, None, Version::HTTP_2), Ok(()));
    }

    #[test]
    fn foreign_pages_are_refused() {
        for origin in
            ["https://evil.example", "null", "http://localhost.evil.example", "chrome-extension://x"]
        {
            assert!(run(true, "/", Some("localhost"), Some(origin), Version::HTTP_11).is_err(), "{origin}");
        }
        assert_eq!(
            run(true, "/", Some("localhost"), Some("http://localhost:3000"), Version::HTTP_11),
            Ok(())
        );
    }
}
