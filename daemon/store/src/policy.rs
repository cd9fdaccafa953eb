//! Records of model policy.

use aivonx_protocol::{
    UnixMillis,
    policy::{ContextSize, KeepAlive},
};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// What applies to the models that match a pattern, as kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Id of the organization whose requests it is for; None is everybody's.
    pub organization: Option<String>,
    /// Glob of the models, as it was written.
    pub model: String,
    /// The same as it is matched; unique in its organization, or in the fleet.
    pub normal: String,
    /// How long they stay in memory.
    pub keep_alive: Option<KeepAlive>,
    /// Size of their context.
    pub num_ctx: Option<ContextSize>,
    /// Most tokens of an answer.
    pub output_max: Option<u32>,
    /// When it was added.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for PolicyRecord {
    const COLLECTION: Collection = Collection::Policy;
    const TREES: Trees = Trees { record: Tree::Policy, name: Some(Tree::PolicyName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((self.organization.as_deref(), &self.normal))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

/// Another name for a model, as kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Id of the organization whose requests it is for; None is everybody's.
    pub organization: Option<String>,
    /// The name that clients ask for, as it was written.
    pub alias: String,
    /// The same as it is compared; unique in its organization, or in the fleet.
    pub normal: String,
    /// What is served, in order.
    pub models: Vec<String>,
    /// When it was added.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for AliasRecord {
    const COLLECTION: Collection = Collection::Alias;
    const TREES: Trees = Trees { record: Tree::Alias, name: Some(Tree::AliasName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((self.organization.as_deref(), &self.normal))
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

/// How many of the keys each model of an alias is for, as kept in the store; an alias without a record serves the first
/// that a node can serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasWeightsRecord {
    /// Id of the alias.
    pub id: String,
    /// Models, and their weights. What is not among them has none.
    pub weights: Vec<(String, u32)>,
    /// When it was set first.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl Record for AliasWeightsRecord {
    const COLLECTION: Collection = Collection::AliasWeights;
    const TREES: Trees = Trees { record: Tree::AliasWeights, name: None, owner: None };

    record_head!();
}
