//! What may not use the key: requests that a web page, open in a browser on this machine, has made.

use http::{HeaderMap, Uri, header};

/// Why a request is refused, as the answer says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the request has no Host header, or one that cannot be read")]
    Host,
    #[error("aivonx connect answers to loopback names only, not to '{0}'")]
    Name(String),
    #[error("Origin '{0}' is not allowed: web pages may not use the key")]
    Origin(String),
    #[error("aivonx connect is no proxy for other hosts")]
    Proxy,
}

/// Checks a request's head.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
    if uri.authority().is_some() {
        return Err(Refused::Proxy);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Refused::Host)?,
        _ => return Err(Refused::Host),
    };
    // Another name that leads here was made to do so, by a page that wants to pass as its own server.
    if !host_part(host).is_some_and(is_loopback) {
        return Err(Refused::Name(host.to_owned()));
    }
    for origin in headers.get_all(header::ORIGIN) {
        let text = String::from_utf8_lossy(origin.as_bytes());
        let lower = text.to_ascii_lowercase();
        let host =
            lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")).and_then(host_part);
        if !host.is_some_and(is_loopback) {
            return Err(Refused::Origin(text.into_owned()));
        }
    }
    // Browsers send no Origin with images and scripts, but say this.
    match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
        Some(b"cross-site") => Err(Refused::Origin("cross-site".to_owned())),
        _ => Ok(()),
    }
}

/// The host of `host[:port]`, brackets kept off.
fn host_part(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            (inside, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    (port.len() <= 5 && port.bytes().all(|digit| digit.is_ascii_digit())).then_some(host)
}

/// `localhost`, names under it, and loopback addresses.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let lower = host.to_ascii_lowercase();
    lower == "localhost" || lower.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uri: &str, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        check(&uri.parse().unwrap(), &map)
    }

    #[test]
    fn programs_of_this_machine_may() {
        for host in
            ["127.0.0.1:11434", "localhost:11434", "[::1]:11434", "LOCALHOST", "a.localhost.", "127.8.8.8"]
        {
            assert_eq!(checked("/", &[("host", host)]), Ok(()), "{host}");
        }
        for origin in ["http://localhost:3000", "https://127.0.0.1", "HTTP://[::1]:80"] {
            assert_eq!(checked("/", &[("host", "localhost"), ("origin", origin)]), Ok(()), "{origin}");
        }
        assert_eq!(checked("/", &[("host", "localhost"), ("sec-fetch-site", "same-origin")]), Ok(()));
    }

    #[test]
    fn web_pages_may_not() {
        for host in [
            "evil.example",
            "evil.example:11434",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "10.0.0.1",
            "notlocalhost",
            "",
        ] {
            assert!(matches!(checked("/", &[("host", host)]), Err(Refused::Name(_))), "{host}");
        }
        for origin in
            ["https://evil.example", "null", "file://", "http://localhost.evil.example", "localhost"]
        {
            let refused = checked("/", &[("host", "localhost"), ("origin", origin)]);
            assert_eq!(refused, Err(Refused::Origin(origin.to_owned())));
        }
        let both = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")];
        assert!(checked("/", &both).is_err());
        assert!(checked("/", &[("host", "localhost"), ("sec-fetch-site", "cross-site")]).is_err());
    }

    #[test]
    fn nor_is_it_a_proxy() {
        assert_eq!(checked("/", &[]), Err(Refused::Host));
        assert_eq!(checked("/", &[("host", "localhost"), ("host", "localhost")]), Err(Refused::Host));
        assert_eq!(checked("http://localhost/", &[("host", "localhost")]), Err(Refused::Proxy));
        assert_eq!(checked("evil.example:443", &[("host", "localhost")]), Err(Refused::Proxy));
    }
}
