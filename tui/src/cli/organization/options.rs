//! The options that `org add` and `org set` share.

use std::{collections::BTreeMap, str::FromStr};

use aivonx_protocol::organization::{NodeAccess, PrivacyMode};
use clap::{Args, ValueEnum};

use crate::cli::account::setup::Profile;

/// Options about an organization.
#[derive(Debug, Clone, Default, Args)]
pub struct OrganizationOptions {
    /// Its users must have a second factor
    #[arg(long)]
    pub require_totp: bool,
    /// A model it may use (* and ? are wildcards); repeatable; without, every model
    #[arg(long = "model", value_name = "GLOB")]
    pub models: Vec<String>,
    /// Its nodes: shared, those shared ones with labels (KEY=VALUE,...), or exclusive
    #[arg(long, value_name = "NODES")]
    pub nodes: Option<Nodes>,
    /// Where its operators may add nodes: networks such as 10.1.0.0/16,fd00:1::/32; without, nowhere
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub node_networks: Vec<String>,
    /// Models that a node hands on to a third party are allowed
    #[arg(long)]
    pub cloud_models: bool,
    /// Personal data in prompts: off, detect, redact or block
    #[arg(long, value_name = "MODE", value_enum, hide_possible_values = true)]
    pub privacy: Option<Privacy>,
    /// Its limits: standard, team or unlimited
    #[arg(long = "profile", value_name = "PROFILE", value_enum, hide_possible_values = true)]
    pub limit_profile: Option<Profile>,
}

/// [`NodeAccess`] as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(pub NodeAccess);

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let labels = || {
            text.split(',')
                .map(|label| match label.split_once('=') {
                    Some((key, value)) if !key.is_empty() => Some((key.to_owned(), value.to_owned())),
                    _ => None,
                })
                .collect::<Option<BTreeMap<_, _>>>()
        };
        match text {
            "shared" => Ok(Self(NodeAccess::Shared)),
            "exclusive" => Ok(Self(NodeAccess::Exclusive)),
            _ => labels()
                .map(|labels| Self(NodeAccess::Labels(labels)))
                .ok_or_else(|| "accepted are shared, exclusive, and labels as KEY=VALUE,...".to_owned()),
        }
    }
}

/// [`PrivacyMode`] as clap sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Privacy {
    /// Nothing is looked for.
    Off,
    /// Found and counted.
    Detect,
    /// Found and replaced.
    Redact,
    /// Found and refused.
    Block,
}

impl From<Privacy> for PrivacyMode {
    fn from(privacy: Privacy) -> Self {
        match privacy {
            Privacy::Off => Self::Off,
            Privacy::Detect => Self::Detect,
            Privacy::Redact => Self::Redact,
            Privacy::Block => Self::Block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::organization::nodes_name;

    #[test]
    fn nodes_are_read_as_they_are_shown() {
        for text in ["shared", "exclusive", "zone=b", "rack=1,zone=b", "zone="] {
            assert_eq!(nodes_name(&text.parse::<Nodes>().unwrap().0), text);
        }
        for text in ["", "all", "=b", "zone=b,", "zone"] {
            assert!(text.parse::<Nodes>().unwrap_err().contains("accepted are"), "{text}");
        }
    }
}
