//! Whose personal data `aivonx privacy ...` is about.

use clap::Args;

/// Whose prompts.
#[derive(Debug, Args)]
pub struct PrivacyOwner {
    /// In prompts of this organization; without it of your own, or where you have none, of those without one
    #[arg(long = "org", value_name = "ORG")]
    pub organization: Option<String>,
}
