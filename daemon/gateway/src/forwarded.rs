//! What a trusted proxy says of the client before it: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded`
//! (RFC 7239). Each proxy writes behind what came to it, so that a list is read from its end, and only as far as the
//! proxies in it are trusted: what stands before was written by the client, or by nobody.

use std::net::{IpAddr, SocketAddr};

use aivonx_protocol::network::Network;
use http::HeaderMap;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

/// Why what a proxy says cannot be gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForwardedError {
    #[error(
        "Forwarded and the X-Forwarded fields name different clients, protocols or hosts; let the proxy set one kind, and \
         remove the other"
    )]
    Differ,
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
}

/// What is known of the client behind proxies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forwarded<'h> {
    /// Its address, if a proxy names it.
    pub(super) client: Option<IpAddr>,
    /// Whether it speaks HTTPS, if a proxy says so.
    pub(super) https: Option<bool>,
    /// The host that it asks for.
    pub(super) host: Option<&'h str>,
}

/// Reads the fields of a request whose peer is a trusted proxy.
pub(super) fn read<'h>(headers: &'h HeaderMap, trusted: &[Network]) -> Result<Forwarded<'h>, ForwardedError> {
    let list = |name| list(headers, name);
    let (members, elements) = (list(FOR)?, elements(headers)?);
    let by_x = client(&members, trusted, address);
    let by_element = client(&elements, trusted, |element| element.by_for.and_then(address));
    // One of the two may be the client's own.
    if by_x != by_element && !members.is_empty() && !elements.is_empty() {
        return Err(ForwardedError::Differ);
    }
    let client = by_x.or(by_element);
    // Of the proxy that asks: those before it are behind its word.
    let last = elements.last().copied().unwrap_or_default();
    let (proto, host) = (list(PROTO)?.last().copied(), list(HOST)?.last().copied());
    let agree = |x: Option<&str>, element: Option<&str>| {
        let same = |x: &str| element.is_some_and(|element| element.eq_ignore_ascii_case(x));
        elements.is_empty() || x.is_none_or(same)
    };
    if !agree(proto, last.proto) || !agree(host, last.host) {
        return Err(ForwardedError::Differ);
    }
    let (proto, host) = (proto.or(last.proto), host.or(last.host));
    Ok(Forwarded { client, https: proto.map(|proto| proto.eq_ignore_ascii_case("https")), host })
}

/// The members of a list, over all the fields it is in.
fn list<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Vec<&'h str>, ForwardedError> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| ForwardedError::Unreadable(name))?;
        all.extend(text.split(',').map(str::trim).filter(|member| !member.is_empty()));
    }
    Ok(all)
}

/// What each proxy wrote into `Forwarded`.
fn elements(headers: &HeaderMap) -> Result<Vec<Element<'_>>, ForwardedError> {
    let mut all = Vec::new();
    for value in headers.get_all(http::header::FORWARDED) {
        // A quote that a client leaves open would swallow what the proxy wrote behind it.
        let text = value.to_str().ok().filter(|text| is_closed(text));
        let text = text.ok_or(ForwardedError::Unreadable("forwarded"))?;
        let members = split(text, ',').map(str::trim).filter(|member| !member.is_empty());
        all.extend(members.map(Element::read));
    }
    Ok(all)
}

/// The first member from the end that is no trusted proxy, or else the first of all. One that is no address ends the
/// search: the proxy behind it is the last that is known.
fn client<T: Copy>(all: &[T], trusted: &[Network], address: impl Fn(T) -> Option<IpAddr>) -> Option<IpAddr> {
    let mut known = None;
    for member in all.iter().rev() {
        let Some(address) = address(*member) else { break };
        known = Some(address);
        if !is_trusted(trusted, address) {
            break;
        }
    }
    known
}

/// Whether `address` is that of a proxy which is believed.
pub(super) fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// One member of `Forwarded`: what one proxy says.
#[derive(Debug, Clone, Copy, Default)]
struct Element<'h> {
    by_for: Option<&'h str>,
    proto: Option<&'h str>,
    host: Option<&'h str>,
}

impl<'h> Element<'h> {
    fn read(text: &'h str) -> Self {
        let mut element = Self::default();
        for (name, value) in split(text, ';').filter_map(|pair| pair.split_once('=')) {
            let value = value.trim();
            // What is escaped within quotes is neither an address nor a host, and is taken for neither.
            let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => element.by_for = Some(value),
                name if name.eq_ignore_ascii_case("proto") => element.proto = Some(value),
                name if name.eq_ignore_ascii_case("host") => element.host = Some(value),
                _ => {}
            }
        }
        element
    }
}

/// Splits at `separator`, but not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    text.split(move |c: char| !quotes.hide(c) && c == separator)
}

/// Whether every quote is closed.
fn is_closed(text: &str) -> bool {
    let mut quotes = Quotes::default();
    text.chars().for_each(|c| {
        quotes.hide(c);
    });
    !quotes.open
}

