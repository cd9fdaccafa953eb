//! Every key of `aivonxd.toml`: what it means, its default, what it accepts, when a change takes effect.
//!
//! The doc comments here are the comments of the printed default file.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use aivonx_protocol::{
    network::Network,
    route::{RouteGroup, RouteRule},
};

use super::{
    form::{CONTACT, DIRECTORY, DNS_NAME, FIELD, GROUP, HOST, HSTS, LEVEL, MEMBER, ORIGIN, RECIPIENT},
    kind::{Address, Count, Flag, OneOf, OneOfOrNone, Size, Time, Word},
    postgres::{Postgres, PostgresUrl},
    routes::Routes,
    table::table,
    text::{AbsolutePath, FILE_PATH, ListOf, Networks, Paths, SOCKET_PATH},
    units::{GIB, KIB, MIB},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

table! {
    /// The whole configuration, validated.
    Config, TOP_DOC, TOP_KEYS of Config {
        /// Directory of the store, its snapshots and the generated master key.
        data_dir: PathBuf = "/var/lib/aivonx".into(), AbsolutePath(FILE_PATH), Restart;
    }
    and {
        /// `[[listen]]`; the default stands only if the file has none.
        listen: Vec<Listen> = vec![Listen::default()];
        /// `[control]`
        control: Control = Control::default();
        /// `[access]`
        access: Access = Access::default();
        /// `[limits]`
        limits: Limits = Limits::default();
        /// `[timeouts]`
        timeouts: Timeouts = Timeouts::default();
        /// `[proxy]`
        proxy: Proxy = Proxy::default();
        /// `[health]`
        health: Health = Health::default();
        /// `[overflow]`
        overflow: Overflow = Overflow::default();
        /// `[log]`
        log: Log = Log::default();
        /// `[store]`
        store: StoreOptions = StoreOptions::default();
        /// `[cluster]`
        cluster: Cluster = Cluster::default();
        /// `[secrets]`
        secrets: Secrets = Secrets::default();
        /// `[audit]`
        audit: Audit = Audit::default();
        /// `[usage]`
        usage: Usage = Usage::default();
        /// `[backup]`
        backup: Backup = Backup::default();
        /// `[headers]`
        headers: Headers = Headers::default();
        /// `[acme]`
        acme: Acme = Acme::default();
    }
}

table! {
    /// Where clients connect. Repeat the block for more listeners.
    Listen, LISTEN_DOC, LISTEN_KEYS of Listen {
        /// Address and port; port 0 lets the kernel choose.
        address: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 11435)), Address, Restart;
        /// Serve `/metrics`, `/api/proxy/state` and `/api/proxy/active-requests` here, to everyone who
        /// can connect.
        diagnostics: bool = false, Flag, Restart;
        /// Serve HTTPS (TLS 1.2 and 1.3; HTTP/1.1 and HTTP/2) with the certificate chain in this PEM file. Of a list, the
        /// name that the client asks for chooses one, and the first is for all other names. Empty: plain HTTP. The
        /// files are read again when they change, and at a reload; what cannot be used is refused, and logged.
        tls_cert: Vec<PathBuf> = Vec::new(), Paths, Restart;
        /// Its private key, in a PEM file that only its owner and group may read; of a list, in the same order.
        tls_key: Vec<PathBuf> = Vec::new(), Paths, Restart;
        /// Serve HTTPS with a certificate for these names that is obtained, and renewed in time, as `[acme]` says.
        acme: Vec<String> = Vec::new(), ListOf(DNS_NAME), Restart;
        /// Authorities, in a PEM file, that sign the certificates of clients; empty: clients show none. It is read again
        /// with the others.
        client_ca: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// Whether a client has to show one. Keys and tokens are asked for beside it, as `access` says, unless the
        /// certificate stands for a key (`aivonx key set KEY --certificate NAME`).
        client_certs: ClientCerts = ClientCerts::Required, OneOf, Restart;
        /// Serve nothing here, but send clients to HTTPS (308): to the port of the first listener that speaks it, or to 443.
        redirect: bool = false, Flag, Restart;
        /// Networks whose machines may connect; empty: all. A machine behind a proxy comes from that proxy.
        allow: Vec<Network> = Vec::new(), Networks, Restart;
        /// What comes from `proxy.trusted` begins with the PROXY protocol (version 1 or 2), and is closed if it does not.
        proxy_protocol: bool = false, Flag, Restart;
        /// Who may use the gateway here; empty: as `access.mode` says.
        access: Option<AccessMode> = None, OneOfOrNone, Restart;
        /// Who may ask which group of routes here, other than by `access` and the scopes of keys: `inference`, `models`,
        /// `management`, `account`, `diagnostics` and `open` (health, version) are `off`, `anonymous`, `key`, or the
        /// scope that is needed. `aivonx route list` shows the result.
        routes: Vec<(RouteGroup, RouteRule)> = Vec::new(), Routes, Restart;
        /// Needed for plain HTTP on an address that is not loopback, unless only proxies may connect (`allow` names none
        /// but `proxy.trusted`): everyone on the way reads prompts and keys.
        i_understand: bool = false, Flag, Restart;
    }
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCerts {
    /// They have to.
    Required,
    /// They may; one that is shown must be good.
    Optional,
}

