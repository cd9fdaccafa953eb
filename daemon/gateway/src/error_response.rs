//! The one table: cause -> status and body, in the caller's dialect.

use std::{net::IpAddr, time::Duration};

use aivonx_domain::access::Outcome;
use aivonx_fleet::NoNode;
use aivonx_identity::{AccountError, NotKnown};
use aivonx_protocol::{FaultKind, Untrusted};
use aivonx_wire::{
    api::{Dialect, Route, form::FormError, peek::PeekError},
    privacy::{Blocked, answer::Stopped},
    translate,
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{
    answer::{self, Answer},
    authenticate::Forbidden,
    body::{BodyError, VerdictError},
    deadline::{CancelReason, Waiting},
    forwarded::ForwardedError,
    headers,
    host::HostError,
    limit::{self, Limited},
    misfit::Misfit,
    socket::HandshakeError,
};

/// Everything that ends a request before a node's answer begins.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{BLOCKED}")]
    Blocked,
    #[error(
        "the request can be read in two ways: end each line of the head with CRLF, and send Content-Length or \
         Transfer-Encoding, not both"
    )]
    InDoubt,
    #[error(
        "the request's head has {size} bytes, more than {most} (limits.head_bytes); send fewer or shorter fields"
    )]
    HeadTooLarge { size: usize, most: usize },
    #[error("{0} may not connect here: it is in no network of the listener's allow")]
    NotAdmitted(IpAddr),
    #[error(transparent)]
    Forwarded(#[from] ForwardedError),
    #[error("this gateway has no administrator yet: run 'aivonx setup' on its host")]
    NotSetUp,
    #[error(
        "a valid API key or access token is needed: send it as 'Authorization: Bearer ...' or 'x-api-key'"
    )]
    Unauthenticated,
    /// Does not say whether either is valid.
    #[error("{}", NotKnown::Several)]
    SeveralCredentials,
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(
        "no such path; {}",
        .0.map_or_else(
            || "aivonx-api(7) lists all, as Ollama, OpenAI and Anthropic have them".to_owned(),
            |meant| format!("{} is one, check the client's base URL", meant.pattern)
        )
    )]
    NoRoute(Option<&'static Route>),
    #[error(
        "no node '{}' that this credential may choose with X-Aivonx-Node; leave the field out{}",
        Untrusted::new(.name).max(100),
        if .others.is_empty() { String::new() } else { format!(", or name one of {}", .others.join(", ")) }
    )]
    NoSuchNode { name: String, others: Vec<String> },
    #[error("X-Aivonx-Node stands there more than once, with different names; send one")]
    SeveralNodes,
    #[error(
        "the response '{}' is kept by another node than X-Aivonx-Node names; leave the field out",
        Untrusted::new(.0).max(100)
    )]
    KeptElsewhere(String),
    /// Of the node that the client chose.
    #[error("{0}; X-Aivonx-Node names the only node that is asked, leave the field out to ask all")]
    OnChosen(NoNode),
    #[error("there is no response '{}' of yours here, or it was forgotten; send the whole conversation as the input", Untrusted::new(.0).max(100))]
    NoResponse(String),
    #[error("there is no {what} '{}' of yours here", Untrusted::new(.id).max(100))]
    NotYours { what: &'static str, id: String },
    #[error("'{what}' is {}, which is not fetched from here; send what is there instead, or have it allowed (access.private_addresses)", Untrusted::new(.wrong).max(200))]
    Fetched { what: &'static str, wrong: String },
    #[error(
        "of a response there are its input_items, and with POST its cancel: /v1/responses/ID/input_items"
    )]
    NoPart,
    #[error("{0}")]
    Never(&'static str),
    #[error("method {method} is not served here; use {allow}")]
    Method { method: String, allow: String },
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Peek(#[from] PeekError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    Socket(#[from] HandshakeError),
    #[error(transparent)]
    Private(Blocked),
    #[error("{}", .0.reason())]
    Answer(Stopped),
    #[error("{0}")]
    Broken(&'static str),
    #[error(transparent)]
    Untranslated(#[from] translate::Refused),
    #[error("model is required")]
    ModelMissing,
    #[error("limit must be a number from 1 to 1000")]
    Limit,
    #[error("the query parameter '{0}' is not served here; leave it out")]
    Query(String),
    #[error(transparent)]
    NoNode(#[from] NoNode),
    #[error("node {node}: {why}")]
    NodeFailed { node: String, why: String },
    #[error("every node that has the model is busy")]
    NodesBusy {
        /// Seconds until the first of them has room, as they say.
        wait: Option<u32>,
    },
    #[error(
        "every node that has the model is busy, and {} before this one; try again in {} s",
        if *.position == 2 { "1 request waits".to_owned() } else { format!("{} requests wait", .position - 1) },
        .wait.as_secs()
    )]
    Queue {
        /// Where it would stand, or stood: 1 is next.
        position: usize,
        /// Until its turn, as predicted.
        wait: Duration,
    },
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("the request went through this gateway already: a node's address leads back to it")]
    Loop,
    #[error("the gateway has as many connections to nodes as it may; try again")]
    NoRoom,
    #[error("{0}")]
    Limited(Box<Limited>),
    #[error(
        "model {} has no price, and under a limit on money such models are refused (spend.unpriced)",
        Untrusted::new(.0)
    )]
    Unpriced(String),
    #[error(transparent)]
    CancelReason(#[from] VerdictError),
    #[error("{message}")]
    Manage { status: StatusCode, message: String },
    #[error("the gateway failed: {0}")]
    Internal(&'static str),
}

/// What somebody who is blocked is told.
pub(super) const BLOCKED: &str = "this is blocked here; ask an administrator of the gateway";

/// Seconds a client should wait before it tries again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How to authenticate (RFC 6750, 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"aivonx\"");

/// How a body may be coded (RFC 9110, 15.5.16).
const ENCODINGS: HeaderValue = HeaderValue::from_static("zstd, gzip, deflate");

impl Refusal {
    /// Status, and how the request counts.
    fn verdict(&self) -> (StatusCode, Outcome) {
        use Outcome::{Ended, NoNode as Nobody, NodeFailed, Refused, TimedOut};
        match self {
            Self::Host(HostError::NotServed(_) | HostError::Origin(_) | HostError::CrossSite)
            | Self::NotAdmitted(_)
            | Self::Blocked => (StatusCode::FORBIDDEN, Refused),
            Self::Host(HostError::Absolute)
            | Self::NoRoute(_)
            | Self::NoSuchNode { .. }
            | Self::NoResponse(_)
            | Self::NotYours { .. }
            | Self::NoPart
            | Self::Never(_) => (StatusCode::NOT_FOUND, Refused),
            Self::Host(_)
            | Self::Forwarded(_)
            | Self::InDoubt
            | Self::Peek(_)
            | Self::Form(_)
            | Self::Private(_)
            | Self::Untranslated(_)
            | Self::ModelMissing
            | Self::SeveralNodes
            | Self::Limit
            | Self::Fetched { .. }
            | Self::Query(_) => (StatusCode::BAD_REQUEST, Refused),
            Self::KeptElsewhere(_) => (StatusCode::CONFLICT, Refused),
            Self::Socket(error) => (error.status(), Refused),
            Self::HeadTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Refused),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, Refused),
            Self::Loop => (StatusCode::LOOP_DETECTED, Refused),
            Self::NotSetUp | Self::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, Refused),
            Self::Unauthenticated | Self::SeveralCredentials => (StatusCode::UNAUTHORIZED, Refused),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, Refused),
            Self::Account(error) => (account_status(error), Refused),
            Self::Limited(limited) => (limited.status(), Refused),
            Self::Unpriced(_) => (StatusCode::FORBIDDEN, Refused),
            Self::Body(BodyError::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, Refused),
            Self::Body(BodyError::Budget) => (StatusCode::SERVICE_UNAVAILABLE, Refused),
            Self::Body(BodyError::Coding) => (StatusCode::NOT_IMPLEMENTED, Refused),
            Self::Body(BodyError::Encoding(_)) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Refused),
            Self::Body(BodyError::Corrupt(_) | BodyError::Broken(_)) => (StatusCode::BAD_REQUEST, Refused),
            Self::Body(BodyError::CancelReason(v)) | Self::CancelReason(v) => match v.0 {
                CancelReason::TimedOut(Waiting::Body) => (StatusCode::REQUEST_TIMEOUT, TimedOut),
                CancelReason::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, TimedOut),
                CancelReason::Stopping | CancelReason::Retired | CancelReason::Drained => {
                    (StatusCode::SERVICE_UNAVAILABLE, Ended)
                }
                CancelReason::Revoked | CancelReason::Disabled => (StatusCode::UNAUTHORIZED, Ended),
                // Not one of those that stock clients try again.
                CancelReason::Blocked | CancelReason::Cancelled => (StatusCode::FORBIDDEN, Ended),
            },
            Self::NoNode(NoNode::UnknownModel { .. }) | Self::OnChosen(NoNode::UnknownModel { .. }) => {
                (StatusCode::NOT_FOUND, Nobody)
            }
            Self::NoNode(NoNode::Cloud(_)) => (StatusCode::FORBIDDEN, Refused),
            Self::NoNode(NoNode::Unserved(_)) => (StatusCode::NOT_IMPLEMENTED, Nobody),
            Self::NoNode(_) | Self::OnChosen(_) | Self::NodesBusy { .. } | Self::Queue { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Nobody)
            }
            // Not one of those that stock clients try again: the next answer would be the same.
            Self::Answer(_) => (StatusCode::FORBIDDEN, Ended),
            Self::NodeFailed { .. } | Self::Misfit(_) | Self::Broken(_) => {
                (StatusCode::BAD_GATEWAY, NodeFailed)
            }
            Self::Manage { status, .. } => (*status, Refused),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Refused),
        }
    }
}

