//! Organizations of tests.

use aivonx_protocol::{
    key::{self, KeyScope, NewKey},
    organization::{self, NewOrganization, NodeAccess},
};

use super::Daemon;

impl Daemon {
    /// Makes an organization that may use every node; returns the secret of a key of it, for inference.
    pub async fn tenant(&self, slug: &str) -> String {
        let control = self.control().await;
        let new = NewOrganization {
            slug: slug.into(),
            name: None,
            require_totp: false,
            models: Vec::new(),
            nodes: NodeAccess::Shared,
            cloud_models: false,
            privacy: None,
            limit_profile: None,
        };
        control.ask(organization::Add(Box::new(new))).await.expect("an organization");
        let new = NewKey {
            name: "key".into(),
            organization: Some(slug.into()),
            user: None,
            scopes: vec![KeyScope::Infer],
            models: Vec::new(),
            networks: Vec::new(),
            expires: None,
        };
        control.ask(key::Create(Box::new(new))).await.expect("a key").secret.expose().to_owned()
    }
}
