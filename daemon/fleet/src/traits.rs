//! What is said of nodes beside their records.

use aivonx_domain::TenantScope;
use aivonx_protocol::node::{NewNode, NodeTraits, Probe, TraitsChange};
use aivonx_store::{NodeTraitsRecord, StoreError};
use uuid::Uuid;

use super::{Fleet, add, error::FleetError};

/// Most models that a node is said to hold at once.
const MODELS_MAX: u32 = 1000;

impl Fleet {
    /// Probes a node and adds it, as [`Self::add`] does. What is said of it holds from the beginning: a third party gets no
    /// prompt before it is known for one.
    ///
    /// # Errors
    /// As there; or what is said of it is wrong.
    pub async fn add_with(
        &self,
        reach: &TenantScope,
        new: NewNode,
        traits: &TraitsChange,
    ) -> Result<Probe, FleetError> {
        check(reach, traits)?;
        let id = Uuid::now_v7().to_string();
        self.say(&id, traits).await?;
        let added = add::add(self, reach, new, id.clone(), false).await;
        if added.is_err() {
            self.store.node_traits().alter(&id, |_| None).await?;
        }
        added
    }

    /// Says something of a node.
    ///
    /// # Errors
    /// It is wrong, or there is no such node within reach.
    pub async fn set_traits(
        &self,
        reach: &TenantScope,
        node: &str,
        change: &TraitsChange,
    ) -> Result<Vec<NodeTraits>, FleetError> {
        let id = self.checker.registry.resolve(&reach.into(), node)?;
        check(reach, change)?;
        self.say(&id, change).await?;
        self.traits(reach, Some(&id)).await
    }

    /// What is said of a node, or of all within reach of which something is.
    ///
    /// # Errors
    /// There is no such node within reach.
    pub async fn traits(
        &self,
        reach: &TenantScope,
        node: Option<&str>,
    ) -> Result<Vec<NodeTraits>, FleetError> {
        let scope = reach.into();
        let id = node.map(|node| self.checker.registry.resolve(&scope, node)).transpose()?;
        let mut records = self.store.node_traits().list(&TenantScope::All).await?;
        let own = self.checker.registry.contacts(&scope);
        records.retain(|record| own.iter().any(|node| node.id == record.id));
        if let Some(id) = id {
            records.retain(|record| record.id == id);
            if records.is_empty() {
                records.push(NodeTraitsRecord { id, ..NodeTraitsRecord::default() });
            }
        }
        let view = |record: NodeTraitsRecord| {
            let NodeTraitsRecord { id, third_party, models_at_once, .. } = record;
            NodeTraits { node: id, third_party, models_at_once }
        };
        Ok(records.into_iter().map(view).collect())
    }

    async fn say(&self, id: &str, change: &TraitsChange) -> Result<(), FleetError> {
        let (id, TraitsChange { third_party, models_at_once }) = (id.to_owned(), change.clone());
        let fresh = NodeTraitsRecord { id: id.clone(), ..NodeTraitsRecord::default() };
        let alter = move |old: Option<NodeTraitsRecord>| {
            let mut new = old.unwrap_or(fresh);
            new.third_party = third_party.unwrap_or(new.third_party);
            new.models_at_once = models_at_once.unwrap_or(new.models_at_once);
            (new.third_party || new.models_at_once.is_some()).then_some(new)
        };
        self.store.node_traits().alter(&id, alter).await?;
        Ok(self.settle().await?)
    }

    /// Brings what is said of nodes in line with the store.
    pub(super) async fn sync_traits(&self) -> Result<(), StoreError> {
        self.checker.registry.set_traits(self.store.node_traits().list(&TenantScope::All).await?);
        Ok(())
    }
}

fn check(reach: &TenantScope, change: &TraitsChange) -> Result<(), FleetError> {
    if *reach != TenantScope::All && change.third_party == Some(false) {
        return Err(FleetError::FleetWide("saying that a node is no third party"));
    }
    match change.models_at_once {
        Some(Some(models)) if !(1..=MODELS_MAX).contains(&models) => {
            let message = format!("{models} is no number of models");
            let fix = format!("use a number from 1 to {MODELS_MAX}, or 0 to have it learned");
            Err(FleetError::field("models_at_once", message, fix))
        }
        _ => Ok(()),
    }
}