impl Word for ClientCerts {
    const WORDS: &'static [(&'static str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional)];
}

impl Listen {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Whether clients of other machines reach it without TLS.
    #[must_use]
    pub fn is_plain_on_a_network(&self) -> bool {
        !self.speaks_tls() && !self.redirect && !self.is_on_loopback()
    }

    /// Whether HTTPS is served here.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        !self.tls_cert.is_empty() || !self.acme.is_empty()
    }
}

table! {
    /// The socket through which `aivonx` administers the daemon.
    Control, CONTROL_DOC, CONTROL_KEYS of Config.control {
        /// Path of the socket.
        socket: PathBuf = "/run/aivonx/control.sock".into(), AbsolutePath(SOCKET_PATH), Restart;
        /// Group that may connect; empty leaves the daemon's own group. Skipped with a warning if there is no such
        /// group.
        group: String = "aivonx".into(), GROUP, Restart;
        /// A login lasts this long, and ends before if it is not used for `session_idle`. Of logins begun after the
        /// change.
        session_lasts: Duration = hours(12), Time::from(minutes(1), hours(24 * 30)), Reload;
        /// A login that is not used for this long ends.
        session_idle: Duration = minutes(30), Time::from(minutes(1), hours(24 * 30)), Reload;
    }
}

table! {
    /// Who may use the gateway.
    Access, ACCESS_DOC, ACCESS_KEYS of Config.access {
        /// `required`: only with an API key or access token. `optional`: without one too, under the anonymous limits.
        /// `open`: everyone who can connect may use it, with credentials, without, or with unknown ones. A key or token that
        /// was disabled, revoked or blocked, or has expired, is refused always; one whose user or organization was removed is
        /// unknown, and so is the certificate of a revoked key.
        mode: AccessMode = AccessMode::Required, OneOf, Restart;
        /// Needed for `open` on an address that is not loopback, and for `anonymous` in its `routes` (`inference`,
        /// `management`, `diagnostics`): everyone on that network may then use every model. It also stands for
        /// `i_understand` of every listener.
        i_understand: bool = false, Flag, Restart;
        /// Allow pull and delete over HTTP without a key, where requests without one are taken. Keys need the scope
        /// `models:write`.
        allow_model_management: bool = false, Flag, Reload;
        /// `required`: users who log in must set up two-factor authentication before anything else. `optional`: only
        /// those of organizations that demand it.
        two_factor: TwoFactor = TwoFactor::Required, OneOf, Reload;
        /// A file with the first administrator, `NAME:PASSWORD` in one line, for installing without a terminal. Used
        /// once, while there is no administrator; mode 0600 or stricter. Empty: the systemd credential `aivonx-setup`,
        /// if there is one.
        setup_file: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// Hosts accepted in `Host`; `.example.org` is that domain and all names under it, `*` any host. Listeners that are
        /// not loopback accept these and loopback names, and need some here. Those on loopback also accept names under
        /// `.localhost`, `.local` and `.internal`, this machine's own, and private addresses. `/health` is answered under any
        /// name.
        allowed_hosts: Vec<String> = Vec::new(), ListOf(HOST), Reload;
        /// Values of `Origin` accepted from browsers: pages from there may ask, and read the answers. One without a scheme
        /// is taken for `https://`, with a warning. Listeners on loopback also accept pages of this machine and of programs
        /// on it (`app://`, `file://`, `tauri://`, `vscode-file://`, `vscode-webview://`). A request with another Origin is
        /// refused.
        allowed_origins: Vec<String> = Vec::new(), ListOf(ORIGIN), Reload;
        /// Whether bodies may name addresses of private networks (`image_url`, `file_url`, `server_url` and the like), and such
        /// as are not fetched with HTTP. Nodes fetch them, also from networks that clients cannot reach.
        private_addresses: bool = false, Flag, Reload;
    }
}

