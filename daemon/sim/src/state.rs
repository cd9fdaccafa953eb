//! What a fake node knows and remembers.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a fake node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ollama's API and its OpenAI and Anthropic ones.
    Ollama,
    /// `/v1` only, like llama.cpp's server.
    Openai,
}

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::sync::{Semaphore, watch};

use crate::{
    Face, Fault, Machine, Model, OnHealth,
    model::{Keep, tagged},
    reply::Then,
    wire::Head,
};

/// Context of a model in memory unless asked for otherwise, tokens.
pub(crate) const CONTEXT: u64 = 8192;

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
    /// The body, decoded from its framing; empty of a request that was refused before.
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
pub struct NodeState {
    /// What it speaks.
    pub kind: Kind,
    /// Version it reports.
    pub version: String,
    /// Its models.
    pub models: Vec<Model>,
    /// What it says, token by token, unless a machine is simulated.
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
    /// The engine it is like, of those behind OpenAI's API that load and unload models when asked to.
    pub face: Option<Face>,
    /// Paths that it does not know.
    pub lacks: Vec<String>,
    /// The files it was sent, by digest.
    pub blobs: BTreeMap<String, Bytes>,
    /// Pieces a pull reports per layer, unless a machine is simulated.
    pub pull_steps: u64,
    /// Requests in order of arrival. A simulated machine keeps none.
    pub recorded: Vec<Recorded>,
    /// What it was told over websockets.
    pub said: Vec<String>,
    /// Connections accepted so far.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// What work costs; without one everything is there at once, and answers are those of a script.
    pub(crate) machine: Option<Machine>,
    /// Whether it is up; one that is down ends every connection.
    pub(crate) up: bool,
    pub(crate) random: StdRng,
    /// Requests that have a place on the machine.
    pub(crate) at_work: usize,
}

impl NodeState {
    pub(crate) fn scripted(kind: Kind, models: &[&str]) -> Self {
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
            face: None,
            lacks: Vec::new(),
            blobs: BTreeMap::new(),
            pull_steps: 3,
            said: Vec::new(),
            recorded: Vec::new(),
            connections: 0,
            open: 0,
            machine: None,
            up: true,
            random: StdRng::seed_from_u64(0),
            at_work: 0,
        }
    }

    /// An Ollama on `machine` that answers those who show `token` with made-up text.
    pub(crate) fn simulated(machine: Machine, seed: u64, token: &str) -> Self {
        let now = Timestamp::now();
        let models = machine.models.iter().zip(0_i64..).map(|(name, n)| {
            let mut model = Model::known(name);
            let age = SignedDuration::from_hours((n * 9 + 2) * 24);
            model.modified_at = now.checked_sub(age).unwrap_or(now);
            if usize::try_from(n).is_ok_and(|n| n < machine.loaded) {
                model.keep(CONTEXT, Keep::Usual);
            }
            model
        });
        Self {
            models: models.collect(),
            version: machine.version.to_owned(),
            wants: Some(("authorization".to_owned(), format!("Bearer {token}"))),
            machine: Some(machine),
            random: StdRng::seed_from_u64(seed),
            ..Self::scripted(Kind::Ollama, &[])
        }
    }

    /// The model a client means by `name`.
    pub fn model(&mut self, name: &str) -> Option<&mut Model> {
        let ollama = self.kind == Kind::Ollama;
        self.models.iter_mut().find(|m| m.name == name || ollama && m.is_called(name))
    }

    /// A new model for `name`, which no model here has yet.
    pub(crate) fn new_model(&self, name: &str) -> Model {
        if self.machine.is_some() { Model::known(name) } else { Model::new(&tagged(name)) }
    }

    /// Puts a model on disk, in place of one with the same name.
    pub(crate) fn add(&mut self, model: Model) {
        self.models.retain(|m| m.name != model.name);
        self.models.push(model);
    }

    /// Does what an answer changes.
    pub(crate) fn apply(&mut self, then: &Then) {
        match then {
            Then::Pulled(model) => self.add((**model).clone()),
            Then::Used(name, keep) => {
                if let Some(model) = self.model(name)
                    && let Some(loaded) = model.loaded
                {
                    model.keep(loaded.context, *keep);
                }
            }
        }
    }

    /// Takes models out of memory whose time is up.
    pub(crate) fn expire(&mut self) {
        let now = Timestamp::now();
        for model in &mut self.models {
            model.loaded = model.loaded.filter(|loaded| loaded.expires > now);
        }
    }

    /// Puts a model into memory, in place of those used least lately where there is no room, and says how long that
    /// takes. With another context than it has there it is loaded anew.
    pub(crate) fn load(&mut self, name: &str, context: Option<u64>, keep: Keep) -> Duration {
        let Some(model) = self.model(name) else { return Duration::ZERO };
        let had = model.loaded.map(|loaded| loaded.context);
        let context = context.or(had).unwrap_or(CONTEXT).clamp(1, model.context);
        model.keep(context, keep);
        let model = model.clone();
        let Some(machine) = self.machine else { return Duration::ZERO };
        self.make_room(&model.name, machine.vram);
        if had == Some(context) { Duration::ZERO } else { Machine::loading(&model, &mut self.random) }
    }

    /// Takes models out of memory, those used least lately first, until the rest fits. Never `keep`.
    fn make_room(&mut self, keep: &str, vram: u64) {
        let used = |models: &[Model]| -> u64 {
            models.iter().filter_map(|model| model.loaded).map(|loaded| loaded.memory).sum()
        };
        while used(&self.models) > vram {
            let others = self.models.iter_mut().filter(|m| m.name != keep && m.loaded.is_some());
            let Some(oldest) = others.min_by_key(|m| m.loaded.map(|l| l.used)) else { return };
            oldest.loaded = None;
        }
    }
}

