//! One entry, and which entries are wanted.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Action, Digest, Outcome};
use crate::{Network, UnixMillis};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditActor {
    /// Id of the user or key; None is somebody without one (`root` before set-up, an unknown name, the daemon).
    pub id: Option<String>,
    /// Name at that time. Untrusted without an id: it is what a client claimed to be.
    pub name: String,
}

/// From where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditSource {
    /// User of the peer of the control socket, as the kernel says.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
    /// Its process.
    pub pid: Option<i32>,
    /// Address of the client of the HTTP side.
    pub address: Option<String>,
    /// What it says it is. Untrusted.
    pub user_agent: Option<String>,
}

impl AuditSource {
    /// The address, where it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.as_ref()?.parse().ok()
    }
}

/// To whom it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditOrganization {
    /// Id.
    pub id: String,
    /// Slug at that time, where it was at hand.
    pub name: Option<String>,
}

/// To what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditObject {
    /// `node`, `user`, `key`, `organization`, `model`, ...
    pub kind: String,
    /// Id.
    pub id: Option<String>,
    /// Name at that time.
    pub name: Option<String>,
}

/// One entry. No string has been escaped for a terminal; none is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Position in the log, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub time: UnixMillis,
    /// What.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// Who.
    pub actor: AuditActor,
    /// From where.
    pub source: AuditSource,
    /// The organization it belongs to; None is the fleet.
    pub organization: Option<AuditOrganization>,
    /// To what.
    pub object: Option<AuditObject>,
    /// The control request (`user.add`) or the method and route (`POST /api/account/login`).
    pub via: Option<String>,
    /// Our id of the request.
    pub request_id: Option<String>,
    /// Further facts, by name (`[a-z0-9_]`), without anything sensitive.
    pub details: BTreeMap<String, String>,
    /// Hash of the entry before this one.
    pub prev: Digest,
    /// SHA-256 over `prev` and the canonical form of this entry.
    pub hash: Digest,
}

/// Which entries are wanted: those that all given conditions hold for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// At or after this time.
    pub since: Option<UnixMillis>,
    /// Before this time.
    pub until: Option<UnixMillis>,
    /// Id or name of the actor.
    pub actor: Option<String>,
    /// Id or slug of the organization.
    pub organization: Option<String>,
    /// One of these; none given is any.
    pub actions: Vec<Action>,
    /// Kind of the object (`user`).
    pub object_kind: Option<String>,
    /// Id or name of the object.
    pub object: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// From an address within this network. It crosses the wire beside the filter: see [`ListFrom`](super::ListFrom).
    #[serde(skip)]
    pub network: Option<Network>,
}

impl AuditFilter {
    /// Whether `entry` is wanted.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let either = |wanted: &Option<String>, id: Option<&str>, name: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| id == Some(wanted) || name == Some(wanted))
        };
        let (organization, object) = (entry.organization.as_ref(), entry.object.as_ref());
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && either(&self.actor, entry.actor.id.as_deref(), Some(&entry.actor.name))
            && either(
                &self.organization,
                organization.map(|o| &*o.id),
                organization.and_then(|o| o.name.as_deref()),
            )
            && (self.actions.is_empty() || self.actions.contains(&entry.action))
            && self.object_kind.as_ref().is_none_or(|kind| object.is_some_and(|o| o.kind == *kind))
            && either(
                &self.object,
                object.and_then(|o| o.id.as_deref()),
                object.and_then(|o| o.name.as_deref()),
            )
            && self.outcome.is_none_or(|outcome| entry.outcome == outcome)
            && self.network.is_none_or(|network| entry.source.ip().is_some_and(|ip| network.contains(ip)))
    }
}
