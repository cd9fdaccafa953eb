//! The fleet kept in line with the store, whoever changed it there.

use std::sync::Weak;

use aivonx_domain::Reach;
use aivonx_store::{Change, Noun, StoreError};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Fleet, tenants::Tenants};

/// Takes in every change, for as long as there is a fleet.
pub(super) async fn store(fleet: Weak<Fleet>, mut changes: broadcast::Receiver<Change>) {
    loop {
        let change = changes.recv().await;
        let Some(fleet) = fleet.upgrade() else { return };
        let synced = match change {
            Ok(Change { noun: Noun::Node, id, .. }) if id.is_empty() => fleet.sync_all().await,
            Ok(Change { noun: Noun::Node, id, .. }) => fleet.sync(&id).await,
            Ok(Change { noun: Noun::Strategy, .. }) => {
                let _turn = fleet.edit().await;
                fleet.store.settings().strategy().await.map(|s| fleet.checker.registry.set_strategy(s))
            }
            Ok(Change { noun: Noun::Organization, .. }) => fleet.sync_tenants().await,
            Ok(Change { noun: Noun::Placement, id, .. }) => {
                fleet.sync_placements(Some(&*id).filter(|id| !id.is_empty())).await
            }
            Err(RecvError::Lagged(_)) => fleet.sync_all().await,
            // No business of the fleet.
            Ok(_) => continue,
            Err(RecvError::Closed) => return,
        };
        match synced {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(event = "fleet_sync", %error, "a change of the store was not taken in")
            }
        }
    }
}

impl Fleet {
    /// Brings one node in line with the store, whoever changed it there.
    async fn sync(&self, id: &str) -> Result<(), StoreError> {
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

    async fn sync_all(&self) -> Result<(), StoreError> {
        let mut ids = self.checker.registry.ids();
        ids.extend(self.store.nodes().list().await?.into_iter().map(|node| node.id));
        for id in ids {
            self.sync(&id).await?;
        }
        self.checker.registry.set_strategy(self.store.settings().strategy().await?);
        self.sync_placements(None).await?;
        self.sync_tenants().await
    }

    /// Holds the nodes of an organization, or all nodes, to where its operators may place some now.
    async fn sync_placements(&self, organization: Option<&str>) -> Result<(), StoreError> {
        let _turn = self.edit().await;
        for node in self.checker.registry.records() {
            if node.organization.is_some()
                && (organization.is_none() || organization == node.organization.as_deref())
            {
                let at = self.restore(&node).await?;
                self.checker.registry.rebind(&node.id, at);
            }
        }
        Ok(())
    }

    /// Brings what is known of organizations in line with the store.
    pub(super) async fn sync_tenants(&self) -> Result<(), StoreError> {
        let organizations = self.store.organizations().list(&Reach::All).await?;
        self.checker.registry.set_tenants(Tenants::new(&organizations));
        Ok(())
    }
}
