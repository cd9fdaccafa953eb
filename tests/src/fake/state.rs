//! What a fake node knows and remembers.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use super::{Fault, Kind, Model, OnHealth};
use crate::wire::Head;

/// How a request ended, seen from the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Answered to the end (also where the end was a planned fault).
    Complete,
    /// The client went away first.
    ClientGone,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Number of the connection, from 1.
    pub connection: u64,
    /// Which request on that connection it was, from 1.
    pub nth: u64,
    /// The head, with its exact bytes.
    pub head: Head,
    /// The body, decoded from its framing.
    pub body: Bytes,
    /// How it ended, if it has.
    pub end: Option<End>,
}

impl Recorded {
    /// Whether this is what a gateway asks to learn about the node, rather than a client's request.
    #[must_use]
    pub fn is_health(&self) -> bool {
        self.head.method() == "GET"
            && matches!(
                self.head.target().rsplit_once("/fake-prefix").map_or(self.head.target(), |(_, t)| t),
                "/api/tags" | "/api/version" | "/api/ps" | "/v1/models" | "/health" | "/"
            )
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// Behaviour and memory of a fake node.
#[derive(Debug)]
pub struct State {
    /// What it speaks.
    pub kind: Kind,
    /// Version it reports.
    pub version: String,
    /// Its models.
    pub models: Vec<Model>,
    /// What it says, token by token.
    pub tokens: Vec<String>,
    /// Whether steps wait to be released.
    pub gated: bool,
    /// Pause before each step.
    pub delay: Duration,
    /// Faults for the next requests.
    pub faults: VecDeque<Fault>,
    /// Fault for all requests.
    pub always: Option<Fault>,
    /// How health checks fare.
    pub health: OnHealth,
    /// Fields added to every answer.
    pub extra_fields: Vec<(String, String)>,
    /// If set, requests must carry this field with this value, else 401.
    pub wants: Option<(String, String)>,
    /// Path prefix it lives under.
    pub prefix: String,
    /// Pieces a pull reports per layer.
    pub pull_steps: u64,
    /// Requests in order of arrival.
    pub recorded: Vec<Recorded>,
    /// Connections accepted so far.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
}

impl State {
    pub(super) fn new(kind: Kind, models: &[&str]) -> Self {
        Self {
            kind,
            version: "0.14.2".to_owned(),
            models: models.iter().map(|name| Model::new(name)).collect(),
            tokens: ["Hello", ",", " w\u{f6}rld", " \u{1f600}", " <b>&", "!"].map(str::to_owned).to_vec(),
            gated: false,
            delay: Duration::ZERO,
            faults: VecDeque::new(),
            always: None,
            health: OnHealth::Well,
            extra_fields: Vec::new(),
            wants: None,
            prefix: String::new(),
            pull_steps: 3,
            recorded: Vec::new(),
            connections: 0,
            open: 0,
        }
    }

    /// The model a client means by `name`; its tag may be left out on an Ollama.
    pub fn model(&mut self, name: &str) -> Option<&mut Model> {
        let latest = format!("{name}:latest");
        let ollama = self.kind == Kind::Ollama;
        self.models.iter_mut().find(|m| m.name == name || ollama && m.name.eq_ignore_ascii_case(&latest))
    }
}

/// State, and the means to wait for its changes.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) gate: Semaphore,
    /// Raised to make every connection reset itself.
    pub(super) resets: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            gate: Semaphore::new(0),
            resets: watch::Sender::new(0),
        }
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state.lock().expect("not poisoned"));
        self.changed.send_modify(|n| *n += 1);
        value
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("not poisoned"))
    }

    pub(super) fn drop_connections(&self) {
        self.resets.send_modify(|n| *n += 1);
    }
}
