//! Which header fields cross the gateway, in both directions, and those it adds itself.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::fields::{Field, Fields};
use crate::fleet::Endpoint;

/// Fields of a request that a node needs. A list of what may pass, not of what may not: a client's
/// credentials travel in fields nobody can enumerate.
const TO_NODE: [(Field, &str); 6] = [
    (Field::ContentType, "content-type: "),
    (Field::Accept, "accept: "),
    (Field::UserAgent, "user-agent: "),
    (Field::AnthropicVersion, "anthropic-version: "),
    (Field::AnthropicBeta, "anthropic-beta: "),
    (Field::OpenaiBeta, "openai-beta: "),
];

/// The node that answered.
pub(super) const X_AIVONX_NODE: HeaderName = HeaderName::from_static("x-aivonx-node");
pub(super) const X_AIVONX_MODEL: HeaderName = HeaderName::from_static("x-aivonx-model");

/// Writes the head fields of a request to a node, but for its `Content-Length`. Values are checked
/// [`HeaderValue`]s, so none can break out of its line.
pub(super) fn to_node(client: &Fields<'_>, endpoint: &Endpoint, request_id: &HeaderValue, out: &mut Vec<u8>) {
    let mut field = |name: &str, value: &HeaderValue| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    field("host: ", &endpoint.authority);
    for (passed, name) in TO_NODE {
        if let Some(value) = client.get(passed) {
            field(name, value);
        }
    }
    field("accept-encoding: identity\r\nx-request-id: ", request_id);
    if let Some((name, value)) = &endpoint.credential {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a field of a node's answer ends here: hop-by-hop fields (RFC 9110, 7.6.1), what speaks for the
/// node and not for the gateway, and what the gateway sets itself (the length, if it is known, is the body's).
pub(super) fn ends_here(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "www-authenticate"
            | "authentication-info"
            | "authorization"
            | "proxy-authorization"
            | "set-cookie"
            | "set-cookie2"
            | "strict-transport-security"
            | "alt-svc"
            | "server"
            | "x-powered-by"
            | "x-request-id"
            | "content-length"
            | "x-aivonx-node"
            | "cache-control"
            | "x-content-type-options"
    ) || name.starts_with("access-control-")
}

/// Sets what stands on every answer, refusals too.
pub(super) fn on_every_answer(headers: &mut HeaderMap, request_id: HeaderValue) {
    headers.insert(super::exchange::X_REQUEST_ID, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
