//! Where the operators of an organization may place nodes, and which they placed.

use std::collections::BTreeSet;

use aivonx_domain::TenantScope;
use aivonx_protocol::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{
    Collection, NodeRecord, Nodes, OrganizationRecord, Record, Records, StoreError,
    records::{Trees, record_head},
    transaction::{Transaction, current},
    tree::Tree,
};

/// Where the operators of an organization may place nodes, and which they placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementRecord {
    /// Id of the organization.
    pub id: String,
    /// Networks in which they may (`10.0.0.0/8`), in order; empty is nowhere.
    pub networks: Vec<String>,
    /// Ids of the nodes whose address one of them named.
    pub nodes: BTreeSet<String>,
    /// When the first of this was said.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for PlacementRecord {
    const COLLECTION: Collection = Collection::Placement;
    const TREES: Trees = Trees { record: Tree::Placement, name: None, owner: None };

    record_head!();

    fn organization(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl Records<PlacementRecord> {
    /// The record about an organization, by its id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of(&self, organization: &str) -> Result<PlacementRecord, StoreError> {
        let found = self.get(&TenantScope::All, organization).await?;
        Ok(found.unwrap_or_else(|| PlacementRecord { id: organization.to_owned(), ..Default::default() }))
    }

    /// Sets where the operators of an organization may place nodes; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the organization is gone; or the store fails.
    pub async fn set_networks(
        &self,
        organization: &str,
        networks: Vec<String>,
    ) -> Result<PlacementRecord, StoreError> {
        let change =
            |old: Option<PlacementRecord>| Some(PlacementRecord { networks, ..old.unwrap_or_default() });
        let set = self.alter(organization, change).await?;
        set.ok_or_else(|| StoreError::NotFound {
            noun: Collection::Organization.as_str(),
            id: organization.to_owned(),
        })
    }
}

impl Records<OrganizationRecord> {
    /// Adds an organization, see [`Records::insert`], whose operators may place nodes in `networks`.
    ///
    /// # Errors
    /// As there.
    pub async fn insert_with_networks(
        &self,
        mut record: OrganizationRecord,
        networks: Vec<String>,
    ) -> Result<OrganizationRecord, StoreError> {
        self.write(move |batch| {
            batch.insert(&mut record)?;
            if !networks.is_empty() {
                let id = record.id.clone();
                batch.insert(&mut PlacementRecord { id, networks, ..Default::default() })?;
            }
            Ok(record)
        })
        .await
    }
}

impl Nodes {
    /// Adds a node, see [`Records::insert`]; `placed` by an operator of its organization, or else by somebody who is
    /// bound to none.
    ///
    /// # Errors
    /// As there.
    pub async fn place(&self, mut record: NodeRecord, placed: bool) -> Result<NodeRecord, StoreError> {
        self.records
            .write(move |batch| {
                batch.insert(&mut record)?;
                note(batch, &record, placed)?;
                Ok(record)
            })
            .await
    }

    /// Changes a node, see [`Records::update`]; `placed` as in [`Self::place`], None leaves that as it is.
    ///
    /// # Errors
    /// As there.
    pub async fn move_to(
        &self,
        reach: &TenantScope,
        id: &str,
        expected: Option<u64>,
        placed: Option<bool>,
        change: impl FnOnce(&mut NodeRecord) + Send + 'static,
    ) -> Result<NodeRecord, StoreError> {
        let (reach, id) = (reach.clone(), id.to_owned());
        self.records
            .write(move |batch| {
                let old: NodeRecord = current(batch, &reach, &id, expected)?;
                let mut new = old.clone();
                change(&mut new);
                let new = batch.replace(&old, new)?;
                if let Some(placed) = placed {
                    note(batch, &new, placed)?;
                }
                super::transaction::within(&reach, new, &id)
            })
            .await
    }
}

/// Notes whether an operator of its organization placed the node.
pub(super) fn note<R: Record>(
    batch: &mut Transaction<'_, '_>,
    node: &R,
    placed: bool,
) -> Result<(), StoreError> {
    let Some(organization) = node.organization() else { return Ok(()) };
    let old: Option<PlacementRecord> = batch.get(Tree::Placement, organization.as_bytes())?;
    let mut new =
        old.clone().unwrap_or_else(|| PlacementRecord { id: organization.to_owned(), ..Default::default() });
    let changed = if placed { new.nodes.insert(node.id().to_owned()) } else { new.nodes.remove(node.id()) };
    match old {
        _ if !changed => Ok(()),
        Some(old) => batch.replace(&old, new).map(drop),
        None => batch.insert(&mut new),
    }
}
