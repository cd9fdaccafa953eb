//! A fake node while it runs, and the calls that script it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    Fault, Kind, OnHealth, serve,
    state::{NodeState, Shared},
};

/// A running fake node. Ends when dropped.
#[derive(Debug)]
pub struct FakeNode {
    pub(crate) shared: Arc<Shared>,
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
        Self::listen(NodeState::scripted(kind, models), address).expect("a loopback port")
    }

    pub(crate) fn listen(state: NodeState, address: SocketAddr) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(state));
        let listener = serve::bind(address)?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(serve::accept(listener, shared.clone()));
        Ok(Self { shared, address, accepting: Mutex::new(Some(accepting)) })
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
    pub fn with<T>(&self, change: impl FnOnce(&mut NodeState) -> T) -> T {
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
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Goes down, where every connection ends as soon as it is made, or comes back with nothing in memory. The port
    /// stays its own.
    pub fn set_up(&self, up: bool) {
        self.with(|s| {
            s.up = up;
            s.models.iter_mut().for_each(|model| model.loaded = None);
        });
        if !up {
            self.drop_connections();
        }
    }

    /// Resets every open connection.
    pub fn drop_connections(&self) {
        self.shared.drop_connections();
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
