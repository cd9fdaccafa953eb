//! Texts with a form of their own: group, log level, host, origin.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr},
};

use aivonx_protocol::check::max_age;

use super::{kind::Problem, mistake::quote, text::Text};
use crate::level;

/// A group of the system, or empty.
pub(super) const GROUP: Text =
    Text { check: group, accepted: "the name of a group, or \"\" for the daemon's own" };

/// Levels, overall and per part.
pub(super) const LEVEL: Text = Text {
    check: log_level,
    accepted: "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\", then levels of parts (\"info,fleet=debug\")",
};

/// A host as it stands in `Host`.
pub(super) const HOST: Text = Text {
    check: host,
    accepted: "host names or IP addresses, with a port if only that one is meant, a dot before a domain for all names \
                   under it as well (\".example.org\"), or \"*\" for any",
};

/// An origin as browsers send it.
pub(super) const ORIGIN: Text = Text {
    check: origin,
    accepted: "origins as browsers send them, scheme://host or scheme://host:port (\"https://chat.example.org\"; https:// \
               where no scheme is named), with a \
               `*` for names under a host, for any port, or for any host of a scheme that is not the web's \
               (\"https://*.example.org\", \"http://gw:*\", \"vscode-webview://*\")",
};

/// A public key of a recipient, or empty.
pub(super) const RECIPIENT: Text = Text {
    check: recipient,
    accepted: "256 bits in base64, as `aivonx backup generate-key` prints them, or \"\"",
};

/// The value of a field of an answer, or empty.
pub(super) const FIELD: Text = Text {
    check: field,
    accepted: "the field's value, of printable ASCII characters; \"\" to leave the field out",
};

/// The value of `Strict-Transport-Security` (RFC 6797), or empty.
pub(super) const HSTS: Text = Text {
    check: hsts,
    accepted: "max-age=SECONDS, then includeSubDomains and preload if wanted, with semicolons between; \"\" to leave it out",
};

/// A name that a certificate is obtained for.
pub(super) const DNS_NAME: Text = Text {
    check: dns_name,
    accepted: "host names that lead here, each without a port (\"gateway.example.org\")",
};

/// The name of a member of a cluster.
pub(super) const MEMBER: Text = Text {
    check: member,
    accepted: "a name of at most 64 letters, digits, and \"-._\", or \"\" for that of the host",
};

/// The URL of an ACME directory.
pub(super) const DIRECTORY: Text = Text {
    check: directory,
    accepted: "an https:// URL, such as \"https://ca.internal/acme/acme/directory\"",
};

/// A mail address.
pub(super) const CONTACT: Text =
    Text { check: contact, accepted: "mail addresses (\"operator@example.org\")" };

/// Least `max-age` that lists of browsers take in, seconds: a year.
const PRELOAD: u64 = 31_536_000;

/// Reads one of `access.allowed_hosts` from a command line.
///
/// # Errors
/// What is wrong with it, and the fix.
pub fn allowed_host(text: &str) -> Result<String, String> {
    allowed(&HOST, text)
}

/// Reads one of `access.allowed_origins` from a command line.
///
/// # Errors
/// What is wrong with it, and the fix.
pub fn allowed_origin(text: &str) -> Result<String, String> {
    allowed(&ORIGIN, text)
}

/// An origin of `access.allowed_origins` as browsers send it: with HTTPS, where it names no scheme.
#[must_use]
pub fn with_scheme(origin: &str) -> Cow<'_, str> {
    if origin.contains("://") { origin.into() } else { format!("https://{origin}").into() }
}

fn allowed(form: &Text, text: &str) -> Result<String, String> {
    (form.check)(text).map(|()| text.to_owned()).map_err(|problem| {
        let fix = problem.fix.unwrap_or_else(|| format!("accepted: {}", form.accepted));
        format!("it {}; {fix}", problem.what)
    })
}

fn recipient(text: &str) -> Result<(), Problem> {
    let is_base64 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    let is_key = text.len() == 44 && text.strip_suffix('=').is_some_and(is_base64);
    if text.is_empty() || is_key {
        return Ok(());
    }
    Err(Problem::new(format!("is {}, which is no public key", quote(text))))
}

fn group(name: &str) -> Result<(), Problem> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "_-.$@".contains(c);
    if name.len() > 64 || !name.chars().all(usable) || name.starts_with('-') {
        return Err(Problem::new(format!("is {}, which is no name of a group", quote(name))));
    }
    Ok(())
}

fn member(name: &str) -> Result<(), Problem> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if name.len() > 64 || !name.chars().all(usable) || name.starts_with('-') {
        return Err(Problem::new(format!("is {}, which is no name of a member", quote(name))));
    }
    Ok(())
}