impl Config {
    /// Whether any web page can make a browser ask the gateway under a name of its own (DNS rebinding).
    #[must_use]
    pub fn takes_any_host(&self) -> bool {
        self.access.allowed_hosts.iter().any(|host| host == "*")
    }

    /// Who may use the gateway by way of this listener.
    #[must_use]
    pub fn mode_of(&self, listen: &Listen) -> AccessMode {
        listen.access.unwrap_or(self.access.mode)
    }

    /// Whether nobody but trusted proxies may connect to it.
    #[must_use]
    pub fn is_for_proxies(&self, listen: &Listen) -> bool {
        let trusted = |network: &Network| self.proxy.trusted.iter().any(|proxies| proxies.covers(network));
        !listen.allow.is_empty() && listen.allow.iter().all(trusted)
    }
}

/// Access modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Only with an API key or access token.
    Required,
    /// Without one too, under the anonymous limits; a wrong one is refused.
    Optional,
    /// Everyone who can connect may use it.
    Open,
}

impl AccessMode {
    /// The word in the file, in options and in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Open => "open",
        }
    }
}

impl Word for AccessMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional), ("open", Self::Open)];
}

/// Whether two-factor authentication is demanded of every user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwoFactor {
    /// Of every user.
    Required,
    /// Of those whose organization demands it.
    Optional,
}

impl Word for TwoFactor {
    const WORDS: &'static [(&'static str, Self)] =
        &[("required", Self::Required), ("optional", Self::Optional)];
}

table! {
    /// Sizes and counts. What users and organizations may use is set with `aivonx limit`.
    Limits, LIMITS_DOC, LIMITS_KEYS of Config.limits {
        /// Largest JSON request body, after decoding.
        body_bytes: u64 = 64 * MIB, Size(KIB, 4 * GIB), Reload;
        /// Most bytes of request bodies held at once by the process; beyond it requests get 503. One organization
        /// holds at most as much as is left for all others, and the last eighth is for bodies up to 64 KiB. At least
        /// `body_bytes`.
        body_budget_bytes: u64 = GIB, Size(KIB, 1024 * GIB), Restart;
        /// Largest request head; a larger one is answered 431.
        head_bytes: usize = 64 << 10, Size(8 * KIB, MIB), Reload;
        /// Most client connections at once.
        connections: usize = 10_000, Count(1, 1_000_000), Restart;
        /// Most of them from one address, or one IPv6 network of 64 bits; 0 is half of `connections`. Those of
        /// `proxy.trusted` may have as many as `connections`.
        connections_per_address: usize = 0, Count(0, 1_000_000), Restart;
        /// Most requests of one client connection; 0 is no limit, as with `aivonxd dev`. The answer to the last says so with
        /// HTTP/1 (`Connection: close`), and with HTTP/2 the client is told to open no further streams (GOAWAY).
        connection_requests: u32 = 10_000, Count(0, 1_000_000_000), Reload;
        /// Most TLS handshakes under way at once, of which one address may have half; further connections are closed.
        handshakes: usize = 1000, Count(1, 1_000_000), Restart;
        /// Days and months of usage limits begin so long after midnight UTC.
        day_offset: Duration = Duration::ZERO, Time::from(Duration::ZERO, hours(24)), Restart;
    }
}

