//! Organizations: the tenants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// Which nodes an organization's requests may go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeAccess {
    /// Every node that is not assigned to an organization.
    #[default]
    Shared,
    /// Those of the shared nodes that have all these labels.
    Labels(BTreeMap<String, String>),
    /// Only the nodes assigned to this organization.
    Exclusive,
}

/// What happens to personal data in prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrivacyMode {
    /// Nothing is looked for.
    #[default]
    Off,
    /// Found and counted.
    Detect,
    /// Found and replaced.
    Redact,
    /// Found and refused.
    Block,
}

/// A named set of limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitProfile {
    /// Daily caps for everyone.
    Standard,
    /// No daily request caps; spend is capped.
    Team,
    /// No limits.
    #[default]
    Unlimited,
}

/// One organization as administrators see it. `--output json` prints exactly these fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Stable id, never reused.
    pub id: String,
    /// Unique short name, `[a-z0-9][a-z0-9-]{0,62}`.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Whether its users and keys may do anything.
    pub enabled: bool,
    /// Whether its users must use two-factor authentication.
    pub require_totp: bool,
    /// Globs (`*`, `?`) of the models it may use; empty allows all.
    pub models: Vec<String>,
    /// Which nodes serve it.
    pub nodes: NodeAccess,
    /// Whether models that a node passes on to a third party are allowed.
    pub cloud_models: bool,
    /// What happens to personal data in prompts.
    pub privacy: PrivacyMode,
    /// Its limits.
    pub limit_profile: LimitProfile,
    /// Users in it.
    pub users: u32,
    /// Keys of it that are not revoked.
    pub keys: u32,
    /// Nodes assigned to it alone.
    pub exclusive_nodes: u32,
    /// When it was added.
    pub created: UnixMillis,
    /// Revision of the record; a change must name it.
    pub revision: u64,
}

/// An organization to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrganization {
    /// Unique short name.
    pub slug: String,
    /// Name for people; None is the slug.
    pub name: Option<String>,
    /// Whether its users must use two-factor authentication.
    pub require_totp: bool,
    /// Globs of the models it may use; empty allows all.
    pub models: Vec<String>,
    /// Which nodes serve it.
    pub nodes: NodeAccess,
    /// Whether models that a node passes on to a third party are allowed.
    pub cloud_models: bool,
    /// None: as its limit profile has it.
    pub privacy: Option<PrivacyMode>,
    /// None: the installation's own, chosen at set-up.
    pub limit_profile: Option<LimitProfile>,
}

/// What to change in an organization; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationChange {
    /// New slug.
    pub slug: Option<String>,
    /// New name.
    pub name: Option<String>,
    /// Enable or disable; disabling ends its running requests and sessions.
    pub enabled: Option<bool>,
    /// Whether its users must use two-factor authentication.
    pub require_totp: Option<bool>,
    /// Globs of the models it may use; empty allows all.
    pub models: Option<Vec<String>>,
    /// Which nodes serve it.
    pub nodes: Option<NodeAccess>,
    /// Whether models that a node passes on to a third party are allowed.
    pub cloud_models: Option<bool>,
    /// What happens to personal data in prompts.
    pub privacy: Option<PrivacyMode>,
    /// Its limits.
    pub limit_profile: Option<LimitProfile>,
}

/// What went with a removed organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationRemoved {
    /// Users removed with it.
    pub users: u32,
    /// Keys removed with it.
    pub keys: u32,
    /// Nodes that were assigned to it and are shared now disabled.
    pub nodes: u32,
}

/// Where the operators of an organization may place nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNetworks {
    /// Id of the organization.
    pub organization: String,
    /// Networks (`10.0.0.0/8`), in order; empty is nowhere.
    pub networks: Vec<String>,
}

/// Requests about organizations. One is named by its slug or its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrganizationRequest {
    /// All the caller may see, by slug. Answered with `Reply::Organizations`.
    List,
    /// One. Answered with `Reply::Organization`.
    Show {
        /// Slug or id.
        organization: String,
    },
    /// Add one. Answered with `Reply::Organization`.
    Add(Box<NewOrganization>),
    /// Change fields. Answered with `Reply::Organization`.
    Set {
        /// Slug or id.
        organization: String,
        /// Revision the caller saw; None changes whatever is there.
        revision: Option<u64>,
        /// The change.
        change: Box<OrganizationChange>,
    },
    /// Remove one. Answered with `Reply::OrganizationRemoved`.
    Remove {
        /// Slug or id.
        organization: String,
        /// Revision the caller saw; None removes whatever is there.
        revision: Option<u64>,
        /// Remove its users and keys too, and free its nodes; without it, one that has any is refused.
        with_contents: bool,
    },
    /// Where operators may place nodes. Answered with `Reply::NodeNetworks`, by slug.
    Networks {
        /// Slug or id; None is all the caller may see.
        organization: Option<String>,
    },
    /// Say where the operators of one may place nodes. Those they placed elsewhere take no more requests. Answered
    /// with `Reply::NodeNetworks`.
    SetNetworks {
        /// Slug or id.
        organization: String,
        /// Networks or addresses; empty is nowhere.
        networks: Vec<String>,
    },
}
