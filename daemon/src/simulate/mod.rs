//! Simulated nodes, for `aivonxd dev --simulate`: Ollama's wire format over loopback, with made-up text at a
//! plausible pace, on a thread of their own. What stands between them and a client is the gateway as it always is.
//!
//! They listen on loopback, on ports the kernel chooses, and answer nobody who does not show a random token that
//! is made at every start and never leaves this process: nothing is opened to the machine that was not before.

mod answer;
mod anthropic;
mod generate;
mod hardware;
mod node;
mod ollama;
mod openai;
mod pull;
mod responses;
mod serve;
#[cfg(test)]
mod tests;
mod traffic;
mod words;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use aivonx_domain::Reach;
use aivonx_fleet::{Fleet, FleetError};
use aivonx_protocol::{
    WireSecret,
    node::{Credential, NewNode, NodeKind},
};
use rand::{TryRngCore as _, rngs::OsRng};
use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
    task::AbortHandle,
};

pub use self::traffic::Amount;
pub(crate) use self::traffic::{Place, fit};
use self::{
    hardware::{Hardware, MACHINES},
    node::SimNode,
};

/// Most nodes simulated at once.
pub(crate) const MOST: u8 = 16;

/// The nodes while they run. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Simulation {
    nodes: Vec<(SocketAddr, Arc<SimNode>)>,
    token: Arc<str>,
    /// Of the thread.
    runtime: Handle,
    traffic: Option<AbortHandle>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulation {
    /// Begins to serve so many nodes.
    ///
    /// # Errors
    /// No port, thread or random number is to be had.
    pub(crate) fn start(count: u8, seed: u64) -> io::Result<Self> {
        let mut secret = [0; 32];
        OsRng.try_fill_bytes(&mut secret).map_err(io::Error::other)?;
        let token: Arc<str> = hex::encode(secret).into();
        let mut listeners = Vec::new();
        let mut nodes = Vec::new();
        for (n, hardware) in (0..count).map(usize::from).zip(MACHINES.iter().cycle()) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let node = Arc::new(SimNode::new(*hardware, seed.wrapping_add(n as u64)));
            nodes.push((listener.local_addr()?, node.clone()));
            listeners.push((listener, node));
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let known = token.clone();
        let handle = runtime.handle().clone();
        let run = move || {
            runtime.block_on(async {
                for (listener, node) in listeners {
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => drop(tokio::spawn(serve::serve(listener, node, known.clone()))),
                        Err(error) => {
                            tracing::error!(event = "simulate", %error, "a simulated node does not listen");
                        }
                    }
                }
                let _ = ended.await;
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("simulate".into()).spawn(run)?;
        Ok(Self { nodes, token, runtime: handle, traffic: None, end: Some(end), thread: Some(thread) })
    }

    /// Makes traffic from now on.
    pub(crate) fn begin_traffic(&mut self, place: Place) {
        let named = self.nodes.iter().filter_map(|(address, node)| {
            let url = format!("http://{address}");
            let nodes = place.fleet.list(&Reach::All);
            Some((nodes.into_iter().find(|found| found.url == url)?.name, node.clone()))
        });
        let named = named.collect();
        self.traffic = Some(self.runtime.spawn(traffic::run(place, named)).abort_handle());
    }

    /// Ends the traffic: its clients leave at once.
    pub(crate) fn end_traffic(&self) {
        if let Some(traffic) = &self.traffic {
            traffic.abort();
        }
    }

    /// Makes them nodes of the fleet, under names that are free.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn join(&self, fleet: &Fleet) -> Result<(), FleetError> {
        for (address, node) in &self.nodes {
            let Hardware { gpu, parallel, .. } = node.hardware;
            let taken = fleet.list(&Reach::All);
            let is_free = |name: &String| taken.iter().all(|node| node.name != *name);
            let name = (1..).map(|n| format!("sim{n}")).find(is_free).unwrap_or_default();
            let new = NewNode {
                name,
                url: format!("http://{address}"),
                kind: Some(NodeKind::Ollama),
                credential: Credential::Bearer(WireSecret::new(self.token.to_string())),
                ca_pem: None,
                server_name: None,
                max_parallel: parallel,
                labels: BTreeMap::from([("gpu".into(), gpu.into()), ("simulated".into(), "yes".into())]),
                force: false,
                organization: None,
            };
            fleet.add_simulated(new).await?;
        }
        Ok(())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
