//! Administration of users.

use std::collections::HashMap;

use aivonx_domain::TenantScope;
use aivonx_domain::now;
use aivonx_protocol::{
    Fault, FaultKind, UnixMillis, WireSecret,
    session::Session,
    user::{NewUser, ResetCode, Role, User, UserChange},
};
use aivonx_store::{Collection, OrganizationRecord, SessionRecord, StoreError, StoredReset, UserRecord};

use super::{
    AccountError, Actor, Identity,
    backup_code::{self, Purpose},
    fields,
    organizations::set,
    password::Context,
    rules,
};

/// How long a code for setting a new password is valid.
const RESET_LASTS: UnixMillis = 60 * 60 * 1000;

impl Identity {
    /// The users `actor` may see, by name: all, or those of one organization or role.
    ///
    /// # Errors
    /// `NotFound` if there is no such organization within reach.
    pub async fn users(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        role: Option<Role>,
    ) -> Result<Vec<User>, Fault> {
        let wanted = match organization {
            Some(wanted) => self.organization_of(actor, Some(wanted)).await?,
            None => None,
        };
        let reach = match (actor.reach(), wanted) {
            (TenantScope::All, Some(wanted)) => TenantScope::Organization(wanted.id),
            (reach, _) => reach,
        };
        let slugs = self.slugs(actor).await?;
        let records = self.store.users().list(&reach).await?;
        let records = records.into_iter().filter(|user| role.is_none_or(|role| user.role == role));
        Ok(records.map(|record| view(record, &slugs)).collect())
    }