/// State, and the means to wait for its changes.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<NodeState>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) gate: Semaphore,
    /// Places of the machine.
    pub(crate) places: Option<Semaphore>,
    /// Raised to make every connection reset itself.
    pub(crate) resets: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(state: NodeState) -> Self {
        let places = state.machine.map(|machine| Semaphore::new(machine.parallel as usize));
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            gate: Semaphore::new(0),
            places,
            resets: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut NodeState) -> T) -> T {
        let value = change(&mut self.lock());
        self.changed.send_modify(|n| *n += 1);
        value
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut NodeState) -> T) -> T {
        look(&mut self.lock())
    }

    pub(crate) fn drop_connections(&self) {
        self.resets.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MACHINES;

    fn node() -> NodeState {
        NodeState::simulated(MACHINES[0], 1, "")
    }

    fn loaded(node: &mut NodeState) -> Vec<&str> {
        node.expire();
        let mut names: Vec<&str> =
            node.models.iter().filter(|m| m.loaded.is_some()).map(|m| m.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn memory_holds_what_fits() {
        let mut node = node();
        assert_eq!(loaded(&mut node), ["llama3.2:3b", "nomic-embed-text:latest", "qwen3:8b"]);
        let wait = node.load("mistral-small:24b", None, Keep::Usual);
        assert!(wait > Duration::from_secs(1), "{wait:?}");
        assert!(loaded(&mut node).contains(&"mistral-small:24b"));
        let used: u64 = node.models.iter().filter_map(|m| m.loaded).map(|l| l.memory).sum();
        assert!(used <= MACHINES[0].vram && loaded(&mut node).len() < 4, "{:?}", loaded(&mut node));
        assert_eq!(node.load("mistral-small:24b", None, Keep::Usual), Duration::ZERO, "it is there");
        let again = node.load("mistral-small:24b", Some(1024), Keep::Usual);
        assert!(again > Duration::ZERO, "another context");
    }

    #[test]
    fn models_leave_memory_when_their_time_is_up() {
        let mut node = node();
        node.load("LLAMA3.2:3b", None, Keep::For(SignedDuration::ZERO));
        assert_eq!(loaded(&mut node), ["nomic-embed-text:latest", "qwen3:8b"]);
        node.load("nomic-embed-text", None, Keep::For(SignedDuration::from_secs(-1)));
        let expires = node.model("nomic-embed-text").unwrap().loaded.unwrap().expires;
        assert!(expires > Timestamp::now() + SignedDuration::from_hours(24 * 365));
    }
}