table! {
    /// Deadlines.
    Timeouts, TIMEOUTS_DOC, TIMEOUTS_KEYS of Config.timeouts {
        /// A new connection's TLS handshake must be over in this time.
        handshake: Duration = seconds(10), Time::from(ms(10), hours(1)), Reload;
        /// A request head must be complete in this time: the first from when the connection stands, with HTTP/1 each further
        /// one from when it begins.
        head: Duration = seconds(10), Time::from(ms(10), hours(1)), Reload;
        /// An idle keep-alive connection is closed after this time. An answer that the gateway made itself is given up
        /// if its client takes nothing of it for as long.
        keep_alive: Duration = seconds(75), Time::from(ms(10), hours(24)), Reload;
        /// A request body must arrive at least in steps not further apart than this.
        body_idle: Duration = seconds(60), Time::from(ms(10), hours(24)), Reload;
        /// And in each time of `body_idle` as much as this a second; "0" asks for none.
        body_rate: u64 = 512, Size(0, MIB), Reload;
        /// Connecting to a node, TLS included.
        connect: Duration = seconds(5), Time::from(ms(10), minutes(10)), Reload;
        /// From sending a request until the first byte of a stream.
        header_wait: Duration = minutes(10), Time::from(ms(10), hours(24)), Reload;
        /// The same where the node has to load the model first; "0" is as long as `header_wait`.
        load: Duration = Duration::ZERO, Time::from(ms(10), hours(24)).or_none(), Reload;
        /// From sending a request until an answer begins that comes in one piece, which it does when it is complete; "0"
        /// is no limit.
        whole: Duration = hours(1), Time::from(ms(10), hours(24 * 7)).or_none(), Reload;
        /// How long a request waits for a place on a node; then it is answered 503.
        queue: Duration = minutes(2), Time::from(ms(10), hours(24)), Reload;
        /// Longest silence of a node within its answer. Time in which the client reads nothing does not count.
        idle: Duration = minutes(5), Time::from(ms(10), hours(24)), Reload;
        /// Longest time in which a client takes nothing of a node's answer that waits for it. It loses the answer
        /// then: the connection with HTTP/1, the stream with HTTP/2.
        /// One that was seen to go on after a pause gets up to as much again, to read what its system took.
        client_idle: Duration = minutes(5), Time::from(ms(10), hours(24)), Reload;
        /// Longest answer in all; "0" is no limit.
        total: Duration = Duration::ZERO, Time::from(ms(10), hours(24 * 7)).or_none(), Reload;
        /// A stream for a key that is to be kept waiting (`aivonx key set KEY --keep-waiting`) begins after this time, though
        /// it still waits for a place or a load, and says so again each time as long has passed.
        keep_waiting: Duration = seconds(10), Time::from(ms(10), hours(1)), Reload;
        /// How long running streams may finish at shutdown; "0" ends them at once.
        shutdown_grace: Duration = seconds(30), Time::from(Duration::ZERO, hours(24)), Reload;
    }
}

table! {
    /// The data path.
    Proxy, PROXY_DOC, PROXY_KEYS of Config.proxy {
        /// Data-plane threads; 0 is one per core.
        threads: usize = 0, Count(0, 1024), Restart;
        /// Most further attempts after the first, before the first byte of the answer: each on another node that may
        /// serve the request.
        retries: u8 = 255, Count(0, 255), Reload;
        /// Time in which they begin, from when the first node was chosen.
        retry_within: Duration = minutes(10), Time::from(ms(10), hours(24)), Reload;
        /// Requests that wait for a place on a node at once; further ones are answered 503. 0 lets none wait.
        queue: usize = 1000, Count(0, 100_000), Reload;
        /// Idle connections kept per node and thread.
        idle_per_node: usize = 64, Count(0, 10_000), Reload;
        /// Idle connections to a node are closed after this time.
        idle_close: Duration = seconds(60), Time::from(ms(10), hours(24)), Reload;
        /// Send `X-Aivonx-Node` with the name of the node that answered.
        node_header: bool = true, Flag, Reload;
        /// Networks of the proxies in front of the gateway. What they say of their clients is believed
        /// (`X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, `Forwarded`, the PROXY protocol), and nobody
        /// else; `limits.connections_per_address` does not bind them.
        trusted: Vec<Network> = Vec::new(), Networks, Reload;
    }
}

table! {
    /// Health checks.
    Health, HEALTH_DOC, HEALTH_KEYS of Config.health {
        /// Time between checks of one node, give or take a tenth.
        interval: Duration = seconds(10), Time::from(ms(10), hours(24)), Reload;
        /// Time one check may take.
        timeout: Duration = seconds(5), Time::from(ms(10), minutes(10)), Reload;
        /// Failed checks in a row that move a node to standby.
        failures: u32 = 3, Count(1, 1000), Reload;
        /// Good checks in a row that move it back.
        successes: u32 = 2, Count(1, 1000), Reload;
    }
}

table! {
    /// Hosted APIs behind the fleet (`aivonx node add --third-party`).
    Overflow, OVERFLOW_DOC, OVERFLOW_KEYS of Config.overflow {
        /// They are asked where the fleet's own nodes would begin to answer later than this, as predicted, or none has the
        /// model.
        after: Duration = seconds(30), Time::from(Duration::ZERO, hours(1)), Reload;
    }
}

