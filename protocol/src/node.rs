//! Nodes: one upstream server each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis, WireSecret,
    audit::{Action, Noted},
    operation::operations,
};

/// What API a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// Ollama: `/api/*` and `/v1/*`.
    Ollama,
    /// A server with the OpenAI API only: `/v1/*`.
    Openai,
}

/// What the administrator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// Takes part as its health allows.
    Enabled,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Takes nothing and is not checked.
    Disabled,
}

/// What the health checks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Healthy: may be chosen.
    Active,
    /// Not (yet) healthy: never chosen.
    Standby,
    /// Not checked, so that it may sleep: woken when a request is worth it.
    Asleep,
}

/// One node as administrators see it. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Stable id, never reused.
    pub id: String,
    /// Unique name, `[a-z0-9][a-z0-9._-]{0,62}`.
    pub name: String,
    /// Base URL with its path prefix, without credentials.
    pub url: String,
    /// What it speaks.
    pub kind: NodeKind,
    /// Version it reported last.
    pub version: Option<String>,
    /// Active or standby.
    pub pool: Pool,
    /// Enabled, draining or disabled.
    pub admin_state: AdminState,
    /// Names of the models it has.
    pub models: Vec<String>,
    /// Names of the models it holds in memory.
    pub loaded: Vec<String>,
    /// Moving average of the health check's round trip, milliseconds. None before the first answer.
    pub latency_ms: Option<f64>,
    /// Requests it is working on for this gateway now.
    pub active_requests: u32,
    /// Most requests at once; 0 is no limit.
    pub max_parallel: u32,
    /// Why the last check or attempt failed; cleared by the next success.
    pub last_error: Option<String>,
    /// When it was last checked.
    pub last_check: Option<UnixMillis>,
    /// How it is authenticated to, without the secret: `none`, `bearer`, `basic`, `header NAME`, or
    /// `certificate until DATE` with ` and header NAME` where both are sent.
    pub credential: String,
    /// Administrator's labels.
    pub labels: BTreeMap<String, String>,
    /// Server name expected in the certificate, if not the URL's host.
    pub server_name: Option<String>,
    /// Whether a CA certificate of its own is set.
    pub custom_ca: bool,
    /// Revision of the record; a change must name it.
    pub revision: u64,
    /// Whether the address is simulated by the daemon itself.
    pub simulated: bool,
    /// Slug of the organization it is assigned to alone; None is shared.
    pub organization: Option<String>,
    /// Bytes of GPU memory that its loaded models take; None if the node does not report it.
    pub vram_bytes: Option<u64>,
    /// Attempts sent to it a second, on average over the last minute.
    pub requests_per_second: f64,
    /// Attempts it failed in the last five minutes.
    pub recent_errors: u32,
}

/// How the gateway proves itself to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credential {
    /// Nothing is sent.
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(WireSecret),
    /// `Authorization: Basic base64(user:password)`.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: WireSecret,
    },
    /// A header of the administrator's choice.
    Header {
        /// Header name.
        name: String,
        /// Header value.
        value: WireSecret,
    },
    /// A client certificate in the TLS handshake.
    Certificate {
        /// The certificate, and those between it and its authority, PEM.
        chain_pem: String,
        /// Its private key, PEM.
        key_pem: WireSecret,
        /// Name and value of a header that is sent beside it.
        header: Option<(String, WireSecret)>,
    },
}

impl Credential {
    /// How it proves who we are, without what it proves it with.
    fn method(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer(_) => "bearer",
            Self::Basic { .. } => "basic",
            Self::Header { .. } => "header",
            Self::Certificate { .. } => "certificate",
        }
    }
}

/// A node to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// Unique name.
    pub name: String,
    /// `http://` or `https://` URL, optionally with a path prefix.
    pub url: String,
    /// None: found out by probing.
    pub kind: Option<NodeKind>,
    /// How to authenticate.
    pub credential: Credential,
    /// PEM certificates to trust instead of the system's roots.
    pub ca_pem: Option<String>,
    /// Server name expected in the certificate.
    pub server_name: Option<String>,
    /// Most requests at once; 0 is no limit.
    pub max_parallel: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Accept link-local and metadata addresses, and a node that does not answer without a known kind.
    pub force: bool,
    /// Slug or id of the organization it is assigned to alone; None is shared.
    pub organization: Option<String>,
}

