//! Every key of `aivonxd.toml`, with its default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The whole configuration, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Directory of the store, its snapshots and the generated key. Default `/var/lib/aivonx`.
    pub data_dir: PathBuf,
    /// `[[listen]]`: where clients connect. Default one: 127.0.0.1:11435.
    pub listen: Vec<Listen>,
    /// `[control]`
    pub control: Control,
    /// `[access]`
    pub access: Access,
    /// `[limits]`
    pub limits: Limits,
    /// `[timeouts]`
    pub timeouts: Timeouts,
    /// `[proxy]`
    pub proxy: Proxy,
    /// `[health]`
    pub health: Health,
    /// `[log]`
    pub log: Log,
    /// `[store]`
    pub store: StoreOptions,
    /// `[secrets]`
    pub secrets: Secrets,
}

/// One client listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    /// Address and port; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Serve `/metrics`, `/api/status`, `/api/proxy/state` and `/api/proxy/active-requests` here. Default false.
    pub diagnostics: bool,
}

/// The control socket.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// Default `/run/aivonx/control.sock`.
    pub socket: PathBuf,
    /// Group that may connect; empty leaves the daemon's own group. Default `aivonx`, skipped with a
    /// warning if there is no such group.
    pub group: String,
}

/// Who may use the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Only `open` until keys exist.
    pub mode: AccessMode,
    /// Needed for `open` on an address that is not loopback. Default false.
    pub i_understand: bool,
    /// Allow pull and delete over HTTP. Default false.
    pub allow_model_management: bool,
    /// Host names accepted in `Host` beside the listener's own address. Empty: any on listeners that are
    /// not loopback; loopback listeners always demand a loopback host or one of these.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` accepted from browsers. Default none: a request with a foreign Origin is refused.
    pub allowed_origins: Vec<String>,
}

/// Access modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Everyone who can connect may use it.
    Open,
}

/// Sizes and counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Largest JSON request body, after decoding. Default 64 MiB.
    pub body_bytes: u64,
    /// Most bytes of request bodies held at once by the process. Default 1 GiB.
    pub body_budget_bytes: u64,
    /// Largest request head. Default 64 KiB.
    pub head_bytes: usize,
    /// Most client connections at once. Default 10 000.
    pub connections: usize,
}

/// Deadlines. Zero means none where stated.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// A new connection's first request head must be complete in this time. Default 10 s.
    pub head: Duration,
    /// An idle keep-alive connection is closed after this time. Default 75 s.
    pub keep_alive: Duration,
    /// A request body must arrive at least in steps not further apart than this. Default 60 s.
    pub body_idle: Duration,
    /// Connecting to a node, TLS included. Default 5 s.
    pub connect: Duration,
    /// From sending a request until the node's answer begins; covers loading a model. Default 10 min.
    pub header_wait: Duration,
    /// Longest silence within an answer. Default 5 min.
    pub idle: Duration,
    /// Longest answer in all; zero is none. Default none.
    pub total: Duration,
    /// How long running streams may finish at shutdown. Default 30 s.
    pub shutdown_grace: Duration,
}

/// The data path.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Data-plane threads; 0 is one per core. Default 0.
    pub threads: usize,
    /// Further attempts after the first, before the first byte of the answer, 0 to 2. Default 2.
    pub retries: u8,
    /// Idle connections kept per node and thread. Default 64.
    pub idle_per_node: usize,
    /// Idle connections to a node are closed after this time. Default 60 s.
    pub idle_close: Duration,
    /// Send `X-Aivonx-Node`. Default true.
    pub node_header: bool,
}

/// Health checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Time between checks of one node, give or take a tenth. Default 10 s.
    pub interval: Duration,
    /// Time one check may take. Default 5 s.
    pub timeout: Duration,
    /// Failures in a row that move a node to standby. Default 3.
    pub failures: u32,
    /// Successes in a row that move it back. Default 2.
    pub successes: u32,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Default `auto`: journald if started by systemd, else stderr.
    pub target: LogTarget,
    /// Least severity, optionally per part (`info,fleet=debug`). Default `info`.
    pub level: String,
    /// Form of lines on stderr and in the file. Default `human`.
    pub format: LogFormat,
    /// The file, if the target is `file`. Default `aivonxd.log` in the data directory.
    pub file: Option<PathBuf>,
    /// The file is rotated at this size. Default 10 MiB.
    pub rotate_bytes: u64,
    /// Rotated files kept. Default 3.
    pub rotate_keep: u32,
}

/// Log targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// journald if `JOURNAL_STREAM` is set, else stderr.
    Auto,
    /// systemd's journal, with fields.
    Journald,
    /// Standard error.
    Stderr,
    /// A file, rotated by size and count.
    File,
}

/// Log line forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreOptions {
    /// sled's page cache. Default 32 MiB, 16 to 64 MiB.
    pub cache_bytes: u64,
    /// Verified snapshots kept. Default 5.
    pub snapshots: u32,
    /// Time between snapshots while something changed. Default 1 h.
    pub snapshot_interval: Duration,
    /// Opening must finish in this time. Default 10 s.
    pub open_deadline: Duration,
}

/// Key material.
#[derive(Debug, Clone, PartialEq)]
pub struct Secrets {
    /// The master key file; generated if absent. Default `master.key` in the data directory.
    pub master_key: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/aivonx".into(),
            listen: vec![Listen { address: SocketAddr::from(([127, 0, 0, 1], 11435)), diagnostics: false }],
            control: Control { socket: "/run/aivonx/control.sock".into(), group: "aivonx".into() },
            access: Access {
                mode: AccessMode::Open,
                i_understand: false,
                allow_model_management: false,
                allowed_hosts: Vec::new(),
                allowed_origins: Vec::new(),
            },
            limits: Limits {
                body_bytes: 64 << 20,
                body_budget_bytes: 1 << 30,
                head_bytes: 64 << 10,
                connections: 10_000,
            },
            timeouts: Timeouts {
                head: Duration::from_secs(10),
                keep_alive: Duration::from_secs(75),
                body_idle: Duration::from_secs(60),
                connect: Duration::from_secs(5),
                header_wait: Duration::from_secs(600),
                idle: Duration::from_secs(300),
                total: Duration::ZERO,
                shutdown_grace: Duration::from_secs(30),
            },
            proxy: Proxy {
                threads: 0,
                retries: 2,
                idle_per_node: 64,
                idle_close: Duration::from_secs(60),
                node_header: true,
            },
            health: Health {
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
                failures: 3,
                successes: 2,
            },
            log: Log {
                target: LogTarget::Auto,
                level: "info".into(),
                format: LogFormat::Human,
                file: None,
                rotate_bytes: 10 << 20,
                rotate_keep: 3,
            },
            store: StoreOptions {
                cache_bytes: 32 << 20,
                snapshots: 5,
                snapshot_interval: Duration::from_secs(3600),
                open_deadline: Duration::from_secs(10),
            },
            secrets: Secrets { master_key: None },
        }
    }
}
