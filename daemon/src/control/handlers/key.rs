//! Operations on API keys.

use aivonx_identity::{Actor, Identity, too_many_keys};
use aivonx_limits::Exceeded;
use aivonx_protocol::{
    Fault,
    key::{self, Key, KeyCertificate, KeyQueueing, NewKey, NewSecretKey},
    operation::Serve,
    user::Role,
};

use crate::control::{By, Services};

impl Serve<key::List> for Services {
    async fn serve(&self, by: By<key::List>, asked: key::List) -> Result<Vec<Key>, Fault> {
        let key::List { organization, user, all } = asked;
        self.identity.keys(by.actor(), organization.as_deref(), user.as_deref(), all).await
    }
}

impl Serve<key::Show> for Services {
    async fn serve(&self, by: By<key::Show>, asked: key::Show) -> Result<Key, Fault> {
        self.identity.key(by.actor(), asked.organization.as_deref(), &asked.key).await
    }
}

impl Serve<key::Create> for Services {
    async fn serve(&self, by: By<key::Create>, asked: key::Create) -> Result<NewSecretKey, Fault> {
        count_new(&self.identity, by.actor(), &asked.0).map_err(|exceeded| too_many_keys(&exceeded))?;
        self.identity.create_key(by.actor(), *asked.0).await
    }
}

impl Serve<key::Set> for Services {
    async fn serve(&self, by: By<key::Set>, asked: key::Set) -> Result<Key, Fault> {
        let key::Set { organization, key, revision, change } = asked;
        self.identity.set_key(by.actor(), organization.as_deref(), &key, revision, *change).await
    }
}

impl Serve<key::Rotate> for Services {
    async fn serve(&self, by: By<key::Rotate>, asked: key::Rotate) -> Result<NewSecretKey, Fault> {
        let key::Rotate { organization, key, grace_ms } = asked;
        self.identity.rotate_key(by.actor(), organization.as_deref(), &key, grace_ms).await
    }
}

impl Serve<key::Revoke> for Services {
    async fn serve(&self, by: By<key::Revoke>, asked: key::Revoke) -> Result<Key, Fault> {
        self.identity.revoke_key(by.actor(), asked.organization.as_deref(), &asked.key).await
    }
}

impl Serve<key::Queueing> for Services {
    async fn serve(&self, by: By<key::Queueing>, asked: key::Queueing) -> Result<Vec<KeyQueueing>, Fault> {
        let key::Queueing { organization, key } = asked;
        self.identity.key_queueing(by.actor(), organization.as_deref(), key.as_deref()).await
    }
}

impl Serve<key::SetQueueing> for Services {
    async fn serve(
        &self,
        by: By<key::SetQueueing>,
        asked: key::SetQueueing,
    ) -> Result<Vec<KeyQueueing>, Fault> {
        let key::SetQueueing { organization, key, priority, keep_waiting } = asked;
        let organization = organization.as_deref();
        self.identity.set_key_queueing(by.actor(), organization, &key, priority, keep_waiting).await
    }
}

impl Serve<key::Certificates> for Services {
    async fn serve(
        &self,
        by: By<key::Certificates>,
        asked: key::Certificates,
    ) -> Result<Vec<KeyCertificate>, Fault> {
        let key::Certificates { organization, key } = asked;
        self.identity.key_certificates(by.actor(), organization.as_deref(), key.as_deref()).await
    }
}

impl Serve<key::SetCertificate> for Services {
    async fn serve(
        &self,
        by: By<key::SetCertificate>,
        asked: key::SetCertificate,
    ) -> Result<Vec<KeyCertificate>, Fault> {
        let key::SetCertificate { organization, key, name } = asked;
        let organization = organization.as_deref();
        self.identity.set_key_certificate(by.actor(), organization, &key, name.as_deref()).await
    }
}

impl Serve<key::Disabled> for Services {
    async fn serve(&self, by: By<key::Disabled>, _: key::Disabled) -> Result<Vec<String>, Fault> {
        self.identity.disabled_keys(by.actor()).await
    }
}

impl Serve<key::SetEnabled> for Services {
    async fn serve(&self, by: By<key::SetEnabled>, asked: key::SetEnabled) -> Result<Key, Fault> {
        let key::SetEnabled { organization, key, enabled } = asked;
        self.identity.set_key_enabled(by.actor(), organization.as_deref(), &key, enabled).await
    }
}

impl Serve<key::CreateWithCertificate> for Services {
    async fn serve(
        &self,
        by: By<key::CreateWithCertificate>,
        asked: key::CreateWithCertificate,
    ) -> Result<NewSecretKey, Fault> {
        let key::CreateWithCertificate { key, certificate } = asked;
        count_new(&self.identity, by.actor(), &key).map_err(|exceeded| too_many_keys(&exceeded))?;
        self.identity.create_key_with(by.actor(), *key, Some(&certificate)).await
    }
}

/// Counts a key that its maker will use; what administrators make for others is not limited.
fn count_new(identity: &Identity, actor: &Actor, new: &NewKey) -> Result<(), Exceeded> {
    let own = match &new.user {
        None => actor.role == Role::Member,
        Some(wanted) => actor.user.as_ref() == Some(wanted) || actor.name.eq_ignore_ascii_case(wanted),
    };
    if own { identity.count_own_key(actor) } else { Ok(()) }
}
