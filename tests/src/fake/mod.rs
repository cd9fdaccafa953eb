//! Fake nodes: servers in this process that speak the wire format of real ones, do as they are told, and
//! remember what they were sent, byte for byte.

mod anthropic;
mod fault;
mod json;
mod model;
mod ollama;
mod openai;
mod reply;
mod responses;
mod serve;
mod state;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

pub use fault::{Fault, OnHealth};
pub use model::Model;
pub use reply::{Reply, Step};
pub use state::{End, Recorded};
use state::{Shared, State};
use tokio::task::JoinHandle;

/// What a fake node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ollama's API and its OpenAI and Anthropic ones.
    Ollama,
    /// `/v1` only, like llama.cpp's server.
    Openai,
}

/// A running fake node. Ends when dropped.
#[derive(Debug)]
pub struct FakeNode {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl FakeNode {
    /// An Ollama of a recent version with one model, `m:latest`.
    pub async fn ollama() -> Self {
        Self::start(Kind::Ollama, &["m:latest"]).await
    }

    /// An OpenAI-compatible server with one model, `m`.
    pub async fn openai() -> Self {
        Self::start(Kind::Openai, &["m"]).await
    }

    /// A node of `kind` with `models`, on a port of the kernel's choice.
    pub async fn start(kind: Kind, models: &[&str]) -> Self {
        Self::start_at(kind, models, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same at `address`.
    pub async fn start_at(kind: Kind, models: &[&str], address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::new(State::new(kind, models)));
        let listener = serve::bind(address).expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let accepting = tokio::spawn(serve::accept(listener, shared.clone()));
        Self { shared, address, accepting: Mutex::new(Some(accepting)) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it behaves.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.shared.change(change)
    }

    /// From now on the steps of every stream wait for [`FakeNode::release`].
    pub fn gate(&self) {
        self.shared.gate.forget_permits(usize::MAX);
        self.with(|s| s.gated = true);
    }

    /// Lets `steps` more steps out. A step is one line, or one event.
    pub fn release(&self, steps: usize) {
        self.shared.gate.add_permits(steps);
    }

    /// Lets everything out, now and from now on.
    pub fn open_gate(&self) {
        self.with(|s| s.gated = false);
        self.release(1 << 20);
    }

    /// Waits so long before each step of a stream.
    pub fn delay(&self, delay: Duration) {
        self.with(|s| s.delay = delay);
    }

    /// The next request that is not a health check fails so; repeated calls queue up.
    pub fn fail_next(&self, fault: Fault) {
        self.with(|s| s.faults.push_back(fault));
    }

    /// Every request that is not a health check fails so, until `None`.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.with(|s| s.always = fault);
    }

    /// How health checks (catalogue, version, loaded models) fare from now on.
    pub fn on_health(&self, what: OnHealth) {
        self.with(|s| s.health = what);
    }

    /// Stops listening and drops every connection: connecting is refused from now on.
    pub async fn refuse(&self) {
        let accepting = self.accepting.lock().expect("not poisoned").take();
        if let Some(task) = accepting {
            task.abort();
            task.await.ok();
        }
        self.shared.drop_connections();
    }

    /// Listens again, at the same address.
    pub async fn accept(&self) {
        let listener = serve::bind(self.address).expect("the port is free again");
        let task = tokio::spawn(serve::accept(listener, self.shared.clone()));
        *self.accepting.lock().expect("not poisoned") = Some(task);
    }

    /// Resets every open connection.
    pub fn drop_connections(&self) {
        self.shared.drop_connections();
    }

    /// What it was sent so far, without health checks.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.with(|s| s.recorded.iter().filter(|r| !r.is_health()).cloned().collect())
    }

    /// Everything it was sent, health checks too.
    #[must_use]
    pub fn everything(&self) -> Vec<Recorded> {
        self.with(|s| s.recorded.clone())
    }

    /// The only request it was sent beside health checks.
    #[must_use]
    pub fn only_request(&self) -> Recorded {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "one request expected, got {all:#?}");
        all.remove(0)
    }

    /// Waits until `condition` holds of its state.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&mut State) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        crate::within(what, async {
            loop {
                changed.borrow_and_update();
                if self.shared.look(&mut condition) {
                    return;
                }
                changed.changed().await.expect("the state outlives the wait");
            }
        })
        .await;
    }

    /// Waits until it was sent `count` requests that are not health checks.
    pub async fn until_requests(&self, count: usize) {
        let what = format!("{count} requests at {}", self.url());
        self.until(&what, |s| s.recorded.iter().filter(|r| !r.is_health()).count() >= count).await;
    }

    /// Waits until `count` requests ended because the client went away.
    pub async fn until_gone(&self, count: usize) {
        let what = format!("{count} departures at {}", self.url());
        self.until(&what, |s| s.recorded.iter().filter(|r| r.end == Some(End::ClientGone)).count() >= count)
            .await;
    }

    /// Waits until it was health-checked `count` times more.
    pub async fn until_checked(&self, count: usize) {
        let is_check = |r: &&Recorded| r.is_health() && r.end == Some(End::Complete);
        let before = self.with(|s| s.recorded.iter().filter(is_check).count());
        self.until("health checks", |s| s.recorded.iter().filter(is_check).count() >= before + count).await;
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        if let Ok(mut accepting) = self.accepting.lock()
            && let Some(task) = accepting.take()
        {
            task.abort();
        }
        self.shared.drop_connections();
    }
}
