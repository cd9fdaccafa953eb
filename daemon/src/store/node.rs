//! Node records.

use std::collections::BTreeMap;

use aivonx_protocol::{
    UnixMillis,
    node::{AdminState, NodeKind},
};
use serde::{Deserialize, Serialize};

use crate::secrets::Sealed;

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
