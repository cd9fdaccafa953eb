//! Administration of API keys.

use std::collections::HashMap;

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{
    Fault, FaultKind, UnixMillis, WireSecret,
    key::{Key, KeyChange, KeyScope, NewKey, NewSecretKey},
    user::Role,
};
use aivonx_store::{Collection, KeyRecord, RetiringHash, UserRecord};

use super::{
    Actor, Identity, api_key, fields, key_certificates, key_count::too_many_keys, organizations::set, rules,
};

/// Longest that an old secret works after a rotation: 30 days.
const GRACE_MAX: UnixMillis = 30 * 24 * 60 * 60 * 1000;
/// Most keys in use that a member may have.
const MEMBER_KEYS: usize = 100;

impl Identity {
    /// The keys `actor` may see, by name: all, or those of one organization or user. Revoked and expired ones
    /// only with `all`.
    ///
    /// # Errors
    /// `NotFound` if there is no such organization or user within reach.
    pub async fn keys(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        user: Option<&str>,
        all: bool,
    ) -> Result<Vec<Key>, Fault> {
        let wanted = match organization {
            Some(wanted) => self.organization_of(actor, Some(wanted)).await?,
            None => None,
        };
        let user = match user {
            Some(user) => Some(self.user_record(actor, user).await?.id),
            None => None,
        };
        let reach = match (actor.reach(), wanted) {
            (TenantScope::All, Some(wanted)) => TenantScope::Organization(wanted.id),
            (reach, _) => reach,
        };
        let time = now();
        let mut records = self.store.keys().list(&reach).await?;
        records.retain(|key| {
            let ended = key.revoked.is_some() || key.expires.is_some_and(|at| at <= time);
            (all || !ended) && (user.is_none() || key.user == user)
        });
        records.sort_by(|a, b| (&a.name, a.created, &a.id).cmp(&(&b.name, b.created, &b.id)));
        let names = self.names(actor).await?;
        Ok(records.into_iter().map(|record| self.view_key(record, &names)).collect())
    }