fn account_status(error: &AccountError) -> StatusCode {
    use AccountError as E;
    match error {
        E::Credentials | E::OtpRequired | E::NoToken | E::TokenExpired | E::TokenInvalid | E::Refresh => {
            StatusCode::UNAUTHORIZED
        }
        E::Locked(_) => StatusCode::TOO_MANY_REQUESTS,
        E::Busy => StatusCode::SERVICE_UNAVAILABLE,
        E::NoAccount | E::MustEnrol | E::MustChangePassword | E::TotpRequired => StatusCode::FORBIDDEN,
        E::WeakPassword(_) | E::SamePassword | E::ResetCode | E::OneTimeCode | E::Invalid(_) => {
            StatusCode::BAD_REQUEST
        }
        E::TotpOn | E::TotpOff => StatusCode::CONFLICT,
        E::Other(fault) => fault_status(fault.kind),
    }
}

/// The status of a fault of the control plane.
pub(super) fn fault_status(kind: FaultKind) -> StatusCode {
    match kind {
        FaultKind::Invalid => StatusCode::BAD_REQUEST,
        FaultKind::NotFound => StatusCode::NOT_FOUND,
        FaultKind::Conflict => StatusCode::CONFLICT,
        FaultKind::NotPermitted => StatusCode::FORBIDDEN,
        FaultKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaultKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        FaultKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Refusal {
    /// What the client is told. The names of nodes are the fleet's own where the configuration keeps them back.
    fn text(&self, names: bool) -> String {
        match self {
            _ if names => self.to_string(),
            Self::NodeFailed { why, .. } => format!("a node failed: {why}"),
            Self::Misfit(misfit) => misfit.without_name().to_owned(),
            Self::NoNode(NoNode::Unserved(_)) => "no node that has the model serves this route".to_owned(),
            Self::NoSuchNode { name, .. } => {
                Self::NoSuchNode { name: name.clone(), others: Vec::new() }.to_string()
            }
            _ => self.to_string(),
        }
    }
}

/// The answer to a refused request, and how it counts. With `names` the client may be told the names of nodes.
pub(super) fn error_response(
    refusal: &Refusal,
    dialect: Dialect,
    request_id: &str,
    names: bool,
) -> (Answer, Outcome) {
    let (status, outcome) = refusal.verdict();
    // A client with a wrong base URL reads errors as its own API writes them.
    let dialect = match refusal {
        Refusal::NoRoute(Some(meant)) => meant.dialect,
        _ => dialect,
    };
    if let Refusal::Limited(limited) = refusal {
        return (limited.answer(dialect, request_id), outcome);
    }
    let body = match refusal {
        Refusal::Account(error) => {
            json!({ "error": error.to_string(), "code": error.code() }).to_string().into()
        }
        _ => dialect.error_body(status, &refusal.text(names), request_id),
    };
    let mut answer = answer::json(status, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let wait = match refusal {
            Refusal::NodesBusy { wait } => *wait,
            Refusal::Queue { wait, .. } => u32::try_from(wait.as_secs()).ok(),
            _ => None,
        };
        answer.headers_mut().insert(header::RETRY_AFTER, wait.map_or(RETRY_AFTER, HeaderValue::from));
    }
    // Stock clients try a 501 again, which no time cures.
    if status == StatusCode::NOT_IMPLEMENTED || matches!(refusal, Refusal::Never(_)) {
        answer.headers_mut().insert(limit::X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Refusal::Queue { position, .. } = refusal
        && let Ok(position) = HeaderValue::from_str(&format!("position={position}"))
    {
        answer.headers_mut().insert(headers::X_AIVONX_QUEUE, position);
    }
    if let Refusal::Account(AccountError::Locked(seconds)) = refusal {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if matches!(refusal, Refusal::Body(BodyError::Encoding(_))) {
        answer.headers_mut().insert(header::ACCEPT_ENCODING, ENCODINGS);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if let Refusal::Method { allow, .. } = refusal
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    (answer, outcome)
}