    /// One user, by name or id.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn user(&self, actor: &Actor, wanted: &str) -> Result<User, Fault> {
        let record = self.user_record(actor, wanted).await?;
        self.user_shown(actor, record).await
    }

    /// Adds a user. Without a password only a reset code lets it in.
    ///
    /// # Errors
    /// `Invalid` naming the field; `NotPermitted` if the role is above the actor's; `NotFound` for an
    /// organization out of reach; `Conflict` if the name is taken.
    pub async fn add_user(&self, actor: &Actor, new: NewUser) -> Result<User, Fault> {
        rules::check_grant(actor, new.role)?;
        let organization = self.organization_of(actor, new.organization.as_deref()).await?;
        let mut record = UserRecord {
            display_name: new.display_name,
            email: new.email,
            ..UserRecord::new(&new.name, new.role, organization.as_ref().map(|o| &*o.id))
        };
        check(&record)?;
        self.check_ending(actor, &record.name, record.organization.as_deref()).await?;
        if let Some(password) = new.password {
            record.password =
                Some(self.hash_password(actor, &record, organization.as_ref(), password).await?);
            record.password_changed = now();
        }
        let record = self.store.users().insert(record).await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        self.user_shown(actor, record).await
    }

    /// Changes a user. Another role or organization ends its sessions; another organization revokes its keys.
    ///
    /// # Errors
    /// `NotFound`, also for what is out of reach; `Conflict` if it has changed since, or is the last enabled
    /// superadmin; `Invalid` or `NotPermitted` naming the field.
    pub async fn set_user(
        &self,
        actor: &Actor,
        wanted: &str,
        revision: Option<u64>,
        change: UserChange,
    ) -> Result<User, Fault> {
        let found = self.user_record(actor, wanted).await?;
        let organization = match &change.organization {
            None => None,
            Some(Some(wanted)) => {
                Some(self.organization_of(actor, Some(wanted)).await?.map(|found| found.id))
            }
            Some(None) if actor.is_bound() => {
                let message = "only a superadmin may take a user out of its organization";
                return Err(Fault::new(FaultKind::NotPermitted, message).field("org"));
            }
            Some(None) => Some(None),
        };
        let name = change.name.as_ref().unwrap_or(&found.name);
        let place = organization.as_ref().unwrap_or(&found.organization);
        if *name != found.name || *place != found.organization {
            rules::check_manage(actor, &found)?;
            self.check_ending(actor, name, place.as_deref()).await?;
        }
        let record = self.change_user(actor, &found.id, revision, {
            let actor = actor.clone();
            move |user| {
                let old = (user.role, user.organization.clone());
                set(&mut user.name, change.name);
                set(&mut user.display_name, change.display_name);
                set(&mut user.email, change.email);
                set(&mut user.role, change.role);
                set(&mut user.organization, organization);
                check(user)?;
                if old != (user.role, user.organization.clone()) {
                    rules::check_grant(&actor, user.role)?;
                    user.epoch += 1;
                }
                Ok(())
            }
        });
        self.user_shown(actor, record.await?).await
    }

    /// Enables or disables a user; disabling ends its sessions.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `Conflict` if it has changed since, or is the last enabled
    /// superadmin; `NotPermitted`.
    pub async fn set_user_enabled(
        &self,
        actor: &Actor,
        wanted: &str,
        revision: Option<u64>,
        enabled: bool,
    ) -> Result<User, Fault> {
        let id = self.user_record(actor, wanted).await?.id;
        let change = move |user: &mut UserRecord| {
            if user.enabled && !enabled {
                user.epoch += 1;
            }
            user.enabled = enabled;
            Ok(())
        };
        let record = self.change_user(actor, &id, revision, change).await?;
        self.user_shown(actor, record).await
    }

    /// Removes a user with its keys and sessions.
    ///
    /// # Errors
    /// As [`Self::set_user_enabled`].
    pub async fn remove_user(&self, actor: &Actor, wanted: &str, revision: Option<u64>) -> Result<(), Fault> {
        let mut tries = 0;
        loop {
            let found = self.user_record(actor, wanted).await?;
            rules::check_manage(actor, &found)?;
            // What was looked at is what goes: its role may just have risen.
            let seen = Some(revision.unwrap_or(found.revision));
            match self.store.users().remove(&actor.reach(), &found.id, seen).await {
                Ok(_) => {
                    self.settle().await?;
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) if revision.is_none() && tries < 8 => tries += 1,
                Err(e) => return Err(self.refuse(actor, e)),
            }
        }
    }

    /// Takes a user's password away, ends its sessions, and gives a code for setting a new one: for one use,
    /// within an hour.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `NotPermitted`.
    pub async fn reset_password(&self, actor: &Actor, wanted: &str) -> Result<ResetCode, Fault> {
        let id = self.user_record(actor, wanted).await?.id;
        let code = backup_code::generate().map_err(|e| Fault::new(FaultKind::Internal, e.to_string()))?;
        let expires = now() + RESET_LASTS;
        let reset = StoredReset { hash: backup_code::hash(Purpose::Reset, &id, code.expose()), expires };
        let change = move |user: &mut UserRecord| {
            user.password = None;
            user.must_change_password = false;
            user.reset = Some(reset);
            user.epoch += 1;
            Ok(())
        };
        self.change_user(actor, &id, None, change).await?;
        Ok(ResetCode { code, expires })
    }

    /// Takes a user's second factor and backup codes away and ends its sessions.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach; `NotPermitted`.
    pub async fn reset_totp(&self, actor: &Actor, wanted: &str) -> Result<User, Fault> {
        let id = self.user_record(actor, wanted).await?.id;
        let change = |user: &mut UserRecord| {
            user.totp = None;
            user.backup_codes.clear();
            user.epoch += 1;
            Ok(())
        };
        let record = self.change_user(actor, &id, None, change).await?;
        self.user_shown(actor, record).await
    }

    /// The sessions and tokens of a user that are still good, the newest first.
    ///
    /// # Errors
    /// `NotFound`, also for one out of reach.
    pub async fn user_sessions(&self, actor: &Actor, wanted: &str) -> Result<Vec<Session>, Fault> {
        let user = self.user_record(actor, wanted).await?;
        let slugs = self.slugs(actor).await?;
        let mut sessions = self.sessions_of(&user).await?;
        sessions.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        Ok(sessions.into_iter().map(|session| view_session(session, &user.name, &slugs)).collect())
    }

    /// Ends the sessions and tokens of a user, or the one with the id `session`. Returns how many there were.
    ///
    /// # Errors
    /// `NotFound`, also for what is out of reach; `NotPermitted`.
    pub async fn end_sessions(
        &self,
        actor: &Actor,
        wanted: &str,
        session: Option<&str>,
    ) -> Result<u32, Fault> {
        let user = self.user_record(actor, wanted).await?;
        rules::check_manage(actor, &user)?;
        if let Some(id) = session {
            let sessions = self.store.sessions();
            let found = sessions.find(&actor.reach(), None, id).await.map_err(|e| self.refuse(actor, e))?;
            if found.user != user.id {
                return Err(Self::missing(Collection::Session, id));
            }
            sessions.remove(&actor.reach(), id, None).await.map_err(|e| self.refuse(actor, e))?;
            self.settle().await?;
            return Ok(1);
        }
        let ended = self.sessions_of(&user).await?.len();
        let change = |user: &mut UserRecord| {
            user.epoch += 1;
            Ok(())
        };
        self.change_user(actor, &user.id, None, change).await?;
        Ok(u32::try_from(ended).unwrap_or(u32::MAX))
    }

    /// The user named by name or id.
    pub(super) async fn user_record(&self, actor: &Actor, wanted: &str) -> Result<UserRecord, Fault> {
        let found = self.store.users().find(&actor.reach(), None, wanted).await;
        found.map_err(|e| self.refuse(actor, e))
    }

    /// Changes a user whom `actor` may manage, as the record is when it is changed.
    async fn change_user(
        &self,
        actor: &Actor,
        id: &str,
        revision: Option<u64>,
        change: impl FnOnce(&mut UserRecord) -> Result<(), Fault> + Send + 'static,
    ) -> Result<UserRecord, Fault> {
        let (users, reach, manager) = (self.store.users(), actor.reach(), actor.clone());
        let changed = users.try_update(&reach, id, revision, move |user| {
            rules::check_manage(&manager, user)?;
            change(user)
        });
        let record = changed.await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        self.sweep(&record).await?;
        Ok(record)
    }

    /// Forgets the sessions that ended when the epoch of `user` rose: worth nothing already, and no longer listed.
    async fn sweep(&self, user: &UserRecord) -> Result<(), Fault> {
        let sessions = self.store.sessions();
        let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
        for ended in sessions.list(&own).await?.into_iter().filter(|session| session.epoch < user.epoch) {
            match sessions.remove(&own, &ended.id, None).await {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    async fn hash_password(
        &self,
        actor: &Actor,
        user: &UserRecord,
        organization: Option<&OrganizationRecord>,
        password: WireSecret,
    ) -> Result<String, Fault> {
        let context = Context {
            user: user.name.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            organization: organization.map(|o| vec![o.slug.clone(), o.name.clone()]).unwrap_or_default(),
        };
        let hasher = self.hashers.at(&actor.source);
        let checked = hasher.check_rules(password.clone(), context).await.map_err(AccountError::from)?;
        checked.map_err(AccountError::WeakPassword)?;
        Ok(hasher.hash(password).await.map_err(AccountError::from)?)
    }

    async fn sessions_of(&self, user: &UserRecord) -> Result<Vec<SessionRecord>, Fault> {
        let own = TenantScope::User { organization: user.organization.clone(), user: user.id.clone() };
        let time = now();
        let mut sessions = self.store.sessions().list(&own).await?;
        sessions.retain(|session| {
            let idle = session.idle_ms > 0 && session.last_used.saturating_add(session.idle_ms) <= time;
            session.expires > time && !idle && session.epoch == user.epoch
        });
        Ok(sessions)
    }

    async fn user_shown(&self, actor: &Actor, record: UserRecord) -> Result<User, Fault> {
        Ok(view(record, &self.slugs(actor).await?))
    }
}

fn check(record: &UserRecord) -> Result<(), Fault> {
    fields::user_name(&record.name)?;
    record.display_name.as_deref().map_or(Ok(()), |name| fields::text("display-name", name))?;
    record.email.as_deref().map_or(Ok(()), fields::email)?;
    rules::check_role(record.role, record.organization.is_some())
}

fn slug(id: Option<String>, slugs: &HashMap<String, String>) -> Option<String> {
    id.map(|id| slugs.get(&id).cloned().unwrap_or(id))
}

fn view(record: UserRecord, slugs: &HashMap<String, String>) -> User {
    User {
        id: record.id,
        name: record.name,
        display_name: record.display_name,
        email: record.email,
        role: record.role,
        organization: slug(record.organization, slugs),
        enabled: record.enabled,
        totp: record.totp.is_some_and(|totp| totp.confirmed),
        backup_codes: u32::try_from(record.backup_codes.len()).unwrap_or(u32::MAX),
        must_change_password: record.must_change_password,
        last_login: record.last_login,
        created: record.created,
        revision: record.revision,
    }
}

fn view_session(record: SessionRecord, user: &str, slugs: &HashMap<String, String>) -> Session {
    Session {
        id: record.id,
        kind: record.kind,
        user: user.to_owned(),
        name: record.name,
        role: record.role,
        organization: slug(record.organization, slugs),
        peer_uid: record.peer_uid,
        address: record.address,
        created: record.created,
        last_used: record.last_used,
        expires: record.expires,
    }
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
