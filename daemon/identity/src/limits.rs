//! Who may see and set whose limits. What may be set, and what holds then, is in [`aivonx_limits::setting`] and
//! [`aivonx_limits::resolve`].

use aivonx_domain::TenantScope;
use aivonx_limits::{profile, setting, shown::Resolved};
use aivonx_protocol::{
    Fault, FaultKind,
    limit::{LimitProfileInfo, LimitSetting, LimitTarget, LimitValue, Limits},
    organization::{LimitProfile, OrganizationChange},
    user::Role,
};
use aivonx_store::{LimitRecord, LimitSubject, OrganizationRecord, StoreError, UserRecord};

use super::{Actor, Identity, rules};

/// What limits are set on, as found in the store.
#[derive(Debug, Clone)]
struct Found {
    subject: LimitSubject,
    /// Slug or name; None of the fleet.
    name: Option<String>,
    organization: Option<OrganizationRecord>,
    /// The user it is, or that the key acts for.
    user: Option<UserRecord>,
}

impl Identity {
    /// The limits in force for `target`, and where each comes from.
    ///
    /// # Errors
    /// `NotFound`, also for what is out of reach; `NotPermitted` for a member who asks for an organization's.
    pub async fn limits(&self, actor: &Actor, target: &LimitTarget) -> Result<Limits, Fault> {
        let found = self.limited(actor, target).await?;
        self.limits_shown(actor, found).await
    }

    /// Sets limits. An administrator of an organization only tightens.
    ///
    /// # Errors
    /// `NotFound`, also for what is out of reach; `Conflict` if something was set since; `Invalid` or
    /// `NotPermitted` naming the limit.
    pub async fn set_limits(
        &self,
        actor: &Actor,
        target: &LimitTarget,
        revision: Option<u64>,
        values: Vec<LimitValue>,
    ) -> Result<Limits, Fault> {
        let found = self.limited(actor, target).await?;
        check_target(actor, &found)?;
        let values = setting::check(&found.subject, values)?;
        let free = actor.role == Role::Superadmin;
        if !free {
            setting::check_tightening(&values, &self.resolved(&found).await?)?;
        }
        self.revise_limits(actor, found, revision, move |record| {
            setting::set(record, values, free);
            Ok(())
        })
        .await
    }

    /// Takes back what was set: the limits named, or all.
    ///
    /// # Errors
    /// As [`Self::set_limits`].
    pub async fn unset_limits(
        &self,
        actor: &Actor,
        target: &LimitTarget,
        revision: Option<u64>,
        names: Vec<LimitSetting>,
    ) -> Result<Limits, Fault> {
        let found = self.limited(actor, target).await?;
        check_target(actor, &found)?;
        let names = setting::check_names(&found.subject, names)?;
        let free = actor.role == Role::Superadmin;
        self.revise_limits(actor, found, revision, move |record| setting::unset(record, &names, free)).await
    }

