//! Who may be meant by a request, and from which page it may come: `Host`, `:authority` and `Origin`.
//!
//! A listener on loopback answers only to names that nobody else can make resolve to 127.0.0.1 (DNS rebinding), and
//! only to pages of this machine, as Ollama's does. Other listeners answer to no page that is not listed.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderValue, Uri, Version};

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
    #[error("absolute request targets are not served; ask for the path alone, and name the host in Host")]
    Absolute,
    #[error(
        "Host '{0}' is not served here; use a loopback address, or add it to access.allowed_hosts (aivonxd dev: \
         --allow-host)"
    )]
    NotServed(String),
    #[error(
        "a page of another site may not ask this without a key; send one, or add the page's origin to \
         access.allowed_origins"
    )]
    CrossSite,
    #[error("Origin '{0}' is not allowed; add it to access.allowed_origins (aivonxd dev: --allow-origin)")]
    Origin(String),
}

/// Checks the names in a request's head, and returns the host that it is for, without its port. `loopback` is whether
/// the listener is on a loopback address, `forwarded` the host that a trusted proxy was asked for.
pub(super) fn check<'r>(
    settings: &Settings,
    loopback: bool,
    version: Version,
    uri: &'r Uri,
    fields: &Fields<'r>,
    forwarded: Option<&'r str>,
) -> Result<Option<&'r str>, HostError> {
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
    // A proxy may ask for the gateway under a name of its own.
    let named = forwarded.or(named);
    let name = named.map(|named| host_part(named).ok_or(HostError::Unreadable)).transpose()?;
    let name = name.map(|name| name.strip_suffix('.').unwrap_or(name));
    if let (Some(named), Some(name)) = (named, name) {
        let listed = || {
            let plain = without_dot(named);
            settings.allowed_hosts.iter().any(|h| {
                h.eq_ignore_ascii_case(name)
                    || h.eq_ignore_ascii_case(&plain)
                    || h == "*"
                    || is_under(h, name)
            })
        };
        let served = if loopback {
            is_loopback(name) || is_local(name, &settings.own_host) || is_address_here(name) || listed()
        } else {
            is_loopback(name) || listed()
        };
        if !served {
            return Err(HostError::NotServed(named.to_owned()));
        }
    }
    for value in fields.all(Field::Origin) {
        let text = value.to_str().map_err(|_| HostError::Unreadable)?;
        if !is_allowed(settings, loopback, text) {
            return Err(HostError::Origin(text.to_owned()));
        }
    }
    Ok(name)
}

/// The origin of the page that asks, if it may read the answer.
pub(super) fn page<'h>(settings: &Settings, loopback: bool, fields: &Fields<'h>) -> Option<&'h HeaderValue> {
    let mut origins = fields.all(Field::Origin);
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    is_allowed(settings, loopback, origin.to_str().ok()?).then_some(origin)
}

/// Whether a browser says that another site's page asks, which is not allowed to (Fetch Metadata). Where the page was
/// named it has been judged by that.
pub(super) fn is_cross_site(fields: &Fields<'_>) -> bool {
    let site = fields.get(Field::FetchSite).filter(|_| !fields.has(Field::Origin));
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Pages of programs on the same machine, for listeners on loopback.
const PROGRAMS: [&str; 5] = ["app://*", "file://*", "tauri://*", "vscode-file://*", "vscode-webview://*"];

fn is_allowed(settings: &Settings, loopback: bool, origin: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let is_own = || {
        let web = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        web.and_then(host_part).is_some_and(|host| is_loopback(host) || host == "0.0.0.0")
            || PROGRAMS.iter().any(|pattern| matches(pattern, &origin))
    };
    (loopback && is_own()) || settings.allowed_origins.iter().any(|pattern| matches(pattern, &origin))
}

/// Whether `origin` is what `pattern` says, in which one `*` stands for a part of the host, or for its port.
fn matches(pattern: &str, origin: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == origin };
    let part = origin.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    part.is_some_and(|part| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)))
}

/// Whether it is an address of a private network, or of all of this machine's, as Ollama's loopback listener serves them: a
/// tunnel or a port of a container leads here, and no name that could be made to point here does.
fn is_address_here(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_unspecified(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unspecified(),
        Err(_) => false,
    }
}

/// Whether no public DNS gives the name: those of containers, of the local network and of the machine itself.
fn is_local(host: &str, own: &str) -> bool {
    let of = |domain: &str| {
        host.split_once('.').is_some()
            && host.rsplit('.').next().is_some_and(|d| d.eq_ignore_ascii_case(domain))
    };
    of("local") || of("internal") || (!own.is_empty() && host.eq_ignore_ascii_case(own))
}

/// Whether `name` is the domain that `listed` gives with a dot before it, or under it.
fn is_under(listed: &str, name: &str) -> bool {
    let name = name.as_bytes();
    let Some(domain) = listed.strip_prefix('.').map(str::as_bytes) else { return false };
    let Some((before, end)) = name.len().checked_sub(domain.len()).map(|at| name.split_at(at)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with(b"."))
}

