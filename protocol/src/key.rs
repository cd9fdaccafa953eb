//! API keys: what clients of the gateway prove themselves with.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis, WireSecret,
    audit::{Action, Noted},
    operation::operations,
};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyScope {
    /// Use models; implies `models:read`.
    #[serde(rename = "infer")]
    Infer,
    /// List models.
    #[serde(rename = "models:read")]
    ModelsRead,
    /// Pull, push, create, copy and delete models.
    #[serde(rename = "models:write")]
    ModelsWrite,
    /// Metrics and state of the gateway.
    #[serde(rename = "admin:read")]
    AdminRead,
    /// Choose the node that serves a request.
    #[serde(rename = "nodes:choose")]
    NodesChoose,
}

impl KeyScope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::Infer, Self::ModelsRead, Self::ModelsWrite, Self::AdminRead, Self::NodesChoose];

    /// The scope as commands and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::ModelsRead => "models:read",
            Self::ModelsWrite => "models:write",
            Self::AdminRead => "admin:read",
            Self::NodesChoose => "nodes:choose",
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no scope; use infer, models:read, models:write, admin:read or nodes:choose")]
pub struct NoScope(pub String);

impl std::str::FromStr for KeyScope {
    type Err = NoScope;

    fn from_str(word: &str) -> Result<Self, NoScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| NoScope(word.to_owned()))
    }
}

/// One key as administrators see it. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Stable id, never reused.
    pub id: String,
    /// Name, unique in its organization, `[a-z0-9][a-z0-9._-]{0,62}`.
    pub name: String,
    /// Slug of its organization; None is a key of the fleet.
    pub organization: Option<String>,
    /// Name of the user it acts for; None is a subject of its own.
    pub user: Option<String>,
    /// First characters of the secret, to recognise it by.
    pub prefix: String,
    /// What it may do now: no more than its user may. Empty where the user's role has nothing of what it was made for.
    pub scopes: Vec<KeyScope>,
    /// Globs of the models it may use; empty allows what its organization may.
    pub models: Vec<String>,
    /// Networks it may be used from (CIDR); empty is anywhere.
    pub networks: Vec<String>,
    /// When it expires.
    pub expires: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked: Option<UnixMillis>,
    /// Until when the secret before the last rotation still works.
    pub grace_until: Option<UnixMillis>,
    /// Whether its hash is under a pepper that is being retired; it is renewed at its next use.
    pub old_pepper: bool,
    /// When it was last used, as far as is known: a crash may forget the last minute.
    pub last_used: Option<UnixMillis>,
    /// When it was made.
    pub created: UnixMillis,
    /// Revision of the record; a change must name it.
    pub revision: u64,
}

impl Key {
    /// How it stands at `now`, in a word. What is not `valid` or `rotating` opens nothing.
    #[must_use]
    pub fn state(&self, now: UnixMillis) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else if self.expires.is_some_and(|at| at <= now) {
            "expired"
        } else if self.scopes.is_empty() {
            "demoted"
        } else if self.grace_until.is_some_and(|until| until > now) {
            "rotating"
        } else {
            "valid"
        }
    }
}

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// Name, unique in its organization.
    pub name: String,
    /// Slug or id of its organization; None is a key of the fleet.
    pub organization: Option<String>,
    /// Name or id of the user it acts for.
    pub user: Option<String>,
    /// What it may do.
    pub scopes: Vec<KeyScope>,
    /// Globs of the models it may use.
    pub models: Vec<String>,
    /// Networks it may be used from (CIDR).
    pub networks: Vec<String>,
    /// When it expires.
    pub expires: Option<UnixMillis>,
}

impl NewKey {
    fn noted(&self) -> Noted {
        let Self { name, organization, user, scopes, models, networks, expires } = self;
        Noted::new(Action::KeyCreate, "key", name)
            .of_organization(organization.as_deref())
            .maybe("user", user)
            .with("scopes", scopes)
            .with("models", models)
            .with("networks", networks)
            .with("expires", expires)
    }
}

/// Which requests go first where several wait for a node: a higher one's before a lower one's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After all others.
    Low,
    /// As requests without a key.
    #[default]
    Normal,
    /// Before all others. For those who run the fleet to give: it is at the cost of every organization.
    High,
}

impl Priority {
    /// Every priority, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The priority as commands and JSON spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// A word that is no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no priority; use low, normal or high")]
pub struct NoPriority(pub String);

impl std::str::FromStr for Priority {
    type Err = NoPriority;

    fn from_str(word: &str) -> Result<Self, NoPriority> {
        Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| NoPriority(word.to_owned()))
    }
}

/// How the requests of a key wait for a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyQueueing {
    /// Id of the key.
    pub key: String,
    /// Which go first.
    pub priority: Priority,
    /// Whether a stream that has to wait longer than `timeouts.keep_waiting` begins before its answer does, for clients
    /// that give up on silence.
    pub keep_waiting: bool,
}

/// The client certificate that stands for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCertificate {
    /// Id of the key.
    pub key: String,
    /// The certificate's name; None if there is none.
    pub name: Option<String>,
}