    /// The limit profiles, with the organizations `actor` may see that have them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn limit_profiles(&self, actor: &Actor) -> Result<Vec<LimitProfileInfo>, Fault> {
        let fleet = self.store.settings().limit_profile().await?;
        let organizations = self.store.organizations().list(&actor.reach()).await?;
        Ok(profile::infos(fleet, &organizations))
    }

    /// Chooses the profile of the fleet, or of an organization; `reset` takes back what was set on it.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach; `NotPermitted` for the fleet's by others than
    /// superadmins, and for a looser one by an administrator of the organization.
    pub async fn set_limit_profile(
        &self,
        actor: &Actor,
        organization: Option<&str>,
        profile: LimitProfile,
        reset: bool,
    ) -> Result<Limits, Fault> {
        let target = match organization {
            Some(organization) => LimitTarget::Organization { organization: organization.to_owned() },
            None => LimitTarget::Own,
        };
        let found = self.limited(actor, &target).await?;
        let subject = match organization {
            Some(_) => found.subject,
            // Without an organization the profile is the fleet's, for every caller.
            None => LimitSubject::Fleet,
        };
        check_target(actor, &Found { subject: subject.clone(), ..found })?;
        match &subject {
            LimitSubject::Organization { id } => {
                let change =
                    OrganizationChange { limit_profile: Some(profile), ..OrganizationChange::default() };
                self.set_organization(actor, id, None, change).await?;
            }
            _ => self.store.settings().set_limit_profile(profile).await?,
        }
        if reset {
            self.unset_limits(actor, &target, None, Vec::new()).await?;
        }
        self.settle().await?;
        self.limits(actor, &target).await
    }

    /// The id of the organization whose limits hold for `target`, if there is one.
    ///
    /// # Errors
    /// As [`Self::limits`].
    pub async fn limiting_organization(
        &self,
        actor: &Actor,
        target: &LimitTarget,
    ) -> Result<Option<String>, Fault> {
        Ok(self.limited(actor, target).await?.organization.map(|organization| organization.id))
    }

    /// What `target` is to `actor`.
    async fn limited(&self, actor: &Actor, target: &LimitTarget) -> Result<Found, Fault> {
        let fleet = || Found { subject: LimitSubject::Fleet, name: None, organization: None, user: None };
        match target {
            LimitTarget::Own => match actor.reach() {
                TenantScope::All => Ok(fleet()),
                TenantScope::Organization(id) => self.limited_organization(actor, &id).await,
                TenantScope::User { user, .. } => self.limited_user(actor, &user).await,
            },
            LimitTarget::Organization { organization } if actor.role != Role::Member => {
                self.limited_organization(actor, organization).await
            }
            LimitTarget::Organization { .. } => {
                let message = "a member sees its own limits only";
                Err(Fault::new(FaultKind::NotPermitted, message)
                    .field("org")
                    .hint("leave the organization out"))
            }
            LimitTarget::User { user } => self.limited_user(actor, user).await,
            LimitTarget::Key { organization, key } => {
                let (key, organization) = self.key_record(actor, organization.as_deref(), key).await?;
                let user = self.user_of(&key).await?;
                let (id, user_id) = (key.id, key.user);
                let subject = LimitSubject::Key { id, organization: key.organization, user: user_id };
                Ok(Found { subject, name: Some(key.name), organization, user })
            }
        }
    }

    async fn limited_organization(&self, actor: &Actor, wanted: &str) -> Result<Found, Fault> {
        let found = self.store.organizations().find(&actor.reach(), None, wanted).await;
        let organization = found.map_err(|e| self.refuse(actor, e))?;
        let subject = LimitSubject::Organization { id: organization.id.clone() };
        let name = Some(organization.slug.clone());
        Ok(Found { subject, name, organization: Some(organization), user: None })
    }

    async fn limited_user(&self, actor: &Actor, wanted: &str) -> Result<Found, Fault> {
        let user = self.user_record(actor, wanted).await?;
        let organization = match &user.organization {
            Some(id) => self.store.organizations().get(&TenantScope::All, id).await?,
            None => None,
        };
        let subject = LimitSubject::User { id: user.id.clone(), organization: user.organization.clone() };
        Ok(Found { subject, name: Some(user.name.clone()), organization, user: Some(user) })
    }

    async fn resolved(&self, found: &Found) -> Result<Resolved, StoreError> {
        let user = found.user.as_ref().map(|user| &*user.id);
        Resolved::read(&self.store, &found.subject, found.organization.as_ref(), user).await
    }

    /// The limits that hold for `found`, as `actor` may see them.
    async fn limits_shown(&self, actor: &Actor, found: Found) -> Result<Limits, Fault> {
        let resolved = self.resolved(&found).await?;
        let counted = self.limits.get().map(|limits| &**limits);
        // What the others of its organization use is not a member's business.
        let limits = resolved.shown(&found.subject, counted, actor.role != Role::Member);
        Ok(Limits {
            level: found.subject.level(),
            id: (found.subject != LimitSubject::Fleet).then(|| found.subject.id().to_owned()),
            name: found.name,
            organization: found.organization.map(|organization| organization.slug),
            profile: resolved.profile,
            limits,
            revision: resolved.revision,
        })
    }

    async fn revise_limits(
        &self,
        actor: &Actor,
        found: Found,
        revision: Option<u64>,
        change: impl FnOnce(&mut LimitRecord) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Limits, Fault> {
        let revised =
            self.store.limits().revise(&actor.reach(), found.subject.clone(), revision, change).await;
        revised.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        self.limits_shown(actor, found).await
    }
}

/// Whether `actor` may set limits on it at all.
fn check_target(actor: &Actor, found: &Found) -> Result<(), Fault> {
    match (&found.subject, &found.user) {
        (LimitSubject::Fleet, _) if actor.role != Role::Superadmin => {
            let message = "only a superadmin sets limits of the fleet";
            Err(Fault::new(FaultKind::NotPermitted, message)
                .hint("name what is yours with --org, --user or --key"))
        }
        (LimitSubject::User { .. }, Some(user)) => rules::check_manage(actor, user),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
