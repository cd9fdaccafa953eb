//! What the fleet has to know of organizations: how they are called, and which nodes and models are for them.

use std::collections::BTreeMap;

use aivonx_store::{ModelAccessRecord, OrganizationRecord};

use super::{Node, RoutingRules, node_scope::NodeScope};

/// The organizations, by id, and for whom models are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenants {
    all: BTreeMap<String, Tenant>,
    access: Vec<ModelAccessRecord>,
    /// What those who belong to none may use.
    shared: RoutingRules,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tenant {
    slug: String,
    eligible: RoutingRules,
}

impl Default for Tenants {
    fn default() -> Self {
        Self::new(&[], Vec::new())
    }
}

impl Tenants {
    pub(super) fn new(records: &[OrganizationRecord], access: Vec<ModelAccessRecord>) -> Self {
        let shared = RoutingRules::SHARED.hiding(&ModelAccessRecord::hidden_from(&access, None));
        let mut tenants = Self { all: BTreeMap::new(), access, shared };
        records.iter().for_each(|record| tenants.put(record));
        tenants
    }

    pub(super) fn put(&mut self, record: &OrganizationRecord) {
        let eligible = RoutingRules::of(&record.id, &record.nodes, &record.models, record.cloud_models);
        let eligible = eligible.hiding(&ModelAccessRecord::hidden_from(&self.access, Some(&record.id)));
        self.all.insert(record.id.clone(), Tenant { slug: record.slug.clone(), eligible });
    }

    /// What people call the organization; one that is not known (yet) goes by its id.
    pub(super) fn slug<'a>(&'a self, id: &'a str) -> &'a str {
        self.all.get(id).map_or(id, |tenant| &tenant.slug)
    }

    /// Those whom `node` serves: organizations, and those who have none.
    pub(super) fn served_by(&self, node: &Node) -> Vec<RoutingRules> {
        let all = self.all.values().map(|tenant| &tenant.eligible).chain([&self.shared]);
        all.filter(|eligible| eligible.admits(node)).cloned().collect()
    }

    /// The view of the models that a realm has.
    pub(super) fn view(&self, realm: &NodeScope) -> View {
        let tenant = |id: &str| self.all.get(id).map(|tenant| tenant.eligible.clone());
        let serves = match realm.organization() {
            _ if realm.is_all() => Some(RoutingRules::ALL),
            Some(id) => tenant(id),
            None => Some(self.shared.clone()),
        };
        View { realm: realm.clone(), serves }
    }
}

/// Which models of which nodes one may see: all on one's own nodes, and on those that serve one what one may
/// use.
#[derive(Debug)]
pub(super) struct View {
    realm: NodeScope,
    serves: Option<RoutingRules>,
}

impl View {
    /// What may be seen of a node; None is nothing.
    pub(super) fn of(&self, node: &Node) -> Option<&RoutingRules> {
        if self.owns(node) {
            return Some(&RoutingRules::ALL);
        }
        self.serves.as_ref().filter(|eligible| eligible.admits(node))
    }

    /// Whether the node itself may be seen.
    pub(super) fn owns(&self, node: &Node) -> bool {
        self.realm.covers(node.organization.as_deref())
    }
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