fn log_level(directives: &str) -> Result<(), Problem> {
    level::parse(directives).map(|_| ()).map_err(|e| {
        // Its text begins with the key, which stands before ours already.
        let text = e.to_string();
        let text = text.strip_prefix("log.level").unwrap_or(&text).trim_start_matches(':').trim_start();
        match text.split_once(": ") {
            Some((what, fix)) => {
                let what = if what.starts_with("is ") { what.to_owned() } else { format!("says {what}") };
                Problem::new(aivonx_protocol::Untrusted::new(&what).to_string()).fix(fix)
            }
            None => Problem::new(format!("says {text}")),
        }
    })
}

fn dns_name(name: &str) -> Result<(), Problem> {
    let wrong = |why: &str| Problem::new(format!("has {}, {why}", quote(name)));
    if name.starts_with('*') {
        return Err(wrong("which neither way of proof stands for").fix("name each host"));
    }
    if name.parse::<IpAddr>().is_ok() || !host_name(name) {
        return Err(wrong("which is no host name"));
    }
    Ok(())
}

fn directory(url: &str) -> Result<(), Problem> {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let is_text = url.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"".contains(&b));
    if is_text && authority(host) {
        return Ok(());
    }
    Err(Problem::new(format!("is {}, which is no https:// URL", quote(url))))
}

fn contact(address: &str) -> Result<(), Problem> {
    let plain = address.strip_prefix("mailto:");
    let halves = plain.unwrap_or(address).split_once('@');
    let is_address = halves.is_some_and(|(name, host)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b',') && host_name(host)
    });
    match plain {
        _ if !is_address => Err(Problem::new(format!("has {}, which is no mail address", quote(address)))),
        Some(plain) => Err(Problem::new(format!("has {}", quote(address))).fix(format!("write \"{plain}\""))),
        None => Ok(()),
    }
}

fn field(text: &str) -> Result<(), Problem> {
    match text.chars().find(|c| !matches!(c, ' '..='~')) {
        Some(_) => Err(Problem::new(format!("has {}, which no field can have", quote(text)))),
        None if text.trim() != text => Err(Problem::new("begins or ends with a space").fix("remove it")),
        None => Ok(()),
    }
}

fn hsts(text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        return Ok(());
    }
    let (mut age, mut sub_domains, mut preload) = (None, false, false);
    for directive in text.split(';').map(str::trim) {
        let lower = directive.to_ascii_lowercase();
        match max_age(&lower) {
            Some(seconds) if age.is_none() => age = Some(seconds),
            None if lower == "includesubdomains" => sub_domains = true,
            None if lower == "preload" => preload = true,
            _ => return Err(Problem::new(format!("has {}, which is no directive", quote(directive)))),
        }
    }
    match age {
        None => {
            Err(Problem::new("has no max-age").fix(format!("write \"max-age={PRELOAD}; includeSubDomains\"")))
        }
        Some(age) if preload && (age < PRELOAD || !sub_domains) => Err(Problem::new(
            "has preload, which cannot be undone, without a year of max-age and includeSubDomains",
        )
        .fix(format!("leave preload out, or write \"max-age={PRELOAD}; includeSubDomains; preload\""))),
        Some(_) => Ok(()),
    }
}

fn host(text: &str) -> Result<(), Problem> {
    let wrong = |why: &str| Problem::new(format!("has {}, {why}", quote(text)));
    if text == "*" {
        return Ok(());
    }
    if let Some(domain) = text.strip_prefix("*.").filter(|domain| host_name(domain)) {
        return Err(wrong("but wildcards stand for any host at all").fix(format!("write \".{domain}\"")));
    }
    if text.contains("://") {
        let rest = text.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
        let problem = wrong("which is a URL, not a host");
        return Err(if authority(rest) { problem.fix(format!("write \"{rest}\"")) } else { problem });
    }
    let domain = text.strip_prefix('.').is_some_and(host_name);
    if domain || authority(text) { Ok(()) } else { Err(wrong("which is no host")) }
}

