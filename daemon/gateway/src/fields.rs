//! The fields of a request's head that the gateway reads, found in one pass: the layers ask for a dozen, and a
//! look-up by name hashes it each time.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A field that some layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Host,
    Origin,
    TransferEncoding,
    ContentEncoding,
    Authorization,
    ApiKey,
    RequestId,
    Via,
    Hops,
    Accept,
    UserAgent,
    AnthropicVersion,
    AnthropicBeta,
    OpenaiBeta,
    Traceparent,
    Tracestate,
    Node,
    AzureKey,
    SocketProtocol,
    FetchSite,
}

/// How many there are.
const COUNT: usize = Field::FetchSite as usize + 1;

/// Their names, in the order of the enum.
static NAMES: [HeaderName; COUNT] = [
    header::HOST,
    header::ORIGIN,
    header::TRANSFER_ENCODING,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    super::exchange::X_REQUEST_ID,
    header::VIA,
    aivonx_fleet::via::X_AIVONX_HOPS,
    header::ACCEPT,
    header::USER_AGENT,
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    super::headers::X_AIVONX_NODE,
    HeaderName::from_static("api-key"),
    header::SEC_WEBSOCKET_PROTOCOL,
    HeaderName::from_static("sec-fetch-site"),
];

impl Field {
    /// The field of this name, lower case.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "host" => Self::Host,
            "origin" => Self::Origin,
            "transfer-encoding" => Self::TransferEncoding,
            "content-encoding" => Self::ContentEncoding,
            "authorization" => Self::Authorization,
            "x-api-key" => Self::ApiKey,
            "x-request-id" => Self::RequestId,
            "via" => Self::Via,
            "x-aivonx-hops" => Self::Hops,
            "accept" => Self::Accept,
            "user-agent" => Self::UserAgent,
            "anthropic-version" => Self::AnthropicVersion,
            "anthropic-beta" => Self::AnthropicBeta,
            "openai-beta" => Self::OpenaiBeta,
            "traceparent" => Self::Traceparent,
            "tracestate" => Self::Tracestate,
            "x-aivonx-node" => Self::Node,
            "api-key" => Self::AzureKey,
            "sec-websocket-protocol" => Self::SocketProtocol,
            "sec-fetch-site" => Self::FetchSite,
            _ => return None,
        })
    }

    /// Its name on the wire, lower case.
    pub(super) fn name(self) -> &'static HeaderName {
        &NAMES[self as usize]
    }
}

/// What a request's head says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'h> {
    headers: &'h HeaderMap,
    first: [Option<&'h HeaderValue>; COUNT],
    /// One bit per field that stands more than once.
    again: u32,
    /// Bytes of all lines, the unread ones too.
    size: usize,
}

impl<'h> Fields<'h> {
    /// Goes through the head.
    pub(super) fn read(headers: &'h HeaderMap) -> Self {
        let mut fields = Self { headers, first: [None; COUNT], again: 0, size: 0 };
        for (name, value) in headers {
            // `: ` and CRLF.
            fields.size += name.as_str().len() + value.len() + 4;
            // Compared by length first, which distinguishes nearly all of them.
            let Some(at) = Field::named(name.as_str()).map(|field| field as usize) else { continue };
            if fields.first[at].is_some() {
                fields.again |= 1 << at;
            } else {
                fields.first[at] = Some(value);
            }
        }
        fields
    }

    /// Bytes of all its lines, as HTTP/1 has them.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The first value of a field.
    pub(super) fn get(&self, field: Field) -> Option<&'h HeaderValue> {
        self.first[field as usize]
    }

    /// Whether the field is there.
    pub(super) fn has(&self, field: Field) -> bool {
        self.get(field).is_some()
    }

    /// Every value of a field, in order.
    pub(super) fn all(&self, field: Field) -> impl Iterator<Item = &'h HeaderValue> {
        let several = self.again & (1 << field as usize) != 0;
        let only = if several { None } else { self.get(field) };
        let each = several.then(|| self.headers.get_all(field.name()));
        only.into_iter().chain(each.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::{Field, Fields, NAMES};

    const ALL: [Field; super::COUNT] = [
        Field::Host,
        Field::Origin,
        Field::TransferEncoding,
        Field::ContentEncoding,
        Field::Authorization,
        Field::ApiKey,
        Field::RequestId,
        Field::Via,
        Field::Hops,
        Field::Accept,
        Field::UserAgent,
        Field::AnthropicVersion,
        Field::AnthropicBeta,
        Field::OpenaiBeta,
        Field::Traceparent,
        Field::Tracestate,
        Field::Node,
        Field::AzureKey,
        Field::SocketProtocol,
        Field::FetchSite,
    ];

    #[test]
    fn the_two_lists_of_names_agree() {
        for (at, field) in ALL.into_iter().enumerate() {
            assert_eq!(field as usize, at);
            assert_eq!(Field::named(field.name().as_str()), Some(field));
        }
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_look_ups_find(
            sent in prop::collection::vec((0..NAMES.len() + 2, "[a-z]{0,3}"), 0..12),
        ) {
            let mut headers = HeaderMap::new();
            for (at, value) in sent {
                let other = HeaderName::from_static("x-other");
                let name = NAMES.get(at).cloned().unwrap_or(other);
                headers.append(name, HeaderValue::from_str(&value).unwrap());
            }
            let fields = Fields::read(&headers);
            for field in ALL {
                prop_assert_eq!(fields.get(field), headers.get(field.name()));
                prop_assert_eq!(fields.has(field), headers.contains_key(field.name()));
                let all: Vec<_> = fields.all(field).collect();
                prop_assert_eq!(all, headers.get_all(field.name()).iter().collect::<Vec<_>>());
            }
        }
    }
}
