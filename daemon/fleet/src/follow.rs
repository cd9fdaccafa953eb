//! The fleet kept in line with the store, for changes by any part of the daemon.

use aivonx_domain::TenantScope;
use aivonx_store::{Changed, Collection, Projection, StoreError, Which};

use super::{Fleet, strategies::Strategies, tenants::Tenants};

impl Projection for Fleet {
    const COLLECTIONS: &'static [Collection] = &[
        Collection::Node,
        Collection::Strategy,
        Collection::Organization,
        Collection::Placement,
        Collection::Copies,
        Collection::NodeTraits,
        Collection::NodeWake,
        Collection::ModelAccess,
    ];
    type Error = StoreError;

    async fn refresh(&self, changed: &Changed) -> Result<(), StoreError> {
        // Before nodes are taken in of which something is said.
        if changed.has(Collection::NodeTraits) {
            self.sync_traits().await?;
        }
        if changed.has(Collection::NodeWake) {
            self.sync_wakes().await?;
        }
        match changed.of(Collection::Node) {
            Some(Which::These(ids)) => self.sync_nodes(ids).await?,
            Some(Which::Any) => {
                let mut ids = self.checker.registry.ids();
                ids.extend(self.store.nodes().list().await?.into_iter().map(|node| node.id));
                self.sync_nodes(&ids).await?;
            }
            None => {}
        }
        if changed.has(Collection::Strategy) {
            let _turn = self.edit().await;
            self.checker.registry.set_strategies(Strategies::load(&self.store.settings()).await?);
        }
        match changed.of(Collection::Placement) {
            Some(Which::These(organizations)) => {
                self.sync_placements(|organization| organizations.contains(organization)).await?;
            }
            Some(Which::Any) => self.sync_placements(|_| true).await?,
            None => {}
        }
        if changed.has(Collection::Copies) {
            self.sync_copies().await?;
        }
        if changed.has(Collection::Organization) || changed.has(Collection::ModelAccess) {
            self.sync_tenants().await?;
        }
        Ok(())
    }

    fn stale(&self, error: &StoreError) {
        tracing::error!(event = "fleet_sync", %error, "a change of the store was not taken in");
    }
}

impl Fleet {
    /// Brings nodes in line with the store.
    async fn sync_nodes(&self, ids: impl IntoIterator<Item = &String>) -> Result<(), StoreError> {
        for id in ids {
            self.sync_node(id).await?;
        }
        Ok(())
    }

    async fn sync_node(&self, id: &str) -> Result<(), StoreError> {
        let _turn = self.edit().await;
        let Some(node) = self.store.nodes().get(id).await? else {
            self.forget(id);
            return Ok(());
        };
        let known = self.checker.registry.record(id);
        if known.as_ref().map(|record| record.revision) < Some(node.revision) {
            let at = self.restore(&node).await?;
            let learned = known.is_some_and(|old| old.kind_assumed && !node.kind_assumed);
            if self.checker.registry.apply(node, at, None) || learned {
                // A node whose kind has just been found out is asked as what it is at once.
                self.tasks.forget(id);
                self.tasks.watch(id, false);
            }
        }
        Ok(())
    }

    /// Holds the nodes of these organizations to where their operators may place some now.
    async fn sync_placements(&self, of: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let _turn = self.edit().await;
        for node in self.checker.registry.records() {
            if node.organization.as_deref().is_some_and(&of) {
                let at = self.restore(&node).await?;
                self.checker.registry.rebind(&node.id, at);
            }
        }
        Ok(())
    }

    /// Brings what is to be kept loaded in line with the store.
    pub(super) async fn sync_copies(&self) -> Result<(), StoreError> {
        self.copies.set(self.store.copies().list(&TenantScope::All).await?);
        Ok(())
    }

    /// Brings what is known of organizations, and of their models, in line with the store.
    pub(super) async fn sync_tenants(&self) -> Result<(), StoreError> {
        let organizations = self.store.organizations().list(&TenantScope::All).await?;
        let access = self.store.model_access().list(&TenantScope::All).await?;
        self.checker.registry.set_tenants(Tenants::new(&organizations, access));
        Ok(())
    }
}
