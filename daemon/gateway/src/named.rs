//! What a body names instead of bringing it along. A node keeps what it made of everybody and hands it to whoever knows
//! the id, and it fetches addresses that no client could reach itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aivonx_fleet::address;
use aivonx_identity::Caller;
use aivonx_wire::api::{
    references::{self, Judge, Reference},
    route::Forward,
};
use url::{Host, Url};

use crate::{
    aside::{self, aside},
    body::{Collected, VerdictError},
    deadline::InFlight,
    error_response::Refusal,
    exchange::Exchange,
    forward::RESPONSES,
    shared::Settings,
};

/// Refuses a body that names what is not known to be the caller's, or an address that a node is not to fetch. What
/// goes on from a response is known, and looked at before.
pub(super) async fn check(
    exchange: &Exchange,
    flight: &InFlight,
    caller: &Caller,
    forwarded: &Forward,
    body: &Collected,
) -> Result<(), Refusal> {
    if !is_read(forwarded.path) || (forwarded.path != RESPONSES && !references::may_refer(&body.segments)) {
        return Ok(());
    }
    let isolated =
        !matches!(caller, Caller::Anonymous(_)) || exchange.worker.shared.identity.hot().load().is_set_up();
    let judge = judge(&exchange.settings);
    let found = if body.bytes <= aside::LARGE {
        references::first(&body.segments, isolated, judge)
    } else {
        let segments = body.segments.clone();
        let found = flight.watch(aside(move || references::first(&segments, isolated, judge))).await;
        found.map_err(VerdictError)?.ok_or(Refusal::Internal("the body could not be read"))?
    };
    match found {
        None => Ok(()),
        Some(Reference::Kept(what, id)) => Err(Refusal::NotYours { what, id }),
        Some(Reference::Fetched(what, wrong)) => Err(Refusal::Fetched { what, wrong }),
    }
}

/// Whether nodes look up what bodies of this path name. Those of Ollama's API bring everything along.
pub(super) fn is_read(path: &str) -> bool {
    !path.starts_with("/api/")
}

/// What is said of an address that a node is to fetch.
pub(super) fn judge(settings: &Settings) -> Judge {
    if settings.private_addresses { |_, _| None } else { wrong }
}

/// What is wrong with an address that a node is to fetch, if something is. A public name may lead to a private address,
/// which only the node finds out. Of an address that is `cut` only the beginning is there.
fn wrong(address: &str, cut: bool) -> Option<String> {
    let address = address.trim();
    if is_data(address) {
        return None;
    }
    if cut && !has_authority(address) {
        return (!is_base64(address)).then(|| "an address that is too long".to_owned());
    }
    // Readers differ about them (RFC 3986 has none).
    if address.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Some("an address with white space or a backslash".to_owned());
    }
    match Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => match url.host() {
            Some(Host::Domain(name)) => {
                let is_private = is_private_name(name);
                is_private.then(|| format!("'{name}', a name of the private network"))
            }
            Some(Host::Ipv4(ip)) => private(ip.into()).map(|what| format!("{ip}, {what}")),
            Some(Host::Ipv6(ip)) => private(ip.into()).map(|what| format!("[{ip}], {what}")),
            None => Some("an address without a host".to_owned()),
        },
        Ok(url) => Some(format!("a {}: address", url.scheme())),
        // Some nodes take an image in base64 without more.
        Err(_) if is_base64(address) => None,
        Err(_) => Some("no http:// or https:// address".to_owned()),
    }
}

/// Whether it is a `data:` address, which brings everything along.
fn is_data(address: &str) -> bool {
    address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Whether what is there of an address says where it leads.
fn has_authority(address: &str) -> bool {
    address.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#']))
}

/// How pictures begin in base64: PNG, JPEG, GIF, WebP, TIFF of either order, BMP.
const PICTURES: [&str; 10] =
    ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkqA", "TU0AK", "Qk0", "Qk1", "Qk2", "Qk3"];

/// Whether it can be a picture in base64 or its beginning, and no file's name: it begins as pictures do, and pads
/// nowhere but at its end.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    // The box of HEIF and AVIF that says what they are comes after its length.
    let is_picture = PICTURES.iter().any(|begin| text.starts_with(begin)) || text.get(6..10) == Some("Z0eX");
    text.len() >= 64 && is_picture && digits.bytes().all(is_digit)
}

fn is_private_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some((_, last)) = name.rsplit_once('.') else { return true };
    let of = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain"];
    of.iter().any(|domain| last.eq_ignore_ascii_case(domain))
        || name.to_ascii_lowercase().ends_with(".home.arpa")
        || address::special_name(name).is_some()
}

