//! Limits as they are shown.

use aivonx_domain::TenantScope;
use aivonx_protocol::{
    limit::{Each, EffectiveLimit, LimitLevel, LimitName, LimitSetting},
    organization::LimitProfile,
};
use aivonx_store::{LimitSubject, OrganizationRecord, Store, StoreError};

use super::{
    Counters, Kind, Limits,
    configured::Given,
    resolve::{Layered, Row, Scope, User, Value},
};

/// What holds for a subject, and for what it belongs to.
#[derive(Debug)]
pub struct Resolved {
    /// The profile that it begins with.
    pub profile: LimitProfile,
    scope: Scope,
    user: Option<User>,
    key: Option<Layered>,
    /// Of what was set on it; 0 is nothing.
    pub revision: u64,
}

impl Resolved {
    /// What holds for `subject` of `organization` now; `user` is the id of the user that it is, or that the key acts
    /// for.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read(
        store: &Store,
        subject: &LimitSubject,
        organization: Option<&OrganizationRecord>,
        user: Option<&str>,
    ) -> Result<Self, StoreError> {
        let given = Given::read(store).await?;
        let (profile, scope) = match organization {
            Some(organization) => {
                let profile = organization.limit_profile;
                (profile, given.organization(&organization.id, profile))
            }
            None => (given.profile(), given.fleet()),
        };
        let user = user.map(|user| given.user(&scope, user));
        let key = matches!(subject, LimitSubject::Key { .. })
            .then(|| given.key(&scope, user.as_ref(), subject.id()));
        let set = store.limits().get(&TenantScope::All, subject.id()).await?;
        Ok(Self { profile, scope, user, key, revision: set.map_or(0, |set| set.revision) })
    }

    /// The most that an administrator of the organization could set it to.
    #[must_use]
    pub fn granted(&self, setting: LimitSetting) -> Option<u64> {
        let value = match (&self.key, &self.user) {
            (Some(key), _) => key.granted.get(setting.name),
            (None, Some(user)) if setting.each == Each::Key => user.key.granted.get(setting.name),
            (None, Some(user)) => user.own.granted.get(setting.name),
            (None, None) => self.scope.granted(setting),
        };
        value.cap
    }

    /// The limits of `subject`, and how much is used of what `limits` counts; of an organization's totals only
    /// `with_totals`.
    #[must_use]
    pub fn shown(
        &self,
        subject: &LimitSubject,
        limits: Option<&Limits>,
        with_totals: bool,
    ) -> Vec<EffectiveLimit> {
        let mut all = self.list(subject);
        if let Some(limits) = limits {
            let counted =
                |limit: &&mut EffectiveLimit| with_totals || limit.level != LimitLevel::Organization;
            all.iter_mut().filter(counted).for_each(|limit| count(limits, subject, limit));
        }
        all
    }

    fn list(&self, subject: &LimitSubject) -> Vec<EffectiveLimit> {
        match (subject, &self.user, &self.key) {
            (LimitSubject::Fleet, ..) => {
                settings(LimitLevel::Fleet, &self.scope, LimitSetting::all().into_iter())
            }
            (LimitSubject::Key { .. }, user, Some(key)) => {
                // One that acts for nobody is bound as a user is.
                let of_it = |name| {
                    LimitSetting::goes_for_keys(name) || (user.is_none() && name == LimitName::SpendUnpriced)
                };
                let mut all = own(LimitLevel::Key, &key.now, of_it);
                if let Some(user) = user {
                    all.extend(
                        own(LimitLevel::User, &user.own.now, not_by_address).into_iter().filter(capped),
                    );
                }
                all.extend(self.totals(subject));
                all
            }
            (LimitSubject::User { .. }, Some(user), _) => {
                let mut all = own(LimitLevel::User, &user.own.now, not_by_address);
                let keys = LimitName::ALL.into_iter().filter(|name| LimitSetting::goes_for_keys(*name));
                all.extend(
                    keys.map(|name| {
                        shown(LimitSetting::of_key(name), LimitLevel::User, user.key.now.get(name))
                    }),
                );
                all.extend(self.totals(subject));
                all
            }
            _ => {
                let of_it = LimitSetting::all().into_iter().filter(|setting| not_by_address(setting.name));
                settings(LimitLevel::Organization, &self.scope, of_it)
            }
        }
    }

    /// The totals of its organization.
    fn totals(&self, subject: &LimitSubject) -> Vec<EffectiveLimit> {
        if subject.organization().is_none() {
            return Vec::new();
        }
        let totals = own(LimitLevel::Organization, &self.scope.total.now, LimitName::has_total);
        totals.into_iter().filter(capped).collect()
    }
}

fn not_by_address(name: LimitName) -> bool {
    !name.is_by_address()
}

fn capped(limit: &EffectiveLimit) -> bool {
    limit.limit.is_some()
}

fn settings(
    level: LimitLevel,
    scope: &Scope,
    settings: impl Iterator<Item = LimitSetting>,
) -> Vec<EffectiveLimit> {
    settings.map(|setting| shown(setting, level, scope.get(setting))).collect()
}

fn own(level: LimitLevel, row: &Row, has: impl Fn(LimitName) -> bool) -> Vec<EffectiveLimit> {
    let names = LimitName::ALL.into_iter().filter(|name| has(*name));
    names.map(|name| shown(LimitSetting::bare(name), level, row.get(name))).collect()
}

fn shown(name: LimitSetting, level: LimitLevel, value: Value) -> EffectiveLimit {
    EffectiveLimit {
        name,
        level,
        limit: value.cap,
        unit: name.name.unit(),
        source: value.source,
        used: None,
        resets: None,
    }
}

/// Fills in how much of a limit is used, where something counts it.
fn count(limits: &Limits, subject: &LimitSubject, limit: &mut EffectiveLimit) {
    let (kind, id) = match limit.level {
        LimitLevel::Fleet => return,
        LimitLevel::Organization => (Kind::Organization, subject.organization()),
        LimitLevel::User => (Kind::User, subject.user()),
        LimitLevel::Key => (Kind::Key, Some(subject.id())),
    };
    let own = match limit.level {
        LimitLevel::Organization => limit.name.each == Each::Itself,
        _ => limit.name.each != Each::Key,
    };
    let Some(id) = id.filter(|_| own) else { return };
    let Counters { minute, hour, day, month, running, day_ends, month_ends } = limits.usage_of(kind, id);
    (limit.used, limit.resets) = match limit.name.name {
        LimitName::UserHour if limit.limit.is_some() => (Some(hour.requests), None),
        LimitName::InferenceDay => (Some(day.requests), Some(day_ends)),
        LimitName::BurstMinute => (Some(minute.requests), None),
        LimitName::SpendDay => (Some(day.spend), Some(day_ends)),
        LimitName::SpendMonth => (Some(month.spend), Some(month_ends)),
        LimitName::TokensMinute => (Some(minute.tokens), None),
        LimitName::TokensDay => (Some(day.tokens), Some(day_ends)),
        LimitName::Concurrent => (Some(running), None),
        LimitName::AnonymousHour
        | LimitName::UserHour
        | LimitName::LoginHour
        | LimitName::ResetHour
        | LimitName::TokenHour
        | LimitName::PromptChars
        | LimitName::SpendUnpriced
        | LimitName::RefusedHour => (None, None),
    };
    if limit.limit.is_some()
        && let Some(all) = limits.used_by_all(kind, id, limit.name.name)
    {
        limit.used = Some(all);
    }
}
