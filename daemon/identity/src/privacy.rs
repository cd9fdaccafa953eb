//! What happens to personal data in prompts and answers, as it is administered.

use aivonx_domain::TenantScope;
use aivonx_limits::profile;
use aivonx_protocol::{
    Fault, FaultKind, WireSecret,
    organization::PrivacyMode,
    privacy::{AnswerMode, AnswerPrivacy, Category, PrivacyCount, PrivacyReport, PrivacySettings, TEST_MAX},
    user::Role,
};
use aivonx_store::{AnswersRecord, FleetPrivacy, OrganizationRecord, Store, StoreError};
use aivonx_wire::privacy::{Blocked, Privacy, Screening, Wanted, redact_text};

use super::{Actor, Identity, organizations::set};

/// What holds for those without an organization, and whether it was set.
pub(super) async fn of_fleet(store: &Store) -> Result<(Privacy, bool), StoreError> {
    let settings = store.settings();
    Ok(match settings.privacy().await? {
        Some(set) => (Privacy::new(set.mode, &set.categories), true),
        None => (Privacy::new(profile::privacy(settings.limit_profile().await?), &[]), false),
    })
}

impl Identity {
    /// What happens to personal data in the prompts of an organization: the one `wanted`, the actor's own, or those
    /// without one.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach.
    pub async fn privacy(&self, actor: &Actor, wanted: Option<&str>) -> Result<PrivacySettings, Fault> {
        match self.organization_of(actor, wanted).await? {
            Some(organization) => Ok(of_organization(&organization)),
            None => {
                let (privacy, set) = of_fleet(&self.store).await?;
                let profile = if set { None } else { Some(self.store.settings().limit_profile().await?) };
                Ok(PrivacySettings {
                    organization: None,
                    mode: privacy.mode,
                    categories: privacy.wanted.categories(),
                    profile,
                })
            }
        }
    }

    /// Changes it. An administrator of an organization only tightens.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach; `Invalid` if there is nothing to change; `NotPermitted` for
    /// those without an organization by others than superadmins, and for less than there is by an administrator of
    /// the organization.
    pub async fn set_privacy(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
        mode: Option<PrivacyMode>,
        categories: Option<Vec<Category>>,
    ) -> Result<PrivacySettings, Fault> {
        if mode.is_none() && categories.is_none() {
            let fault = Fault::new(FaultKind::Invalid, "there is nothing to set").field("mode");
            return Err(fault.hint("give off, detect, redact or block, or --categories"));
        }
        let free = actor.role == Role::Superadmin;
        let Some(found) = self.organization_of(actor, wanted).await? else {
            if !free {
                return Err(not_of_fleet());
            }
            let (now, _) = of_fleet(&self.store).await?;
            let mode = mode.unwrap_or(now.mode);
            let categories = categories.unwrap_or_else(|| now.wanted.categories());
            self.store.settings().set_privacy(FleetPrivacy { mode, categories }).await?;
            self.settle().await?;
            return self.privacy(actor, None).await;
        };
        let answers = self.store.answers().get(&TenantScope::All, &found.id).await?;
        let answers = answers.map(|record| record.mode).unwrap_or_default();
        let (organizations, reach) = (self.store.organizations(), actor.reach());
        let changed = organizations.try_update(&reach, &found.id, None, move |record| {
            let before = Privacy { answers, ..Privacy::new(record.privacy, &record.privacy_categories) };
            set(&mut record.privacy, mode);
            set(&mut record.privacy_categories, categories);
            let after = Privacy::new(record.privacy, &record.privacy_categories);
            if free { Ok(()) } else { check_tightening(before, after) }
        });
        let record = changed.await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        Ok(of_organization(&record))
    }

    /// What happens to personal data in the answers to an organization: the one `wanted`, the actor's own, or to those
    /// without one.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach.
    pub async fn answers(&self, actor: &Actor, wanted: Option<&str>) -> Result<AnswerPrivacy, Fault> {
        let organization = self.organization_of(actor, wanted).await?;
        let id = organization.as_ref().map_or(AnswersRecord::FLEET, |found| &found.id);
        let record = self.store.answers().get(&TenantScope::All, id).await?;
        Ok(AnswerPrivacy {
            organization: organization.map(|found| found.slug),
            answers: record.map(|record| record.mode).unwrap_or_default(),
        })
    }

