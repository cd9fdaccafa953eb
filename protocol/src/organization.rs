//! Organizations: the tenants.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
