//! One simulated node: its models on disk and in memory, its places, and whether it stands.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aivonx_domain::model_name;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::{Semaphore, watch};

use super::hardware::{Hardware, Weights};

/// How long a model stays in memory when nobody says.
const KEEP: SignedDuration = SignedDuration::from_mins(5);
/// Context of a model in memory unless asked for otherwise, tokens.
pub(super) const CONTEXT: u64 = 8192;
/// Bytes that go from disk to memory in a second.
const LOADING: f64 = 6e9;
/// Longest time for that: nobody watches a simulation for minutes.
const LOADING_MAX: f64 = 4.0;

/// A node.
#[derive(Debug)]
pub(super) struct SimNode {
    /// What it is made of.
    pub(super) hardware: Hardware,
    /// Requests at work; the others wait, as with Ollama.
    pub(super) places: Arc<Semaphore>,
    /// Whether it is up; one that is down ends every connection.
    up: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    models: Vec<Model>,
    random: StdRng,
}

/// A model on a node.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Its files.
    pub(super) weights: Weights,
    /// When they were written.
    pub(super) modified: Timestamp,
    /// While it is in memory.
    pub(super) loaded: Option<Loaded>,
}

/// A model in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loaded {
    /// Until when; the end of time if it stays for ever.
    pub(super) expires: Timestamp,
    /// When it was last used.
    used: Timestamp,
    /// Bytes.
    pub(super) memory: u64,
    /// Tokens.
    pub(super) context: u64,
}

/// How long a model is kept in memory after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// As long as usual.
    Usual,
    /// This long; negative is for ever.
    For(SignedDuration),
}

