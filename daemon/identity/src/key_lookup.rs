//! Which key is meant: by its id, its name, the beginning of its secret, or the secret itself.
//!
//! The secret is what one has in hand when a key has leaked, so it is taken; but it goes no further than its hash:
//! refusals and the audit log have its beginning.

use aivonx_protocol::{Fault, FaultKind, Untrusted};
use aivonx_store::{Collection, KeyRecord, OrganizationRecord};

use super::{Actor, Identity, api_key, token_format};

/// Most keys named where several are meant.
const NAMED_MAX: usize = 10;

/// What the caller wrote for a key.
enum Asked<'a> {
    /// The hashes of a whole secret, one under each pepper.
    Secret(Vec<[u8; 32]>),
    /// A name, or the beginning of a secret as lists show it.
    Text(&'a str),
}

impl Asked<'_> {
    fn means(&self, key: &KeyRecord) -> bool {
        match self {
            Self::Secret(hashes) => hashes.iter().any(|hash| {
                api_key::same(hash, &key.hash)
                    || key.retiring.as_ref().is_some_and(|retiring| api_key::same(hash, &retiring.hash))
            }),
            Self::Text(text) => key.name == *text || key.prefix == *text,
        }
    }
}

impl Identity {
    /// The key that is meant, and its organization. `wanted` is an id; a name, in `organization` or the only one
    /// of its kind within reach; `ORG/NAME`; what lists show of a secret; or a secret. A revoked key is meant only
    /// where no other is.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Invalid` if several are meant, or a secret is mistyped.
    pub(super) async fn key_record(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        wanted: &str,
    ) -> Result<(KeyRecord, Option<OrganizationRecord>), Fault> {
        let wanted = wanted.trim();
        let wanted = without_ellipsis(wanted.strip_prefix("Bearer ").unwrap_or(wanted));
        let (organization, wanted) = match wanted.split_once('/') {
            Some((slug, name)) if organization.is_none_or(|given| given == slug) => (Some(slug), name),
            _ => (organization, wanted),
        };
        let shown = token_format::shown(wanted);
        let within = match organization {
            Some(named) => self.organization_of(actor, Some(named)).await?,
            None => None,
        };
        let keys = self.store.keys();
        let by_id = match uuid::Uuid::try_parse(wanted) {
            Ok(_) => keys.get(&actor.reach(), wanted).await.map_err(|e| self.refuse(actor, e))?,
            Err(_) => None,
        };
        let mut meant = match by_id {
            Some(found) => vec![found],
            None => {
                let asked = self.asked(wanted)?;
                let mut all = keys.list(&actor.reach()).await?;
                all.retain(|key| asked.means(key));
                all
            }
        };
        if let Some(within) = &within {
            meant.retain(|key| key.organization.as_deref() == Some(&within.id));
        }
        if meant.iter().any(|key| key.revoked.is_none()) {
            meant.retain(|key| key.revoked.is_none());
        }
        let found = match meant.len() {
            0 => return Err(self.no_key(actor, organization, shown).await?),
            1 => meant.remove(0),
            _ => return Err(self.several(actor, shown, &meant).await?),
        };
        let organization = match (&within, &found.organization) {
            (Some(_), _) => within,
            (None, Some(id)) => self.organization_of(actor, Some(id)).await?,
            (None, None) => None,
        };
        Ok((found, organization))
    }

    fn asked<'a>(&self, wanted: &'a str) -> Result<Asked<'a>, Fault> {
        // Names have no capitals and may be as long, so only what is longer than a name is meant as a secret.
        if !api_key::looks_like(wanted) || wanted.len() <= token_format::SHOWN {
            return Ok(Asked::Text(wanted));
        }
        if let Err(error) = api_key::parse(wanted) {
            return match super::fields::key_name(wanted) {
                Ok(()) => Ok(Asked::Text(wanted)),
                Err(_) => Err(Fault::new(FaultKind::Invalid, format!("this is no whole secret: {error}"))
                    .field("key")
                    .hint(format!("its beginning is enough: {}", token_format::shown(wanted)))),
            };
        }
        let hot = self.hot().load();
        Ok(Asked::Secret(hot.material.peppers.iter().map(|(_, pepper)| pepper.hash(wanted)).collect()))
    }

    /// The fault for a key that was not found; recorded in the audit log if it exists out of the actor's scope.
    async fn no_key(&self, actor: &Actor, organization: Option<&str>, shown: &str) -> Result<Fault, Fault> {
        let organization = self.organization_of(actor, organization).await?;
        let id = organization.as_ref().map(|organization| &*organization.id);
        Ok(match self.store.keys().find(&actor.reach(), id, shown).await {
            Err(error) => self.refuse(actor, error),
            Ok(_) => Self::missing(Collection::Key, shown),
        })
    }

    /// That several keys are meant, and how to name each.
    async fn several(&self, actor: &Actor, shown: &str, meant: &[KeyRecord]) -> Result<Fault, Fault> {
        let slugs = self.slugs(actor).await?;
        let each = meant.iter().take(NAMED_MAX).map(|key| {
            let organization = key.organization.as_ref().map(|id| slugs.get(id).unwrap_or(id));
            let place = organization.map_or("of the fleet".to_owned(), |slug| format!("--org {slug}"));
            let revoked = if key.revoked.is_some() { ", revoked" } else { "" };
            format!("{} ({place}, {}{revoked})", key.id, key.prefix)
        });
        let mut named: Vec<String> = each.collect();
        if meant.len() > NAMED_MAX {
            named.push(format!("and {} more", meant.len() - NAMED_MAX));
        }
        let message = format!("\"{}\" means {} keys", Untrusted::new(shown), meant.len());
        Ok(Fault::new(FaultKind::Invalid, message)
            .field("key")
            .hint(format!("give the id, the beginning of the secret, or --org: {}", named.join("; "))))
    }
}

/// The beginning of a secret as lists (`aivx_7Qp12ab…`) and questions (`aivx_7Qp12ab...`) end it, without that.
fn without_ellipsis(text: &str) -> &str {
    let cut = text.strip_suffix('…').or_else(|| text.strip_suffix("..."));
    cut.filter(|cut| api_key::looks_like(cut) && cut.len() == token_format::SHOWN).unwrap_or(text)
}

#[cfg(test)]
#[path = "key_lookup_tests.rs"]
mod tests;
