//! Organizations: the tenants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    UnixMillis,
    audit::{Action, Noted},
    operation::operations,
};

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

impl NewOrganization {
    fn noted(&self) -> Noted {
        let Self { slug, name, require_totp, models, nodes, cloud_models, privacy, limit_profile } = self;
        Noted::new(Action::Create, "organization", slug)
            .of_organization(Some(slug))
            .maybe("name", name)
            .with("require_totp", require_totp)
            .with("models", models)
            .with("nodes", nodes)
            .with("cloud_models", cloud_models)
            .maybe("privacy", privacy)
            .maybe("limit_profile", limit_profile)
    }
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

impl OrganizationChange {
    fn noted(&self, organization: &str) -> Noted {
        let Self { slug, name, enabled, require_totp, models, nodes, cloud_models, privacy, limit_profile } =
            self;
        let rights = models.is_some() || nodes.is_some() || cloud_models.is_some() || require_totp.is_some();
        let action = match enabled {
            Some(true) => Action::Enable,
            Some(false) => Action::Disable,
            None if rights => Action::PermissionChange,
            None => Action::Update,
        };
        Noted::new(action, "organization", organization)
            .of_organization(Some(organization))
            .maybe("slug", slug)
            .maybe("name", name)
            .maybe("enabled", enabled)
            .maybe("require_totp", require_totp)
            .maybe("models", models)
            .maybe("nodes", nodes)
            .maybe("cloud_models", cloud_models)
            .maybe("privacy", privacy)
            .maybe("limit_profile", limit_profile)
    }
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

operations! {
    /// Requests about organizations. One is named by its slug or its id.
    Request::Organization(OrganizationRequest);

    /// All the caller may see, by slug.
    "organization.list" List -> Vec<Organization> as Organizations, needs OrganizationRead;

    /// One.
    "organization.show" Show {
        /// Slug or id.
        organization: String,
    } -> Organization as Organization, needs OrganizationRead;

    /// Add one.
    "organization.add" Add(Box<NewOrganization>) -> Organization as Organization, needs OrganizationManage,
        noted |op| op.0.noted();

    /// Change fields.
    "organization.set" Set {
        /// Slug or id.
        organization: String,
        /// Revision the caller saw; None changes any revision.
        revision: Option<u64>,
        /// The change.
        change: Box<OrganizationChange>,
    } -> Organization as Organization, needs OrganizationWrite, noted |op| op.change.noted(&op.organization);

    /// Remove one.
    "organization.remove" Remove {
        /// Slug or id.
        organization: String,
        /// Revision the caller saw; None removes any revision.
        revision: Option<u64>,
        /// Remove its users and keys too, and free its nodes; without it, one that has any is refused.
        with_contents: bool,
    } -> OrganizationRemoved as OrganizationRemoved, needs OrganizationManage,
        noted |op| Noted::new(Action::Delete, "organization", &op.organization)
            .of_organization(Some(&op.organization))
            .with("with_contents", op.with_contents);

    /// Where operators may place nodes., by slug.
    "organization.networks" Networks {
        /// Slug or id; None is all the caller may see.
        organization: Option<String>,
    } -> Vec<NodeNetworks> as NodeNetworks, needs OrganizationRead;

    /// Say where the operators of one may place nodes. Those they placed elsewhere take no more requests.
    "organization.set_networks" SetNetworks {
        /// Slug or id.
        organization: String,
        /// Networks or addresses; empty is nowhere.
        networks: Vec<String>,
    } -> Vec<NodeNetworks> as NodeNetworks, needs OrganizationManage,
        noted |op| Noted::new(Action::PermissionChange, "organization", &op.organization)
            .of_organization(Some(&op.organization))
            .with("node_networks", &op.networks);

    /// Add one, and say in the same step where its operators may place nodes.
    "organization.add_with_networks" AddWithNetworks {
        /// The organization.
        organization: Box<NewOrganization>,
        /// Networks or addresses; empty is nowhere.
        networks: Vec<String>,
    } -> Organization as Organization, needs OrganizationManage,
        noted |op| op.organization.noted().with("node_networks", &op.networks);

    /// Ids of those that hide from their members what they use together.
    "organization.hidden_usage" HiddenUsage -> Vec<String> as HiddenUsage, needs OrganizationRead;

    /// Hide from the members of one what it uses together, or show it again.
    "organization.hide_usage" HideUsage {
        /// Slug or id.
        organization: String,
        /// Whether it is hidden from now on.
        hidden: bool,
    } -> Vec<String> as HiddenUsage, needs OrganizationWrite,
        noted |op| Noted::new(Action::Update, "organization", &op.organization)
            .of_organization(Some(&op.organization))
            .with("hide_usage", op.hidden);
}