    /// Changes it. An administrator of an organization only tightens.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach; `NotPermitted` for those without an organization by others
    /// than superadmins, and for less than there is by an administrator of the organization.
    pub async fn set_answers(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
        mode: AnswerMode,
    ) -> Result<AnswerPrivacy, Fault> {
        let free = actor.role == Role::Superadmin;
        let organization = self.organization_of(actor, wanted).await?;
        if organization.is_none() && !free {
            return Err(not_of_fleet());
        }
        let id = organization.map_or_else(|| AnswersRecord::FLEET.to_owned(), |found| found.id);
        let change = move |old: Option<AnswersRecord>| {
            let old = old.unwrap_or_default();
            if mode < old.mode && !free {
                let message = "an org-admin may not loosen what happens to personal data in answers";
                let fault = Fault::new(FaultKind::NotPermitted, message).field("answers");
                return Err(fault.hint("a superadmin may"));
            }
            Ok(Some(AnswersRecord { mode, ..old }))
        };
        self.store.answers().try_alter(&id, change).await.map_err(|e| self.refuse(actor, e))?;
        self.settle().await?;
        self.answers(actor, wanted).await
    }

    /// What would become of `text`. It is not kept.
    ///
    /// # Errors
    /// `NotFound`, also for an organization out of reach; `Invalid` for too long a text.
    pub async fn test_privacy(
        &self,
        actor: &Actor,
        wanted: Option<&str>,
        text: WireSecret,
    ) -> Result<PrivacyReport, Fault> {
        if text.expose().len() > TEST_MAX {
            let message = format!("the text is longer than {TEST_MAX} bytes");
            return Err(Fault::new(FaultKind::Invalid, message).field("text").hint("test it in parts"));
        }
        let settings = self.privacy(actor, wanted).await?;
        let categories = settings.categories.as_slice();
        let own = self.compiled_patterns(settings.organization.as_deref());
        let try_as = |mode| {
            let privacy = Privacy::new(mode, categories);
            redact_text(&Screening { privacy, own: own.clone() }, text.expose())
        };
        // Where it cannot be searched, nothing of it is shown.
        let (redacted, findings) = try_as(PrivacyMode::Redact).unwrap_or_default();
        let refusal = try_as(settings.mode).err().map(|blocked: Blocked| blocked.to_string());
        Ok(PrivacyReport {
            organization: settings.organization,
            mode: settings.mode,
            findings: findings.each().map(|(category, count)| PrivacyCount { category, count }).collect(),
            redacted,
            refusal,
        })
    }
}

fn of_organization(record: &OrganizationRecord) -> PrivacySettings {
    PrivacySettings {
        organization: Some(record.slug.clone()),
        mode: record.privacy,
        categories: Wanted::from(record.privacy_categories.as_slice()).categories(),
        profile: None,
    }
}

pub(super) fn not_of_fleet() -> Fault {
    Fault::new(FaultKind::NotPermitted, "only a superadmin sets what holds without an organization")
        .field("org")
        .hint("name one with --org")
}

fn check_tightening(before: Privacy, after: Privacy) -> Result<(), Fault> {
    let refused = |field: &str, what: String| {
        let fault = Fault::new(FaultKind::NotPermitted, what).field(field);
        Err(fault.hint("a superadmin may"))
    };
    if strictness(after.mode) < strictness(before.mode) {
        return refused("mode", "an org-admin may not loosen what happens to personal data".to_owned());
    }
    let missing = Category::ALL.into_iter().find(|c| before.wanted.has(*c) && !after.wanted.has(*c));
    match missing {
        Some(category) if before.mode != PrivacyMode::Off || before.answers != AnswerMode::Off => {
            refused("categories", format!("an org-admin may not leave out what is looked for: {category}"))
        }
        _ => Ok(()),
    }
}

fn strictness(mode: PrivacyMode) -> u8 {
    match mode {
        PrivacyMode::Off => 0,
        PrivacyMode::Detect => 1,
        PrivacyMode::Redact => 2,
        PrivacyMode::Block => 3,
    }
}

#[cfg(test)]
#[path = "privacy_tests.rs"]
mod tests;
