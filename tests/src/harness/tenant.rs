//! Organizations, users and keys of tests.

use aivonx_protocol::{
    WireSecret,
    key::{self, KeyScope, NewKey},
    organization::{self, NewOrganization, NodeAccess},
    user::{NewUser, Role},
};

use super::Daemon;

/// A user of an organization, or of the fleet; without a password none can log in.
#[must_use]
pub fn new_user(name: &str, role: Role, organization: Option<&str>, password: Option<&str>) -> NewUser {
    NewUser {
        name: name.into(),
        display_name: None,
        email: None,
        role,
        organization: organization.map(Into::into),
        password: password.map(|password| WireSecret::new(password.into())),
    }
}

/// A key that is no user's, for every model and without an end.
#[must_use]
pub fn new_key(name: &str, organization: Option<&str>, scopes: &[KeyScope]) -> NewKey {
    NewKey {
        name: name.into(),
        organization: organization.map(Into::into),
        user: None,
        scopes: scopes.to_vec(),
        models: Vec::new(),
        networks: Vec::new(),
        expires: None,
    }
}

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
        let new = new_key("key", Some(slug), &[KeyScope::Infer]);
        control.ask(key::Create(Box::new(new))).await.expect("a key").secret.expose().to_owned()
    }
}