impl NewNode {
    fn noted(&self, action: Action) -> Noted {
        let Self {
            name,
            url,
            kind,
            credential,
            ca_pem,
            server_name,
            max_parallel,
            labels,
            force,
            organization,
        } = self;
        Noted::new(action, "node", name)
            .of_organization(organization.as_deref())
            .with("url", url)
            .maybe("kind", kind)
            .with("authentication", credential.method())
            .with("own_ca", ca_pem.is_some())
            .maybe("server_name", server_name)
            .with("max_parallel", max_parallel)
            .with("labels", labels)
            .with("force", force)
    }
}

/// What to change in a node; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// New name.
    pub name: Option<String>,
    /// New URL.
    pub url: Option<String>,
    /// New kind.
    pub kind: Option<NodeKind>,
    /// New credential.
    pub credential: Option<Credential>,
    /// New CA; `Some(None)` returns to the system's roots.
    pub ca_pem: Option<Option<String>>,
    /// New server name; `Some(None)` returns to the URL's host.
    pub server_name: Option<Option<String>>,
    /// New bound.
    pub max_parallel: Option<u32>,
    /// Labels to set (`Some`) or remove (`None`).
    pub labels: BTreeMap<String, Option<String>>,
    /// Accept link-local and metadata addresses.
    pub force: bool,
    /// New organization, by slug or id; `Some(None)` makes it shared.
    pub organization: Option<Option<String>>,
}

impl NodeChange {
    fn noted(&self, action: Action, node: &str) -> Noted {
        let Self {
            name,
            url,
            kind,
            credential,
            ca_pem,
            server_name,
            max_parallel,
            labels,
            force,
            organization,
        } = self;
        let noted = Noted::new(action, "node", node)
            .of_organization(organization.as_ref().and_then(Option::as_deref))
            .maybe("name", name)
            .maybe("url", url)
            .maybe("kind", kind)
            .maybe("authentication", &credential.as_ref().map(Credential::method))
            .maybe("own_ca", &ca_pem.as_ref().map(Option::is_some))
            .maybe("server_name", server_name)
            .maybe("max_parallel", max_parallel)
            .maybe("organization", organization)
            .with("force", force);
        if labels.is_empty() { noted } else { noted.with("labels", labels) }
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The node after the probe.
    pub node: Node,
    /// One line for people: what was found, or what is wrong.
    pub finding: String,
    /// Whether the node answered properly.
    pub healthy: bool,
}

/// What asking a server what it is gave; nothing was added or changed by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Whether it answered properly.
    pub healthy: bool,
    /// One line for people: what was found, or what is wrong.
    pub finding: String,
    /// What it speaks, if it answered.
    pub kind: Option<NodeKind>,
    /// Version it reported.
    pub version: Option<String>,
    /// Names of the models it has.
    pub models: Vec<String>,
    /// Names of the models it holds in memory.
    pub loaded: Vec<String>,
    /// Round trip of the first exchange, milliseconds, without connecting.
    pub latency_ms: Option<f64>,
}

/// What is said of a node beside its record. `--output json` prints these fields among the node's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTraits {
    /// Id of the node.
    pub node: String,
    /// Whether it is somebody else's, to whom prompts go: it is asked only where that is allowed, and where the fleet's own
    /// nodes would begin later than `overflow.after`.
    pub third_party: bool,
    /// Most models it holds in memory at once; None is learned.
    pub models_at_once: Option<u32>,
}

/// What to change of that; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraitsChange {
    /// Whether it is somebody else's.
    pub third_party: Option<bool>,
    /// Most models in memory; `Some(None)` is learned again.
    pub models_at_once: Option<Option<u32>>,
}

impl TraitsChange {
    fn noted(&self, noted: Noted) -> Noted {
        let Self { third_party, models_at_once } = self;
        noted.maybe("third_party", third_party).maybe("models_at_once", models_at_once)
    }
}

/// How a node that sleeps is woken. `--output json` prints these fields but for `node` as the node's `wake`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWake {
    /// Id of the node.
    pub node: String,
    /// Hardware address of its network card, `aa:bb:cc:dd:ee:ff`.
    pub mac: String,
    /// Where the packet that wakes it is sent, address and port.
    pub address: String,
    /// Seconds without requests after which it is left alone, so that it may sleep.
    pub idle_seconds: u64,
}

/// How a node is to be woken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Hardware address of its network card, its bytes in hexadecimal with `:` or `-` between them.
    pub mac: String,
    /// Where the packet goes; None is everybody on the gateway's own network.
    pub address: Option<String>,
    /// Seconds without requests after which it may sleep; None is ten minutes.
    pub idle_seconds: Option<u64>,
}

