//! Limits as they are shown.

use aivonx_protocol::{
    Fault,
    limit::{Each, EffectiveLimit, LimitLevel, LimitName, LimitSetting, Limits},
    organization::LimitProfile,
    user::Role,
};

use super::{Actor, Identity, limits::Found};
use crate::{
    limits::resolve::{Layered, Row, Scope, User, Value},
    store::LimitSubject,
};

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
                let mut all = own(LimitLevel::Key, &key.now, LimitSetting::goes_for_keys);
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
        let limits = resolved.list(&found.subject);
        let _ = actor.role == Role::Member;
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
}