fn origin(text: &str) -> Result<(), Problem> {
    let wrong = |why: &str| Problem::new(format!("has {}, {why}", quote(text)));
    if text == "*" || text == "null" {
        return Err(wrong("which would let any web page in").fix("name each origin"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return origin(&with_scheme(text)).map_err(|problem| match problem.fix {
            Some(_) => problem,
            None => wrong("which is no origin"),
        });
    };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !scheme_ok {
        return Err(wrong("which has no proper scheme"));
    }
    if let Some((host, _path)) = rest.split_once('/') {
        let problem = wrong("but an origin ends with its host and port");
        return Err(if authority(host) {
            problem.fix(format!("write \"{scheme}://{host}\""))
        } else {
            problem
        });
    }
    let common = match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(":443"),
        "http" => Some(":80"),
        _ => None,
    };
    if rest == "*" {
        return match common {
            Some(_) => Err(wrong("which would let any web page in").fix("name each origin")),
            None => Ok(()),
        };
    }
    if let Some(domain) = rest.strip_prefix("*.") {
        return if host_name(domain) && domain.contains('.') {
            Ok(())
        } else {
            Err(wrong("which has no proper host").fix("name the domain (\"https://*.example.org\")"))
        };
    }
    if let Some(host) = rest.strip_suffix(":*") {
        return if host_name(host) { Ok(()) } else { Err(wrong("which has no proper host")) };
    }
    if !authority(rest) || rest.parse::<Ipv6Addr>().is_ok() {
        return Err(wrong("which has no proper host"));
    }
    let Some(common) = common else { return Ok(()) };
    match rest.strip_suffix(common) {
        Some(host) => {
            Err(wrong("but browsers leave the usual port out").fix(format!("write \"{scheme}://{host}\"")))
        }
        None => Ok(()),
    }
}

/// Whether this is a host with or without port.
fn authority(text: &str) -> bool {
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let port_ok = |port: &str| !port.starts_with(['+', '0']) && port.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((ip, after)) = rest.split_once(']') else { return false };
        return ip.parse::<Ipv6Addr>().is_ok() && after.strip_prefix(':').map_or(after.is_empty(), port_ok);
    }
    match text.split_once(':') {
        Some((host, port)) => host_name(host) && port_ok(port),
        None => host_name(text),
    }
}

fn host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // What is all digits and dots is an address or nothing.
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.len() <= 253 && if numeric { text.parse::<IpAddr>().is_ok() } else { text.split('.').all(label) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "localhost",
            "gpu1",
            "gw.example.org",
            "10.0.0.5",
            "::1",
            "[::1]:80",
            "gw:8080",
            "a_b.c",
            "*",
            ".x.org",
        ] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in [
            "", ".", "..x", ".1.2.3", "*.x", "http://x", "x/y", "1.2.3", "x:", "x:0", "x:99999", "-x",
            "a..b", "[::1", "é",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
        assert_eq!(host("http://x:80/").unwrap_err().fix.as_deref(), Some("write \"x:80\""));
    }

    #[test]
    fn origins() {
        for good in [
            "https://a.example",
            "http://localhost:3000",
            "app://obsidian.md",
            "http://[::1]:3000",
            "vscode-webview://*",
            "file://*",
            "https://*.a.example",
            "http://gw:*",
            "a.example",
            "a.example:8443",
            "*.a.example",
            "[::1]:3000",
        ] {
            assert_eq!(origin(good), Ok(()), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "a b",
            "a.example/",
            "a.example:443",
            "*:*",
            "*.com",
            "https://",
            "https://a/",
            "https://a:443",
            "http://a:80",
            "://a",
            "https://*",
            "http://*:*",
            "https://*.com",
            "https://*.*.example",
            "https://a*.example",
            "app://*/x",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
        assert_eq!(origin("a:443").unwrap_err().fix.as_deref(), Some("write \"https://a\""));
        assert_eq!(origin("https://a:443").unwrap_err().fix.as_deref(), Some("write \"https://a\""));
    }

    #[test]
    fn fields_of_answers() {
        for good in ["", "DENY", "default-src 'none'; base-uri 'none'"] {
            assert_eq!(field(good), Ok(()), "{good}");
        }
        for bad in ["a\nb", "a\tb", "é", " a", "a "] {
            assert!(field(bad).is_err(), "{bad:?}");
        }
        for good in ["", "max-age=300", "max-age=31536000; includeSubDomains; preload", "MAX-AGE=\"0\""] {
            assert_eq!(hsts(good), Ok(()), "{good}");
        }
        for bad in [
            "includeSubDomains",
            "max-age=",
            "max-age=-1",
            "max-age=1; max-age=2",
            "max-age=1;",
            "max-age=86400; includeSubDomains; preload",
            "max-age=31536000; preload",
            "max-age=1; x",
        ] {
            assert!(hsts(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn levels_and_groups() {
        assert_eq!(log_level("info,fleet=debug"), Ok(()));
        let problem = log_level("loud").unwrap_err();
        assert!(problem.what.contains("`loud` is not a level"), "{problem:?}");
        assert!(problem.fix.is_some_and(|f| f.starts_with("use ")));
        assert!(log_level("").unwrap_err().what.starts_with("is empty"));
        assert!(group("aivonx").is_ok() && group("").is_ok());
        assert!(group("a b").is_err() && group("-x").is_err());
    }
}
