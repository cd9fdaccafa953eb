//! Limits as they are shown.

use aivonx_limits::{
    Counters, Kind,
    resolve::{Layered, Row, Scope, User, Value},
};
use aivonx_protocol::{
    Fault,
    limit::{Each, EffectiveLimit, LimitLevel, LimitName, LimitSetting, Limits},
    organization::LimitProfile,
    user::Role,
};
use aivonx_store::LimitSubject;

use super::{Actor, Identity, limits::Found};

/// What holds for a subject, and for what it belongs to.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) profile: LimitProfile,
    pub(super) scope: Scope,
    pub(super) user: Option<User>,
    pub(super) key: Option<Layered>,
    pub(super) revision: u64,
}

impl Resolved {
    /// The most that an administrator of the organization could set it to.
    pub(super) fn granted(&self, setting: LimitSetting) -> Option<u64> {
        let value = match (&self.key, &self.user) {
            (Some(key), _) => key.granted.get(setting.name),
            (None, Some(user)) if setting.each == Each::Key => user.key.granted.get(setting.name),
            (None, Some(user)) => user.own.granted.get(setting.name),
            (None, None) => self.scope.granted(setting),
        };
        value.cap
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

impl Identity {
    /// The limits that hold for `found`, as `actor` may see them.
    pub(super) async fn limits_shown(&self, actor: &Actor, found: Found) -> Result<Limits, Fault> {
        let resolved = self.resolved(&found).await?;
        let mut limits = resolved.list(&found.subject);
        limits.iter_mut().for_each(|limit| self.count(actor, &found, limit));
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

    /// Fills in how much of a limit is used, where something counts it and `actor` may see that.
    fn count(&self, actor: &Actor, found: &Found, limit: &mut EffectiveLimit) {
        let Some(limits) = self.limits.get() else { return };
        let subject = &found.subject;
        let (kind, id) = match limit.level {
            LimitLevel::Fleet => return,
            // What the others of its organization use is not a member's business.
            LimitLevel::Organization if actor.role == Role::Member => return,
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
            | LimitName::SpendUnpriced => (None, None),
        };
    }
}
