//! Checking nodes: each in a task of its own, at its own pace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aivonx_config::Health;
use aivonx_protocol::{
    Untrusted,
    node::{AdminState, NodeKind},
};
use aivonx_store::Nodes;
use rand::Rng as _;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use super::{
    contact::Contact,
    contexts::Contexts,
    entry::Prepared,
    probe::{Found, ProbeError, ProbeLimits, probe},
    registry::Registry,
    wake::{call, wake},
};

/// What the parts of the fleet service share: the nodes' state, and how to ask them.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) registry: Registry,
    /// Connecting to a node, TLS included.
    pub(super) connect: Duration,
    /// What models are loaded with.
    pub(super) contexts: Contexts,
    nodes: Nodes,
    settings: watch::Sender<Health>,
}

/// The outcome of one check, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) healthy: bool,
    pub(super) text: String,
}

impl Checker {
    pub(super) fn new(registry: Registry, nodes: Nodes, connect: Duration, contexts: Contexts) -> Self {
        let settings = watch::Sender::new(registry.health());
        Self { registry, connect, contexts, nodes, settings }
    }

    /// From now on checks so.
    pub(super) fn set_health(&self, health: Health) {
        self.registry.set_health(health.clone());
        self.settings.send_if_modified(|old| {
            let changed = *old != health;
            *old = health;
            changed
        });
    }

    /// Asks a node what it is and has. Changes nothing.
    pub(super) async fn ask(&self, at: &Prepared, kind: Option<NodeKind>) -> Result<Found, ProbeError> {
        if let Some(why) = &at.unusable {
            return Err(ProbeError::Unusable(why.clone()));
        }
        let whole = self.settings.borrow().timeout;
        probe(&at.endpoint, kind, ProbeLimits { connect: self.connect.min(whole), whole }).await
    }

    /// Checks a node now and takes in what was found. None if it is not there (any more).
    pub(super) async fn check(&self, id: &str) -> Option<Finding> {
        let turn = self.registry.contact(id)?.checking;
        let _turn = turn.lock().await;
        // It may have moved while another check was waited for.
        let contact = self.registry.contact(id)?;
        let began = Instant::now();
        self.registry.looks(id);
        let result = self.ask(&contact.at, (!contact.kind_assumed).then_some(contact.kind)).await;
        let finding = Finding::of(&result);
        tracing::debug!(event = "node_checked", node = %contact.name,
            organization = contact.organization.as_deref(), healthy = finding.healthy,
            finding = %Untrusted::new(&finding.text), "checked");
        if let (true, Ok(found)) = (contact.kind_assumed, &result) {
            self.learn(&contact, found.kind).await;
            if found.kind != contact.kind {
                // Taken in as what it is when the change comes back from the store.
                return Some(finding);
            }
        }
        self.registry.checked(&contact, result.map_err(|e| e.to_string()), began);
        if let Some(wake) = self.registry.is_to_be_woken(id) {
            call(&contact, &wake).await;
        }
        Some(finding)
    }

    /// Puts down the kind of a node that answers for the first time. The change comes back from the store.
    async fn learn(&self, contact: &Contact, kind: NodeKind) {
        let learned = self
            .nodes
            .update(&contact.id, None, move |record| {
                record.kind = kind;
                record.kind_assumed = false;
            })
            .await;
        match learned {
            Ok(_) => {
                tracing::info!(event = "node_kind", node = %contact.name,
                    organization = contact.organization.as_deref(), ?kind, "node's kind found out")
            }
            Err(error) => {
                tracing::warn!(event = "node_kind", node = %contact.name,
                    organization = contact.organization.as_deref(), %error, "node's kind was not kept");
            }
        }
    }
}

impl Finding {
    pub(super) fn of(result: &Result<Found, ProbeError>) -> Self {
        match result {
            Ok(found) => Self { healthy: true, text: describe(found) },
            Err(error) => Self { healthy: false, text: error.to_string() },
        }
    }
}

fn describe(found: &Found) -> String {
    let models = found.sight.models.len();
    let s = if models == 1 { "" } else { "s" };
    let ms = found.round_trip.as_secs_f64() * 1000.0;
    match (&found.sight.version, found.kind) {
        (version, NodeKind::Ollama) => {
            let version = version.as_deref().unwrap_or("of unknown version");
            let loaded = found.sight.loaded.len();
            format!("Ollama {version} with {models} model{s}, {loaded} in memory; answered in {ms:.1} ms")
        }
        (_, NodeKind::Openai) => {
            format!("a server with the OpenAI API and {models} model{s}; answered in {ms:.1} ms")
        }
    }
}

/// The tasks that check the nodes, one each.
#[derive(Debug)]
pub(super) struct Tasks {
    checker: Arc<Checker>,
    runtime: Handle,
    running: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Tasks {
    pub(super) fn new(checker: Arc<Checker>, runtime: Handle) -> Self {
        Self { checker, runtime, running: Mutex::default() }
    }

    /// Sees to it that the node is checked from now on: at once, unless it has just been.
    pub(super) fn watch(&self, id: &str, just_checked: bool) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.entry(id.to_owned()).or_insert_with(|| {
            self.runtime.spawn(keep_checking(self.checker.clone(), id.to_owned(), just_checked))
        });
    }

    /// Ends the checks of one node.
    pub(super) fn forget(&self, id: &str) {
        let task = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(task) = task {
            task.abort();
        }
    }

    /// Ends all checks.
    pub(super) fn stop(&self) {
        let tasks = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.into_values().for_each(|task| task.abort());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Time between the first two checks of a node in doubt; each further one waits twice as long.
const SOON: Duration = Duration::from_millis(250);

/// Time between two looks at whether somebody still lets a node sleep.
const ASLEEP: Duration = Duration::from_secs(5);

async fn keep_checking(checker: Arc<Checker>, id: String, just_checked: bool) {
    let mut settings = checker.settings.subscribe();
    let mut due = !just_checked;
    // After failed requests: until the node is known to be well or gone, and is back.
    let mut soon: Option<Duration> = None;
    while let Some(contact) = checker.registry.contact(&id) {
        if contact.sleeps {
            tokio::select! {
                Some(cause) = contact.called.heard() => wake(&checker, &contact, cause).await,
                // What else changes of it.
                () = contact.doubted.notified() => {}
                () = tokio::time::sleep(ASLEEP) => {}
            }
            continue;
        }
        contact.called.ends();
        if due && contact.admin_state != AdminState::Disabled {
            checker.check(&id).await;
            checker.registry.rests(&contact);
        }
        soon = soon.filter(|_| checker.registry.is_in_doubt(&id));
        // Jitter keeps the nodes' checks apart.
        let wait = settings.borrow_and_update().interval.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            () = tokio::time::sleep(soon.map_or(wait, |soon| soon.min(wait))) => {
                due = true;
                soon = soon.filter(|soon| *soon < wait).map(|soon| soon * 2);
            }
            () = contact.doubted.notified() => (due, soon) = (true, Some(SOON)),
            changed = settings.changed() => due = changed.is_ok(),
        }
    }
}
