//! Which nodes and jobs are a caller's own: those it may see, change, and put models on.

use std::sync::Arc;

use aivonx_domain::TenantScope;

use super::RoutingRules;

/// Which nodes and jobs are a caller's own. What merely serves it is wider, see [`RoutingRules`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeScope {
    kind: Kind,
    /// The one node that a request is for, by its id.
    only: Option<Arc<str>>,
}

impl NodeScope {
    /// The whole fleet.
    pub const ALL: Self = Self { kind: Kind::All, only: None };
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// All of them.
    All,
    /// Those that are nobody's.
    Shared,
    /// Those of the organization with this id.
    Organization(String),
    /// None: a member of this organization, or of none.
    Member(Option<String>),
}

impl From<&TenantScope> for NodeScope {
    fn from(reach: &TenantScope) -> Self {
        let kind = match reach {
            TenantScope::All => Kind::All,
            TenantScope::Organization(id) => Kind::Organization(id.clone()),
            TenantScope::User { organization, .. } => Kind::Member(organization.clone()),
        };
        Self { kind, only: None }
    }
}

/// Of a client over HTTP: one of an organization manages that organization's nodes alone, not the shared ones it uses.
impl From<&RoutingRules> for NodeScope {
    fn from(eligible: &RoutingRules) -> Self {
        let kind = match eligible.organization() {
            Some(id) => Kind::Organization(id.to_owned()),
            None if eligible.is_all() => Kind::All,
            None => Kind::Shared,
        };
        Self { kind, only: eligible.chosen().cloned() }
    }
}

impl NodeScope {
    /// Whether the node with this id, which belongs to `owner`, is in it.
    pub(super) fn has_node(&self, id: &str, owner: Option<&str>) -> bool {
        self.only.as_ref().is_none_or(|only| **only == *id) && self.covers(owner)
    }

    /// Whether it is one node alone, which the client chose.
    pub(super) fn is_chosen(&self) -> bool {
        self.only.is_some()
    }

    /// Whether what belongs to `owner` (an organization's id, or nobody) is in it.
    #[must_use]
    pub fn covers(&self, owner: Option<&str>) -> bool {
        match &self.kind {
            Kind::All => true,
            Kind::Shared => owner.is_none(),
            Kind::Organization(id) => owner == Some(id),
            Kind::Member(_) => false,
        }
    }

    /// Whether it is the whole fleet.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.kind == Kind::All
    }

    /// The organization it belongs to: what its caller begins belongs there too.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match &self.kind {
            Kind::All | Kind::Shared => None,
            Kind::Organization(id) => Some(id),
            Kind::Member(organization) => organization.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::organization::NodeAccess;

    use super::*;

    #[test]
    fn a_chosen_node_is_the_only_one() {
        for rules in [RoutingRules::ALL, RoutingRules::SHARED] {
            let chosen = NodeScope::from(&rules.only(&"n1".into()));
            assert!(chosen.is_chosen());
            assert!(chosen.has_node("n1", None) && !chosen.has_node("n2", None));
        }
        let acme = RoutingRules::of("acme", &NodeAccess::Shared, &[], true).only(&"n1".into());
        assert!(
            !NodeScope::from(&acme).has_node("n1", None),
            "it serves the organization, and is not its own"
        );
    }

    #[test]
    fn each_has_its_own() {
        let organization = |id: &str| NodeScope::from(&TenantScope::Organization(id.into()));
        let member = |organization: Option<&str>| {
            NodeScope::from(&TenantScope::User {
                organization: organization.map(str::to_owned),
                user: "u".into(),
            })
        };
        let client = RoutingRules::of("acme", &NodeAccess::Shared, &[], true);
        let cases = [
            (NodeScope::from(&TenantScope::All), [true, true, true], None),
            (NodeScope::from(&RoutingRules::ALL), [true, true, true], None),
            (NodeScope::from(&RoutingRules::SHARED), [true, false, false], None),
            (NodeScope::from(&RoutingRules::SHARED.without_cloud()), [true, false, false], None),
            (organization("acme"), [false, true, false], Some("acme")),
            (NodeScope::from(&client), [false, true, false], Some("acme")),
            (organization("other"), [false, false, true], Some("other")),
            (member(Some("acme")), [false, false, false], Some("acme")),
            (member(None), [false, false, false], None),
        ];
        for (realm, expected, owner) in cases {
            let found = [None, Some("acme"), Some("other")].map(|owner| realm.covers(owner));
            assert_eq!((found, realm.organization()), (expected, owner), "{realm:?}");
        }
    }
}
