//! Requests that are running now.

use serde::{Deserialize, Serialize};

use crate::{
    audit::{Action, Noted},
    operation::operations,
};

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its body is still coming in.
    Receiving,
    /// A node works on it and has not answered yet.
    Waiting,
    /// The answer is being passed on.
    Answering,
}

/// A request that is running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Our id of it, as in its answer's `X-Request-Id` and in the log.
    pub id: String,
    /// Address of the client.
    pub client: String,
    /// Slug of the organization it is for.
    pub organization: Option<String>,
    /// Name of the user it is from.
    pub user: Option<String>,
    /// Name of the API key it came with.
    pub key: Option<String>,
    /// Route pattern.
    pub route: String,
    /// Model asked for, as the catalogue names it.
    pub model: Option<String>,
    /// Node that works on it.
    pub node: Option<String>,
    /// How far it has come.
    pub phase: Phase,
    /// Milliseconds since its head came in.
    pub age_ms: u64,
    /// Milliseconds since its answer began; the rate of tokens counts from there.
    pub answering_ms: Option<u64>,
    /// Tokens of output passed on so far: pieces of the stream, each of which is about one token.
    pub tokens: u64,
}

/// A running request that waits for a place on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Our id of it.
    pub id: String,
    /// Where it stands: 1 is next.
    pub position: u32,
    /// Milliseconds until its turn, as predicted.
    pub expected_ms: u64,
}

operations! {
    /// Requests about running requests.
    Request::Running(RunningRequest);

    /// Those within the caller's reach, oldest first.
    "running.list" List -> Vec<Running> as Running, needs RunningRead;

    /// End one. Its client gets an error that names an administrator as the cause.
    "running.cancel" Cancel {
        /// Id of the request.
        id: String,
    } -> () as Done, needs RunningWrite, noted |op| Noted::new(Action::RequestCancel, "request", &op.id);

    /// Those of them that wait for a place on a node, the longest first.
    "running.queued" Queue -> Vec<Queued> as Queued, needs RunningRead;
}