table! {
    /// Where the log goes.
    Log, LOG_DOC, LOG_KEYS of Config.log {
        /// `auto` is journald if started by systemd, else stderr.
        target: LogTarget = LogTarget::Auto, OneOf, Restart;
        /// Least severity, optionally per part: `info,fleet=debug`.
        level: String = "info".into(), LEVEL, Reload;
        /// Form of lines on stderr and in the file.
        format: LogFormat = LogFormat::Human, OneOf, Restart;
        /// The file, if the target is `file`; empty is `aivonxd.log` in the data directory.
        file: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// The file is rotated at this size.
        rotate_bytes: u64 = 10 * MIB, Size(64 * KIB, 64 * GIB), Restart;
        /// Rotated files kept.
        rotate_keep: u32 = 3, Count(0, 1000), Restart;
    }
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

impl Word for LogTarget {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("journald", Self::Journald), ("stderr", Self::Stderr), ("file", Self::File)];
}

/// Log line forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("human", Self::Human), ("json", Self::Json)];
}

table! {
    /// The embedded store.
    StoreOptions, STORE_DOC, STORE_KEYS of Config.store {
        /// Its page cache.
        cache_bytes: u64 = 32 * MIB, Size(16 * MIB, 64 * MIB), Restart;
        /// Verified snapshots kept.
        snapshots: u32 = 5, Count(1, 1000), Restart;
        /// Time between snapshots while something changed.
        snapshot_interval: Duration = hours(1), Time::from(seconds(1), hours(24 * 7)), Restart;
        /// Opening must finish in this time.
        open_deadline: Duration = seconds(10), Time::from(seconds(1), hours(1)), Restart;
        /// An operation that takes longer has met a failing disk: the store takes no more changes then, until the
        /// disk takes writes again and the gateway opens it anew.
        operation_deadline: Duration = seconds(20), Time::from(seconds(1), hours(1)), Restart;
    }
}

table! {
    /// Settings in a database instead of the embedded store. The ledgers, snapshots and backups stay in the data directory.
    Cluster, CLUSTER_DOC, CLUSTER_KEYS of Config.cluster {
        /// The PostgreSQL database that keeps the settings; empty: the embedded store does. `aivonxd migrate` makes its
        /// tables, `aivonxd move` takes settings along that are there already. A gateway with a new data directory joins those
        /// that use the database already; it needs their master key. Several hosts are tried in turn until one takes writes.
        postgres: Option<Postgres> = None, PostgresUrl, Restart;
        /// A file with the password of its role, mode 0600 or stricter. Empty: the systemd credential `aivonx-postgres`,
        /// if there is one, else none is given.
        password_file: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// What this gateway is called among the members that use the database. Empty: as its host.
        member: String = String::new(), MEMBER, Restart;
        /// With a database, limits are counted there, and each gateway holds a slice of them. Time between two renewals of
        /// what it holds; what it does not need it gives back then at the latest.
        slice_renew: Duration = seconds(10), Time::from(seconds(1), minutes(5)), Restart;
        /// A slice that was not renewed for so long counts as spent, until its gateway says what it has used. At least
        /// twice `slice_renew`, else that long.
        slice_expires: Duration = seconds(30), Time::from(seconds(2), minutes(15)), Restart;
        /// What happens to requests while the database does not answer: `slice` lets them through until the gateway's
        /// slice of a limit is used up, `open` beyond it too (they are counted later), `closed` none that is limited.
        on_store_loss: OnStoreLoss = OnStoreLoss::Slice, OneOf, Restart;
    }
}

/// What happens to limited requests while the database of the limits does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStoreLoss {
    /// They are let through until the gateway's slice of a limit is used up.
    Slice,
    /// They are let through, and counted later.
    Open,
    /// They are refused.
    Closed,
}

impl Word for OnStoreLoss {
    const WORDS: &'static [(&'static str, Self)] =
        &[("slice", Self::Slice), ("open", Self::Open), ("closed", Self::Closed)];
}

table! {
    /// Key material.
    Secrets, SECRETS_DOC, SECRETS_KEYS of Config.secrets {
        /// The master key file, generated if absent. Empty: the systemd credential `aivonx-master-key`, if there is
        /// one (the packages' unit loads `/etc/aivonx/master.key` as it), else `master.key` in the data directory. A
        /// key beside the store protects copies of the store, no more.
        master_key: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
    }
}

