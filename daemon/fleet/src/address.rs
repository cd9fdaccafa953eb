//! A node's URL: what is accepted, and which addresses a gateway must not be talked into reaching.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aivonx_protocol::Untrusted;
use http::HeaderValue;
use url::{Host, Url};

/// A checked node URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl {
    /// Normal form: scheme, host, port unless it is the scheme's default, prefix without a trailing slash.
    pub text: String,
    /// Whether it is `https`.
    pub https: bool,
    /// Host name or address literal, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Value of `Host`.
    pub authority: HeaderValue,
    /// Path prefix without a trailing slash; empty for none.
    pub prefix: Box<str>,
}

/// What is wrong with a URL. The message names the value and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url '{value}' {problem}")]
pub struct UrlError {
    /// The URL as given, without its credentials.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl NodeUrl {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`UrlError`] if it is not an `http` or `https` URL of a server, or carries more than a path prefix.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let wrong = |problem: &str, fix: String| UrlError {
            value: Untrusted::new(&without_userinfo(text)).max(200).to_string(),
            problem: problem.to_owned(),
            fix,
        };
        if text.is_empty() {
            return Err(wrong("is empty", "give one such as http://gpu1:11434".into()));
        }
        if !text.contains("://") {
            let guess = format!("http://{}", Untrusted::new(text).max(200));
            return Err(wrong("has no scheme", format!("write {guess}")));
        }
        let url = Url::parse(text)
            .map_err(|e| wrong(&format!("is not a URL ({e})"), "write it as http://HOST:PORT".into()))?;
        let https = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                let other = format!("has the scheme '{}'", Untrusted::new(other).max(20));
                return Err(wrong(&other, "use http:// or https://".into()));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "carries credentials",
                "leave them out and give them as the credential".into(),
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("carries a query or a fragment", "leave out everything from ? or # on".into()));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => String::new(),
        };
        let Some(port) = url.port_or_known_default().filter(|port| *port != 0 && !host.is_empty()) else {
            return Err(wrong("names no host and port", "write it as http://HOST:PORT".into()));
        };
        let prefix = url.path().trim_end_matches('/');
        if prefix.to_ascii_lowercase().ends_with("/v1") {
            let shown = Untrusted::new(text.trim_end_matches('/')).max(200).to_string();
            let short = &shown[..shown.len().saturating_sub(3)];
            return Err(wrong("ends in /v1, which the gateway adds itself", format!("write {short}")));
        }
        if prefix.contains("//") || http::uri::PathAndQuery::try_from(format!("{prefix}/")).is_err() {
            return Err(wrong(
                "has a path that no request can carry",
                "use a plain prefix such as /ollama".into(),
            ));
        }
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let authority = url.port().map_or_else(|| shown.clone(), |port| format!("{shown}:{port}"));
        let text = format!("{}://{authority}{prefix}", url.scheme());
        let header = HeaderValue::from_str(&authority)
            .map_err(|_| wrong("has a host that no request can name", "use a plain host name".into()))?;
        Ok(Self { text, https, port, authority: header, prefix: prefix.into(), host: host.into() })
    }

    /// Whether both lead to the same server in the same way; the path does not count.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        (self.https, self.port) == (other.https, other.port) && self.host == other.host
    }

    /// What is special about the host as written, if it is link-local or a cloud's metadata service.
    #[must_use]
    pub fn special(&self) -> Option<&'static str> {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => special(ip),
            Err(_) => special_name(&self.host),
        }
    }
}

/// The URL without what stands before an `@` in its authority: it may be a password.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.rsplit_once('@').map_or(text, |(_, tail)| tail).to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// Metadata services outside the link-local range: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Metadata services on unique local addresses: Amazon, Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// What is special about `ip`, if a node there is more likely an attack than a node.
#[must_use]
pub fn special(ip: IpAddr) -> Option<&'static str> {
    match embedded(ip) {
        IpAddr::V4(ip) if ip == Ipv4Addr::new(169, 254, 169, 254) => Some("a cloud metadata address"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
        IpAddr::V4(ip) if METADATA_V4.contains(&ip) => Some("a cloud metadata address"),
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(ip) if METADATA_V6.contains(&ip) => Some("a cloud metadata address"),
        IpAddr::V6(_) => None,
    }
}

/// The IPv4 address that `ip` reaches by another name: mapped (RFC 4291, 2.5.5.2), by NAT64 (`64:ff9b::/96`) or 6to4;
/// else `ip` itself.
#[must_use]
pub fn embedded(ip: IpAddr) -> IpAddr {
    let ip = ip.to_canonical();
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |hi: u16, lo: u16| {
        let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => ip,
    }
}

/// What is special about a name, if it is that of a metadata service.
#[must_use]
pub fn special_name(host: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = [
        "metadata.google.internal",
        "metadata.goog",
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
    ];
    NAMES.iter().any(|name| host.eq_ignore_ascii_case(name)).then_some("a cloud metadata service")
}

#[cfg(test)]
mod tests {
    use super::{NodeUrl, special};

    fn text(url: &str) -> String {
        NodeUrl::parse(url).unwrap().text
    }

    #[test]
    fn normalises() {
        assert_eq!(text("http://GPU1:11434/"), "http://gpu1:11434");
        assert_eq!(text("https://gpu1:443/ollama//"), "https://gpu1/ollama");
        assert_eq!(text("http://[2001:DB8::1]:11434"), "http://[2001:db8::1]:11434");
        let url = NodeUrl::parse("https://[::1]/x").unwrap();
        assert_eq!((&*url.host, url.port, &*url.prefix), ("::1", 443, "/x"));
        assert_eq!(url.authority, "[::1]");
        assert_eq!(NodeUrl::parse("http://gpu1:11434").unwrap().authority, "gpu1:11434");
    }

    #[test]
    fn refuses_and_says_the_fix() {
        for (url, problem, fix) in [
            ("gpu1:11434", "has no scheme", "write http://gpu1:11434"),
            ("ftp://gpu1", "scheme 'ftp'", "http:// or https://"),
            ("http://u:hunter2@gpu1", "credentials", "credential"),
            ("http://gpu1/?a=b", "query", "leave out"),
            ("http://gpu1/#x", "fragment", "leave out"),
            ("http://gpu1:8000/v1", "ends in /v1", "write http://gpu1:8000"),
            ("http://gpu1:0", "host and port", "HOST:PORT"),
            ("http://", "not a URL", "HOST:PORT"),
            ("http://gpu1:99999", "not a URL", "HOST:PORT"),
            ("", "is empty", "http://gpu1:11434"),
        ] {
            let error = NodeUrl::parse(url).unwrap_err();
            assert!(error.problem.contains(problem), "{url}: {error}");
            assert!(error.fix.contains(fix), "{url}: {}", error.fix);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn knows_special_addresses_in_every_spelling() {
        for url in [
            "http://169.254.169.254",
            "http://169.254.1.1:11434",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[2002:a9fe:a9fe::1]",
            "http://[fe80::1]:11434",
            "http://[fd00:ec2::254]",
            "http://100.100.100.200",
            "http://Metadata.Google.Internal.",
        ] {
            assert!(NodeUrl::parse(url).unwrap().special().is_some(), "{url}");
        }
        for url in ["http://127.0.0.1", "http://10.0.0.1", "http://[fd00::1]", "http://gpu1", "http://[::1]"]
        {
            assert!(NodeUrl::parse(url).unwrap().special().is_none(), "{url}");
        }
        assert!(special("100.100.100.201".parse().unwrap()).is_none());
    }
}
