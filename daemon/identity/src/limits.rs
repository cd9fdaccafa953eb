//! Administration of limits. What holds follows from what is set in [`aivonx_limits::resolve`].

use aivonx_domain::Reach;
use aivonx_limits::{given::Given, profile, resolve};
use aivonx_protocol::{
    Fault, FaultKind,
    limit::{CAP_MAX, Each, LimitName, LimitProfileInfo, LimitSetting, LimitTarget, LimitValue, Limits},
    organization::{LimitProfile, OrganizationChange},
    user::Role,
};
use aivonx_store::{LimitRecord, LimitSubject, OrganizationRecord, UserRecord};

use super::{Actor, Identity, limit_view::Resolved, rules};

/// What limits are set on, as found in the store.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) subject: LimitSubject,
    /// Slug or name; None of the fleet.
    pub(super) name: Option<String>,
    pub(super) organization: Option<OrganizationRecord>,
    /// The user it is, or that the key acts for.
    pub(super) user: Option<UserRecord>,
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
        if values.is_empty() {
            let fault = Fault::new(FaultKind::Invalid, "there is nothing to set").field("limit");
            return Err(fault.hint("name a limit and its value, such as inference.day=100"));
        }
        let values = values
            .into_iter()
            .map(|value| Ok((fitting(&found.subject, value.name)?, value.limit)))
            .collect::<Result<Vec<_>, Fault>>()?;
        for (setting, cap) in &values {
            if cap.is_some_and(|cap| cap > CAP_MAX) {
                let message = format!("{setting} cannot be more than {}", setting.cap_text(Some(CAP_MAX)));
                return Err(Fault::new(FaultKind::Invalid, message).field("limit").hint("use unlimited"));
            }
        }
        let choice = values.iter().find(|(setting, cap)| {
            setting.name == LimitName::SpendUnpriced && cap.is_some_and(|cap| cap != 0)
        });
        if let Some((setting, _)) = choice {
            let message = format!("{setting} is free or refuse");
            return Err(Fault::new(FaultKind::Invalid, message).field("limit").hint("use one of the two"));
        }
        let free = actor.role == Role::Superadmin;
        if !free {
            let resolved = self.resolved(&found).await?;
            values.iter().try_for_each(|(setting, cap)| {
                check_tightening(*setting, *cap, resolved.granted(*setting))
            })?;
        }
        self.revise_limits(actor, found, revision, move |record| {
            for (setting, cap) in values {
                // The last word is the superadmin's.
                if free {
                    record.own.remove(&setting);
                    record.granted.insert(setting, cap);
                } else {
                    record.own.insert(setting, cap);
                }
            }
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
        let names = names
            .into_iter()
            .map(|name| fitting(&found.subject, name))
            .collect::<Result<Vec<LimitSetting>, Fault>>()?;
        let free = actor.role == Role::Superadmin;
        self.revise_limits(actor, found, revision, move |record| {
            let named = |setting: &LimitSetting| names.is_empty() || names.contains(setting);
            let granted = record.granted.keys().find(|setting| {
                !free && !names.is_empty() && names.contains(setting) && !record.own.contains_key(setting)
            });
            if let Some(setting) = granted {
                let message = format!("{setting} was set by a superadmin");
                return Err(Fault::new(FaultKind::NotPermitted, message)
                    .field("limit")
                    .hint("a superadmin may take it back; you may set less"));
            }
            record.own.retain(|setting, _| !named(setting));
            if free {
                record.granted.retain(|setting, _| !named(setting));
            }
            Ok(())
        })
        .await
    }

    /// The limit profiles, with the organizations `actor` may see that have them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn limit_profiles(&self, actor: &Actor) -> Result<Vec<LimitProfileInfo>, Fault> {
        let fleet = self.store.settings().limit_profile().await?;
        let organizations = self.store.organizations().list(&actor.reach()).await?;
        let info = |wanted: LimitProfile| LimitProfileInfo {
            profile: wanted,
            fleet: wanted == fleet,
            organizations: organizations
                .iter()
                .filter(|organization| organization.limit_profile == wanted)
                .map(|organization| organization.slug.clone())
                .collect(),
            privacy: profile::privacy(wanted),
            limits: profile::values(wanted)
                .into_iter()
                .map(|(name, limit)| LimitValue { name, limit })
                .collect(),
        };
        Ok(profile::ALL.into_iter().map(info).collect())
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
            // Not one's own, whoever asks.
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
                Reach::All => Ok(fleet()),
                Reach::Organization(id) => self.limited_organization(actor, &id).await,
                Reach::User { user, .. } => self.limited_user(actor, &user).await,
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
            Some(id) => self.store.organizations().get(&Reach::All, id).await?,
            None => None,
        };
        let subject = LimitSubject::User { id: user.id.clone(), organization: user.organization.clone() };
        Ok(Found { subject, name: Some(user.name.clone()), organization, user: Some(user) })
    }

    /// What holds for it.
    pub(super) async fn resolved(&self, found: &Found) -> Result<Resolved, Fault> {
        let given = Given::read(&self.store).await?;
        let (profile, scope) = match &found.organization {
            Some(organization) => {
                let profile = organization.limit_profile;
                (profile, given.organization(&organization.id, profile))
            }
            None => (given.profile(), given.fleet()),
        };
        let user = found.user.as_ref().map(|user| given.user(&scope, &user.id));
        let key = matches!(found.subject, LimitSubject::Key { .. })
            .then(|| given.key(&scope, user.as_ref(), found.subject.id()));
        let set = self.store.limits().get(&Reach::All, found.subject.id()).await?;
        Ok(Resolved { profile, scope, user, key, revision: set.map_or(0, |set| set.revision) })
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

/// The setting as it is kept for this kind of subject.
fn fitting(subject: &LimitSubject, setting: LimitSetting) -> Result<LimitSetting, Fault> {
    let name = setting.name;
    let refused =
        |message: String, fix: String| Err(Fault::new(FaultKind::Invalid, message).field("limit").hint(fix));
    match subject {
        LimitSubject::Fleet => Ok(setting),
        _ if name.is_by_address() => refused(
            format!("{name} is counted by address, so it is the fleet's alone"),
            "leave --org, --user and --key out".to_owned(),
        ),
        LimitSubject::Organization { .. } => Ok(setting),
        LimitSubject::User { .. } => match setting.each {
            Each::Key => Ok(setting),
            Each::Itself | Each::User => Ok(LimitSetting::bare(name)),
        },
        LimitSubject::Key { .. } if !LimitSetting::goes_for_keys(name) => {
            refused(format!("keys have no {name}"), "set it with --user or --org".to_owned())
        }
        LimitSubject::Key { .. } if setting.each == Each::User && !setting.is_bare() => {
            refused(format!("{setting} is not of a key"), format!("use {name}"))
        }
        LimitSubject::Key { .. } => Ok(LimitSetting::bare(name)),
    }
}

fn check_tightening(setting: LimitSetting, cap: Option<u64>, granted: Option<u64>) -> Result<(), Fault> {
    if !resolve::is_less(granted, cap) {
        return Ok(());
    }
    let message = format!(
        "an administrator of an organization may set {setting} to {} at most here",
        setting.cap_text(granted)
    );
    Err(Fault::new(FaultKind::NotPermitted, message).field("limit").hint("a superadmin may set more"))
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
