//! Which header fields cross the gateway, in both directions, and those it adds itself.

use aivonx_fleet::{Endpoint, Node, via};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

use super::{
    exchange::Exchange,
    fields::{Field, Fields},
};
use aivonx_config::Headers;

/// Fields of a request that a node needs. A list of what may pass, not of what may not: a client's credentials travel
/// in fields nobody can enumerate. Its `Content-Type` is not among them: the body is checked as JSON, and under another
/// type a node may read something else (a form, another charset).
const TO_NODE: [(Field, &str); 7] = [
    (Field::Accept, "accept: "),
    (Field::UserAgent, "user-agent: "),
    (Field::AnthropicVersion, "anthropic-version: "),
    (Field::AnthropicBeta, "anthropic-beta: "),
    (Field::OpenaiBeta, "openai-beta: "),
    (Field::Traceparent, "traceparent: "),
    (Field::Tracestate, "tracestate: "),
];

/// The node that answered.
pub(super) const X_AIVONX_NODE: HeaderName = HeaderName::from_static("x-aivonx-node");
/// How long the request waited for a place on a node, or where it stood.
pub(super) const X_AIVONX_QUEUE: HeaderName = HeaderName::from_static("x-aivonx-queue");
/// The client's dialect and the node's, where they differ.
pub(super) const X_AIVONX_TRANSLATED: HeaderName = HeaderName::from_static("x-aivonx-translated");
pub(super) const X_AIVONX_MODEL: HeaderName = HeaderName::from_static("x-aivonx-model");

/// The boundary of a form that the gateway writes. No client knows the id of its request before it has sent the body, so
/// nothing in that can be taken for it.
pub(super) fn boundary(request_id: &str) -> String {
    format!("{BOUNDARY}{request_id}")
}

const BOUNDARY: &str = "aivonx-";

/// Writes the head fields of a request to a node, but for its `Content-Length`. Values are checked
/// [`HeaderValue`]s, so none can break out of its line.
pub(super) fn to_node(
    client: &Fields<'_>,
    received: Version,
    endpoint: &Endpoint,
    request_id: &HeaderValue,
    form: bool,
    out: &mut Vec<u8>,
) {
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
    if form {
        field(&format!("content-type: multipart/form-data; boundary={BOUNDARY}"), request_id);
    } else {
        field("content-type: ", &HeaderValue::from_static("application/json"));
    }
    field("accept-encoding: identity\r\nx-request-id: ", request_id);
    if let Some((name, value)) = &endpoint.credential {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // Those it went through before, or a circle of two gateways would not be noticed; then this one. Once more under a
    // name of our own, for there are relays that take `Via` out.
    let protocol: &[u8] = match received {
        Version::HTTP_2 => b"2 ",
        Version::HTTP_10 => b"1.0 ",
        _ => b"1.1 ",
    };
    let names: [(&[u8], _, _); 2] =
        [(b"via: ", Field::Via, protocol), (b"x-aivonx-hops: ", Field::Hops, b"")];
    for (name, field, protocol) in names {
        out.extend_from_slice(name);
        for before in client.all(field) {
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(protocol);
        out.extend_from_slice(via::pseudonym().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a field of a node's answer reaches the client. A list of what may pass, for the same reason as on the way
/// to the node: fields that lead elsewhere (`Location`, `Refresh`, `Link`), speak for the gateway (`X-Aivonx-*`,
/// `X-RateLimit-*`) or to the browser, or reveal internals cannot be enumerated.
pub(super) fn to_client(name: &HeaderName, status: StatusCode) -> bool {
    match name.as_str() {
        "content-type" | "openai-processing-ms" => true,
        "sec-websocket-accept" | "sec-websocket-protocol" => status == StatusCode::SWITCHING_PROTOCOLS,
        // When a node that refuses will serve again.
        "retry-after" | "retry-after-ms" => status.is_client_error() || status.is_server_error(),
        // And why it does not now; with other answers it is the gateway's limits that count.
        name => status == StatusCode::TOO_MANY_REQUESTS && name.starts_with("x-ratelimit-"),
    }
}

/// Sets what the gateway says of the node that answered, and of what was asked of it.
pub(super) fn on_what_a_node_answers(headers: &mut HeaderMap, exchange: &Exchange, node: &Node) {
    if exchange.settings.node_header {
        headers.insert(X_AIVONX_NODE, node.heading.clone());
    }
    if !exchange.waited.is_zero()
        && let Ok(waited) = HeaderValue::from_str(&format!("waited={}", exchange.waited.as_millis()))
    {
        headers.insert(X_AIVONX_QUEUE, waited);
    }
    // What a node sends says its own name for the model; the client is told where that is not what it asked for.
    if let Some(served) = &exchange.record.served
        && let Ok(served) = HeaderValue::from_str(served)
    {
        headers.insert(X_AIVONX_MODEL, served);
    }
}

/// Sets what makes the proxies in front pass each piece of a stream on as it comes.
pub(super) fn on_stream(headers: &mut HeaderMap) {
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
}

/// What the configuration has stand on every answer.
#[derive(Debug, Clone)]
pub(super) struct ForBrowsers {
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Over HTTPS alone: elsewhere browsers must not heed it (RFC 6797, 7.2).
    hsts: Option<HeaderValue>,
}

impl ForBrowsers {
    pub(super) fn new(configured: &Headers) -> Self {
        // It was checked when the file was read.
        let value = |text: &String| HeaderValue::from_str(text).ok().filter(|value| !value.is_empty());
        let fields = [
            (header::X_CONTENT_TYPE_OPTIONS, &configured.content_type_options),
            (header::X_FRAME_OPTIONS, &configured.frame_options),
            (header::REFERRER_POLICY, &configured.referrer_policy),
            (HeaderName::from_static("permissions-policy"), &configured.permissions_policy),
            (header::CONTENT_SECURITY_POLICY, &configured.content_security_policy),
        ];
        let fields = fields.into_iter().filter_map(|(name, text)| Some((name, value(text)?))).collect();
        Self { fields, hsts: value(&configured.hsts) }
    }

    /// An answer that is written without hyper, before the connection is closed: its status, with further fields.
    pub(super) fn answer(&self, https: bool, status: &str, text: &str) -> Vec<u8> {
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n"
        );
        let mut answer = head.into_bytes();
        self.write(https, &mut answer);
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(text.as_bytes());
        answer
    }

    /// Writes the lines that are added to a head which is not ours.
    pub(super) fn write(&self, https: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"cache-control: no-store\r\n");
        let hsts = self.hsts.iter().filter(|_| https);
        let hsts = hsts.map(|value| (&header::STRICT_TRANSPORT_SECURITY, value));
        for (name, value) in self.fields.iter().map(|(name, value)| (name, value)).chain(hsts) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Sets what stands on every answer, refusals too.
pub(super) fn on_every_answer(
    headers: &mut HeaderMap,
    request_id: HeaderValue,
    browsers: &ForBrowsers,
    https: bool,
) {
    headers.insert(super::exchange::X_REQUEST_ID, request_id);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in &browsers.fields {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(hsts) = browsers.hsts.as_ref().filter(|_| https) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}
