//! The access record: what one request was, handed from a data-plane thread to the control plane, which
//! alone formats it into an event and counts it into the metrics.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aivonx_protocol::limit::LimitName;
use uuid::Uuid;

use crate::Findings;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered to the end.
    Complete,
    /// Refused by the gateway before a node was chosen.
    Refused,
    /// No node could serve it.
    NoNode,
    /// The node failed before the first byte.
    NodeFailed,
    /// The answer broke off after its first byte.
    Broken,
    /// The client went away.
    ClientGone,
    /// A deadline passed.
    TimedOut,
    /// Ended by shutdown or an administrator.
    Ended,
    /// The client was there, but stopped reading the answer.
    ClientStalled,
}

impl Outcome {
    /// Every way, in the order of the enum: `ALL[o as usize] == o`.
    pub const ALL: [Self; 9] = [
        Self::Complete,
        Self::Refused,
        Self::NoNode,
        Self::NodeFailed,
        Self::Broken,
        Self::ClientGone,
        Self::TimedOut,
        Self::Ended,
        Self::ClientStalled,
    ];

    /// The word used in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::NoNode => "no_node",
            Self::NodeFailed => "node_failed",
            Self::Broken => "broken",
            Self::ClientGone => "client_gone",
            Self::TimedOut => "timed_out",
            Self::Ended => "ended",
            Self::ClientStalled => "client_stalled",
        }
    }
}

/// Who a request was from. Made once per key and user, shared by their records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Id and slug of the organization.
    pub organization: Option<(Arc<str>, Arc<str>)>,
    /// Id and name of the user.
    pub user: Option<(Arc<str>, Arc<str>)>,
    /// Id and name of the API key.
    pub key: Option<(Arc<str>, Arc<str>)>,
}

/// One finished request.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// Our id, on the answer as `X-Request-Id`.
    pub request_id: Uuid,
    /// The client's own `X-Request-Id`, if it was well formed.
    pub client_request_id: Option<Box<str>>,
    /// Address of the client.
    pub client: IpAddr,
    /// Who it was from, if a credential said so.
    pub subject: Option<Arc<Subject>>,
    /// Method as received.
    pub method: http::Method,
    /// Route pattern (`/api/chat`, `/v1/models/:model`); `unknown` where none matched. Never the client's path.
    pub route: &'static str,
    /// Model as the catalogue names it; None for a request without a model or with one that the fleet does not know (so
    /// that a client cannot make labels).
    pub model: Option<Arc<str>>,
    /// Model that was asked of the node, where it is another than the client's (an alias or a fallback).
    pub served: Option<Arc<str>>,
    /// Node that answered, or that failed last.
    pub node: Option<Arc<str>>,
    /// Status of the answer.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, if not complete. Untrusted text.
    pub error: Option<Box<str>>,
    /// Attempts after the first.
    pub retries: u8,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Chunks of the answer's body.
    pub chunks: u64,
    /// Tokens of the prompt, as counted by the node.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the output, as counted by the node.
    pub output_tokens: Option<u64>,
    /// Whether the node did not count the tokens and they were estimated.
    pub estimated: bool,
    /// What it cost, in micro-USD.
    pub cost: u64,
    /// The limit that refused it.
    pub limit: Option<LimitName>,
    /// What was found in the prompt, by category.
    pub findings: Findings,
    /// The same in the answer.
    pub answer_findings: Findings,
    /// From the request's head to the choice of a node.
    pub queued: Option<Duration>,
    /// From the request's head to the first byte of a stream, as predicted when its node was chosen.
    pub predicted: Option<Duration>,
    /// From the request's head to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the request's head to the end.
    pub duration: Duration,
}

impl AccessRecord {
    /// A request that has just begun; until something else is known, its client is taken to have left.
    #[must_use]
    pub fn new(request_id: Uuid, client: IpAddr, method: http::Method) -> Self {
        Self {
            request_id,
            client_request_id: None,
            client,
            subject: None,
            method,
            route: "unknown",
            model: None,
            served: None,
            node: None,
            status: 0,
            outcome: Outcome::ClientGone,
            error: None,
            retries: 0,
            bytes_in: 0,
            bytes_out: 0,
            chunks: 0,
            prompt_tokens: None,
            output_tokens: None,
            estimated: false,
            cost: 0,
            limit: None,
            findings: Findings::default(),
            answer_findings: Findings::default(),
            queued: None,
            predicted: None,
            first_byte: None,
            duration: Duration::ZERO,
        }
    }

    /// What was found in the prompt and in the answer.
    #[must_use]
    pub fn found(&self) -> Findings {
        let mut found = self.findings;
        found.join(&self.answer_findings);
        found
    }

    /// Id and slug of the organization it was for.
    #[must_use]
    pub fn organization(&self) -> Option<&(Arc<str>, Arc<str>)> {
        self.subject.as_ref()?.organization.as_ref()
    }

    /// Id and name of the API key it came with.
    #[must_use]
    pub fn key(&self) -> Option<&(Arc<str>, Arc<str>)> {
        self.subject.as_ref()?.key.as_ref()
    }
}