/// Strings in quotes, in which a backslash takes the meaning of what follows it (RFC 9110, 5.6.4).
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Takes the next character; whether it is within quotes.
    fn hide(&mut self, c: char) -> bool {
        let hidden = self.open;
        let escaped = std::mem::take(&mut self.escaped);
        match c {
            '"' if !escaped => self.open = !self.open,
            '\\' if self.open && !escaped => self.escaped = true,
            _ => {}
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> Vec<Network> {
        ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec()
    }

    fn of(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn client_of(fields: &[(&'static str, &str)]) -> Result<Option<String>, ForwardedError> {
        read(&of(fields), &trusted()).map(|read| read.client.map(|client| client.to_string()))
    }

    #[test]
    fn the_last_that_is_no_trusted_proxy_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6,192.0.2.1,10.1.2.3 , 10.0.0.1", "192.0.2.1"),
            ("10.0.0.7, 10.0.0.1", "10.0.0.7"),
            ("192.0.2.1:5678", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:80, fd00::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("unknown, 10.0.0.9", "10.0.0.9"),
            ("192.0.2.1, nonsense, 10.0.0.9", "10.0.0.9"),
        ] {
            assert_eq!(client_of(&[("x-forwarded-for", list)]), Ok(Some(client.into())), "{list}");
        }
        assert_eq!(client_of(&[]), Ok(None));
        assert_eq!(client_of(&[("x-forwarded-for", "192.0.2.1, nonsense")]), Ok(None));
        // Several fields are one list.
        let two = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client_of(&two), Ok(Some("192.0.2.1".into())));
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (list, client) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            ("For=\"[2001:db8::1]:4711\"; proto=https;by=10.0.0.1", Some("2001:db8::1")),
            ("for=6.6.6.6, for=192.0.2.1;host=\"a,b;for=7.7.7.7\", for=10.0.0.1", Some("192.0.2.1")),
            ("for=192.0.2.1, for=_hidden", None),
            ("for=192.0.2.1, for=unknown", None),
            ("proto=https", None),
        ] {
            assert_eq!(client_of(&[("forwarded", list)]), Ok(client.map(str::to_owned)), "{list}");
        }
        let headers =
            of(&[("forwarded", "for=6.6.6.6;proto=http, for=192.0.2.1;proto=HTTPS;host=gw.example")]);
        let read = read(&headers, &trusted()).unwrap();
        assert_eq!((read.https, read.host), (Some(true), Some("gw.example")));
    }

    #[test]
    fn a_quote_that_is_left_open_swallows_nothing() {
        for written in ["for=6.6.6.6;x=\"", "for=6.6.6.6;x=\"\\\"", "\""] {
            for proxy in ["for=192.0.2.1", "for=\"[2001:db8::1]\"", "for=\"[2001:db8::1]\";by=\"x\""] {
                let refused = Err(ForwardedError::Unreadable("forwarded"));
                assert_eq!(client_of(&[("forwarded", &format!("{written}, {proxy}"))]), refused, "{written}");
                assert_eq!(client_of(&[("forwarded", written), ("forwarded", proxy)]), refused, "{written}");
            }
        }
    }

    #[test]
    fn two_fields_that_disagree_are_refused() {
        let both = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(client_of(&both), Ok(Some("192.0.2.1".into())));
        for (x, element) in [("192.0.2.1", "for=127.0.0.1"), ("unknown", "for=127.0.0.1")] {
            let spoofed = [("x-forwarded-for", x), ("forwarded", element)];
            assert_eq!(client_of(&spoofed), Err(ForwardedError::Differ), "{x} {element}");
        }
        let proxy = "for=192.0.2.1;proto=http;host=gw.example";
        for (name, value, agrees) in [
            ("x-forwarded-proto", "https", false),
            ("x-forwarded-proto", "HTTP", true),
            ("x-forwarded-host", "other.example", false),
            ("x-forwarded-host", "gw.example", true),
        ] {
            let both = of(&[(name, value), ("forwarded", proxy)]);
            assert_eq!(read(&both, &trusted()).is_ok(), agrees, "{name} {value}");
            // What the proxy does not say is not the client's to add.
            let added = of(&[(name, value), ("forwarded", "for=192.0.2.1")]);
            assert_eq!(read(&added, &trusted()), Err(ForwardedError::Differ), "{name} {value}");
        }
    }

    proptest! {
        /// Whatever a client writes before it, what the proxy adds is what counts.
        #[test]
        fn nothing_before_the_proxys_own_word_is_believed(
            written in r#"[0-9a-f.:,;="\\ a-z\[\]]{0,80}"#,
            octets: [u8; 4],
        ) {
            let client = IpAddr::from(octets);
            prop_assume!(!is_trusted(&trusted(), client));
            let list = format!("{written}, {client}");
            prop_assert_eq!(client_of(&[("x-forwarded-for", &list)]), Ok(Some(client.to_string())));
            let list = format!("{written}, for={client}");
            match client_of(&[("forwarded", &list)]) {
                Ok(found) => prop_assert_eq!(found, Some(client.to_string())),
                Err(error) => prop_assert_eq!(error, ForwardedError::Unreadable("forwarded")),
            }
        }

        #[test]
        fn any_text_is_read(x in "\\PC{0,60}", element in "\\PC{0,60}", quoted in r#"["\\,;=a]{0,40}"#) {
            for (name, text) in [("x-forwarded-for", &x), ("forwarded", &element), ("forwarded", &quoted)] {
                if let Ok(value) = HeaderValue::from_str(text) {
                    let mut headers = HeaderMap::new();
                    headers.append(HeaderName::from_static(name), value);
                    let _ = read(&headers, &trusted());
                }
            }
        }
    }
}