/// What an address is, if it is none of the internet.
fn private(ip: IpAddr) -> Option<&'static str> {
    let ip = address::embedded(ip);
    if let Some(special) = address::special(ip) {
        return Some(special);
    }
    match ip {
        ip if ip.is_loopback() => Some("a loopback address"),
        ip if ip.is_unspecified() || ip.is_multicast() => Some("an address of no host"),
        IpAddr::V4(ip) => private_v4(ip),
        IpAddr::V6(ip) => private_v6(ip),
    }
}

fn private_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    match a {
        _ if ip.is_private() || shared => Some("a private address"),
        0 | 240.. => Some("an address of no host"),
        198 if b == 18 || b == 19 => Some("a private address"),
        192 if ip.octets()[1..3] == [0, 0] => Some("a private address"),
        _ => None,
    }
}

fn private_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [first, .., hi, lo] = ip.segments();
    // IPv4-compatible addresses are used no more, and understood by some.
    if ip.segments()[..6] == [0; 6] {
        let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
        return private(Ipv4Addr::new(a, b, c, d).into());
    }
    let site_local = first & 0xffc0 == 0xfec0;
    (ip.is_unique_local() || site_local).then_some("a private address")
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn addresses_of_the_internet_are_fetched_and_no_others() {
        for (address, says) in [
            ("http://127.0.0.1:8080/a.png", "127.0.0.1, a loopback"),
            ("http://2130706433/", "127.0.0.1, a loopback"),
            ("http://0x7f.1/", "127.0.0.1, a loopback"),
            ("HTTP://LOCALHOST/", "'localhost', a name"),
            ("http://a.localhost./", "a name of the private"),
            ("http://gpu1:8000/", "'gpu1'"),
            ("https://files.corp/x", "a name of the private"),
            ("http://metadata.google.internal/", "a name of the private"),
            ("http://metadata.goog/", "a name of the private"),
            ("http://169.254.169.254/latest/meta-data", "a cloud metadata address"),
            ("http://100.100.100.200/", "a cloud metadata address"),
            ("http://10.1.2.3/", "a private address"),
            ("http://user@192.168.0.1/", "a private address"),
            ("http://172.31.0.1/", "a private address"),
            ("http://100.64.0.1/", "a private address"),
            ("http://0.0.0.0/", "an address of no host"),
            ("http://[::1]/", "[::1], a loopback"),
            ("http://[::ffff:10.0.0.1]/", "a private address"),
            ("http://[64:ff9b::a00:1]/", "a private address"),
            ("http://[::127.0.0.1]/", "a loopback"),
            ("http://[fd00::1]/", "a private address"),
            ("http://[fe80::1]/", "a link-local"),
            ("file:///etc/passwd", "a file: address"),
            ("ftp://example.org/x", "a ftp: address"),
            ("/etc/passwd", "no http://"),
            ("../x.png", "no http://"),
            ("http:\\\\10.0.0.1", "a backslash"),
            ("http://", "no http://"),
            (&format!("/etc/{}", "a/".repeat(40)), "no http://"),
            (&"srv/pictures/secret/".repeat(4), "no http://"),
            (&format!("/9j/{}=/{}", "a".repeat(40), "b".repeat(40)), "no http://"),
        ] {
            let wrong = wrong(address, false).unwrap_or_else(|| panic!("{address} is let through"));
            assert!(wrong.contains(says), "{address}: {wrong}");
        }
        let base64 = format!("/9j/{}", "A".repeat(80));
        for address in [
            "https://example.org/a.png",
            "http://93.184.216.34:8080/",
            "http://[2606:4700::1]/",
            "data:image/png;base64,AAAA",
            " DATA:,x",
            &base64,
            &format!("iVBORw0KGgo{}==", "A".repeat(79)),
            &format!("AAAAIGZ0eXBhdmlm{}", "A".repeat(80)),
        ] {
            assert_eq!(wrong(address, false), None, "{address}");
        }
    }

    #[test]
    fn of_a_long_address_the_beginning_says_enough() {
        let long = |begin: &str| format!("{begin}{}", "a".repeat(1024 - begin.len()));
        for (begin, says) in [
            ("data:image/png;base64,", None),
            ("/9j/", None),
            ("https://example.org/", None),
            ("http://10.0.0.1/", Some("10.0.0.1, a private address")),
            ("http://", Some("an address that is too long")),
            ("http://user@", Some("an address that is too long")),
            ("../", Some("an address that is too long")),
        ] {
            assert_eq!(wrong(&long(begin), true).as_deref(), says, "{begin}");
        }
    }
}
