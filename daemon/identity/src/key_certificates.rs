//! Client certificates that stand for keys.

use aivonx_domain::TenantScope;
use aivonx_protocol::{Fault, FaultKind, Untrusted, key::KeyCertificate};
use aivonx_store::KeyCertificateRecord;

use super::{Actor, Identity, keys::check_live};

/// Longest name, bytes.
const LONGEST: usize = 1024;

/// A certificate's name as it is compared: URIs as they are, DNS names, mail addresses and common names in lower case.
#[must_use]
pub fn certificate_name(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { name.to_ascii_lowercase() }
}

impl Identity {
    /// The certificate that stands for a key; without one, those of every key within reach that has some.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn key_certificates(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        key: Option<&str>,
    ) -> Result<Vec<KeyCertificate>, Fault> {
        let records = self.store.key_certificates();
        if let Some(key) = key {
            let (key, _) = self.key_record(actor, organization, key).await?;
            let found = records.get(&TenantScope::All, &key.id).await?;
            return Ok(vec![KeyCertificate { key: key.id, name: found.map(|found| found.name) }]);
        }
        let keys = self.keys_within(actor, organization).await?;
        let mut all = records.list(&TenantScope::All).await?;
        all.retain(|record| keys.iter().any(|key| key.id == record.id));
        Ok(all.into_iter().map(|record| KeyCertificate { key: record.id, name: Some(record.name) }).collect())
    }

    /// Says which certificate stands for a key.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `NotPermitted` for who does not run the fleet: the authority that signs
    /// certificates is the fleet's, and so are their names; `Invalid` for what is no name; `Conflict` for one that
    /// stands for another key.
    pub async fn set_key_certificate(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        key: &str,
        name: Option<&str>,
    ) -> Result<Vec<KeyCertificate>, Fault> {
        let (key, _) = self.key_record(actor, organization, key).await?;
        may_set(actor)?;
        if name.is_some() {
            check_live(&key)?;
        }
        let name = name.map(certificate).transpose()?;
        let (id, new) = (key.id.clone(), name.clone());
        let change = move |old: Option<KeyCertificateRecord>| {
            Some(KeyCertificateRecord {
                name: new?,
                ..old.unwrap_or(KeyCertificateRecord { id, ..Default::default() })
            })
        };
        self.store.key_certificates().alter(&key.id, change).await?;
        self.settle().await?;
        Ok(vec![KeyCertificate { key: key.id, name }])
    }
}

/// Whether the actor may say which certificate stands for a key.
pub(super) fn may_set(actor: &Actor) -> Result<(), Fault> {
    if actor.reach() == TenantScope::All {
        return Ok(());
    }
    let message = "which certificate stands for a key is for those who run the fleet to say";
    Err(Fault::new(FaultKind::NotPermitted, message).field("certificate").hint("ask them for it"))
}

/// The name as it is kept.
pub(super) fn certificate(name: &str) -> Result<String, Fault> {
    let name = certificate_name(name);
    let is_name = name.trim() == name && (1..=LONGEST).contains(&name.len());
    if !is_name || name.contains(char::is_control) {
        let message = format!("'{}' is no name of a certificate", Untrusted::new(&name));
        let hint = "give a DNS name, URI or mail address of its alternative names, or else its common name";
        return Err(Fault::new(FaultKind::Invalid, message).field("certificate").hint(hint));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::key::{KeyScope, NewKey};

    use super::*;
    use crate::rig::{Rig, root};

    #[tokio::test]
    async fn a_key_is_made_with_its_certificate_or_not_at_all() {
        let (rig, a, _) = Rig::with_two().await;
        let identity = &rig.identity;
        let new = |name: &str| NewKey {
            name: name.into(),
            organization: Some("a".into()),
            user: None,
            scopes: vec![KeyScope::Infer],
            models: vec![],
            networks: vec![],
            expires: None,
        };
        let made = identity.create_key_with(&root(), new("ci"), Some("Host.example")).await.unwrap().key.id;
        let names = ["host.example".to_owned()];
        assert_eq!(*identity.hot().full().key_by_certificate(&names).unwrap().id, *made);
        for (actor, certificate, kind) in [
            (root(), "host.example", FaultKind::Conflict),
            (root(), " blank", FaultKind::Invalid),
            (a.admin.clone(), "other.example", FaultKind::NotPermitted),
        ] {
            let fault = identity.create_key_with(&actor, new("other"), Some(certificate)).await.unwrap_err();
            assert_eq!((fault.kind, fault.field.as_deref()), (kind, Some("certificate")), "{fault}");
            assert_eq!(
                identity.key(&root(), Some("a"), "other").await.unwrap_err().kind,
                FaultKind::NotFound
            );
        }
    }

    #[tokio::test]
    async fn the_certificate_of_a_revoked_key_is_free_for_its_successor() {
        let (rig, a, _) = Rig::with_two().await;
        let identity = &rig.identity;
        let mut ids = Vec::new();
        for name in ["old", "new"] {
            let new = NewKey {
                name: name.into(),
                organization: Some("a".into()),
                user: None,
                scopes: vec![KeyScope::Infer],
                models: vec![],
                networks: vec![],
                expires: None,
            };
            ids.push(identity.create_key(&root(), new).await.unwrap().key.id);
        }
        let set = |id: &str| {
            let id = id.to_owned();
            async move { identity.set_key_certificate(&root(), None, &id, Some("host.example")).await }
        };
        set(&ids[0]).await.unwrap();
        assert_eq!(set(&ids[1]).await.unwrap_err().kind, FaultKind::Conflict);
        identity.revoke_key(&root(), None, &ids[0]).await.unwrap();
        assert_eq!(set(&ids[0]).await.unwrap_err().kind, FaultKind::Conflict);
        let not_theirs = identity.set_key_certificate(&a.admin, None, &ids[0], Some("host.example")).await;
        assert_eq!(not_theirs.unwrap_err().kind, FaultKind::NotPermitted);
        set(&ids[1]).await.unwrap();
        let names = ["host.example".to_owned()];
        assert_eq!(*identity.hot().full().key_by_certificate(&names).unwrap().id, *ids[1]);
    }
}
