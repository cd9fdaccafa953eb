//! Codes: eight bytes that stand for an id, everywhere but in the tree of names.

use std::net::IpAddr;

use aivonx_domain::TenantScope;
use aivonx_protocol::Network;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What requests are counted by. The numbers are part of the codes: never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// Organizations.
    Organization,
    /// Users.
    User,
    /// API keys.
    Key,
    /// Models.
    Model,
    /// Nodes.
    Node,
    /// Routes.
    Route,
}

/// Stands for an id. It is a hash of it, so that no table of codes can be lost and no code given twice. Two ids with
/// one code cannot be planted: the daemon chooses the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Code(u64);

impl Code {
    /// Nobody and nothing.
    pub const NONE: Self = Self(0);

    /// The code of an id.
    #[must_use]
    pub fn of(part: Part, id: &str) -> Self {
        let digest = Sha256::new().chain_update([part as u8]).chain_update(id).finalize();
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(bytes).max(1))
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// Who a request was from, and what it was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Parties {
    /// The organization.
    pub organization: Code,
    /// The user.
    pub user: Code,
    /// The key.
    pub key: Code,
    /// The model that was asked for.
    pub model: Code,
    /// The model that served, where it is another.
    pub served: Code,
    /// The node.
    pub node: Code,
    /// The route.
    pub route: Code,
}

impl Parties {
    /// The model that did the work.
    #[must_use]
    pub fn worked(&self) -> Code {
        if self.served == Code::NONE { self.model } else { self.served }
    }

    /// One of them; of the models the one that did the work.
    #[must_use]
    pub fn part(&self, part: Part) -> Code {
        match part {
            Part::Organization => self.organization,
            Part::User => self.user,
            Part::Key => self.key,
            Part::Model => self.worked(),
            Part::Node => self.node,
            Part::Route => self.route,
        }
    }
}

/// Which of the ledger is meant: what is `None` may be anything, [`Code::NONE`] means nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    pub(super) organization: Option<Code>,
    pub(super) user: Option<Code>,
    pub(super) key: Option<Code>,
    pub(super) model: Option<Code>,
    pub(super) node: Option<Code>,
    /// From an address within it. Sums of days know no addresses.
    pub(super) network: Option<Network>,
    /// Nothing at all: what is asked for lies out of reach.
    pub(super) nothing: bool,
}

impl Wanted {
    /// Everything within `reach`.
    #[must_use]
    pub fn within(reach: &TenantScope) -> Self {
        let organization = |id: &str| Code::of(Part::Organization, id);
        match reach {
            TenantScope::All => Self::default(),
            TenantScope::Organization(id) => Self { organization: Some(organization(id)), ..Self::default() },
            TenantScope::User { organization: own, user } => Self {
                organization: Some(own.as_deref().map_or(Code::NONE, organization)),
                user: Some(Code::of(Part::User, user)),
                ..Self::default()
            },
        }
    }

    /// Of that only what is about `id`.
    #[must_use]
    pub fn only(mut self, part: Part, id: &str) -> Self {
        let code = Code::of(part, id);
        let slot = match part {
            Part::Organization => &mut self.organization,
            Part::User => &mut self.user,
            Part::Key => &mut self.key,
            Part::Model => &mut self.model,
            Part::Node => &mut self.node,
            // Nobody asks for it.
            Part::Route => return self,
        };
        if slot.replace(code).is_some_and(|before| before != code) {
            self.nothing = true;
        }
        self
    }

    /// Of that only what came from a network.
    #[must_use]
    pub fn only_from(self, network: Option<Network>) -> Self {
        Self { network, ..self }
    }

    /// Whether a request from this address is meant.
    pub(super) fn is_from(&self, address: Option<IpAddr>) -> bool {
        self.network.is_none_or(|network| address.is_some_and(|address| network.contains(address)))
    }

    /// Whether a request of these is meant.
    #[must_use]
    pub fn covers(&self, parties: &Parties) -> bool {
        let fits = |wanted: Option<Code>, found: Code| wanted.is_none_or(|wanted| wanted == found);
        !self.nothing
            && fits(self.organization, parties.organization)
            && fits(self.user, parties.user)
            && fits(self.key, parties.key)
            && fits(self.model, parties.worked())
            && fits(self.node, parties.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties(organization: &str, user: &str) -> Parties {
        let code = |part, id: &str| if id.is_empty() { Code::NONE } else { Code::of(part, id) };
        Parties {
            organization: code(Part::Organization, organization),
            user: code(Part::User, user),
            ..Parties::default()
        }
    }

    #[test]
    fn reach_is_the_same_as_everywhere() {
        let reaches = [
            TenantScope::All,
            TenantScope::Organization("acme".into()),
            TenantScope::User { organization: Some("acme".into()), user: "alice".into() },
            TenantScope::User { organization: None, user: "root".into() },
        ];
        for organization in ["acme", "other", ""] {
            for user in ["alice", "bob", "root", ""] {
                let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
                for reach in &reaches {
                    assert_eq!(
                        Wanted::within(reach).covers(&parties(organization, user)),
                        reach.covers(some(organization), some(user)),
                        "{reach:?} {organization} {user}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_never_widens_the_reach() {
        let own = Wanted::within(&TenantScope::Organization("acme".into()));
        assert!(own.only(Part::Organization, "acme").covers(&parties("acme", "bob")));
        let foreign = own.only(Part::Organization, "other");
        for organization in ["acme", "other", ""] {
            assert!(!foreign.covers(&parties(organization, "")), "{organization}");
        }
    }

    #[test]
    fn kinds_do_not_share_codes() {
        assert_ne!(Code::of(Part::Model, "m"), Code::of(Part::Node, "m"));
        assert_ne!(Code::of(Part::Model, "m"), Code::NONE);
    }
}