operations! {
    /// Requests about nodes. A node is named by its name or its id.
    Request::Node(NodeRequest);

    /// All nodes, by name.
    "node.list" List -> Vec<Node> as Nodes, needs FleetRead;

    /// One node.
    "node.show" Show {
        /// Name or id.
        node: String,
    } -> Node as Node, needs FleetRead;

    /// Probe and add.
    "node.add" Add(Box<NewNode>) -> Probe as Probe, needs FleetWrite, noted |op| op.0.noted(Action::Create);

    /// Change fields.
    "node.set" Set {
        /// Name or id.
        node: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The change.
        change: Box<NodeChange>,
    } -> Node as Node, needs FleetWrite, noted |op| op.change.noted(Action::Update, &op.node);

    /// Enable, drain or disable.
    "node.set_state" SetState {
        /// Name or id.
        node: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The new state.
        state: AdminState,
    } -> Node as Node, needs FleetWrite,
        noted |op| {
            let action = if op.state == AdminState::Enabled { Action::Enable } else { Action::Disable };
            Noted::new(action, "node", &op.node).with("state", op.state)
        };

    /// Forget a node; its running requests end.
    "node.remove" Remove {
        /// Name or id.
        node: String,
        /// Revision the caller saw; None removes any revision.
        revision: Option<u64>,
    } -> () as Done, needs FleetWrite, noted |op| Noted::new(Action::Delete, "node", &op.node);

    /// Check now. Not noted: it changes what is known of a node, not what anyone decided.
    "node.check" Check {
        /// Name or id.
        node: String,
    } -> Probe as Probe, needs FleetWrite;

    /// Every change of any node as `Event::Node` or `Event::NodeRemoved`, beginning with all nodes. Ends
    /// when cancelled.
    "node.watch" Watch => Event, needs FleetRead;

    /// Ask a server what it is as if it were to be added, without adding it.
    "node.probe" ProbeNew(Box<NewNode>) -> Probed as Probed, needs FleetWrite,
        noted |op| op.0.noted(Action::NodeProbe);

    /// Ask a node what it is as if it were changed so, without changing it. Its stored credential is sent
    /// to no other address than its own.
    "node.probe_change" ProbeChange {
        /// Name or id.
        node: String,
        /// The change.
        change: Box<NodeChange>,
    } -> Probed as Probed, needs FleetWrite, noted |op| op.change.noted(Action::NodeProbe, &op.node);
    /// Give it another name: `Set` with a name alone.
    "node.rename" Rename {
        /// Name or id.
        node: String,
        /// New name.
        name: String,
    } -> Node as Node, needs FleetWrite,
        noted |op| Noted::new(Action::Update, "node", &op.node).with("name", &op.name);

    /// What is said of nodes beside their records; of those alone that are not as the default.
    "node.traits" Traits {
        /// Name or id; None is every node within reach.
        node: Option<String>,
    } -> Vec<NodeTraits> as NodeTraits, needs FleetRead;

    /// Change that.
    "node.set_traits" SetTraits {
        /// Name or id.
        node: String,
        /// The change.
        change: TraitsChange,
    } -> Vec<NodeTraits> as NodeTraits, needs FleetWrite,
        noted |op| op.change.noted(Noted::new(Action::Update, "node", &op.node));

    /// Probe and add a node of which this is said from the beginning.
    "node.add_with" AddWith {
        /// The node.
        node: Box<NewNode>,
        /// What is said of it.
        traits: TraitsChange,
    } -> Probe as Probe, needs FleetWrite, noted |op| op.traits.noted(op.node.noted(Action::Create));

    /// How nodes are woken; of those alone that can be.
    "node.wakes" Wakes {
        /// Name or id; None is every node within reach.
        node: Option<String>,
    } -> Vec<NodeWake> as NodeWakes, needs FleetRead;

    /// Change that.
    "node.set_wake" SetWake {
        /// Name or id.
        node: String,
        /// How it is woken; None is not at all, and then it is checked all the time.
        wake: Option<Wake>,
    } -> Vec<NodeWake> as NodeWakes, needs FleetWrite,
        noted |op| Noted::new(Action::Update, "node", &op.node)
            .with("wake", op.wake.as_ref().map_or("never", |wake| &wake.mac));

    /// Wake one that sleeps, though no request waits for it: it is called until it answers, or for too long. One that does
    /// not sleep, as far as is known, is sent a single packet.
    "node.wake" WakeUp {
        /// Name or id.
        node: String,
    } -> Node as Node, needs FleetWrite,
        noted |op| Noted::new(Action::Update, "node", &op.node).with("woken", true);
}
