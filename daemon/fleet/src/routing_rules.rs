//! What of the fleet a caller may use: which nodes serve it, and which models it may ask for.

use std::{collections::BTreeMap, sync::Arc};

use aivonx_domain::{Globs, model_name};
use aivonx_protocol::organization::NodeAccess;

use super::Node;

/// What of the fleet a caller may use. Made when an organization or a key changes, asked on every request:
/// what it says of a node is a comparison or two of the node's own fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoutingRules {
    nodes: Nodes,
    /// Of the organization.
    models: Globs,
    /// Of the key: both must allow.
    narrowed: Globs,
    /// Models that are for other organizations. As a list of patterns, of which none hides nothing.
    hidden: Globs,
    cloud: bool,
    /// The one node that a request is for, by its id.
    only: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Nodes {
    /// All nodes, assigned or not.
    All,
    /// Those assigned to nobody.
    Shared,
    /// Those of an organization, by its id, under its own rule.
    Organization(Arc<str>, Rule),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Rule {
    /// Those assigned to nobody.
    Shared,
    /// Those assigned to nobody that have all these labels.
    Labels(Arc<BTreeMap<String, String>>),
    /// Those assigned to it.
    Exclusive,
}

impl RoutingRules {
    /// Everything: for callers who are the whole fleet's superadmins.
    pub const ALL: Self = Self {
        nodes: Nodes::All,
        models: Globs::ALL,
        narrowed: Globs::ALL,
        hidden: Globs::ALL,
        cloud: true,
        only: None,
    };

    /// The nodes that are assigned to nobody: for callers who belong to no organization.
    pub const SHARED: Self = Self {
        nodes: Nodes::Shared,
        models: Globs::ALL,
        narrowed: Globs::ALL,
        hidden: Globs::ALL,
        cloud: true,
        only: None,
    };

    /// What the organization with this id may use.
    #[must_use]
    pub fn of(organization: &str, access: &NodeAccess, models: &[String], cloud: bool) -> Self {
        let rule = match access {
            NodeAccess::Shared => Rule::Shared,
            NodeAccess::Labels(labels) => Rule::Labels(Arc::new(labels.clone())),
            NodeAccess::Exclusive => Rule::Exclusive,
        };
        let nodes = Nodes::Organization(organization.into(), rule);
        Self {
            nodes,
            models: Globs::new(models),
            narrowed: Globs::ALL,
            hidden: Globs::ALL,
            cloud,
            only: None,
        }
    }

    /// The same, but only for models that `models` allow too: a key's own list.
    #[must_use]
    pub fn narrowed(&self, models: &[String]) -> Self {
        Self { narrowed: Globs::new(models), ..self.clone() }
    }

    /// The same without the models that match any of these patterns, under whatever name they are asked for.
    #[must_use]
    pub fn hiding(&self, models: &[String]) -> Self {
        Self { hidden: Globs::new(models), ..self.clone() }
    }

    /// The same on the node with this id alone.
    #[must_use]
    pub fn only(&self, node: &Arc<str>) -> Self {
        Self { only: Some(node.clone()), ..self.clone() }
    }

    /// The one node that a request is for, by its id, if it is for one alone.
    #[must_use]
    pub fn chosen(&self) -> Option<&Arc<str>> {
        self.only.as_ref()
    }

    /// The same without models that a node hands on to a third party.
    #[cfg(test)]
    pub(crate) fn without_cloud(&self) -> Self {
        Self { cloud: false, ..self.clone() }
    }

    /// Whether `node` may serve the caller.
    #[must_use]
    pub fn admits(&self, node: &Node) -> bool {
        if self.only.as_ref().is_some_and(|only| *only != node.id) {
            return false;
        }
        let owner = node.organization.as_deref();
        match &self.nodes {
            Nodes::All => true,
            Nodes::Shared | Nodes::Organization(_, Rule::Shared) => owner.is_none(),
            Nodes::Organization(_, Rule::Labels(wanted)) => {
                owner.is_none() && wanted.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            }
            Nodes::Organization(id, Rule::Exclusive) => owner == Some(id),
        }
    }

    /// Whether the caller may ask for a model of this name in normal form.
    #[must_use]
    pub fn allows_normal(&self, normal: &str) -> bool {
        self.models.allow_normal(normal) && self.narrowed.allow_normal(normal) && !self.hides(normal)
    }

    fn hides(&self, normal: &str) -> bool {
        !self.hidden.allow_all() && self.hidden.allow_normal(normal)
    }

    /// Whether the caller may ask for a model of this name.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.allows_all() || model_name::with_normal(model, |normal| self.allows_normal(normal))
    }

    /// Whether the caller may ask for every model.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.models.allow_all() && self.narrowed.allow_all() && self.hidden.allow_all()
    }

    /// Whether the caller may be served `model` under the name `alias`: the lists allow the model, or the alias by its
    /// own name. An organization's list knows only aliases `of_fleet`: those of its own it could name as it likes. No
    /// alias leads to what is hidden.
    #[must_use]
    pub fn allows_as(&self, alias: &str, of_fleet: bool, model: &str) -> bool {
        (self.models.allow(model) || (of_fleet && self.models.allow(alias)))
            && (self.narrowed.allow(model) || self.narrowed.allow(alias))
            && !model_name::with_normal(model, |normal| self.hides(normal))
    }

    /// The same nodes for every model.
    #[must_use]
    pub fn for_all_models(&self) -> Self {
        Self { models: Globs::ALL, narrowed: Globs::ALL, ..self.clone() }
    }

    /// Whether the caller may use models that a node hands on to a third party.
    #[must_use]
    pub fn cloud(&self) -> bool {
        self.cloud
    }

    /// Whether every node serves the caller.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.nodes == Nodes::All
    }

    /// The organization whose rules these are, by its id.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        match &self.nodes {
            Nodes::Organization(id, _) => Some(id),
            Nodes::All | Nodes::Shared => None,
        }
    }

    /// Whether it leaves out nothing, `assigned` being whether any node is assigned to an organization.
    pub(super) fn leaves_out_nothing(&self, assigned: bool) -> bool {
        let nodes = match &self.nodes {
            Nodes::All => true,
            Nodes::Shared | Nodes::Organization(_, Rule::Shared) => !assigned,
            Nodes::Organization(..) => false,
        };
        nodes && self.only.is_none() && self.cloud && self.allows_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    #[test]
    fn nodes_serve_whom_they_are_for() {
        let shared = node("shared");
        let fast = Node { labels: Arc::new([("class".into(), "fast".into())].into()), ..node("fast") };
        let acme = Node { organization: Some("acme".into()), labels: fast.labels.clone(), ..node("acme") };
        let other = Node { organization: Some("other".into()), ..node("other") };
        let labels = |value: &str| NodeAccess::Labels([("class".into(), value.into())].into());
        let of = |access: &NodeAccess| RoutingRules::of("acme", access, &[], true);
        let cases = [
            (RoutingRules::ALL, [true, true, true, true]),
            (RoutingRules::SHARED, [true, true, false, false]),
            (of(&NodeAccess::Shared), [true, true, false, false]),
            (of(&labels("fast")), [false, true, false, false]),
            (of(&labels("slow")), [false, false, false, false]),
            (of(&NodeAccess::Labels(BTreeMap::new())), [true, true, false, false]),
            (of(&NodeAccess::Exclusive), [false, false, true, false]),
        ];
        for (eligible, expected) in cases {
            let found = [&shared, &fast, &acme, &other].map(|node| eligible.admits(node));
            assert_eq!(found, expected, "{eligible:?}");
        }
    }

    #[test]
    fn a_key_narrows_its_organization_and_never_widens_it() {
        let acme = RoutingRules::of("acme", &NodeAccess::Shared, &["llama*".into()], false);
        assert!(acme.allows("llama3:8b") && !acme.allows("qwen3") && !acme.cloud());
        let key = acme.narrowed(&["*:8b".into(), "qwen3".into()]);
        assert!(key.allows("llama3:8b") && !key.allows("llama3") && !key.allows("qwen3"));
        assert!(!key.cloud() && key.organization() == Some("acme"));
        assert_eq!(acme.narrowed(&[]), acme);
    }

    #[test]
    fn knows_when_it_leaves_out_nothing() {
        let open = RoutingRules::of("acme", &NodeAccess::Shared, &[], true);
        assert!(RoutingRules::ALL.leaves_out_nothing(true));
        for eligible in [RoutingRules::SHARED, open.clone()] {
            assert!(eligible.leaves_out_nothing(false) && !eligible.leaves_out_nothing(true));
        }
        for eligible in [open.without_cloud(), open.narrowed(&["m".into()]), open.only(&"n1".into())] {
            assert!(!eligible.leaves_out_nothing(false));
        }
    }

    #[test]
    fn what_is_hidden_is_so_under_every_name() {
        let rules = RoutingRules::SHARED.hiding(&["secret*".into()]);
        assert!(rules.allows("open") && !rules.allows("secret:8b") && !rules.allows_all());
        assert!(rules.allows_as("chat", true, "open") && !rules.allows_as("chat", true, "secret:8b"));
        assert!(!rules.leaves_out_nothing(false));
        assert!(!rules.for_all_models().allows("secret:8b"));
        assert_eq!(RoutingRules::ALL.hiding(&[]), RoutingRules::ALL);
    }
}
