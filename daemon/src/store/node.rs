//! Node records.

use std::collections::BTreeMap;

use aivonx_protocol::{
    UnixMillis,
    node::{AdminState, NodeKind},
};
use serde::{Deserialize, Serialize};

use crate::secrets::Sealed;

use super::{
    Change, Noun, Store, StoreError,
    engine::{Batch, now},
    tree::Tree,
};

const NOUN: &str = "node";

/// A node as kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Base URL, normalised, without credentials and without a trailing slash.
    pub url: String,
    /// What it speaks.
    pub kind: NodeKind,
    /// The kind is a guess made while the node did not answer; the first answer decides.
    pub kind_assumed: bool,
    /// What the administrator wants of it.
    pub admin_state: AdminState,
    /// Most requests at once; 0 is no limit.
    pub max_parallel: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// PEM certificates to trust instead of the system's roots.
    pub ca_pem: Option<String>,
    /// Server name expected in the certificate.
    pub server_name: Option<String>,
    /// How to authenticate; the secret part is sealed.
    pub credential: StoredCredential,
    /// The administrator insisted on a link-local or metadata address.
    pub forced: bool,
    /// When it was added.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

/// A credential at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredCredential {
    /// Nothing is sent.
    None,
    /// Bearer token.
    Bearer(Sealed),
    /// Basic authentication.
    Basic {
        /// User name.
        user: String,
        /// Sealed password.
        password: Sealed,
    },
    /// A header of the administrator's choice.
    Header {
        /// Header name.
        name: String,
        /// Sealed value.
        value: Sealed,
    },
}

/// Access to the node records.
#[derive(Debug, Clone)]
pub struct Nodes {
    pub(super) store: Store,
}

impl Nodes {
    /// All nodes, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.store
            .run(|engine, _| {
                let mut nodes: Vec<NodeRecord> =
                    engine.all(Tree::Node)?.into_iter().map(|(_, record)| record).collect();
                nodes.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(nodes)
            })
            .await
    }

    /// One node by its id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, id: &str) -> Result<Option<NodeRecord>, StoreError> {
        let id = id.to_owned();
        self.store.run(move |engine, _| engine.get(Tree::Node, id.as_bytes())).await
    }

    /// One node by its name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn by_name(&self, name: &str) -> Result<Option<NodeRecord>, StoreError> {
        let name = name.to_owned();
        self.store
            .run(move |engine, _| match engine.get::<String>(Tree::NodeName, name.as_bytes())? {
                Some(id) => engine.get(Tree::Node, id.as_bytes()),
                None => Ok(None),
            })
            .await
    }

    /// Adds a node; durable when it returns. The caller chooses the id (a new UUID v7: secrets are sealed to
    /// it); an empty one is filled in, as is a `created` of 0. The revision becomes 1.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::IdTaken`]; or the store fails.
    pub async fn insert(&self, mut record: NodeRecord) -> Result<NodeRecord, StoreError> {
        if record.id.is_empty() {
            record.id = uuid::Uuid::now_v7().to_string();
        }
        if record.created == 0 {
            record.created = now();
        }
        record.revision = 1;
        self.store
            .run(move |engine, feed| {
                engine.write(|batch| {
                    let key = record.id.as_bytes();
                    if batch.get::<NodeRecord>(Tree::Node, key)?.is_some() {
                        return Err(StoreError::IdTaken { noun: NOUN, id: record.id.clone() });
                    }
                    take_name(batch, &record)?;
                    batch.put(Tree::Node, key, &record)
                })?;
                feed.tell(Change { noun: Noun::Node, id: record.id.clone(), revision: record.revision });
                Ok(record)
            })
            .await
    }

    /// Changes a node; durable when it returns. `expected` is the revision the caller saw, None changes
    /// whatever is there. What `change` does to id, creation time and revision is undone; if it changes
    /// nothing else, nothing is stored and the revision stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`], [`StoreError::NameTaken`]; or the store fails.
    pub async fn update(
        &self,
        id: &str,
        expected: Option<u64>,
        change: impl FnOnce(&mut NodeRecord) + Send + 'static,
    ) -> Result<NodeRecord, StoreError> {
        let id = id.to_owned();
        self.store
            .run(move |engine, feed| {
                let (record, changed) = engine.write(|batch| {
                    let old = current(batch, &id, expected)?;
                    let mut new = old.clone();
                    change(&mut new);
                    (new.id, new.created, new.revision) = (old.id.clone(), old.created, old.revision);
                    if new == old {
                        return Ok((new, false));
                    }
                    new.revision += 1;
                    if new.name != old.name {
                        batch.remove(Tree::NodeName, old.name.as_bytes());
                        take_name(batch, &new)?;
                    }
                    batch.put(Tree::Node, id.as_bytes(), &new)?;
                    Ok((new, true))
                })?;
                if changed {
                    feed.tell(Change { noun: Noun::Node, id: record.id.clone(), revision: record.revision });
                }
                Ok(record)
            })
            .await
    }

    /// Forgets a node; durable when it returns. `expected` as in [`Self::update`]. Returns what was removed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`]; or the store fails.
    pub async fn remove(&self, id: &str, expected: Option<u64>) -> Result<NodeRecord, StoreError> {
        let id = id.to_owned();
        self.store
            .run(move |engine, feed| {
                let record = engine.write(|batch| {
                    let old = current(batch, &id, expected)?;
                    batch.remove(Tree::Node, id.as_bytes());
                    batch.remove(Tree::NodeName, old.name.as_bytes());
                    Ok(old)
                })?;
                feed.tell(Change { noun: Noun::Node, id: record.id.clone(), revision: 0 });
                Ok(record)
            })
            .await
    }
}

fn current(batch: &Batch<'_>, id: &str, expected: Option<u64>) -> Result<NodeRecord, StoreError> {
    let record: NodeRecord = batch
        .get(Tree::Node, id.as_bytes())?
        .ok_or_else(|| StoreError::NotFound { noun: NOUN, id: id.to_owned() })?;
    match expected {
        Some(expected) if expected != record.revision => {
            Err(StoreError::Conflict { noun: NOUN, id: id.to_owned(), expected, found: record.revision })
        }
        _ => Ok(record),
    }
}

fn take_name(batch: &mut Batch<'_>, record: &NodeRecord) -> Result<(), StoreError> {
    if batch.get::<String>(Tree::NodeName, record.name.as_bytes())?.is_some() {
        return Err(StoreError::NameTaken { noun: NOUN, name: record.name.clone() });
    }
    batch.put(Tree::NodeName, record.name.as_bytes(), &record.id)
}
