//! Organization records.

use aivonx_protocol::{
    UnixMillis,
    organization::{LimitProfile, NodeAccess, PrivacyMode},
    privacy::Category,
};
use serde::{Deserialize, Serialize};

use super::{
    Collection, Record,
    records::{Trees, record_head},
    tree::Tree,
};

/// An organization as kept in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationRecord {
    /// UUID v7, never reused.
    pub id: String,
    /// Unique short name, `[a-z0-9][a-z0-9-]{0,62}`.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Whether its users and keys may do anything.
    pub enabled: bool,
    /// Whether its users must use two-factor authentication.
    pub require_totp: bool,
    /// Globs of the models it may use; empty allows all.
    pub models: Vec<String>,
    /// Which nodes serve it.
    pub nodes: NodeAccess,
    /// Whether models that a node passes on to a third party are allowed.
    pub cloud_models: bool,
    /// What happens to personal data in prompts.
    pub privacy: PrivacyMode,
    /// Which of it is looked for; empty is all.
    pub privacy_categories: Vec<Category>,
    /// Its limits.
    pub limit_profile: LimitProfile,
    /// When it was added.
    pub created: UnixMillis,
    /// Starts at 1, rises by one with every change.
    pub revision: u64,
}

impl OrganizationRecord {
    /// An enabled organization that has not been added yet, named as its slug: on shared nodes, without cloud models
    /// and without limits.
    #[must_use]
    pub fn new(slug: &str) -> Self {
        Self {
            id: String::new(),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            enabled: true,
            require_totp: false,
            models: Vec::new(),
            nodes: NodeAccess::Shared,
            cloud_models: false,
            privacy: PrivacyMode::Off,
            privacy_categories: Vec::new(),
            limit_profile: LimitProfile::Unlimited,
            created: 0,
            revision: 0,
        }
    }
}

impl Record for OrganizationRecord {
    const COLLECTION: Collection = Collection::Organization;
    const TREES: Trees =
        Trees { record: Tree::Organization, name: Some(Tree::OrganizationName), owner: None };

    record_head!();

    fn name(&self) -> Option<(Option<&str>, &str)> {
        Some((None, &self.slug))
    }

    fn organization(&self) -> Option<&str> {
        Some(&self.id)
    }
}
