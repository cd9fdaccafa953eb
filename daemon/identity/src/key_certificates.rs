//! Client certificates that stand for keys.

use aivonx_domain::TenantScope;
use aivonx_protocol::{Fault, FaultKind, Untrusted, key::KeyCertificate};
use aivonx_store::KeyCertificateRecord;

use super::{Actor, Identity};

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
        if actor.reach() != TenantScope::All {
            let message = "which certificate stands for a key is for those who run the fleet to say";
            return Err(Fault::new(FaultKind::NotPermitted, message)
                .field("certificate")
                .hint("ask them for it"));
        }
        let name = name.map(certificate_name);
        if let Some(name) = &name
            && (name.trim() != name
                || name.is_empty()
                || name.len() > LONGEST
                || name.contains(char::is_control))
        {
            let message = format!("'{}' is no name of a certificate", Untrusted::new(name));
            let hint =
                "give a DNS name, URI or mail address of its alternative names, or else its common name";
            return Err(Fault::new(FaultKind::Invalid, message).field("certificate").hint(hint));
        }
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
