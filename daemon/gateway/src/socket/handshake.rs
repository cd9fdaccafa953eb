//! How a client asks for a websocket (RFC 6455, 4.2.1), and how a node is asked.

use aivonx_fleet::NoNode;
use aivonx_identity::Caller;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header, request::Parts};
use serde_json::json;
use url::form_urlencoded;

use crate::{body::Collected, error_response::Refusal, query};

const VERSION: &str = "13";

/// A subprotocol that carries a key: scripts of web pages can set no field of a handshake but this one.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Why a websocket is not begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("this path is a websocket: ask for it over HTTP/1.1, with 'Upgrade: websocket' and version 13")]
    NotAsked,
    #[error("{0} of the websocket's handshake is missing or malformed")]
    Malformed(&'static str),
    #[error("the handshake of a websocket has no body; leave it out")]
    Body,
    #[error("the address names several models; name one, as in /v1/realtime?model=NAME")]
    SeveralModels,
    #[error("name the model in the address, as in /v1/realtime?model=NAME")]
    NoModel,
    #[error(
        "what is said over a websocket cannot be searched for personal data, as the privacy mode demands; \
         send the text to /v1/chat/completions or /v1/responses"
    )]
    Private,
    #[error(
        "how long a prompt over a websocket is cannot be limited, as limit prompt.chars demands; \
         send the text to /v1/chat/completions or /v1/responses"
    )]
    PromptChars,
    #[error(
        "how long an answer over a websocket is cannot be bounded, as the model's policy demands with --max-output; \
         send the text to /v1/chat/completions or /v1/responses"
    )]
    OutputMax,
}

impl HandshakeError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAsked => StatusCode::UPGRADE_REQUIRED,
            Self::Malformed(_) | Self::Body | Self::NoModel | Self::SeveralModels => StatusCode::BAD_REQUEST,
            Self::Private | Self::PromptChars | Self::OutputMax => StatusCode::FORBIDDEN,
        }
    }
}

/// What a client asks for.
pub(crate) struct Handshake<'a> {
    /// Both sides prove with it that they speak the protocol; it is the client's own.
    key: &'a HeaderValue,
    /// Subprotocols that the client offers, without its credential.
    protocols: String,
    /// The model, as the client names it.
    pub(crate) model: String,
    /// Names of other models, which the session is to use beside it.
    beside: Vec<(String, String)>,
    /// What else of the query goes to the node.
    passed: Vec<(String, String)>,
    pub(crate) caller: &'a Caller,
}

impl<'a> Handshake<'a> {
    /// Reads the head of a request for a route that is a websocket.
    ///
    /// # Errors
    /// It asks for none, or in a way that no node would take.
    pub(crate) fn read(head: &'a Parts, caller: &'a Caller) -> Result<Self, Refusal> {
        let names = |field: HeaderName, wanted: &str| {
            let values = head.headers.get_all(field).into_iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(wanted))
        };
        let asked = head.version == Version::HTTP_11
            && head.method == Method::GET
            && names(header::UPGRADE, "websocket")
            && names(header::CONNECTION, "upgrade")
            && names(header::SEC_WEBSOCKET_VERSION, VERSION);
        if !asked {
            return Err(HandshakeError::NotAsked.into());
        }
        // Even without a byte in it, it makes the request its connection's last.
        if head.headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(HandshakeError::Body.into());
        }
        let mut keys = head.headers.get_all(header::SEC_WEBSOCKET_KEY).into_iter();
        let key = keys.next().filter(|key| keys.next().is_none() && is_key(key));
        let key = key.ok_or(HandshakeError::Malformed("Sec-WebSocket-Key"))?;
        let offered = head.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
        let offered: Result<Vec<&str>, _> = offered.map(HeaderValue::to_str).collect();
        let offered = offered.map_err(|_| HandshakeError::Malformed("Sec-WebSocket-Protocol"))?;
        let protocols = offered.iter().flat_map(|value| value.split(',')).map(str::trim);
        let protocols: Vec<&str> = protocols.filter(|one| !one.starts_with(KEY_PROTOCOL)).collect();
        let mut asked = Self {
            key,
            protocols: protocols.join(", "),
            model: String::new(),
            beside: Vec::new(),
            passed: Vec::new(),
            caller,
        };
        asked.read_query(head.uri.query())?;
        Ok(asked)
    }

    fn read_query(&mut self, query: Option<&str>) -> Result<(), Refusal> {
        let mut several = false;
        query::read(query, |name, value| {
            match name {
                "model" if self.model.is_empty() => self.model = value.into_owned(),
                "model" => several = true,
                "transcription_model" => self.beside.push((name.to_owned(), value.into_owned())),
                "intent" | "language" => self.passed.push((name.to_owned(), value.into_owned())),
                _ => return false,
            }
            true
        })?;
        match (self.model.is_empty(), several) {
            (true, _) => Err(HandshakeError::NoModel.into()),
            (_, true) => Err(HandshakeError::SeveralModels.into()),
            _ => Ok(()),
        }
    }

    /// What stands for the body, of which there must be none: the layers of a request find the model in it.
    ///
    /// # Errors
    /// There is a body, or the address names a model beside the session's own that is not `allowed`.
    pub(crate) fn body(
        &self,
        mut none: Collected,
        allowed: impl Fn(&str) -> bool,
    ) -> Result<Collected, Refusal> {
        if none.bytes > 0 {
            return Err(HandshakeError::Body.into());
        }
        if let Some((_, model)) = self.beside.iter().find(|(_, model)| !allowed(model)) {
            return Err(NoNode::UnknownModel { model: model.clone(), nearest: Vec::new() }.into());
        }
        none.segments = [Bytes::from(json!({ "model": self.model }).to_string())].into();
        Ok(none)
    }

    /// The target on a node, where `model` is served for the one that the client named.
    pub(crate) fn target(&self, path: &str, model: &str) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
        query.append_pair("model", model);
        query.extend_pairs(self.beside.iter().chain(&self.passed));
        query.finish()
    }

    /// Writes the fields that ask a node for it. No extension is among them: what is sent is to be readable here.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: ");
        out.extend_from_slice(VERSION.as_bytes());
        out.extend_from_slice(b"\r\nsec-websocket-key: ");
        out.extend_from_slice(self.key.as_bytes());
        if !self.protocols.is_empty() {
            out.extend_from_slice(b"\r\nsec-websocket-protocol: ");
            out.extend_from_slice(self.protocols.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Whether it is sixteen bytes in base64, as it must be.
fn is_key(key: &HeaderValue) -> bool {
    let digits = key.as_bytes().strip_suffix(b"==");
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.is_some_and(|digits| digits.len() == 22 && digits.iter().all(digit))
}

/// The keys among the subprotocols that a client offers.
pub(crate) fn keys_of_protocols(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').filter_map(|one| one.trim().strip_prefix(KEY_PROTOCOL))
}
