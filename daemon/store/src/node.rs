//! Node records.

use std::collections::BTreeMap;

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    UnixMillis,
    node::{AdminState, NodeKind},
};
use serde::{Deserialize, Serialize};

use crate::secrets::Sealed;

use super::{Collection, Record, Records, StoreError, records::Trees, tree::Tree};

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
    /// The id of the organization it is assigned to exclusively; None is shared.
    pub organization: Option<String>,
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
    /// A client certificate.
    Certificate {
        /// It and those between it and its authority, PEM.
        chain: String,
        /// Until when it is good.
        until: UnixMillis,
        /// Sealed private key, PEM.
        key: Sealed,
        /// Name and sealed value of a header beside it.
        header: Option<(String, Sealed)>,
    },
}

impl StoredCredential {
    /// The client certificate with its chain, PEM. Its key is the only one that goes with it.
    #[must_use]
    pub fn chain(&self) -> Option<&str> {
        match self {
            Self::Certificate { chain, .. } => Some(chain),
            _ => None,
        }
    }
}

impl NodeRecord {
    /// An enabled Ollama node, shared, that has not been added yet.
    #[must_use]
    pub fn new(name: &str, url: &str) -> Self {
        Self {
            id: String::new(),
            name: name.to_owned(),
            url: url.to_owned(),
            kind: NodeKind::Ollama,
            kind_assumed: false,
            admin_state: AdminState::Enabled,
            max_parallel: 0,
            labels: BTreeMap::new(),
            ca_pem: None,
            server_name: None,
            credential: StoredCredential::None,
            forced: false,
            organization: None,
            created: 0,
            revision: 0,
        }
    }
}

impl Record for NodeRecord {
    const COLLECTION: Collection = Collection::Node;
    const TREES: Trees = Trees { record: Tree::Node, name: Some(Tree::NodeName), owner: None };

    super::records::record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((None, &self.name))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

/// Access to the node records, all of them.
#[derive(Debug, Clone)]
pub struct Nodes {
    pub(super) records: Records<NodeRecord>,
}

impl Nodes {
    /// The same, confined to what a caller may reach.
    #[must_use]
    pub fn within(&self) -> &Records<NodeRecord> {
        &self.records
    }

    /// All nodes, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.records.list(&TenantScope::All).await
    }

    /// One node by its id.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, id: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.records.get(&TenantScope::All, id).await
    }

    /// One node by its name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn by_name(&self, name: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.records.by_name(&TenantScope::All, None, name).await
    }

    /// Adds a node, see [`Records::insert`].
    ///
    /// # Errors
    /// As there.
    pub async fn insert(&self, record: NodeRecord) -> Result<NodeRecord, StoreError> {
        self.records.insert(record).await
    }

    /// Changes a node, see [`Records::update`].
    ///
    /// # Errors
    /// As there.
    pub async fn update(
        &self,
        id: &str,
        expected: Option<u64>,
        change: impl FnOnce(&mut NodeRecord) + Send + 'static,
    ) -> Result<NodeRecord, StoreError> {
        self.records.update(&TenantScope::All, id, expected, change).await
    }

    /// Forgets a node, see [`Records::remove`].
    ///
    /// # Errors
    /// As there.
    pub async fn remove(&self, id: &str, expected: Option<u64>) -> Result<NodeRecord, StoreError> {
        self.records.remove(&TenantScope::All, id, expected).await
    }
}
