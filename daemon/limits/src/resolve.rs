//! Which limits hold for whom, and why: pure, from the profile and from what was set on the fleet, on the
//! organization, on the user and on the key.
//!
//! A value that was set beats a profile's, and a nearer one beats a farther one. What an administrator of an
//! organization sets only tightens: it counts as far as it is not more than what holds without anything that
//! such an administrator set. Every level's cap is enforced, so the tightest of them wins; that is not done here.

use aivonx_protocol::{
    limit::{Each, LimitName, LimitSetting, LimitSource},
    organization::LimitProfile,
};
use aivonx_store::{LimitRecord, LimitValues};

use super::{Caps, profile};

/// Number of limits.
const COUNT: usize = LimitName::ALL.len();

/// The cap of one limit, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// The cap; None is unlimited.
    pub cap: Option<u64>,
    /// Where it comes from.
    pub source: LimitSource,
}

/// One value of every limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row([Value; COUNT]);

impl Row {
    const UNLIMITED: Self = Self([Value { cap: None, source: LimitSource::Profile }; COUNT]);

    /// The value of one limit.
    #[must_use]
    pub fn get(&self, name: LimitName) -> Value {
        self.0[name as usize]
    }

    /// Its caps on the limits that `has` names.
    fn caps(&self, has: impl Fn(LimitName) -> bool) -> Caps {
        let mut caps = Caps::UNLIMITED;
        for name in LimitName::ALL.into_iter().filter(|name| has(*name)) {
            caps.set(name, self.get(name).cap);
        }
        caps
    }

    /// The tighter of two, for every limit.
    fn tighter(&self, other: &Self) -> Self {
        let mut row = *self;
        for (mine, other) in row.0.iter_mut().zip(other.0) {
            if is_less(other.cap, mine.cap) {
                *mine = other;
            }
        }
        row
    }
}

/// Whether `a` allows less than `b`; None is unlimited.
#[must_use]
pub fn is_less(a: Option<u64>, b: Option<u64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// A row as it is, and as it would be without what administrators of organizations set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layered {
    /// What holds.
    pub now: Row,
    /// The most that an administrator of the organization could make of it.
    pub granted: Row,
}

impl Layered {
    const UNLIMITED: Self = Self { now: Row::UNLIMITED, granted: Row::UNLIMITED };

    fn grant(&mut self, name: LimitName, cap: Option<u64>, source: LimitSource) {
        let value = Value { cap, source };
        self.now.0[name as usize] = value;
        self.granted.0[name as usize] = value;
    }

    fn tighten(&mut self, name: LimitName, cap: Option<u64>, source: LimitSource) {
        let granted = self.granted.get(name);
        let value = if is_less(cap, granted.cap) { Value { cap, source } } else { granted };
        self.now.0[name as usize] = value;
    }

    /// Takes the value of `other` where that is the tighter one.
    fn keep_tighter(&mut self, name: LimitName, other: &Self) {
        for (mine, other) in [(&mut self.now, &other.now), (&mut self.granted, &other.granted)] {
            if is_less(other.get(name).cap, mine.get(name).cap) {
                mine.0[name as usize] = other.get(name);
            }
        }
    }

    fn tighter(&self, other: &Self) -> Self {
        Self { now: self.now.tighter(&other.now), granted: self.granted.tighter(&other.granted) }
    }
}

/// What holds in the fleet or in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Of the fleet: by address, and what organizations' totals begin with. Of an organization: its totals.
    pub total: Layered,
    /// Of each user, and of each key that acts for nobody.
    pub user: Layered,
    /// Of each key.
    pub key: Layered,
}

impl Scope {
    /// The value of one setting.
    #[must_use]
    pub fn get(&self, setting: LimitSetting) -> Value {
        self.row(setting.each).now.get(setting.name)
    }

    /// The most that an administrator of the organization could set it to.
    #[must_use]
    pub fn granted(&self, setting: LimitSetting) -> Value {
        self.row(setting.each).granted.get(setting.name)
    }

    /// The caps of the organization's account.
    #[must_use]
    pub fn caps(&self) -> Caps {
        self.total.now.caps(LimitName::has_total)
    }