impl SimNode {
    /// A node that begins with its usual models.
    pub(super) fn new(hardware: Hardware, seed: u64) -> Self {
        let now = Timestamp::now();
        let models = hardware.models.iter().enumerate().map(|(n, name)| {
            let weights = Weights::of(name);
            let days = i64::try_from(n).unwrap_or(0) * 9 + 2;
            let modified = now.checked_sub(SignedDuration::from_hours(days * 24)).unwrap_or(now);
            let loaded = (n < hardware.loaded).then(|| Loaded::now(&weights, CONTEXT, Keep::Usual));
            Model { weights, modified, loaded }
        });
        Self {
            hardware,
            places: Arc::new(Semaphore::new(hardware.parallel as usize)),
            up: watch::Sender::new(true),
            state: Mutex::new(State { models: models.collect(), random: StdRng::seed_from_u64(seed) }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        for model in &mut state.models {
            model.loaded = model.loaded.filter(|loaded| loaded.expires > now);
        }
        state
    }

    /// Whether it is up, now and from now on.
    pub(super) fn stands(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Goes down, or comes back with nothing in memory.
    pub(super) fn set_up(&self, up: bool) {
        if !up {
            self.lock().models.iter_mut().for_each(|model| model.loaded = None);
        }
        self.up.send_replace(up);
    }

    /// Its models, the newest first.
    pub(super) fn models(&self) -> Vec<Model> {
        let mut models = self.lock().models.clone();
        models.sort_by_key(|model| std::cmp::Reverse(model.modified));
        models
    }

    /// The model that clients call this.
    pub(super) fn model(&self, name: &str) -> Option<Model> {
        self.lock().find(name).map(|model| model.clone())
    }

    /// Takes in the files of a model.
    pub(super) fn add(&self, weights: Weights) {
        let mut state = self.lock();
        let now = Timestamp::now();
        match state.find(&weights.name) {
            Some(model) => model.modified = now,
            None => state.models.push(Model { weights, modified: now, loaded: None }),
        }
    }

    /// Forgets a model; whether it was there.
    pub(super) fn remove(&self, name: &str) -> bool {
        let mut state = self.lock();
        let wanted = model_name::normalize(name);
        let before = state.models.len();
        state.models.retain(|model| model_name::normalize(&model.weights.name) != wanted);
        state.models.len() < before
    }

    /// Takes a model out of memory.
    pub(super) fn unload(&self, name: &str) {
        if let Some(model) = self.lock().find(name) {
            model.loaded = None;
        }
    }

    /// Puts a model into memory, in place of those used least lately where there is no room, and says how long
    /// that takes. With another context than it has there it is put there anew.
    pub(super) fn load(&self, name: &str, context: Option<u64>, keep: Keep) -> Option<Duration> {
        let mut state = self.lock();
        let model = state.find(name)?;
        let limit = model.weights.context;
        let had = model.loaded;
        let context = context.or(had.map(|loaded| loaded.context)).unwrap_or(CONTEXT).clamp(1, limit);
        let loaded = Loaded::now(&model.weights, context, keep);
        let (name, size) = (model.weights.name.clone(), model.weights.size);
        model.loaded = Some(loaded);
        state.make_room(&name, self.hardware.vram);
        let wait = if had.is_some_and(|had| had.context == context) {
            0.0
        } else {
            (size as f64 / LOADING + 0.15).min(LOADING_MAX) * state.random.random_range(0.9..1.2)
        };
        Some(Duration::from_secs_f64(wait))
    }

    /// Keeps a model in memory for so long from now on.
    pub(super) fn touch(&self, name: &str, keep: Keep) {
        if let Some(model) = self.lock().find(name)
            && let Some(loaded) = model.loaded
        {
            model.loaded = Some(Loaded::now(&model.weights, loaded.context, keep));
        }
    }

    /// Time from one token of the model to the next when so many requests are at work.
    pub(super) fn pace(&self, weights: &Weights, at_work: usize) -> Duration {
        let alone = 190.0 * self.hardware.speed / weights.billions.max(1.0).powf(0.75);
        let shared = alone / (1.0 + 0.12 * at_work.saturating_sub(1) as f64);
        Duration::from_secs_f64(1.0 / shared.clamp(4.0, 70.0))
    }

    /// Time to read a prompt of so many tokens.
    pub(super) fn reading(&self, weights: &Weights, tokens: u64) -> Duration {
        let speed = 9000.0 * self.hardware.speed / weights.billions.max(0.5);
        Duration::from_secs_f64((0.03 + tokens as f64 / speed).min(10.0))
    }

    /// A number of its own.
    pub(super) fn random(&self) -> u64 {
        self.lock().random.random()
    }
}

impl State {
    fn find(&mut self, name: &str) -> Option<&mut Model> {
        let wanted = model_name::normalize(name);
        self.models.iter_mut().find(|model| model_name::normalize(&model.weights.name) == wanted)
    }

    /// Takes models out of memory, those used least lately first, until the rest fits. Never `keep`.
    fn make_room(&mut self, keep: &str, vram: u64) {
        let used = |models: &[Model]| -> u64 {
            models.iter().filter_map(|model| model.loaded).map(|loaded| loaded.memory).sum()
        };
        while used(&self.models) > vram {
            let others = self.models.iter_mut().filter(|m| m.weights.name != keep && m.loaded.is_some());
            let Some(oldest) = others.min_by_key(|m| m.loaded.map(|l| l.used)) else { return };
            oldest.loaded = None;
        }
    }
}

impl Loaded {
    fn now(weights: &Weights, context: u64, keep: Keep) -> Self {
        let now = Timestamp::now();
        let keep = match keep {
            Keep::Usual => KEEP,
            Keep::For(time) if time.is_negative() => SignedDuration::from_hours(24 * 365 * 100),
            Keep::For(time) => time,
        };
        let expires = now.checked_add(keep).unwrap_or(Timestamp::MAX);
        Self { expires, used: now, memory: weights.memory(context), context }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::hardware::MACHINES, *};

    fn loaded(node: &SimNode) -> Vec<String> {
        let models = node.models().into_iter().filter(|model| model.loaded.is_some());
        let mut names: Vec<String> = models.map(|model| model.weights.name).collect();
        names.sort();
        names
    }

    #[test]
    fn memory_holds_what_fits() {
        let node = SimNode::new(MACHINES[0], 1);
        assert_eq!(loaded(&node), ["llama3.2:3b", "nomic-embed-text:latest", "qwen3:8b"]);
        let wait = node.load("mistral-small:24b", None, Keep::Usual).unwrap();
        assert!(wait > Duration::from_secs(1), "{wait:?}");
        assert!(loaded(&node).contains(&"mistral-small:24b".to_owned()));
        let used: u64 = node.models().iter().filter_map(|m| m.loaded).map(|l| l.memory).sum();
        assert!(used <= node.hardware.vram && loaded(&node).len() < 4, "{:?}", loaded(&node));
        assert_eq!(node.load("mistral-small:24b", None, Keep::Usual), Some(Duration::ZERO), "it is there");
        let again = node.load("mistral-small:24b", Some(1024), Keep::Usual).unwrap();
        assert!(again > Duration::ZERO, "another context");
        assert_eq!(node.load("absent", None, Keep::Usual), None);
    }

    #[test]
    fn models_leave_memory_when_told_or_when_their_time_is_up() {
        let node = SimNode::new(MACHINES[0], 1);
        node.unload("QWEN3:8b");
        assert_eq!(loaded(&node), ["llama3.2:3b", "nomic-embed-text:latest"]);
        node.touch("llama3.2:3b", Keep::For(SignedDuration::ZERO));
        assert_eq!(loaded(&node), ["nomic-embed-text:latest"]);
        node.touch("nomic-embed-text", Keep::For(SignedDuration::from_secs(-1)));
        let model = node.model("nomic-embed-text").unwrap();
        assert!(model.loaded.unwrap().expires > Timestamp::now() + SignedDuration::from_hours(24 * 365));
        node.set_up(false);
        assert!(loaded(&node).is_empty() && !*node.stands().borrow());
        node.add(Weights::of("gemma3:27b"));
        assert_eq!(node.models()[0].weights.name, "gemma3:27b", "the newest first");
        assert!(node.remove("gemma3:27b") && !node.remove("gemma3:27b"));
    }
}