table! {
    /// The audit log: who did what.
    Audit, AUDIT_DOC, AUDIT_KEYS of Config.audit {
        /// The log is signed after so many entries.
        checkpoint_entries: u64 = 1000, Count(1, 1_000_000), Restart;
        /// And after this time, if there is something new.
        checkpoint_interval: Duration = minutes(5), Time::from(seconds(1), hours(24)), Restart;
        /// Signed checkpoints are appended to this file as well, beside the journal. Empty: to none. Best on another
        /// machine or a medium that can only be appended to; see `aivonx audit verify --anchor`.
        checkpoint_file: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// Entries older than this are removed; "0" keeps them for ever.
        retention: Duration = hours(24 * 365), Time::from(hours(1), hours(24 * 3650)).or_none(), Restart;
    }
}

table! {
    /// The usage ledger: who used what.
    Usage, USAGE_DOC, USAGE_KEYS of Config.usage {
        /// Single requests, with their addresses, are kept for so many days; they can be exported and summed up by
        /// hour. On the disk a million take about 60 MiB.
        records: Duration = hours(24 * 14), Time::from(hours(24), hours(24 * 3650)), Restart;
        /// The sums of each day are kept for so long, at least as long as single requests. On the disk a day takes
        /// about 100 bytes for each key with each of the models and nodes that it used.
        sums: Duration = hours(24 * 400), Time::from(hours(24), hours(24 * 3650)), Restart;
    }
}

table! {
    /// Backups, which the daemon makes by itself in the directory `backups` of its data. `aivonxd restore` puts one back.
    Backup, BACKUP_DOC, BACKUP_KEYS of Config.backup {
        /// How often one is made; "0" is never.
        interval: Duration = hours(24), Time::from(minutes(1), hours(24 * 30)).or_none(), Restart;
        /// How many are kept; the oldest beyond that are removed when a new one was read back.
        keep: u32 = 30, Count(1, 10_000), Restart;
        /// Public key that they are sealed for, as `aivonx backup generate-key` prints it: they open with the private
        /// half alone, and have the master key in them. Empty: they are sealed with the master key, which is not in them.
        recipient: String = String::new(), RECIPIENT, Restart;
    }
}

table! {
    /// Fields for browsers, on every answer. An empty one is left out.
    Headers, HEADERS_DOC, HEADERS_KEYS of Config.headers {
        /// `Strict-Transport-Security`, on answers over HTTPS alone.
        hsts: String = "max-age=31536000; includeSubDomains".into(), HSTS, Reload;
        /// `X-Content-Type-Options`.
        content_type_options: String = "nosniff".into(), FIELD, Reload;
        /// `X-Frame-Options`.
        frame_options: String = "DENY".into(), FIELD, Reload;
        /// `Referrer-Policy`.
        referrer_policy: String = "strict-origin-when-cross-origin".into(), FIELD, Reload;
        /// `Permissions-Policy`.
        permissions_policy: String =
            "geolocation=(), microphone=(), camera=(), payment=(), usb=(), interest-cohort=()".into(), FIELD, Reload;
        /// `Content-Security-Policy`.
        content_security_policy: String =
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'".into(), FIELD, Reload;
    }
}

table! {
    /// Where the names of `acme` in `[[listen]]` get their certificates (ACME, RFC 8555). The account and the
    /// certificates with their keys are kept in the directory `acme` of the data.
    Acme, ACME_DOC, ACME_KEYS of Config.acme {
        /// The directory of the authority.
        directory: String = "https://acme-v02.api.letsencrypt.org/directory".into(), DIRECTORY, Restart;
        /// Authorities, in a PEM file, that sign the certificate of the directory itself, such as the root of a private
        /// one (step-ca). Empty: those of the system.
        root: Option<PathBuf> = None, AbsolutePath(FILE_PATH), Restart;
        /// Mail addresses that the authority may write to.
        contact: Vec<String> = Vec::new(), ListOf(CONTACT), Restart;
        /// Whether the authority's terms of service are accepted, which it asks for.
        accept_terms: bool = false, Flag, Restart;
        /// How the authority sees that a name leads here: by a connection to port 443 of it (`tls-alpn-01`, answered by
        /// the listener itself), or to port 80 (`http-01`, answered by those with `redirect`).
        challenge: AcmeChallenge = AcmeChallenge::TlsAlpn01, OneOf, Restart;
    }
}

/// How an ACME directory sees that a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// A TLS handshake (RFC 8737).
    TlsAlpn01,
    /// A plain request (RFC 8555, 8.3).
    Http01,
}

impl Word for AcmeChallenge {
    const WORDS: &'static [(&'static str, Self)] =
        &[("tls-alpn-01", Self::TlsAlpn01), ("http-01", Self::Http01)];
}