    /// Of the fleet: the caps of anonymous callers and at the login, by address, and on their prompts.
    #[must_use]
    pub fn anonymous(&self) -> Caps {
        let mut caps = self.total.now.caps(LimitName::is_by_address);
        for name in [LimitName::TokenHour, LimitName::PromptChars] {
            caps.set(name, self.user.now.get(name).cap);
        }
        caps
    }

    fn row(&self, each: Each) -> &Layered {
        match each {
            Each::Itself => &self.total,
            Each::User => &self.user,
            Each::Key => &self.key,
        }
    }

    fn row_mut(&mut self, each: Each) -> &mut Layered {
        match each {
            Each::Itself => &mut self.total,
            Each::User => &mut self.user,
            Each::Key => &mut self.key,
        }
    }

    fn grant(&mut self, values: &LimitValues, source: LimitSource) {
        for (setting, cap) in values {
            self.row_mut(setting.each).grant(setting.name, *cap, source);
        }
    }
}

/// What holds for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Its own.
    pub own: Layered,
    /// Of each of its keys.
    pub key: Layered,
}

impl User {
    /// The caps of the user's account.
    #[must_use]
    pub fn caps(&self) -> Caps {
        self.own.now.caps(|name| !name.is_by_address())
    }
}

/// The caps of a key's account, given what holds for it. `spend.unpriced` is never a key's own, but one that acts
/// for nobody is bound by it as a user is.
#[must_use]
pub fn key_caps(key: &Layered) -> Caps {
    key.now.caps(|name| LimitSetting::goes_for_keys(name) || name == LimitName::SpendUnpriced)
}

/// What holds in the fleet: for addresses, for users and keys without an organization. `set` is what was set on
/// it.
#[must_use]
pub fn fleet(profile: LimitProfile, set: &LimitValues) -> Scope {
    let mut scope = Scope { total: Layered::UNLIMITED, user: Layered::UNLIMITED, key: Layered::UNLIMITED };
    scope.grant(&profile::values(profile), LimitSource::Profile);
    scope.grant(set, LimitSource::Fleet);
    scope
}

/// What holds in an organization of this profile, given what was set on the fleet and on it.
#[must_use]
pub fn organization(profile: LimitProfile, fleet_set: &LimitValues, set: Option<&LimitRecord>) -> Scope {
    let mut scope = fleet(profile, fleet_set);
    if let Some(set) = set {
        scope.grant(&set.granted, LimitSource::Organization);
        for (setting, cap) in &set.own {
            scope.row_mut(setting.each).tighten(setting.name, *cap, LimitSource::OrganizationAdmin);
        }
    }
    scope
}

/// What holds for a user of `scope` (its organization, else the fleet).
#[must_use]
pub fn user(scope: &Scope, set: Option<&LimitRecord>) -> User {
    let mut user = User { own: scope.user, key: scope.key };
    if let Some(set) = set {
        let row = |user: &mut User, setting: &LimitSetting, cap: Option<u64>, source, granted: bool| {
            // A bare name is its own, whether or not organizations have totals of it.
            let row = if setting.each == Each::Key { &mut user.key } else { &mut user.own };
            if granted {
                row.grant(setting.name, cap, source)
            } else {
                row.tighten(setting.name, cap, source)
            }
        };
        for (setting, cap) in &set.granted {
            row(&mut user, setting, *cap, LimitSource::User, true);
        }
        for (setting, cap) in &set.own {
            row(&mut user, setting, *cap, LimitSource::UserAdmin, false);
        }
        // There is no total of it that would hold beside what is set on the user.
        user.own.keep_tighter(LimitName::SpendUnpriced, &scope.user);
    }
    user
}

/// What holds for a key of `scope` that acts for `user`. One that acts for nobody has the caps of a user and
/// those of a key.
#[must_use]
pub fn key(scope: &Scope, user: Option<&User>, set: Option<&LimitRecord>) -> Layered {
    let mut row = match user {
        Some(user) => user.key,
        None => scope.key.tighter(&scope.user),
    };
    if let Some(set) = set {
        set.granted.iter().for_each(|(setting, cap)| row.grant(setting.name, *cap, LimitSource::Key));
        set.own.iter().for_each(|(setting, cap)| row.tighten(setting.name, *cap, LimitSource::KeyAdmin));
    }
    row
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
