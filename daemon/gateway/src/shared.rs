//! What the data-plane threads share with each other and with the control plane.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::Instant,
};

use aivonx_config::{AccessMode, Config, with_scheme};
use aivonx_fleet::{Fleet, Hot, NodeScope};
use aivonx_identity::{Blocks, Identity};
use aivonx_ledgers::usage::Usage;
use aivonx_limits::Limits;
use aivonx_protocol::network::Network;
use aivonx_telemetry::AccessSink;
use arc_swap::ArcSwap;
use tokio::{runtime::Handle, sync::watch};

use super::{
    budget::Budget, closed::Closed, deadline::ticks, headers::ForBrowsers, host, listener::AcceptFailures,
    places::Places, running::Board,
};
use crate::{policy, responses::Responses, token_rates::TokenRates};

/// How far the process is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Running,
    /// Takes no new connections; what runs may finish.
    Draining,
    /// What still runs is ended with its dialect's error.
    Ending,
}

/// Settings the data path reads; a reload puts new ones in place. Times are in ticks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest request body, after decoding.
    pub body_bytes: u64,
    /// Largest request head.
    pub head_bytes: usize,
    /// Most requests of one connection; 0 is no limit.
    pub connection_requests: u32,
    /// Time for the TLS handshake of a connection.
    pub handshake: u32,
    /// Time for a head: from when the connection stands for its first, from their first byte for all others.
    pub head: u32,
    /// Time a kept-alive connection may idle, and the gateway's own answers may wait for their client.
    pub keep_alive: u32,
    /// Longest pause within a request body.
    pub body_idle: u32,
    /// Least bytes a second of a request body, over each `body_idle`; 0 is no least.
    pub body_rate: u64,
    /// Time to connect to a node.
    pub connect: std::time::Duration,
    /// Time until the first byte of an answer.
    pub header_wait: u32,
    /// The same where the model is to be loaded first.
    pub load: u32,
    /// Time for an answer in one piece; 0 is no limit.
    pub whole: u32,
    /// Time a request may wait for a node.
    pub queue_wait: u32,
    /// Requests that may.
    pub queue: usize,
    /// Seconds of waiting for the fleet's own nodes after which third parties are asked.
    pub overflow: f64,
    /// Silence after which a stream begins that is to be kept waiting.
    pub keep_waiting: std::time::Duration,
    /// Longest pause of a node within its answer.
    pub idle: u32,
    /// Longest pause of a client that reads a node's answer.
    pub client_idle: u32,
    /// Longest answer; 0 is no limit.
    pub total: u32,
    /// Attempts after the first.
    pub retries: u8,
    /// Time in which further attempts begin.
    pub retry_within: std::time::Duration,
    /// Idle connections kept per node and thread.
    pub idle_per_node: usize,
    /// Time a connection to a node may idle.
    pub idle_close: u32,
    /// Send `X-Aivonx-Node`.
    pub node_header: bool,
    /// Who may use the gateway.
    pub access: AccessMode,
    /// Pull and delete over HTTP.
    pub allow_model_management: bool,
    /// Hosts accepted beside the listener's own, lower case.
    pub allowed_hosts: Vec<String>,
    /// Origins accepted, lower case; `*` stands for any part.
    pub allowed_origins: Vec<String>,
    /// Bodies may name addresses that only nodes reach.
    pub private_addresses: bool,
    /// Networks of proxies that are believed.
    pub trusted: Vec<Network>,
    /// What stands on every answer.
    pub(super) browsers: ForBrowsers,
    /// The machine's own name, lower case; empty if it is not known.
    pub own_host: String,
}

impl Settings {
    /// The part of `config` that the data path reads.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            body_bytes: config.limits.body_bytes,
            head_bytes: config.limits.head_bytes.max(8192),
            connection_requests: config.limits.connection_requests,
            handshake: ticks(config.timeouts.handshake),
            head: ticks(config.timeouts.head),
            keep_alive: ticks(config.timeouts.keep_alive),
            body_idle: ticks(config.timeouts.body_idle),
            body_rate: config.timeouts.body_rate,
            connect: config.timeouts.connect,
            header_wait: ticks(config.timeouts.header_wait),
            load: ticks(if config.timeouts.load.is_zero() {
                config.timeouts.header_wait
            } else {
                config.timeouts.load
            }),
            whole: ticks(config.timeouts.whole),
            queue_wait: ticks(config.timeouts.queue),
            queue: config.proxy.queue,
            overflow: config.overflow.after.as_secs_f64(),
            keep_waiting: config.timeouts.keep_waiting,
            idle: ticks(config.timeouts.idle),
            client_idle: ticks(config.timeouts.client_idle),
            total: ticks(config.timeouts.total),
            retries: config.proxy.retries,
            retry_within: config.proxy.retry_within,
            idle_per_node: config.proxy.idle_per_node,
            idle_close: ticks(config.proxy.idle_close),
            node_header: config.proxy.node_header,
            access: config.access.mode,
            allow_model_management: config.access.allow_model_management,
            allowed_hosts: config.access.allowed_hosts.iter().map(|listed| host::listed(listed)).collect(),
            allowed_origins: config
                .access
                .allowed_origins
                .iter()
                .map(|origin| with_scheme(origin).to_ascii_lowercase())
                .collect(),
            private_addresses: config.access.private_addresses,
            trusted: config.proxy.trusted.clone(),
            browsers: ForBrowsers::new(&config.headers),
            own_host: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_ascii_lowercase())
                .unwrap_or_default(),
        }
    }
}

/// Shared by all data-plane threads.
pub struct Shared {
    /// Snapshots of the fleet.
    pub hot: Arc<Hot>,
    /// For reports about nodes, and for pull and delete; only ever called on the control plane's runtime or
    /// through calls that do not block.
    pub fleet: Arc<Fleet>,
    /// Which model is served for which name, and how.
    pub policy: Arc<policy::Hot>,
    /// Who may do what.
    pub identity: Arc<Identity>,
    /// Who may do nothing.
    pub blocks: Arc<Blocks>,
    /// How much of it.
    pub limits: Arc<Limits>,
    /// Which node made which response.
    pub responses: Responses,
    /// What was learned of how models count tokens.
    pub token_rates: TokenRates,
    /// Who used what.
    pub usage: Usage,
    /// Nothing but `/health` is served before there is an administrator.
    pub awaits_setup: bool,
    /// Settings now.
    pub settings: ArcSwap<Settings>,
    /// Where the records of finished requests go.
    pub access: AccessSink,
    /// Renders `/metrics` for those whose fleet it is; run on the control plane.
    pub metrics: Arc<dyn Fn(&NodeScope) -> String + Send + Sync>,
    /// What is wrong with the store, if something is: a sentence.
    pub trouble: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// The control plane's runtime.
    pub control: Handle,
    /// Where the process is in its life.
    pub phase: watch::Receiver<Phase>,
    /// Bytes of request bodies held now.
    pub budget: Arc<Budget>,
    /// Places for connections.
    pub places: Arc<Places>,
    /// Accepts that failed.
    pub accept_failures: AcceptFailures,
    /// Connections closed on clients.
    pub closed: Closed,
    /// Requests answered since start.
    pub requests: AtomicU64,
    /// The way to ask the data-plane threads what runs.
    pub running: Arc<Board>,
    /// Answers being streamed now.
    pub streams: AtomicUsize,
    /// When the process started.
    pub started: Instant,
}