/// What to change in a key; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// New name.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Vec<KeyScope>>,
    /// Globs of the models it may use.
    pub models: Option<Vec<String>>,
    /// Networks it may be used from.
    pub networks: Option<Vec<String>>,
    /// When it expires; `Some(None)` is never.
    pub expires: Option<Option<UnixMillis>>,
}

impl KeyChange {
    fn noted(&self, key: &str) -> Noted {
        let Self { name, scopes, models, networks, expires } = self;
        Noted::new(Action::KeyUpdate, "key", key)
            .maybe("name", name)
            .maybe("scopes", scopes)
            .maybe("models", models)
            .maybe("networks", networks)
            .maybe("expires", expires)
    }
}

/// A key just made or rotated, with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSecretKey {
    /// The key.
    pub key: Key,
    /// The secret, shown once.
    pub secret: WireSecret,
}

operations! {
    /// Requests about keys. One is named by its id, its name, the beginning of its secret or its secret, in
    /// `organization` if that is given; it must be the only one.
    Request::Key(KeyRequest);

    /// The keys the caller may see.
    "key.list" List {
        /// Only those of this organization, by slug or id.
        organization: Option<String>,
        /// Only those of this user, by name or id.
        user: Option<String>,
        /// Revoked and expired ones too.
        all: bool,
    } -> Vec<Key> as Keys, needs KeyRead;

    /// One.
    "key.show" Show {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
    } -> Key as Key, needs KeyRead;

    /// Make one.
    "key.create" Create(Box<NewKey>) -> NewSecretKey as NewKey, needs KeyWrite, noted |op| op.0.noted();

    /// Change fields.
    "key.set" Set {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The change.
        change: Box<KeyChange>,
    } -> Key as Key, needs KeyWrite,
        noted |op| op.change.noted(&op.key).of_organization(op.organization.as_deref());

    /// Give it a new secret.
    "key.rotate" Rotate {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
        /// How long the old secret still works, milliseconds, at most 30 days; 0 ends it at once.
        grace_ms: u64,
    } -> NewSecretKey as NewKey, needs KeyWrite,
        noted |op| Noted::new(Action::KeyRotate, "key", &op.key)
            .of_organization(op.organization.as_deref())
            .with("grace_ms", op.grace_ms);

    /// Revoke it: new requests are refused at once, running ones end.
    "key.revoke" Revoke {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
    } -> Key as Key, needs KeyWrite,
        noted |op| {
            Noted::new(Action::KeyRevoke, "key", &op.key).of_organization(op.organization.as_deref())
        };

    /// How the requests of keys wait that are not waited for as all others are.
    "key.queueing" Queueing {
        /// Slug or id of its organization, or of theirs.
        organization: Option<String>,
        /// Name or id; None is every key the caller may see.
        key: Option<String>,
    } -> Vec<KeyQueueing> as KeyQueueing, needs KeyRead;

    /// Say how the requests of one wait.
    "key.set_queueing" SetQueueing {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
        /// Which go first; None leaves it.
        priority: Option<Priority>,
        /// Whether streams begin while they wait; None leaves it.
        keep_waiting: Option<bool>,
    } -> Vec<KeyQueueing> as KeyQueueing, needs KeyWrite,
        noted |op| Noted::new(Action::KeyUpdate, "key", &op.key)
            .of_organization(op.organization.as_deref())
            .maybe("priority", &op.priority)
            .maybe("keep_waiting", &op.keep_waiting);

    /// The client certificates that stand for keys.
    "key.certificates" Certificates {
        /// Slug or id of its organization, or of theirs.
        organization: Option<String>,
        /// Name or id; None is every key the caller may see.
        key: Option<String>,
    } -> Vec<KeyCertificate> as KeyCertificates, needs KeyRead;

    /// Have a client certificate stand for a key, where a request carries no other credential.
    "key.set_certificate" SetCertificate {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
        /// The certificate's name: a DNS name, URI or mail address of its alternative names, or else the common name of
        /// its subject. None: no certificate stands for it.
        name: Option<String>,
    } -> Vec<KeyCertificate> as KeyCertificates, needs KeyWrite,
        noted |op| Noted::new(Action::KeyUpdate, "key", &op.key)
            .of_organization(op.organization.as_deref())
            .with("certificate", &op.name);

    /// Ids of the keys that are disabled, of those the caller may see.
    "key.disabled" Disabled -> Vec<String> as DisabledKeys, needs KeyRead;

    /// Enable or disable one; disabling refuses new requests at once and ends running ones.
    "key.set_enabled" SetEnabled {
        /// Slug or id of its organization.
        organization: Option<String>,
        /// Name or id.
        key: String,
        /// The new state.
        enabled: bool,
    } -> Key as Key, needs KeyWrite,
        noted |op| {
            let action = if op.enabled { Action::Enable } else { Action::Disable };
            Noted::new(action, "key", &op.key).of_organization(op.organization.as_deref())
        };

    /// Make one for which a client certificate stands, in one step.
    "key.create_with_certificate" CreateWithCertificate {
        /// The key.
        key: Box<NewKey>,
        /// The certificate's name, as of `SetCertificate`.
        certificate: String,
    } -> NewSecretKey as NewKey, needs KeyWrite,
        noted |op| op.key.noted().with("certificate", &op.certificate);
}
