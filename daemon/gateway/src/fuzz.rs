//! What a fuzzer runs with the bytes that it comes up with. Tests run the same with those that are kept below
//! `tests/fuzz/corpus`.

use std::net::{IpAddr, SocketAddr};

use aivonx_fleet::{Endpoint, address::NodeUrl};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::{fields::Fields, forwarded, proxy_protocol, upstream};

/// The fields of a head, of lines that are some.
fn fields(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(200) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The head of a request to a node, of whatever fields a client sends: a node reads one request, of the length that is
/// meant.
///
/// # Panics
/// It would read something else.
pub fn request(bytes: &[u8]) {
    let headers = fields(bytes);
    let client = Fields::read(&headers);
    let url = NodeUrl::parse("http://node:11434/prefix").expect("it is one");
    let endpoint = Endpoint::new(&url, None, None, false);
    let (request_id, body) = (HeaderValue::from_static("0190-id"), [Bytes::from_static(b"{}")]);
    let out = upstream::fuzz::head(&client, &endpoint, &request_id, Method::POST, Version::HTTP_11, &body);
    let mut parsed = [httparse::EMPTY_HEADER; 1024];
    let mut request = httparse::Request::new(&mut parsed);
    let read = request.parse(&out).expect("a head");
    assert_eq!(read, httparse::Status::Complete(out.len()), "it ends where it ends");
    assert_eq!((request.method, request.path), (Some("POST"), Some("/prefix/api/chat")));
    let all = |name: &str| request.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).count();
    assert_eq!(
        (all("content-length"), all("transfer-encoding"), all("host"), all("connection")),
        (1, 0, 1, 0)
    );
    assert_eq!((all("authorization"), all("cookie"), all("x-api-key")), (0, 0, 0));
}

/// The answer of a node, whatever it sends: no more comes out than goes in, and it comes to an end.
///
/// # Panics
/// It does not.
pub fn answer(bytes: &[u8]) {
    let taken = upstream::fuzz::answer(bytes);
    assert!(taken <= bytes.len(), "{taken} bytes of {}", bytes.len());
}

/// The header of a connection from a proxy.
///
/// # Panics
/// More is asked for than a header can have, or less than before.
pub fn proxy(bytes: &[u8]) {
    proxy_protocol::fuzz(bytes);
}

/// What proxies say of a client: whom the last of them names is believed, and nobody else.
///
/// # Panics
/// A client is believed that no field names.
pub fn forward(bytes: &[u8]) {
    let headers = fields(bytes);
    let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().expect("it is one"));
    if let Ok(forwarded) = forwarded::read(&headers, &trusted) {
        let mut values = ["x-forwarded-for", "forwarded"].iter().flat_map(|name| headers.get_all(*name));
        let named = forwarded.client.is_none_or(|client| values.any(|value| names(value, client)));
        assert!(named, "nobody named {:?}", forwarded.client);
    }
}

/// Whether an address is anywhere in a value.
fn names(value: &HeaderValue, client: IpAddr) -> bool {
    let parts = value.to_str().unwrap_or_default();
    let mut parts = parts.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'));
    parts.any(|part| {
        let address = part.parse().or_else(|_| part.parse().map(|with_port: SocketAddr| with_port.ip()));
        address.is_ok_and(|address: IpAddr| address.to_canonical() == client)
    })
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::fuzz::kept;

    #[test]
    fn what_was_kept_passes() {
        kept("request").iter().for_each(|bytes| super::request(bytes));
        kept("answer").iter().for_each(|bytes| super::answer(bytes));
        kept("proxy").iter().for_each(|bytes| super::proxy(bytes));
        kept("forward").iter().for_each(|bytes| super::forward(bytes));
    }
}