    /// One key; [`Self::key_record`] says how it may be named.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn key(&self, actor: &Actor, organization: Option<&str>, wanted: &str) -> Result<Key, Fault> {
        let (record, _) = self.key_record(actor, organization, wanted).await?;
        self.key_shown(actor, record).await
    }

    /// Makes a key. A member's acts for that member; others' for whom they say, or for nobody.
    ///
    /// # Errors
    /// `Invalid` naming the field; `NotPermitted` if a scope exceeds the actor or the user; `NotFound` for an
    /// organization out of reach or a user who is not of the organization; `Conflict` if the name is taken.
    pub async fn create_key(&self, actor: &Actor, new: NewKey) -> Result<NewSecretKey, Fault> {
        self.create_key_with(actor, new, None).await
    }

    /// Makes a key for which this client certificate stands.
    ///
    /// # Errors
    /// As [`Self::create_key`] and [`Self::set_key_certificate`].
    pub async fn create_key_with(
        &self,
        actor: &Actor,
        new: NewKey,
        certificate: Option<&str>,
    ) -> Result<NewSecretKey, Fault> {
        let certificate = match certificate {
            Some(name) => {
                key_certificates::may_set(actor)?;
                Some(key_certificates::certificate(name)?)
            }
            None => None,
        };
        let user = match &new.user {
            Some(wanted) => Some(self.user_record(actor, wanted).await?),
            None if actor.role == Role::Member => {
                Some(self.user_record(actor, actor.user.as_deref().unwrap_or_default()).await?)
            }
            None => None,
        };
        let mut organization = self.organization_of(actor, new.organization.as_deref()).await?;
        if let (Some(user), None, None) = (&user, &new.organization, &organization) {
            // Of a user named by the fleet's superadmin: where that one is.
            organization = match &user.organization {
                Some(id) => self.organization_of(actor, Some(id)).await?,
                None => None,
            };
        }
        let organization_id = organization.as_ref().map(|organization| organization.id.clone());
        if let Some(user) = &user
            && user.organization != organization_id
        {
            return Err(self.foreign(actor, Collection::User, new.user.as_deref().unwrap_or(&user.id)));
        }
        fields::key_name(&new.name)?;
        fields::models(&new.models)?;
        let scopes = scopes(new.scopes)?;
        rules::check_scopes(actor, organization.as_ref(), user.as_ref(), &scopes)?;
        if let Some(at) = new.expires {
            fields::in_future("expires", at, now())?;
        }
        let networks = fields::networks("networks", &new.networks)?;
        self.check_count(actor).await?;
        let secret = new_secret()?;
        let record = KeyRecord {
            organization: organization_id,
            user: user.map(|user| user.id),
            prefix: shown(&secret),
            scopes,
            models: new.models,
            networks,
            expires: new.expires,
            created_by: actor.user.clone(),
            ..KeyRecord::new(&new.name, self.hash_key(&secret)?)
        };
        let added = self.store.keys().insert_with_certificate(record, certificate).await;
        let record = added.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(NewSecretKey { key: self.key_shown(actor, record).await?, secret })
    }

    /// Changes a key that is not revoked.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it has changed since or is revoked; `Invalid` or
    /// `NotPermitted` naming the field.
    pub async fn set_key(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        wanted: &str,
        revision: Option<u64>,
        change: KeyChange,
    ) -> Result<Key, Fault> {
        let (found, organization) = self.key_record(actor, organization, wanted).await?;
        let user = self.user_of(&found).await?;
        if let Some(name) = &change.name {
            fields::key_name(name)?;
        }
        if let Some(models) = &change.models {
            fields::models(models)?;
        }
        if let Some(Some(at)) = change.expires {
            fields::in_future("expires", at, now())?;
        }
        let networks = change.networks.as_deref().map(|all| fields::networks("networks", all)).transpose()?;
        let scopes = change.scopes.map(scopes).transpose()?;
        let maker = actor.clone();
        let record = self.change_key(actor, &found.id, revision, move |key| {
            check_live(key)?;
            // Neither may one loosen a key that is above oneself.
            rules::check_scopes(&maker, organization.as_ref(), None, &key.scopes)?;
            if let Some(scopes) = &scopes {
                rules::check_scopes(&maker, organization.as_ref(), user.as_ref(), scopes)?;
            }
            set(&mut key.name, change.name);
            set(&mut key.scopes, scopes);
            set(&mut key.models, change.models);
            set(&mut key.networks, networks);
            set(&mut key.expires, change.expires);
            Ok(())
        });
        self.key_shown(actor, record.await?).await
    }

    /// Gives a key a new secret. The old one works for `grace_ms` milliseconds more; one that was still in its
    /// own grace dies at once.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it is revoked or expired; `Invalid` for too long a
    /// grace; `NotPermitted` if its scopes exceed the actor.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        wanted: &str,
        grace_ms: u64,
    ) -> Result<NewSecretKey, Fault> {
        if grace_ms > GRACE_MAX {
            let message = "the old secret may work for 30 days at most";
            return Err(Fault::new(FaultKind::Invalid, message).field("grace").hint("use 30d or less"));
        }
        let (found, organization) = self.key_record(actor, organization, wanted).await?;
        if found.user.is_some() && found.user == actor.user {
            self.count_own_key(actor).map_err(|exceeded| too_many_keys(&exceeded))?;
        }
        let secret = new_secret()?;
        let (pepper, hash) = self.hash_key(&secret)?;
        let prefix = shown(&secret);
        let maker = actor.clone();
        let record = self.change_key(actor, &found.id, None, move |key| {
            check_live(key)?;
            let time = now();
            if key.expires.is_some_and(|at| at <= time) {
                let message = "the key has expired";
                return Err(Fault::new(FaultKind::Conflict, message).hint("set a later time first, or none"));
            }
            rules::check_scopes(&maker, organization.as_ref(), None, &key.scopes)?;
            let old =
                RetiringHash { pepper: key.pepper, hash: key.hash, until: time.saturating_add(grace_ms) };
            // Also without a grace: the old secret stays known as one that was shut off.
            key.retiring = Some(old);
            (key.pepper, key.hash, key.prefix) = (pepper, hash, prefix);
            Ok(())
        });
        Ok(NewSecretKey { key: self.key_shown(actor, record.await?).await?, secret })
    }

    /// Revokes a key, for ever: its name is free again. One that is revoked stays as it is.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        wanted: &str,
    ) -> Result<Key, Fault> {
        let (found, _) = self.key_record(actor, organization, wanted).await?;
        if found.revoked.is_some() {
            return self.key_shown(actor, found).await;
        }
        let time = now();
        let record = self.change_key(actor, &found.id, None, move |key| {
            key.revoked = Some(key.revoked.unwrap_or(time));
            Ok(())
        });
        self.key_shown(actor, record.await?).await
    }

    async fn change_key(
        &self,
        actor: &Actor,
        id: &str,
        revision: Option<u64>,
        change: impl FnOnce(&mut KeyRecord) -> Result<(), Fault> + Send + 'static,
    ) -> Result<KeyRecord, Fault> {
        let changed = self.store.keys().try_update(&actor.reach(), id, revision, change).await;
        let record = changed.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(record)
    }

    /// The user a key acts for, who may be above or beside the actor.
    pub(super) async fn user_of(&self, key: &KeyRecord) -> Result<Option<UserRecord>, Fault> {
        match &key.user {
            Some(id) => Ok(self.store.users().get(&TenantScope::All, id).await?),
            None => Ok(None),
        }
    }

    /// The hash of a new key, and the number of the pepper it is under.
    fn hash_key(&self, secret: &WireSecret) -> Result<(u32, [u8; 32]), Fault> {
        let hot = self.hot().load();
        let (number, pepper) = hot.material.peppers.first().ok_or_else(|| {
            Fault::new(FaultKind::Internal, "there is no pepper to hash keys with")
                .hint("see the daemon's log")
        })?;
        Ok((*number, pepper.hash(secret.expose())))
    }

    async fn check_count(&self, actor: &Actor) -> Result<(), Fault> {
        if actor.role != Role::Member {
            return Ok(());
        }
        let keys = self.store.keys().list(&actor.reach()).await?;
        if keys.iter().filter(|key| key.revoked.is_none()).count() < MEMBER_KEYS {
            return Ok(());
        }
        let message = format!("you have {MEMBER_KEYS} keys, which is the most");
        Err(Fault::new(FaultKind::Conflict, message).hint("revoke one that is not needed any more"))
    }

    async fn names(&self, actor: &Actor) -> Result<Names, Fault> {
        let users = self.store.users().list(&actor.reach()).await?;
        Ok(Names {
            organizations: self.slugs(actor).await?,
            users: users.into_iter().map(|user| (user.id, user.name)).collect(),
        })
    }

    async fn key_shown(&self, actor: &Actor, record: KeyRecord) -> Result<Key, Fault> {
        let user = self.user_of(&record).await?;
        let names = Names {
            organizations: self.slugs(actor).await?,
            users: user.into_iter().map(|user| (user.id, user.name)).collect(),
        };
        Ok(self.view_key(record, &names))
    }

    fn view_key(&self, record: KeyRecord, names: &Names) -> Key {
        let named = |id: Option<String>, names: &HashMap<String, String>| {
            id.map(|id| names.get(&id).cloned().unwrap_or(id))
        };
        let (time, hot) = (now(), self.hot().load());
        // What it may do now: a role that was taken away takes scopes with it.
        let mut scopes = record.scopes;
        if let Some(key) = hot.key(&record.id) {
            scopes.retain(|scope| key.scopes.has(*scope));
        }
        Key {
            old_pepper: hot.material.peppers.first().is_some_and(|(newest, _)| record.pepper != *newest),
            last_used: hot
                .key(&record.id)
                .and_then(|key| key.live.last_used())
                .max(self.key_uses.last(&record.id)),
            id: record.id,
            name: record.name,
            organization: named(record.organization, &names.organizations),
            user: named(record.user, &names.users),
            prefix: record.prefix,
            scopes,
            models: record.models,
            networks: record.networks,
            expires: record.expires,
            revoked: record.revoked,
            grace_until: record.retiring.map(|old| old.until).filter(|until| *until > time),
            created: record.created,
            revision: record.revision,
        }
    }
}

/// Slugs and names by id.
struct Names {
    organizations: HashMap<String, String>,
    users: HashMap<String, String>,
}

pub(super) fn check_live(key: &KeyRecord) -> Result<(), Fault> {
    if key.revoked.is_none() {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Conflict, "the key is revoked").hint("create another"))
}

fn scopes(mut scopes: Vec<KeyScope>) -> Result<Vec<KeyScope>, Fault> {
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        let fault = Fault::new(FaultKind::Invalid, "a key needs a scope").field("scope");
        return Err(fault.hint("name infer, models:read, models:write, admin:read or nodes:choose"));
    }
    Ok(scopes)
}

fn new_secret() -> Result<WireSecret, Fault> {
    api_key::generate().map_err(|e| Fault::new(FaultKind::Internal, e.to_string()))
}

/// The part of a secret that lists show.
fn shown(secret: &WireSecret) -> String {
    api_key::parse(secret.expose()).map(|parsed| parsed.shown().to_owned()).unwrap_or_default()
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