/// One of `access.allowed_hosts` as [`check`] compares it.
pub(super) fn listed(host: &str) -> String {
    without_dot(host).to_ascii_lowercase()
}

/// `host[:port]` without the dot that a fully qualified name may end with.
fn without_dot(authority: &str) -> Cow<'_, str> {
    match authority.split_once(".:") {
        Some((host, port)) => format!("{host}:{port}").into(),
        None => authority.strip_suffix('.').unwrap_or(authority).into(),
    }
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
    if let Ok(address) = host.parse::<IpAddr>() {
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
        check(&settings, loopback, version, &uri.parse::<Uri>().unwrap(), &Fields::read(&headers), None)
            .map(drop)
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
            "10.0.0.1",
            "10.0.0.1.",
            "172.17.0.2:11434",
            "192.168.1.5",
            "[fd00::1]:80",
            "0.0.0.0:11434",
            "[::]",
        ] {
            assert_eq!(run(true, "/", Some(host), None, Version::HTTP_11), Ok(()), "{host}");
        }
        for host in ["10.0.0.1", "0.0.0.0", "[::]"] {
            assert!(run(false, "/", Some(host), None, Version::HTTP_11).is_err(), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "[::2]",
            "8.8.8.8",
            "172.32.0.1",
            "169.254.169.254",
            "10.0.0.1.evil.example",
            "",
            "a@localhost",
            "localhost:x",
        ] {
            assert!(run(true, "/", Some(host), None, Version::HTTP_11).is_err(), "{host}");
        }
    }

    #[test]
    fn listeners_on_a_network_answer_to_listed_names() {
        let of = |hosts: &[&str], host: &str| {
            let mut config = Config::default();
            config.access.allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let headers =
                [("host", host)].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).into_iter().collect();
            let fields = Fields::read(&headers);
            check(&Settings::new(&config), false, Version::HTTP_11, &Uri::from_static("/"), &fields, None)
                .is_ok()
        };
        let listed = ["gw.example.org", ".Lab.example", "192.0.2.7", "other:8080", "dot.example."];
        for host in [
            "gw.example.org",
            "GW.example.org:443",
            "gw.example.org.",
            "gw.example.org.:443",
            "a.lab.example.",
            "other.:8080",
            "dot.example",
            "dot.example.",
            "lab.example",
            "a.b.lab.example:1",
            "192.0.2.7:80",
            "other:8080",
            "localhost",
        ] {
            assert!(of(&listed, host), "{host}");
        }
        for host in [
            "example.org",
            "a.gw.example.org",
            "xlab.example",
            "192.0.2.8",
            "other",
            "other:80",
            "",
            ".",
            "gw.example.org..",
        ] {
            assert!(!of(&listed, host), "{host}");
        }
        assert!(of(&["*"], "whatever.example") && !of(&[], "whatever.example"));
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
    fn loopback_listeners_answer_to_names_that_the_public_dns_does_not_give() {
        let own = Settings::new(&Config::default()).own_host;
        for host in
            ["host.docker.internal:11435", "host.containers.internal", "mybox.local", "MYBOX.LOCAL.", &own]
        {
            assert_eq!(run(true, "/", Some(host), None, Version::HTTP_11), Ok(()), "{host}");
        }
        for host in ["local", "internal", "internal.evil.example", "x.locally", "xlocal", "100.64.0.1"] {
            assert!(run(true, "/", Some(host), None, Version::HTTP_11).is_err() || host == own, "{host}");
        }
    }

    #[test]
    fn pages_of_this_machine_reach_loopback_listeners_alone() {
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://0.0.0.0:8080",
            "app://obsidian.md",
            "tauri://localhost",
            "vscode-webview://1abc",
            "vscode-file://vscode-app",
            "file://",
        ] {
            assert_eq!(run(true, "/", Some("localhost"), Some(origin), Version::HTTP_11), Ok(()), "{origin}");
            assert!(run(false, "/", Some("localhost"), Some(origin), Version::HTTP_11).is_err(), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "chrome-extension://x",
            "app://a/b",
            "xapp://a",
        ] {
            assert!(run(true, "/", Some("localhost"), Some(origin), Version::HTTP_11).is_err(), "{origin:?}");
        }
    }

    #[test]
    fn listed_origins_may_have_one_part_open() {
        for (pattern, origin, fits) in [
            ("https://chat.example.org", "https://chat.example.org", true),
            ("https://chat.example.org", "https://chat.example.org:8443", false),
            ("https://*.example.org", "https://a.b.example.org", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://evil.example/.example.org", false),
            ("https://*.example.org", "https://x@evil.example#.example.org", false),
            ("https://*.example.org", "http://a.example.org", false),
            ("http://gw.example.org:*", "http://gw.example.org:3000", true),
            ("http://gw.example.org:*", "http://gw.example.org.evil.example:3000", false),
            ("vscode-webview://*", "vscode-webview://0f3a", true),
        ] {
            assert_eq!(super::matches(pattern, origin), fits, "{pattern} {origin}");
        }
    }
}
